//! What the source has and knows of a key, in one snapshot.

use std::collections::HashMap;

use lockstep_core::{DestinationId, Location, SequenceId, TenancyId};
use lockstep_destinations::compare::{Row, Shape};
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::compare::{self, Key, Part, Scope};
use lockstep_mappings::postgres::fetch::ReadFrom;
use lockstep_mappings::postgres::{explain, inbox};
use lockstep_schema::{SourceError, SqlStateKind, fits_its_table};
use tokio_postgres::Client;

use super::report::{Change, Changes, Place, Refused, SourceRow, SourceState, TenancyFacts, Waiting};
use crate::claims::Claim;
use crate::error::OperationError;
use crate::pause::PausedPart;
use crate::shown;
use crate::tenancies::locations;

/// One snapshot for everything that is asked until its end; by indexes, wherever there are any. A row that cannot be given may take
/// a minute to fail: text of a gigabyte is made first.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_seqscan = off; SET LOCAL statement_timeout = '120s'";
/// Where a tenancy is and was, and since when it is gone, as passes have written down.
const HISTORY: &str = r#"SELECT project_id, branch_id, to_char(gone_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM lockstep.tenancy_location WHERE tenancy_id = $1 ORDER BY recorded_at, project_id, branch_id"#;

/// A snapshot of the source, and what is asked about.
pub(super) struct Snapshot<'a> {
    client: &'a Client,
    mapping: &'a Mapping,
    key: &'a [String],
    shape: Shape,
}

/// Rows of the source, or the SQLSTATE with which they cannot be read.
pub(super) enum Rows {
    Read(Vec<Row>),
    Unreadable(String),
}

/// What is known of a tenancy's key.
pub(super) struct Known {
    pub(super) facts: TenancyFacts,
    /// Where it lives, and then where it was.
    pub(super) places: Vec<Location>,
    /// Its own row.
    pub(super) own: Rows,
    /// By destination.
    pub(super) refused: HashMap<String, Vec<Refused>>,
}

