//! Cursors in a tenant's database: one row for each mapping.

use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_mappings::tenant;

use super::Postgres;
use super::failure::Doing;
use super::states::MappingState;
use crate::destination::{CursorAt, Cursors, Selection};
use crate::error::{DestinationError, Failure};
use crate::window::WriteWindow;

pub(super) async fn read(
    to: &Postgres,
    tenancies: Selection<'_, TenancyId>,
    mappings: Selection<'_, MappingName>,
) -> Result<Cursors, DestinationError> {
    let tenancy = to.tenancy();
    if matches!(tenancies, Selection::These(these) if !these.contains(&tenancy)) {
        return Ok(Cursors::new());
    }
    let names = match mappings {
        Selection::These(names) => names.to_vec(),
        Selection::All => all_names(to).await?,
    };
    let states = super::states::read(to, &names).await?;
    let at = states.into_iter().filter_map(|(name, state)| match state {
        MappingState::At(at) => Some(((tenancy, name), at)),
        MappingState::Absent | MappingState::Filling(_) => None,
    });
    Ok(at.collect())
}

/// Mappings that have a cursor. Names that are none of ours are passed over.
async fn all_names(to: &Postgres) -> Result<Vec<MappingName>, DestinationError> {
    // Creates our tables where they are missing.
    super::states::read(to, &[]).await?;
    let answers = to.transaction(&[tenant::names()]).await?;
    let rows = answers.first().map(|answer| answer.rows.as_slice()).unwrap_or_default();
    Ok(rows.iter().filter_map(|row| row.first()?.as_deref()?.parse().ok()).collect())
}

pub(super) async fn advance(to: &Postgres, cursors: &[CursorAt], window: WriteWindow) -> Result<(), DestinationError> {
    if cursors.is_empty() {
        return Ok(());
    }
    if cursors.iter().any(|(tenancy, ..)| *tenancy != to.tenancy()) {
        return Err(to.error(Failure::Unexpected, "a cursor of another tenancy was to be moved"));
    }
    let mut statements = vec![tenant::lock()];
    statements.extend(cursors.iter().map(|(_, mapping, at)| tenant::raise_cursor(mapping, *at)));
    let limit = to.inner.timeouts.whole.min(window.half());
    let moving = to.with_session(limit, async |session| {
        let answers = to.begin_on(&session, &statements).await?;
        if answers.iter().skip(1).any(|answer| answer.rows.is_empty()) {
            return Err(to.error(Failure::Moved, "a mapping whose cursor was to be moved does not stream").into());
        }
        to.refuse_late(window)?;
        session.run(&["COMMIT".to_owned()], Doing::Other).await.map(drop)
    });
    to.refuse_late(window)?;
    Ok(moving.await?)
}

impl Postgres {
    /// What was read too long ago is not written.
    pub(super) fn refuse_late(&self, window: WriteWindow) -> Result<(), DestinationError> {
        if window.is_open() {
            return Ok(());
        }
        Err(self.error(Failure::Late, "what was to be written was read too long ago"))
    }

    /// The cursor of this tenancy, among those of a page.
    pub(super) fn own_cursor(&self, cursors: &[(TenancyId, SequenceId)]) -> Option<SequenceId> {
        cursors.iter().find(|(tenancy, _)| *tenancy == self.tenancy()).map(|(_, at)| *at)
    }
}
