//! Pages of the stream: written in one transaction, with their cursor, where the cursor stands as it stood when they were read.

use lockstep_core::telemetry::{Kind, Span};
use lockstep_core::{SequenceId, TenancyId, failpoint};
use lockstep_mappings::codec::{CodecError, Row};
use lockstep_mappings::tenant;

use super::Postgres;
use super::connection::{Session, Trouble};
use super::failure::Doing;
use super::gathered::Gathered;
use crate::destination::{Ended, PageStart, PageWriter, Sent};
use crate::error::{DestinationError, Failure};
use crate::window::WriteWindow;

/// A page of a mapping: gathered in memory, and written in one transaction at its end, with its cursor.
#[must_use = "a page that is dropped is not written"]
#[derive(Debug)]
pub struct Page {
    to: Postgres,
    gathered: Gathered,
    from: Option<SequenceId>,
    window: WriteWindow,
}

impl Page {
    pub(super) fn new(to: &Postgres, start: PageStart<'_>) -> Self {
        Self {
            gathered: Gathered::new(start.mapping, to.tenancy()),
            from: to.own_cursor(start.from),
            window: start.window,
            to: to.clone(),
        }
    }
}

impl PageWriter for Page {
    fn push(&mut self, row: &Row<'_>) -> Result<(), CodecError> {
        self.gathered.push(row)
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

    async fn end(self, cursors: &[(TenancyId, SequenceId)]) -> Result<Ended, DestinationError> {
        let Self { to, gathered, from, window } = self;
        let (Some(from), Some(until)) = (from, to.own_cursor(cursors)) else {
            return Err(to.error(Failure::Unexpected, "a page needs the cursor that it was read above, and its own"));
        };
        to.refuse_late(window)?;
        let limit = to.inner.timeouts.whole.min(window.half());
        let (to, gathered) = (&to, &gathered);
        // Where a tenant's database is, is the tenant's.
        let span = Span::part(Kind::Client, || format!("write {}", gathered.mapping().name));
        span.set("db.system.name", "postgresql");
        span.count("lockstep.bytes", gathered.sent().bytes);
        let written =
            to.with_session(limit, async |session| write(to, &session, gathered, (from, until), window).await);
        let written = written.await.map_err(DestinationError::from);
        written.inspect_err(|error| span.failed(error.code()))?;
        Ok(Ended::CursorsMoved)
    }
}

/// The whole transaction. Four round trips for a page of rows, two more where rows and tombstones are mixed.
async fn write(
    to: &Postgres,
    session: &Session,
    gathered: &Gathered,
    (from, until): (SequenceId, SequenceId),
    window: WriteWindow,
) -> Result<(), Trouble> {
    let mapping = gathered.mapping();
    let (rows, keys) = (gathered.rows(), gathered.keys());
    let mut statements = vec![tenant::lock()];
    statements.extend(rows.as_ref().map(|_| tenant::stage_rows(mapping)));
    statements.extend(keys.as_ref().map(|_| tenant::stage_keys(mapping)));
    statements.push(tenant::is_held(mapping, from));
    let copy_rows = async {
        match &rows {
            Some(_) => session.prepare(&tenant::copy_rows(mapping)).await.map(Some),
            None => Ok(None),
        }
    };
    // The server reads the second while it runs the first.
    let (begun, copy_rows) = tokio::join!(to.begin_on(session, &statements), copy_rows);
    if begun?.last().is_none_or(|held| held.rows.is_empty()) {
        return Err(to.error(Failure::Moved, "its cursor is not the one that rows were read above").into());
    }
    let mut ending = Vec::new();
    if let Some(keys) = keys {
        let copy = session.prepare(&tenant::copy_keys(mapping)).await?;
        session.copy_in(&copy, keys).await?;
        ending.push(tenant::delete(mapping));
    }
    if let (Some(rows), Some(copy)) = (rows, copy_rows?) {
        session.copy_in(&copy, rows).await?;
        ending.push(tenant::upsert(mapping));
    }
    ending.push(tenant::move_cursor(&mapping.name, until));
    ending.push("COMMIT".to_owned());
    to.refuse_late(window)?;
    failpoint!("tenants::page_commit::before", return Err(DestinationError::unanswered(to.inner.id.clone()).into()));
    session.run(&ending, Doing::WritingRows).await?;
    failpoint!("tenants::page_commit::after", return Err(DestinationError::unanswered(to.inner.id.clone()).into()));
    Ok(())
}