impl<'a> Snapshot<'a> {
    /// Lines of the inbox stay while it lasts: a truncated inbox would have them neither there nor numbered.
    pub(super) async fn begin(
        client: &'a Client,
        mapping: &'a Mapping,
        key: &'a [String],
    ) -> Result<Snapshot<'a>, OperationError> {
        let keep = [0, 1].map(inbox::keep_file).join("; ");
        client.batch_execute(&format!("{BEGIN}; {keep}; SAVEPOINT reads")).await?;
        Ok(Self { client, mapping, key, shape: Shape::of(mapping) })
    }

    pub(super) async fn end(self) -> Result<(), OperationError> {
        Ok(self.client.batch_execute("ROLLBACK").await?)
    }

    pub(super) async fn known(
        &self,
        tenancy: TenancyId,
        sequencer_paused: Option<PausedPart>,
    ) -> Result<Known, OperationError> {
        let here = locations(self.client, &[tenancy]).await?.remove(&tenancy);
        let history = self.client.query(HISTORY, &[&tenancy.as_uuid()]).await?;
        let gone_since = history.iter().find_map(|row| row.get::<_, Option<String>>(2)).filter(|_| here.is_none());
        let former = history.iter().map(|row| Location { project_id: row.get(0), branch_id: row.get(1) });
        let former: Vec<_> = former.filter(|place| here.as_ref() != Some(place)).collect();
        let own = compare::own_rows(self.mapping, tenancy, Scope::Keys(&[self.key_at(None)]), Part::Without(&[]));
        let own = self.rows(&own).await?;
        let facts = TenancyFacts {
            tenancy: tenancy.as_uuid(),
            gone: here.is_none(),
            gone_since,
            place: here.as_ref().map(place),
            former_places: former.iter().map(place).collect(),
            source: self.source_row(tenancy, here.is_none(), &own).await?,
            waiting: self.waiting(tenancy).await?,
            changes: self.changes(tenancy).await?,
            sequencer_paused,
        };
        let places = here.into_iter().chain(former).collect();
        Ok(Known { facts, places, own, refused: self.refused(tenancy).await? })
    }

    /// The key at a place; at none, for a database of one tenancy.
    pub(super) fn key_at(&self, place: Option<&Location>) -> Key {
        let location =
            place.cloned().unwrap_or_else(|| Location { project_id: String::new(), branch_id: String::new() });
        Key { location, values: self.key.to_vec() }
    }

    async fn source_row(&self, tenancy: TenancyId, gone: bool, own: &Rows) -> Result<SourceRow, OperationError> {
        let is_there: bool =
            self.client.query_one(&explain::is_there(self.mapping, tenancy, self.key), &[]).await?.get(0);
        let (state, sql_state) = match own {
            Rows::Unreadable(sql_state) => (SourceState::Unreadable, Some(sql_state.clone())),
            Rows::Read(rows) if !rows.is_empty() => (SourceState::Exported, None),
            Rows::Read(_) if is_there && gone => (SourceState::Ownerless, None),
            Rows::Read(_) if is_there => (SourceState::FilteredOut, None),
            Rows::Read(_) => (SourceState::Absent, None),
        };
        Ok(SourceRow { state, sql_state })
    }

    async fn waiting(&self, tenancy: TenancyId) -> Result<Waiting, OperationError> {
        let row = self.client.query_one(&explain::waiting(self.mapping, tenancy, self.key), &[]).await?;
        let (gone_and_erased, since) = (row.get(3), row.get(2));
        Ok(Waiting { lines: row.get(0), searches: row.get(1), since, erasure: gone_and_erased })
    }

    async fn changes(&self, tenancy: TenancyId) -> Result<Changes, OperationError> {
        let row = self.client.query_one(&explain::changes(self.mapping, tenancy, self.key), &[]).await?;
        let (numbers, times): (Vec<i64>, Vec<Option<String>>) = (row.get(2), row.get(3));
        let last = numbers.into_iter().zip(times).map(|(sequence, passed_at)| Change { sequence, passed_at });
        Ok(Changes { count: row.get(0), cut: row.get(1), last: last.collect(), unannounced: row.get(4) })
    }

    async fn refused(&self, tenancy: TenancyId) -> Result<HashMap<String, Vec<Refused>>, OperationError> {
        let mut refused: HashMap<String, Vec<Refused>> = HashMap::new();
        for row in self.client.query(&explain::refused(self.mapping, tenancy, self.key), &[]).await? {
            refused.entry(row.get(0)).or_default().push(Refused {
                sequence: row.get(1),
                code: row.get(2),
                first_refused_at: row.get(3),
                last_refused_at: row.get(4),
                attempts: row.get(5),
            });
        }
        Ok(refused)
    }

    /// What a place should show of the key, whoever lives there.
    pub(super) async fn rows_at(&self, place: &Location) -> Result<Rows, OperationError> {
        self.rows(&compare::rows(self.mapping, Scope::Keys(&[self.key_at(Some(place))]))).await
    }

    /// The rows of a statement that copies them.
    async fn rows(&self, copy: &str) -> Result<Rows, OperationError> {
        match self.client.query(compare::query(copy), &[]).await {
            Ok(rows) => Ok(Rows::Read(rows.iter().map(|row| self.row(row)).collect())),
            Err(error) => {
                let state = error.code().map(|state| state.code().to_owned());
                let error = SourceError::from(error);
                let may_be_of_row = error.kind().is_some_and(SqlStateKind::may_be_of_row);
                let Some(state) = state.filter(|_| may_be_of_row) else { return Err(error.into()) };
                self.client.batch_execute("ROLLBACK TO SAVEPOINT reads").await?;
                if !fits_its_table(self.client, self.mapping).await? {
                    return Err(error.into());
                }
                Ok(Rows::Unreadable(state))
            }
        }
    }

    fn row(&self, found: &tokio_postgres::Row) -> Row {
        let mut row = Row::with_capacity(self.shape.fields(), 0);
        for field in 0..self.shape.fields() {
            row.push(found.get::<_, Option<&str>>(field).map(str::as_bytes));
        }
        row
    }

    /// Who may decide what ClickHouse shows of the key at these places.
    pub(super) async fn claims(
        &self,
        places: &[Location],
        after: &[ReadFrom],
        cursors: &HashMap<TenancyId, SequenceId>,
    ) -> Result<Vec<Claim>, OperationError> {
        let keys: Vec<_> = places.iter().map(|place| self.key_at(Some(place))).collect();
        let sql = compare::claims(self.mapping, &DestinationId::clickhouse(), &keys, after);
        self.claims_of(&sql, cursors).await
    }

    /// Who may decide what a database of one tenancy shows of it.
    pub(super) async fn own_claims(
        &self,
        to: &DestinationId,
        own: ReadFrom,
        cursors: &HashMap<TenancyId, SequenceId>,
    ) -> Result<Vec<Claim>, OperationError> {
        self.claims_of(&compare::own_claims(self.mapping, to, &[self.key_at(None)], own), cursors).await
    }

    async fn claims_of(
        &self,
        sql: &str,
        cursors: &HashMap<TenancyId, SequenceId>,
    ) -> Result<Vec<Claim>, OperationError> {
        // Project, branch and key stand before the rest.
        let first = 2 + self.key.len();
        let rows = self.client.query(sql, &[]).await?;
        Ok(rows.iter().map(|row| Claim::read(row, first, cursors)).collect())
    }
}

/// A place, as it may be shown.
pub(super) fn place(location: &Location) -> Place {
    Place { project_id: shown::id(&location.project_id), branch_id: shown::id(&location.branch_id) }
}
