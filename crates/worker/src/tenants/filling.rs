//! Filling a mapping of a tenant's database: the rows of its tenancy in the order of their keys, a page at a time. Where a fill
//! stands is written down over there, in the transaction of each page.

use lockstep_core::TenancyId;
use lockstep_destinations::postgres::{FillPage, FillPosition};
use lockstep_destinations::{Destination, PageStart};
use lockstep_mappings::codec::Row;
use lockstep_mappings::postgres::tenant_fill::{self, TenantPage};
use lockstep_schema::tenant_destinations::mappings::MappingState;
use lockstep_schema::{Session, SourceError, fits_its_table};

use super::context::Context;
use super::plan::Action;
use super::trouble::Trouble;
use super::visit::{Turn, Visitor};
use crate::error::{ShipError, Violation};
use crate::flush::{Copied, OpenPage, RowFilter, copy_rows, push};
use crate::mappings::MappingIndex;
use crate::metrics;
use crate::storage::LeasedSession;
use crate::storage::tenants::{Known, MappingRecord, Registered};

/// Rows of the first page.
const FIRST_ROWS: u32 = 1_000;
const MOST_ROWS: u32 = 50_000;
/// Rows are counted this far, for an end in sight.
const MOST_COUNTED: u32 = 1_000_000;
/// Rows that are handed to the stream one after another. Where more are refused, it is not single rows that are at fault.
const MAX_PASSED_OVER: u32 = 100;

/// What came of a page.
enum Filled {
    /// It was the last.
    Whole(FillPosition),
    To(FillPosition),
    /// Other workers know what the mapping is set up as now.
    Foreign,
}

/// The rows of a page.
struct FillRows {
    tenancy: TenancyId,
    version: lockstep_core::SequenceId,
    /// Passed over, instead of being written.
    are_passed_over: bool,
    rows: u32,
}

impl RowFilter<FillPage> for FillRows {
    fn accept(&mut self, row: &Row<'_>, page: &mut OpenPage<FillPage>) -> Result<(), ShipError> {
        let head = &row.head;
        if head.tenancy != self.tenancy {
            return Err(Violation::Tenancy(head.tenancy).into());
        }
        if head.sequence != self.version || head.deleted {
            return Err(Violation::Order { tenancy: head.tenancy, sequence: head.sequence }.into());
        }
        self.rows += 1;
        if self.are_passed_over {
            return Ok(page.writer.pass_over(row)?);
        }
        push(row, page)
    }
}

impl Visitor {
    /// Fills a mapping, as far as this turn goes.
    pub(super) async fn fill(
        &mut self,
        context: &Context,
        row: &Registered,
        mapping: MappingIndex,
        action: Action,
        known: &Known,
        turn: &mut Turn,
    ) -> Result<(), Trouble> {
        let mut position = match action {
            Action::Stream => return Ok(()),
            Action::GoOn(position) => position,
            Action::Fill(_) if turn.is_over() => return Ok(()),
            Action::Fill(reason) => self.begin(context, row, mapping, reason, known).await?,
        };
        let name = context.mappings.name(mapping);
        loop {
            let filled_rows = i64::try_from(position.rows).unwrap_or(i64::MAX);
            if turn.is_over() {
                let record = MappingRecord { filled_rows, ..MappingRecord::of(MappingState::Filling) };
                self.note(context, row, mapping, &record).await?;
                return Ok(());
            }
            match self.fill_page(context, mapping, &position).await? {
                Filled::To(next) => position = next,
                Filled::Foreign => {
                    turn.waits = true;
                    return Ok(());
                }
                Filled::Whole(last) => {
                    let filled_rows = i64::try_from(last.rows).unwrap_or(i64::MAX);
                    let record = MappingRecord { filled_rows, ..MappingRecord::of(MappingState::Streaming) };
                    self.note(context, row, mapping, &record).await?;
                    tracing::info!(destination = %self.destination.id(), mapping = %name, rows = last.rows, "a tenant's table is filled");
                    return Ok(());
                }
            }
        }
    }

    async fn begin(
        &mut self,
        context: &Context,
        row: &Registered,
        mapping: MappingIndex,
        reason: &'static str,
        known: &Known,
    ) -> Result<FillPosition, Trouble> {
        let definition = context.mappings.get(mapping);
        let position = self.destination.begin_fill(definition, known.head).await?;
        let sql = tenant_fill::count(definition, self.tenancy, MOST_COUNTED);
        let session = context.session().await?;
        let counted: i64 = session.client().query_one(&sql, &[]).await.map_err(SourceError::from)?.get(0);
        session.leave();
        let filled_rows = i64::try_from(position.rows).unwrap_or(i64::MAX);
        // More are not counted: then no end is in sight.
        let (fill_reason, total_rows) = (Some(reason), Some(counted).filter(|rows| *rows < i64::from(MOST_COUNTED)));
        let answers = known.mappings.get(definition.name.as_str()).and_then(|known| known.refill_requested.clone());
        let record =
            MappingRecord { fill_reason, answers, filled_rows, total_rows, ..MappingRecord::of(MappingState::Filling) };
        self.note(context, row, mapping, &record).await?;
        tracing::info!(destination = %self.destination.id(), mapping = %definition.name, reason, rows = counted, "a tenant's table is filled");
        Ok(position)
    }

