//! The pages of one flush: read one after another over one connection, while earlier ones are still being ended by the
//! destination.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures_util::future::join;
use lockstep_core::telemetry::{Kind, Server, Span, in_current};
use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::{Destination, DestinationError, Failure, Keeps, PageWriter, Retry};
use lockstep_mappings::postgres::fetch::ReadFrom;
use tokio::task::JoinSet;

use super::commit_page::{CursorsMove, WrittenPage, commit_pages, record_refusals};
use super::filter_rows::{ReadPage, Refusal};
use super::isolate::{PageContent, Refused};
use super::open::SessionEnd;
use super::outcome::{Outcome, PairsOutcome, Report};
use super::plan_pages::{MappingState, MappingStates, PagePlan};
use super::read_page::{Copied, Read, Route, Unread, read_page, write_former};
use super::write_page::{DurablePage, OpenPage};
use crate::error::ShipError;
use crate::mappings::MappingIndex;
use crate::metrics;
use crate::storage::quarantine::Quarantine;
use crate::storage::{FetchSession, LeasedSession};

/// Pages that are written at the same time: one is being read, the others are being ended by the destination.
const WRITES_AT_ONCE: usize = 4;
/// Pages in a row that the destination had no answer for: the others need not be tried.
const MAX_CONSECUTIVE_OUTAGES: u32 = 2;
/// A flush that takes longer moves the cursors of each page as it is done.
const LONG_FLUSH: Duration = Duration::from_secs(1);

/// A page that was read, and what its end came to.
type PageEnd = (PagePlan, ReadPage, Result<DurablePage, DestinationError>);

/// One flush under way.
pub(super) struct Pipeline<'a, D> {
    route: Route<'a, D>,
    states: &'a mut MappingStates,
    quarantine: &'a mut Quarantine,
    started: Instant,
    ending: JoinSet<PageEnd>,
    /// Their cursors are to move.
    written: Vec<WrittenPage>,
    report: Report,
    consecutive_outages: u32,
}

impl<'a, D: Destination> Pipeline<'a, D> {
    pub(super) fn new(route: Route<'a, D>, states: &'a mut MappingStates, quarantine: &'a mut Quarantine) -> Self {
        let (started, ending, written) = (Instant::now(), JoinSet::new(), Vec::new());
        let (report, consecutive_outages) = (Report::default(), 0);
        Self { route, states, quarantine, started, ending, written, report, consecutive_outages }
    }

    /// Ships all pages, read over `session`, which is given to `close` as soon as nothing more is read. One that fails does not
    /// stop the others (FAIR-1), unless it takes the session with it: then those after it are not tried.
    pub(super) async fn run(
        mut self,
        session: LeasedSession,
        mut waiting: VecDeque<PagePlan>,
        close: impl AsyncFnOnce(LeasedSession, SessionEnd),
    ) -> Report {
        let mut end = SessionEnd::Usable;
        let mut is_first = true;
        while end == SessionEnd::Usable && self.consecutive_outages < MAX_CONSECUTIVE_OUTAGES {
            if !is_first && !self.route.opened.snapshot.window.is_fresh() {
                // What is read from here on could come too late to be written: the rest is read in a new snapshot.
                self.leave(std::mem::take(&mut waiting), &Outcome::MorePages);
            }
            let Some(plan) = waiting.pop_front() else { break };
            is_first = false;
            end = self.read(&session, plan).await;
            while self.ending.len() >= self.writes_at_once() {
                self.join_one().await;
            }
        }
        self.leave(waiting, &Outcome::NotTried);
        // Nothing more is read: neither the transaction nor the session need wait for the destination.
        let closing = async {
            let end = match end {
                SessionEnd::Usable if session.end().await.is_err() => SessionEnd::Broken,
                end => end,
            };
            close(session, end).await;
        };
        join(closing, async {
            while !self.ending.is_empty() {
                self.join_one().await;
            }
            self.commit(CursorsMove::Meanwhile).await;
        })
        .await;
        self.report
    }

    /// A destination that keeps rows gathers its pages in memory, so that no snapshot of the source waits for it.
    fn writes_at_once(&self) -> usize {
        match self.route.destination.keeps() {
            Keeps::Versions => WRITES_AT_ONCE,
            Keeps::Rows => usize::MAX,
        }
    }

    fn leave(&mut self, waiting: VecDeque<PagePlan>, outcome: &Outcome) {
        let left = waiting.into_iter().map(|plan| PairsOutcome::new(plan.mapping, plan.tenancies, outcome.clone()));
        self.report.outcomes.extend(left);
    }

    fn failed(&mut self, plan: PagePlan, error: &ShipError) {
        self.report.outcomes.push(PairsOutcome::failed(self.route.mappings, plan.mapping, plan.tenancies, error));
    }

