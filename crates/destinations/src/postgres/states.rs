//! Where each mapping stands in a tenant's database.

use std::collections::HashMap;

use lockstep_core::{MappingName, SequenceId};
use lockstep_mappings::tenant;

use super::connection::{Answer, Trouble};
use super::{FillPosition, Postgres};
use crate::error::{DestinationError, Failure};

/// Where a mapping stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MappingState {
    /// It has to be filled: it never was, or its table was made or has gained a column since.
    Absent,
    /// A fill is under way.
    Filling(FillPosition),
    /// It holds everything through this number, which the next page is read above.
    At(SequenceId),
}

/// SQLSTATE: a table is not there.
const UNDEFINED_TABLE: &str = "42P01";

pub(super) async fn read(
    to: &Postgres,
    mappings: &[MappingName],
) -> Result<HashMap<MappingName, MappingState>, DestinationError> {
    let statements = [tenant::states(mappings)];
    let answers = match to.transaction(&statements).await {
        Err(trouble) if trouble.sql_state.as_deref() == Some(UNDEFINED_TABLE) => {
            create_ours(to).await?;
            to.transaction(&statements).await?
        }
        answers => answers?,
    };
    parse(to, answers.first())
}

/// As [`read`], but creates nothing: where our tables are missing, no mapping was ever filled.
pub(super) async fn found(
    to: &Postgres,
    mappings: &[MappingName],
) -> Result<HashMap<MappingName, MappingState>, DestinationError> {
    match to.transaction(&[tenant::states(mappings)]).await {
        Err(trouble) if trouble.sql_state.as_deref() == Some(UNDEFINED_TABLE) => {
            Ok(mappings.iter().map(|name| (name.clone(), MappingState::Absent)).collect())
        }
        answers => parse(to, answers?.first()),
    }
}

/// Creates those of our tables that are missing.
pub(super) async fn create_ours(to: &Postgres) -> Result<(), Trouble> {
    to.with_session(to.inner.timeouts.whole, async |session| {
        let found = to.begin_on(&session, &[tenant::lock(), tenant::found_ours()]).await?;
        let row = found.last().and_then(|answer| answer.rows.first()).ok_or_else(|| to.odd_answer())?;
        let is_there = |place: usize| row.get(place).is_some_and(|value| value.as_deref() == Some("t"));
        let mut statements = Vec::new();
        if !(0..tenant::OUR_TABLES.len()).all(is_there) {
            statements = tenant::create_ours(to.tenancy(), is_there(0), is_there(1));
        }
        statements.push("COMMIT".to_owned());
        session.run(&statements, super::failure::Doing::Other).await.map(drop)
    })
    .await
}

/// Takes the answer to [`tenant::states`] apart.
pub(super) fn parse(
    to: &Postgres,
    answer: Option<&Answer>,
) -> Result<HashMap<MappingName, MappingState>, DestinationError> {
    let answer = answer.ok_or_else(|| to.odd_answer())?;
    let mut states = HashMap::with_capacity(answer.rows.len());
    for row in &answer.rows {
        let [name, cursor, is_fill, id, version, after, rows, _, owner] = row.as_slice() else {
            return Err(to.odd_answer());
        };
        is_ours(to, owner)?;
        let Some(name) = name.as_deref() else { continue };
        let name = name.parse().map_err(|_| to.odd_answer())?;
        let number = |text: &Option<String>| -> Result<Option<i64>, DestinationError> {
            text.as_deref().map(str::parse).transpose().map_err(|_| to.odd_answer())
        };
        let is_fill = is_fill.as_deref() == Some("t");
        let state = match (is_fill, number(version)?, number(cursor)?) {
            (true, Some(version), _) => MappingState::Filling(FillPosition {
                id: id.as_deref().and_then(|id| id.parse().ok()).ok_or_else(|| to.odd_answer())?,
                version: SequenceId::new(version),
                after: after.as_deref().map(serde_json::from_str).transpose().map_err(|_| to.odd_answer())?,
                rows: number(rows)?.and_then(|rows| u64::try_from(rows).ok()).unwrap_or_default(),
            }),
            (false, _, Some(cursor)) => MappingState::At(SequenceId::new(cursor)),
            _ => MappingState::Absent,
        };
        states.insert(name, state);
    }
    Ok(states)
}

/// Refuses a database whose tables are marked with another tenancy, or not at all.
fn is_ours(to: &Postgres, owner: &Option<String>) -> Result<(), DestinationError> {
    if owner.as_deref() == Some(tenant::owner_comment(to.tenancy()).as_str()) {
        return Ok(());
    }
    Err(to.error(
        Failure::Misconfigured,
        "the comment on its table _lockstep_fill does not say that it holds rows of this tenancy",
    ))
}