    /// Ships one page. One that is refused is halved until the row at fault stands alone, which is handed to the stream.
    async fn fill_page(
        &mut self,
        context: &Context,
        mapping: MappingIndex,
        position: &FillPosition,
    ) -> Result<Filled, Trouble> {
        let mut are_passed_over = false;
        loop {
            let rows = *self.fill_rows.entry(mapping).or_insert(FIRST_ROWS);
            let rows = if are_passed_over { 1 } else { rows };
            match self.try_page(context, mapping, position, rows, are_passed_over).await {
                Ok(filled) => return Ok(filled),
                Err(error) if error.is_refusal() && rows > 1 => {
                    self.fill_rows.insert(mapping, rows / 2);
                }
                Err(error) if error.is_refusal() && !are_passed_over => {
                    let passed_over = self.passed_over.entry(mapping).or_default();
                    *passed_over += 1;
                    if *passed_over > MAX_PASSED_OVER || !self.may_be_of_row(context, mapping, &error).await? {
                        let name = context.mappings.name(mapping);
                        return Err(Trouble::Rows(format!(
                            "{name}: {}",
                            ShipError::TooManyRefused { reason: error.to_string() }
                        )));
                    }
                    are_passed_over = true;
                }
                Err(ShipError::Destination(error)) => return Err(error.into()),
                Err(ShipError::Source(error)) => return Err(error.into()),
                Err(error) => return Err(Trouble::Rows(format!("{}: {error}", context.mappings.name(mapping)))),
            }
        }
    }

    /// Whether a row may be at fault: where the source failed, the mapping fits its table.
    async fn may_be_of_row(
        &self,
        context: &Context,
        mapping: MappingIndex,
        error: &ShipError,
    ) -> Result<bool, Trouble> {
        if !error.is_of_source() {
            return Ok(true);
        }
        let client = context.source.connect(Session::Control).await?;
        Ok(fits_its_table(&client, context.mappings.get(mapping)).await?)
    }

    async fn try_page(
        &mut self,
        context: &Context,
        mapping: MappingIndex,
        position: &FillPosition,
        rows: u32,
        are_passed_over: bool,
    ) -> Result<Filled, ShipError> {
        let bytes = self.page_size.bytes();
        let _memory = context.memory(bytes).await;
        let session = context.session().await?;
        let snapshot = session.begin(&[self.tenancy], &self.destination.id()).await?;
        let definition = context.mappings.get(mapping);
        let name = definition.name.as_str();
        let recorded = snapshot.definitions.get(name).map(|recorded| recorded.exported.as_str());
        if recorded != context.mappings.known().exported(name) {
            session.end().await?;
            session.leave();
            return Ok(Filled::Foreign);
        }
        let limits = context.limits.of_tenants();
        let start = PageStart { mapping: definition, from: &[], window: snapshot.window, limits: limits.write };
        let mut page = OpenPage::of(self.destination.open_fill_page(start, position), start, &limits);
        let (tenancy, version) = (self.tenancy, position.version);
        let mut filter = FillRows { tenancy, version, are_passed_over, rows: 0 };
        let asked = TenantPage { tenancy, after: position.after.as_deref(), rows, version };
        let sql =
            if are_passed_over { tenant_fill::keys(definition, asked) } else { tenant_fill::page(definition, asked) };
        let copied = copy_rows(session.client(), &sql, definition, &mut filter, &mut page, bytes).await?;
        self.leave(context, session, copied).await?;
        let began = std::time::Instant::now();
        let is_whole = copied == Copied::Whole && filter.rows < rows;
        if is_whole {
            page.writer.is_last();
        }
        let next = page.writer.position();
        if are_passed_over && let Some(key) = &next.after {
            self.hand_over(context, mapping, key).await?;
        }
        let written = page.end(&[]).await?;
        metrics::filled(&definition.name, &written);
        self.page_size.learn(written.sent.bytes, began.elapsed());
        let fitting = if copied == Copied::Whole { rows.saturating_mul(2) } else { filter.rows };
        if !are_passed_over {
            self.passed_over.remove(&mapping);
            self.fill_rows.insert(mapping, fitting.clamp(1, MOST_ROWS));
        }
        Ok(if is_whole { Filled::Whole(next) } else { Filled::To(next) })
    }

    /// Leaves the session: one that still sends is cancelled, and not used again.
    async fn leave(&self, context: &Context, session: LeasedSession, copied: Copied) -> Result<(), SourceError> {
        match copied {
            Copied::Whole => {
                session.end().await?;
                session.leave();
                Ok(())
            }
            Copied::Stopped => context.source.cancel(session.client()).await,
        }
    }

    /// Has a row exported with a number of its own: the stream finds out what is wrong with it, and sets it aside.
    async fn hand_over(&self, context: &Context, mapping: MappingIndex, key: &[String]) -> Result<(), SourceError> {
        let definition = context.mappings.get(mapping);
        let sources = definition.key_sources().map(|(_, source)| source.to_owned());
        let key: serde_json::Map<_, _> = sources.zip(key.iter().map(|value| value.as_str().into())).collect();
        let (table, tenancy, key) = (&definition.source.name, self.tenancy.as_uuid(), serde_json::Value::Object(key));
        let touch = "SELECT lockstep.touch($1, $2, $3)";
        context.ask(async |client| Ok(client.query_one(touch, &[table, &tenancy, &key]).await.map(drop)?)).await
    }
}
