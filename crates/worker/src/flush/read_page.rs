//! Reading a page: rows come as binary `COPY`, and go through their filter into the destination's page while more come.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt};
use lockstep_core::{SequenceId, TenancyId, failpoint};
use lockstep_destinations::{Destination, Keeps, PageStart, PageWriter, Retry};
use lockstep_mappings::Mapping;
use lockstep_mappings::codec::{CodecError, CopyReader, Row};
use lockstep_mappings::postgres::fetch::{self, ReadFrom};
use lockstep_schema::SourceError;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::filter_rows::{FormerRows, PageRows, ReadPage, RowFilter};
use super::isolate::{Isolation, PageContent, TenantRows};
use super::open::Opened;
use super::plan_pages::PagePlan;
use super::write_page::OpenPage;
use crate::error::ShipError;
use crate::limits::Limits;
use crate::mappings::{MappingIndex, Mappings};
use crate::metrics;
use crate::storage::FetchSession;

/// A read that yields no row for this long has failed. Finding the first row of a page walks indexes only.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How a read ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Copied {
    /// With its last row.
    Whole,
    /// Before, because it had too many bytes. The statement goes on until it is cancelled.
    Stopped,
}

/// Where pages come from and go to.
pub(super) struct Route<'a, D> {
    pub(super) opened: &'a Opened,
    pub(super) destination: &'a D,
    pub(super) mappings: &'a Mappings,
    pub(super) limits: Limits,
}

impl<D> Route<'_, D> {
    /// A tenancy of this flush, with its cursor.
    pub(super) fn work(&self, mapping: MappingIndex, tenancy: TenancyId) -> ReadFrom {
        let after = self.opened.cursors.get(&(tenancy, self.mappings.name(mapping).clone()));
        ReadFrom { tenancy, after: after.copied().unwrap_or_default() }
    }

    /// Whether rows of a tenancy may be elsewhere, and have to vanish there.
    pub(super) fn has_moved(&self, tenancy: TenancyId) -> bool
    where
        D: Destination,
    {
        let locations = self.opened.snapshot.locations.get(tenancy);
        self.destination.keeps() == Keeps::Versions && locations.is_some_and(|locations| !locations.former.is_empty())
    }

    /// A mapping with the table that its rows go into.
    fn placed(&self, mapping: MappingIndex) -> &Arc<Mapping> {
        let definitions = &self.opened.snapshot.definitions;
        let recorded = definitions.get(self.mappings.get(mapping).name.as_str());
        self.mappings.placed(mapping, recorded.is_some_and(|recorded| recorded.is_beside))
    }
}

/// A page that was read to its end, or to a limit, and is not ended yet.
pub(super) struct Read<P> {
    pub(super) page: ReadPage,
    pub(super) open: OpenPage<P>,
    pub(super) copied: Copied,
}

/// A page that was not read to its end.
pub(super) struct Unread {
    pub(super) error: ShipError,
    /// Among which rows the one at fault is, if one is: those that may have come next, or, where the destination refuses them,
    /// those that it was given.
    pub(super) content: PageContent,
}

/// Reads one page, and what must vanish from where some of its tenancies were before. Returns `None` where none of its
/// tenancies exists.
pub(super) async fn read_page<D: Destination>(
    route: &Route<'_, D>,
    session: &FetchSession,
    plan: &PagePlan,
    isolation: &Isolation,
) -> Result<Option<Read<D::Page>>, Unread> {
    let Opened { snapshot, .. } = route.opened;
    let mapping = route.mappings.get(plan.mapping);
    let work = plan.tenancies.iter().map(|tenancy| route.work(plan.mapping, *tenancy));
    let keeps = route.destination.keeps();
    let mut rows = PageRows::new(work, &snapshot.locations, plan.limits, isolation).of(keeps);
    let work = rows.work();
    if work.is_empty() {
        return Ok(None);
    }
    let from: Vec<_> = work.iter().map(|work| (work.tenancy, work.after)).collect();
    let start = PageStart {
        mapping: route.placed(plan.mapping),
        from: &from,
        window: snapshot.window,
        limits: route.limits.write,
    };
    let mut open = OpenPage::open(route.destination, start, &route.limits);
    let sql = match keeps {
        Keeps::Versions => fetch::page(mapping, &work, plan.limits),
        Keeps::Rows => fetch::own_page(mapping, &work, plan.limits),
    };
    let copied = copy_rows(session.client(), &sql, mapping, &mut rows, &mut open, route.limits.page_bytes).await;
    let copied = copied.map_err(|error| {
        let content = if error.is_of_source() { rows.suspects() } else { rows.content() };
        Unread { error, content }
    })?;
    if copied == Copied::Stopped {
        rows.stop();
    }
    let mut page = rows.finish(snapshot.head);
    let moved: Vec<_> = page.cursors.iter().filter(|(work, _)| route.has_moved(work.tenancy)).copied().collect();
    if copied == Copied::Stopped {
        // The session is still busy. The next page is smaller, so that it can be read to its end.
        let moved: Vec<_> = moved.iter().map(|(work, _)| work.tenancy).collect();
        page.stop(&moved);
        page.more.extend(moved);
    } else if !(moved.is_empty() || stands_alone(plan) && is_written(route, session, plan, &moved, &page).await?) {
        let mut former = FormerRows::new(&moved, &snapshot.locations, &mut page.content);
        let sql = fetch::former_locations(mapping, &moved);
        if let Err(error) = copy_rows(session.client(), &sql, mapping, &mut former, &mut open, u64::MAX).await {
            let content = match &error {
                ShipError::Destination(_) => page.content,
                _ => suspects_of_former(&error, &moved, &page.content),
            };
            return Err(Unread { error, content });
        }
    }
    Ok(Some(Read { page, open, copied }))
}

