//! Fills: pages by key, each in one transaction with how far the fill has come.

use lockstep_core::{SequenceId, TenancyId, failpoint};
use lockstep_mappings::Mapping;
use lockstep_mappings::codec::{CodecError, Row, key_texts};
use lockstep_mappings::tenant::{self, Range};
use uuid::Uuid;

use super::Postgres;
use super::connection::{Session, Trouble};
use super::failure::Doing;
use super::gathered::Gathered;
use super::states::{MappingState, create_ours, parse};
use crate::destination::{Ended, PageStart, PageWriter, Sent};
use crate::error::{DestinationError, Failure};
use crate::window::WriteWindow;

/// How far a fill has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FillPosition {
    /// Tells one fill from another with the same version.
    pub id: Uuid,
    /// The number that was drawn before the first row was read: the cursor that the fill ends with.
    pub version: SequenceId,
    /// The key of the last row that was passed, each column as text; none before the first.
    pub after: Option<Vec<String>>,
    /// Rows that were written so far.
    pub rows: u64,
}

pub(super) async fn begin(
    to: &Postgres,
    mapping: &Mapping,
    version: SequenceId,
) -> Result<FillPosition, DestinationError> {
    create_ours(to).await?;
    let begin = tenant::begin_fill(mapping, Uuid::new_v4(), version);
    let states = tenant::states(std::slice::from_ref(&mapping.name));
    // From the first row, whatever was under way.
    let answers = to.transaction(&[tenant::lock(), tenant::refill(mapping), begin, states]).await?;
    match parse(to, answers.last())?.remove(&mapping.name) {
        Some(MappingState::Filling(position)) => Ok(position),
        _ => Err(to.odd_answer()),
    }
}

/// A page of a fill: the rows behind a key, in the order of their keys. What the database has between them goes.
#[must_use = "a page that is dropped is not written"]
#[derive(Debug)]
pub struct FillPage {
    to: Postgres,
    gathered: Gathered,
    from: FillPosition,
    window: WriteWindow,
    last_key: Option<Vec<String>>,
    is_last: bool,
}

impl FillPage {
    pub(super) fn new(to: &Postgres, start: PageStart<'_>, from: &FillPosition) -> Self {
        Self {
            gathered: Gathered::new(start.mapping, to.tenancy()),
            from: from.clone(),
            window: start.window,
            last_key: None,
            is_last: false,
            to: to.clone(),
        }
    }

    /// The source has no more rows after this page's.
    pub const fn is_last(&mut self) {
        self.is_last = true;
    }

    /// A row was set aside: its key is passed, and what the database holds of it stays.
    ///
    /// # Errors
    /// [`CodecError`] where the row is not one of the mapping. A key that the database cannot hold is none that it has.
    pub fn pass_over(&mut self, row: &Row<'_>) -> Result<(), CodecError> {
        self.last_key = Some(key_texts(self.gathered.mapping(), row)?);
        match self.gathered.push_key(row) {
            Err(error) if error.is_of_row() => Ok(()),
            pushed => pushed,
        }
    }

    /// Where the fill stands once this page has ended.
    pub fn position(&self) -> FillPosition {
        FillPosition {
            id: self.from.id,
            version: self.from.version,
            after: self.last_key.clone().or_else(|| self.from.after.clone()),
            rows: self.from.rows + self.gathered.row_count(),
        }
    }
}

impl PageWriter for FillPage {
    fn push(&mut self, row: &Row<'_>) -> Result<(), CodecError> {
        self.gathered.push(row)?;
        self.last_key = Some(key_texts(self.gathered.mapping(), row)?);
        Ok(())
    }

    /// It gathers all of it: how much a page has, whoever reads decides.
    fn is_full(&self) -> bool {
        false
    }

    async fn send(&mut self) -> Result<(), DestinationError> {
        Ok(())
    }

    fn sent(&self) -> Sent {
        self.gathered.sent()
    }

