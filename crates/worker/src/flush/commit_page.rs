//! Committing pages: the quarantine first, then the cursors (CUR-1), and at last what the quarantine need not hold any more.

use lockstep_core::telemetry::Span;
use lockstep_destinations::{CursorAt, Destination, DestinationError, Ended, Keeps, PageStart, PageWriter};

use super::cursor_write::CursorMoves;
use super::filter_rows::{ReadPage, Refusal};
use super::outcome::{Outcome, PairsOutcome, Report};
use super::plan_pages::PagePlan;
use super::read_page::Route;
use super::write_page::DurablePage;
use crate::error::ShipError;
use crate::metrics;
use crate::storage::quarantine::{Passed, Quarantine};

/// A page whose cursors may move, once the quarantine holds its refusals (CUR-1).
pub(super) struct WrittenPage {
    pub(super) plan: PagePlan,
    pub(super) page: ReadPage,
    ended: Ended,
}

impl WrittenPage {
    /// All of its rows but the refusals are durable.
    pub(super) const fn durable(plan: PagePlan, page: ReadPage, durable: &DurablePage) -> Self {
        Self { plan, page, ended: durable.ended() }
    }

    /// It holds nothing but refusals.
    pub(super) fn refused(plan: PagePlan, mut page: ReadPage, refusals: impl Iterator<Item = Refusal>) -> Self {
        page.refusals.extend(refusals);
        Self { plan, page, ended: Ended::RowsOnly }
    }
}

/// When cursors have to be where they go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CursorsMove {
    /// Before the flush returns.
    Now,
    /// Perhaps afterwards, where all went well: the next flush is opened meanwhile.
    Meanwhile,
}

/// Moves the cursors of everything that was written, in one write.
pub(super) async fn commit_pages<D: Destination>(
    route: &Route<'_, D>,
    quarantine: &mut Quarantine,
    written: Vec<WrittenPage>,
    when: CursorsMove,
) -> Report {
    let (written, mut report) = record_refusals(route, quarantine, written).await;
    let forward: Vec<CursorAt> = written.iter().flat_map(|written| left_to_move(route, written)).collect();
    let passed: Vec<_> = written.iter().flat_map(|written| passed_entries(route, written)).collect();
    // Before another flush may begin: it takes these cursors for granted.
    let confirmed = match &route.opened.confirmation {
        Some(confirmation) if !forward.is_empty() => confirmation.clone().await,
        _ => Ok(()),
    };
    let moves = CursorMoves::new(forward, route.opened.snapshot.window, Span::current());
    let moved = match confirmed {
        Ok(()) if route.destination.keeps() == Keeps::Rows => end_empty_pages(route, &written).await,
        Ok(()) if when == CursorsMove::Meanwhile && passed.is_empty() && report.outcomes.is_empty() => {
            report.cursors = Some(moves);
            Ok(())
        }
        Ok(()) => moves.write(route.destination.clone()).await,
        Err(error) => Err(error),
    };
    if let Err(error) = moved {
        report.write_failure = Some(error.clone());
        let error = ShipError::Destination(error);
        report.outcomes.extend(written.into_iter().map(|written| failed(route, written.plan, &error)));
        return report;
    }
    if !passed.is_empty()
        && let Err(error) = quarantine.forget_passed(route.mappings, &passed).await
    {
        tracing::warn!(%error, "the quarantine could not be looked through; the next sweep does it");
    }
    for WrittenPage { plan, page, .. } in written {
        report.moved.extend(page.cursors.iter().map(|(work, to)| (work.tenancy, plan.mapping, *to)));
        report.outcomes.push(PairsOutcome::new(plan.mapping, page.more, Outcome::MorePages));
        report.outcomes.extend(page.stuck.into_iter().map(|(tenancy, error)| {
            let reason = ShipError::Refused { tenancy, error }.to_string();
            let error = ShipError::TooManyRefused { reason };
            PairsOutcome::failed(route.mappings, plan.mapping, vec![tenancy], &error)
        }));
    }
    report
}

fn failed<D>(route: &Route<'_, D>, plan: PagePlan, error: &ShipError) -> PairsOutcome {
    PairsOutcome::failed(route.mappings, plan.mapping, plan.tenancies, error)
}