    /// Reads one page, and has it ended while the next is read. Returns what is left of the session.
    async fn read(&mut self, session: &FetchSession, plan: PagePlan) -> SessionEnd {
        let MappingState { page_size, isolation } = self.states.entry(plan.mapping).or_default();
        let mapping = self.route.mappings.name(plan.mapping);
        // Not current meanwhile: what is written while it is read is the flush's.
        let span = Span::part(Kind::Client, || format!("read {mapping}"));
        span.asks(Server::Postgres);
        span.set("db.operation.name", "COPY");
        span.set_text("lockstep.mapping", mapping.as_str());
        span.count("lockstep.tenants", plan.tenancies.len());
        let read = read_page(&self.route, session, &plan, isolation).await;
        match &read {
            Ok(Some(read)) => span.count("db.response.returned_rows", read.open.rows),
            Ok(None) => {}
            Err(unread) => span.failed(unread.error.kind()),
        }
        drop(span);
        match read {
            Ok(None) => SessionEnd::Usable,
            Ok(Some(Read { page, open, copied })) => {
                let limits = self.route.limits;
                tracing::debug!(mapping = %self.route.mappings.name(plan.mapping), rows = open.rows, "a page is read");
                // Pages with suspects say nothing about the size of rows.
                if plan.limits == page_size.limits(limits.page) {
                    page_size.learn(open.bytes(), limits.page_bytes);
                }
                self.begin_end(plan, page, open).await;
                if copied == Copied::Stopped { SessionEnd::Reading } else { SessionEnd::Usable }
            }
            Err(Unread { error: ShipError::Destination(error), content }) => {
                self.write_failed(plan, None, &content, error);
                SessionEnd::Usable
            }
            Err(Unread { error, content }) if error.is_refusal() => self.isolate(session, plan, &content, error).await,
            Err(Unread { error, .. }) => {
                self.failed(plan, &error);
                // After an error the transaction answers nothing more.
                if matches!(error, ShipError::Source(_)) { SessionEnd::Broken } else { SessionEnd::Usable }
            }
        }
    }

    /// Has a page ended by the destination while the next is read. Cursors of a destination that keeps rows move with their page or
    /// not at all: there the quarantine holds what they pass before the page ends.
    async fn begin_end(&mut self, plan: PagePlan, page: ReadPage, open: OpenPage<D::Page>) {
        let written = WrittenPage::refused(plan, page, std::iter::empty());
        let written = match self.route.destination.keeps() {
            Keeps::Rows => self.record_refusals(written).await,
            Keeps::Versions => Some(written),
        };
        let Some(written) = written else { return };
        if self.route.destination.keeps() == Keeps::Rows && written.page.cursors.is_empty() {
            // Nothing is new, or nothing may be passed: there is no cursor to move, and no row moves without one.
            self.written.push(written);
            return;
        }
        let WrittenPage { plan, page, .. } = written;
        self.ending.spawn(in_current(end_page(plan, page, open)));
    }

    /// Writes the rows that a page refuses into the quarantine; returns `None` where its cursors cannot move.
    async fn record_refusals(&mut self, written: WrittenPage) -> Option<WrittenPage> {
        let (mut written, report) = record_refusals(&self.route, self.quarantine, vec![written]).await;
        self.report.add(report);
        written.pop()
    }