    async fn end(self, _: &[(TenancyId, SequenceId)]) -> Result<Ended, DestinationError> {
        let to = &self.to;
        to.refuse_late(self.window)?;
        let limit = to.inner.timeouts.whole.min(self.window.half());
        let mapping = self.gathered.mapping();
        if tenant::is_direct(mapping) {
            let page = &self;
            match to.with_session(limit, async |session| page.write(&session, true).await).await {
                // Somebody else's row is in the way, perhaps: the other way finds out.
                Err(trouble) if trouble.error.failure() == Failure::Rejected => {}
                written => return Ok(written.map(|()| Ended::CursorsMoved)?),
            }
        }
        let page = &self;
        to.with_session(limit, async |session| page.write(&session, false).await).await?;
        Ok(Ended::CursorsMoved)
    }
}

impl FillPage {
    /// The whole transaction. `directly`: straight into the table, where that was empty when the fill began.
    async fn write(&self, session: &Session, directly: bool) -> Result<(), Trouble> {
        let (to, mapping) = (&self.to, self.gathered.mapping());
        let was_empty = self.move_on(session).await?;
        let (rows, keys) = (self.gathered.rows(), self.gathered.keys());
        let mut ending = Vec::new();
        if was_empty && (directly || rows.is_none()) {
            if let Some(rows) = rows {
                let copy = session.prepare(&tenant::copy_direct(mapping)).await?;
                session.copy_in(&copy, rows).await?;
            }
        } else {
            let staging = [tenant::stage_rows(mapping), tenant::stage_keys(mapping)];
            session.run(&staging, Doing::Other).await?;
            for (bytes, copy) in [(keys, tenant::copy_keys(mapping)), (rows, tenant::copy_rows(mapping))] {
                if let Some(bytes) = bytes {
                    let copy = session.prepare(&copy).await?;
                    session.copy_in(&copy, bytes).await?;
                }
            }
            if !was_empty {
                let last = if self.is_last { None } else { self.last_key.as_deref() };
                ending.push(tenant::insert_missing_keys(mapping));
                // A page that passes no key, and is not the last, has no range. One that passes a row over may have been refused for
                // what was to go: that stays, and does not stop the fill.
                let is_passing_over = self.gathered.row_count() == 0 && !self.is_last;
                if (self.is_last || last.is_some()) && !is_passing_over {
                    ending.push(tenant::remove_absent(mapping, Range { after: self.from.after.as_deref(), last }));
                }
            }
            ending.push(tenant::upsert(mapping));
        }
        if self.is_last {
            ending.push(tenant::write_cursor(mapping, self.from.version));
            ending.push(tenant::end_fill(mapping));
        }
        ending.push("COMMIT".to_owned());
        to.refuse_late(self.window)?;
        failpoint!(
            "tenants::fill_commit::before",
            return Err(DestinationError::unanswered(to.inner.id.clone()).into())
        );
        session.run(&ending, Doing::WritingRows).await?;
        failpoint!("tenants::fill_commit::after", return Err(DestinationError::unanswered(to.inner.id.clone()).into()));
        Ok(())
    }

    /// Begins the transaction and moves the fill on, from where this page was read. Returns whether the table was empty when
    /// the fill began.
    async fn move_on(&self, session: &Session) -> Result<bool, Trouble> {
        let (to, from, until) = (&self.to, &self.from, self.position());
        let moving = tenant::move_fill(
            self.gathered.mapping(),
            from.id,
            (from.rows, from.after.as_deref()),
            (until.rows, until.after.as_deref()),
        );
        let answers = to.begin_on(session, &[tenant::lock(), moving]).await?;
        let row = answers.last().and_then(|answer| answer.rows.first());
        let row = row.ok_or_else(|| to.error(Failure::Moved, "a fill is not where rows were read for it"))?;
        Ok(row.first().is_some_and(|was_empty| was_empty.as_deref() == Some("t")))
    }
}