/// Moves the cursors of pages of which nothing was written, in a destination that compares them with those that the pages were
/// read above: by pages without rows.
async fn end_empty_pages<D: Destination>(
    route: &Route<'_, D>,
    written: &[WrittenPage],
) -> Result<(), DestinationError> {
    let limits = route.limits.write;
    for page in written {
        let cursors: Vec<_> = left_to_move(route, page).into_iter().map(|(tenancy, _, to)| (tenancy, to)).collect();
        if cursors.is_empty() {
            continue;
        }
        let mapping = route.mappings.get(page.plan.mapping);
        let from: Vec<_> = page.page.cursors.iter().map(|(work, _)| (work.tenancy, work.after)).collect();
        let start = PageStart { mapping, from: &from, window: route.opened.snapshot.window, limits };
        let _moved = route.destination.open_page(start).end(&cursors).await?;
    }
    Ok(())
}

/// The cursors that did not move with their page.
fn left_to_move<D>(route: &Route<'_, D>, written: &WrittenPage) -> Vec<CursorAt> {
    let moved = match written.ended {
        Ended::RowsOnly => Vec::new(),
        Ended::CursorsMoved => written.page.cursors_of_rows(),
    };
    let name = route.mappings.name(written.plan.mapping);
    let left =
        written.page.cursors.iter().filter(|(work, _)| !moved.iter().any(|(tenancy, _)| *tenancy == work.tenancy));
    left.map(|(work, to)| (work.tenancy, name.clone(), *to)).collect()
}

/// Writes the rows that these pages refuse into the quarantine; returns the pages whose cursors may move.
pub(super) async fn record_refusals<D>(
    route: &Route<'_, D>,
    quarantine: &mut Quarantine,
    mut written: Vec<WrittenPage>,
) -> (Vec<WrittenPage>, Report) {
    let mut report = Report::default();
    let rows: Vec<_> = written
        .iter()
        .filter(|written| !written.page.is_recorded)
        .flat_map(|written| written.page.refusals.iter().map(|refusal| (written.plan.mapping, refusal)))
        .collect();
    if rows.is_empty() {
        return (written, report);
    }
    let recorded = match quarantine.record(route.mappings, &rows).await {
        Ok(recorded) => recorded,
        Err(error) => {
            let error = ShipError::from(error);
            let (refusing, others): (Vec<_>, Vec<_>) =
                written.into_iter().partition(|written| !written.page.is_recorded && !written.page.refusals.is_empty());
            report.outcomes.extend(refusing.into_iter().map(|refusing| failed(route, refusing.plan, &error)));
            return (others, report);
        }
    };
    for WrittenPage { plan, page, .. } in written.iter_mut().filter(|written| !written.page.is_recorded) {
        page.is_recorded = true;
        let mapping = route.mappings.name(plan.mapping);
        let is_recorded = |row: &&Refusal| recorded.contains(&(mapping.clone(), row.tenancy, row.sequence));
        let (recorded, homeless): (Vec<_>, Vec<_>) = page.refusals.iter().partition(is_recorded);
        if let Some(first) = recorded.first() {
            metrics::quarantined(mapping, recorded.len());
            report.quarantined += recorded.len() as u64;
            let (tenancy, sequence, error) = (first.tenancy, first.sequence, &first.error);
            tracing::error!(%mapping, rows = recorded.len(), %tenancy, %sequence, error, "rows are refused and set aside; `lockstep quarantine list` shows them");
        }
        let mut stopped: Vec<_> = homeless.iter().map(|row| row.tenancy).collect();
        stopped.dedup();
        if let Some(first) = homeless.first() {
            let error = ShipError::QuarantineFull { reason: first.error.clone() };
            page.stop(&stopped);
            report.outcomes.push(PairsOutcome::failed(route.mappings, plan.mapping, stopped, &error));
        }
    }
    (written, report)
}

/// What the cursors of a page have passed of tenancies with entries in the quarantine.
fn passed_entries<D>(route: &Route<'_, D>, WrittenPage { plan, page, .. }: &WrittenPage) -> Vec<Passed> {
    let (mapping, name) = (plan.mapping, route.mappings.name(plan.mapping));
    let passed = |(work, up_to): &(_, _)| {
        let lockstep_mappings::postgres::fetch::ReadFrom { tenancy, after } = *work;
        let own = page.refusals.iter().filter(|refusal| refusal.tenancy == tenancy);
        let refused: Vec<_> = own.map(|refusal| refusal.sequence).collect();
        let has_entries = !refused.is_empty() || route.opened.snapshot.quarantined.contains(&(tenancy, name.clone()));
        has_entries.then_some(Passed { mapping, tenancy, after, up_to: *up_to, refused })
    };
    page.cursors.iter().filter_map(passed).collect()
}