    /// Waits for a page to end.
    async fn join_one(&mut self) {
        let (plan, page, ended) = match self.ending.join_next().await {
            None => return,
            Some(Ok(ended)) => ended,
            Some(Err(joined)) => match joined.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the runtime's end cancels them.
                Err(_) => return,
            },
        };
        match ended {
            Ok(durable) => {
                self.note_written(&plan, &page, &durable);
                self.written.push(WrittenPage::durable(plan, page, &durable));
                if self.started.elapsed() > LONG_FLUSH {
                    self.commit(CursorsMove::Now).await;
                }
            }
            Err(error) => {
                let content = page.content.clone();
                self.write_failed(plan, Some(page), &content, error);
            }
        }
    }

    fn note_written(&mut self, plan: &PagePlan, page: &ReadPage, durable: &DurablePage) {
        self.consecutive_outages = 0;
        self.report.rows += durable.rows;
        self.report.bytes += durable.sent.bytes;
        let MappingState { page_size, isolation } = self.states.entry(plan.mapping).or_default();
        isolation.passed(&page.streaks, &page.content, &page.more, page_size.limits(self.route.limits.page));
        let mapping = self.route.mappings.name(plan.mapping);
        metrics::written(mapping, durable);
        if durable.rows > 0 {
            let (rows, bytes, writes) = (durable.rows, durable.sent.bytes, durable.sent.writes);
            let since_start_ms = self.started.elapsed().as_millis();
            tracing::debug!(%mapping, rows, bytes, writes, since_start_ms, "a page is written");
        }
    }

    /// The destination did not take a page, of which it was given this content. `page` is what was read, if all of it was.
    fn write_failed(&mut self, plan: PagePlan, page: Option<ReadPage>, content: &PageContent, error: DestinationError) {
        if error.retry() == Retry::Bisect {
            self.consecutive_outages = 0;
            return self.refused(plan, page, content, &error);
        }
        if error.failure() == Failure::Late {
            self.states.entry(plan.mapping).or_default().page_size.shrink();
        } else {
            self.consecutive_outages += 1;
            self.report.write_failure = Some(error.clone());
        }
        self.failed(plan, &ShipError::Destination(error));
    }

    /// A page was refused for a reason that lies in its rows: it is cut down until the rows at fault stand alone.
    fn refused(&mut self, plan: PagePlan, page: Option<ReadPage>, content: &PageContent, error: &DestinationError) {
        let isolation = &mut self.states.entry(plan.mapping).or_default().isolation;
        match (isolation.refused(content), page) {
            (Refused::Narrowed, _) => self.narrowed(plan, content, error),
            (Refused::Found(tenancy, sequences), Some(page)) => {
                let (code, error) = (error.code(), error.to_string());
                let refusal = |sequence| Refusal { tenancy, sequence, code, error: error.clone() };
                self.written.push(WrittenPage::refused(plan, page, sequences.into_iter().map(refusal)));
            }
            (Refused::Found(..) | Refused::Hopeless, _) => {
                self.failed(plan, &ShipError::TooManyRefused { reason: error.to_string() });
            }
        }
    }

    fn narrowed(&mut self, plan: PagePlan, content: &PageContent, error: &dyn std::error::Error) {
        let rows = content.values().map(|own| own.rows).sum::<u64>();
        let mapping = self.route.mappings.name(plan.mapping);
        tracing::info!(%mapping, tenancies = content.len(), rows, %error, "a page did not get through: it is tried in parts");
        self.leave([plan].into(), &Outcome::MorePages);
    }

    /// A page was not read to its end because of one of these rows: it is cut down until that row stands alone.
    async fn isolate(
        &mut self,
        session: &FetchSession,
        plan: PagePlan,
        content: &PageContent,
        error: ShipError,
    ) -> SessionEnd {
        if error.is_of_source() {
            // After an error of its own the source answers nothing more until then.
            match session.go_on(self.route.mappings.get(plan.mapping)).await {
                Ok(true) => {}
                Ok(false) => {
                    self.failed(plan, &error);
                    return SessionEnd::Usable;
                }
                Err(broken) => {
                    self.failed(plan, &broken.into());
                    return SessionEnd::Broken;
                }
            }
        }
        match self.states.entry(plan.mapping).or_default().isolation.refused(content) {
            Refused::Narrowed => self.narrowed(plan, content, &error),
            Refused::Found(tenancy, _) => return self.set_aside(session, plan, tenancy, &error).await,
            Refused::Hopeless => self.failed(plan, &ShipError::TooManyRefused { reason: error.to_string() }),
        }
        SessionEnd::Usable
    }

    /// The row of the next change of this tenancy stands alone: only the number tells which it is.
    async fn set_aside(
        &mut self,
        session: &FetchSession,
        plan: PagePlan,
        tenancy: TenancyId,
        error: &ShipError,
    ) -> SessionEnd {
        let work = self.route.work(plan.mapping, tenancy);
        match session.next_change(self.route.mappings.get(plan.mapping), work).await {
            Ok(Some(sequence)) => {
                if let Err(broken) = self.write_former_alone(session, plan.mapping, (work, sequence)).await {
                    self.failed(plan, &broken);
                    return if broken.is_of_source() { SessionEnd::Broken } else { SessionEnd::Usable };
                }
                let (code, error) = error.of_row(tenancy);
                let (cursors, more) = (vec![(work, sequence)], plan.tenancies.clone());
                let refusals = vec![Refusal { tenancy, sequence, code, error }];
                let page = ReadPage { cursors, more, refusals, ..ReadPage::default() };
                self.written.push(WrittenPage::refused(plan, page, std::iter::empty()));
                SessionEnd::Usable
            }
            // It is no row's fault.
            Ok(None) => {
                self.failed(plan, error);
                SessionEnd::Usable
            }
            Err(broken) => {
                self.failed(plan, &broken.into());
                SessionEnd::Broken
            }
        }
    }

    /// Has what a row was vanish from where its tenancy was before, though the row itself cannot be read. Where that cannot be read or is
    /// refused either, it is set aside with the row.
    async fn write_former_alone(
        &self,
        session: &FetchSession,
        mapping: MappingIndex,
        moved: (ReadFrom, SequenceId),
    ) -> Result<(), ShipError> {
        if !self.route.has_moved(moved.0.tenancy) {
            return Ok(());
        }
        match write_former(&self.route, session, mapping, &[moved]).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_refusal() && error.is_of_source() => {
                if session.go_on(self.route.mappings.get(mapping)).await? { Ok(()) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    async fn commit(&mut self, when: CursorsMove) {
        let written = std::mem::take(&mut self.written);
        let committed = commit_pages(&self.route, self.quarantine, written, when).await;
        self.report.add(committed);
    }
}

async fn end_page<P: PageWriter>(plan: PagePlan, page: ReadPage, open: OpenPage<P>) -> PageEnd {
    let ended = open.end(&page.cursors_of_rows()).await;
    (plan, page, ended)
}