/// Whether a page is read to find out which row is refused.
fn stands_alone(plan: &PagePlan) -> bool {
    plan.limits.tenancy_rows == 1
}

/// Whether what must vanish elsewhere is written by itself.
async fn is_written<D: Destination>(
    route: &Route<'_, D>,
    session: &FetchSession,
    plan: &PagePlan,
    moved: &[(ReadFrom, SequenceId)],
    page: &ReadPage,
) -> Result<bool, Unread> {
    let written = write_former(route, session, plan.mapping, moved).await;
    written.map_err(|error| Unread { content: suspects_of_former(&error, moved, &page.content), error })
}

/// Writes what must vanish from where these tenancies were before, up to these numbers, in a page of its own: a row that is refused
/// must not keep what it was in the sight of whoever lives there now (ISO-1). Returns `false` where that is refused, too.
pub(super) async fn write_former<D: Destination>(
    route: &Route<'_, D>,
    session: &FetchSession,
    index: MappingIndex,
    moved: &[(ReadFrom, SequenceId)],
) -> Result<bool, ShipError> {
    let snapshot = &route.opened.snapshot;
    let mapping = route.mappings.get(index);
    let from: Vec<_> = moved.iter().map(|(work, _)| (work.tenancy, work.after)).collect();
    let start =
        PageStart { mapping: route.placed(index), from: &from, window: snapshot.window, limits: route.limits.write };
    let mut open = OpenPage::open(route.destination, start, &route.limits);
    let mut content = PageContent::new();
    let mut former = FormerRows::new(moved, &snapshot.locations, &mut content);
    let sql = fetch::former_locations(mapping, moved);
    let written = async {
        copy_rows(session.client(), &sql, mapping, &mut former, &mut open, u64::MAX).await?;
        Ok(open.end(&[]).await?)
    };
    match written.await {
        Ok(durable) => {
            metrics::written(route.mappings.name(index), &durable);
            Ok(true)
        }
        Err(ShipError::Refused { .. }) => Ok(false),
        Err(ShipError::Destination(error)) if error.retry() == Retry::Bisect => Ok(false),
        Err(error) => Err(error),
    }
}

/// The tenancies that may have the row of a former location which cannot be read or written; the latter says whose it is.
fn suspects_of_former(error: &ShipError, moved: &[(ReadFrom, SequenceId)], read: &PageContent) -> PageContent {
    let is_suspect = |tenancy| !matches!(error, ShipError::Refused { tenancy: other, .. } if *other != tenancy);
    let tenancies = moved.iter().map(|(work, _)| work.tenancy).filter(|tenancy| is_suspect(*tenancy));
    let rows = |tenancy: TenancyId| read.get(&tenancy).map_or(0, |own| own.rows);
    tenancies.map(|tenancy| (tenancy, TenantRows::among(rows(tenancy)))).collect()
}

/// Runs a `COPY … TO STDOUT`, lets each row through `filter` into the page, and sends them as they come, until there are no
/// more or `most_bytes` were sent, or gathered where the page gathers all.
///
/// # Errors
/// Whatever reading, checking or sending fails with; the page must not be ended.
pub(crate) async fn copy_rows<P: PageWriter>(
    client: &Client,
    sql: &str,
    mapping: &Mapping,
    filter: &mut impl RowFilter<P>,
    page: &mut OpenPage<P>,
    most_bytes: u64,
) -> Result<Copied, ShipError> {
    failpoint!("worker::copy_read::before", return Err(SourceError::Timeout(IDLE_TIMEOUT).into()));
    let opened = timeout(IDLE_TIMEOUT, client.copy_out(sql)).await.map_err(|_| SourceError::Timeout(IDLE_TIMEOUT))?;
    let mut stream = pin!(opened?);
    let mut copy = CopyReader::default();
    while let Some(message) = next_message(stream.as_mut()).await? {
        copy.rows(&message, |fields| {
            let row = Row::read(fields, mapping)?;
            filter.accept(&row, page)
        })?;
        if page.writer.is_full() {
            filter.verify_before_send().await?;
            page.send().await?;
        }
        if page.bytes() >= most_bytes {
            return Ok(Copied::Stopped);
        }
    }
    if !copy.is_complete() {
        return Err(CodecError::Stream("it ends without a trailer").into());
    }
    filter.verify_before_send().await?;
    failpoint!("worker::copy_read::after", return Err(SourceError::Timeout(IDLE_TIMEOUT).into()));
    Ok(Copied::Whole)
}

/// The next message, with a timer only where there is something to wait for: rows come by the hundred thousand.
async fn next_message<S>(mut stream: std::pin::Pin<&mut S>) -> Result<Option<Bytes>, ShipError>
where
    S: Stream<Item = Result<Bytes, tokio_postgres::Error>>,
{
    let message = match stream.next().now_or_never() {
        Some(message) => message,
        None => timeout(IDLE_TIMEOUT, stream.next()).await.map_err(|_| SourceError::Timeout(IDLE_TIMEOUT))?,
    };
    Ok(message.transpose()?)
}
