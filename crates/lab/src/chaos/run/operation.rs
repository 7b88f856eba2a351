//! What happens to the source: live edits, transactions of thousands of rows, values that hurt, tenancies
//! that move, mappings to be filled again.

use anyhow::Context;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use lockstep_testkit::data;
use lockstep_testkit::edits::{self, EditKind};

/// A transaction of 5,000 rows: teams, whose names other rows show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Large {
    Inserted,
    Changed,
    Deleted,
    RolledBack,
}

/// Teams that large transactions made, of whatever tenant.
const THEIR_TEAMS: &str = r#"("tenancyId", "teamId") IN (
    SELECT "tenancyId", "teamId" FROM "Team" WHERE "displayName" LIKE 'Bulk %' ORDER BY "teamId" LIMIT 5000)"#;

impl Large {
    pub(super) const ALL: [Self; 4] = [Self::Inserted, Self::Changed, Self::Deleted, Self::RolledBack];

    const fn name(self) -> &'static str {
        match self {
            Self::Inserted => "5,000 rows inserted",
            Self::Changed => "5,000 rows changed",
            Self::Deleted => "5,000 rows deleted",
            Self::RolledBack => "5,000 rows changed and rolled back",
        }
    }

    fn statements(self) -> String {
        match self {
            Self::Inserted => {
                r#"INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
                   SELECT '{tenancy}', md5('{fresh}' || n)::uuid, '{project}', '{branch}', 'Bulk ' || n, {now}
                   FROM generate_series(1, 5000) AS n"#
                    .to_owned()
            }
            Self::Changed => format!(
                r#"UPDATE "Team" SET "displayName" = 'Bulk {{number}}', "updatedAt" = {{now}} WHERE {THEIR_TEAMS}"#
            ),
            Self::Deleted => format!(r#"DELETE FROM "Team" WHERE {THEIR_TEAMS}"#),
            Self::RolledBack => format!(
                r#"BEGIN; UPDATE "Team" SET "displayName" = 'Bulk never {{number}}' WHERE {THEIR_TEAMS}; ROLLBACK"#
            ),
        }
    }
}

/// One operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Edit(EditKind),
    Large(Large),
    /// Values that hurt, in a tenant that has none yet.
    Hostile,
    /// A tenancy moves to another branch, with all its rows.
    Move,
    /// A mapping is to be filled again, as after a change of its table.
    Refill,
}

/// One tenancy, by the seed, to one of a few branches.
const MOVE: &str = r#"UPDATE "Tenancy" SET "branchId" = 'moved ' || $1::bigint % 4
    WHERE "id" IN (SELECT "id" FROM "Tenancy" ORDER BY md5("id"::text || $1::bigint) LIMIT 1)"#;

/// One mapping, by the seed.
const REFILL: &str = "INSERT INTO lockstep.refill (mapping_name, reason)
    SELECT mapping_name, 'chaos' FROM lockstep.fill ORDER BY md5(mapping_name || $1::bigint) LIMIT 1 ON CONFLICT DO NOTHING";

impl Operation {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Edit(kind) => kind.name(),
            Self::Large(large) => large.name(),
            Self::Hostile => "values that hurt",
            Self::Move => "tenancy moved",
            Self::Refill => "mapping to be filled again",
        }
    }

    /// Does it, at a place that the seed draws. False when nothing was there for it.
    pub(super) async fn make(&self, client: &Client, seed: u64) -> anyhow::Result<bool> {
        let mut rng = StdRng::seed_from_u64(seed);
        match self {
            Self::Edit(kind) => edits::of_kind(client, &mut rng, *kind).await,
            Self::Large(large) => {
                let made = edits::statements(client, &mut rng, &large.statements()).await;
                made.with_context(|| format!("a large transaction: {}", large.name()))
            }
            Self::Hostile => hostile(client, seed).await,
            Self::Move => unless_taken(
                client.execute(MOVE, &[&i64::from_le_bytes(seed.to_le_bytes())]).await.map(drop).map_err(Into::into),
            ),
            Self::Refill => Ok(client.execute(REFILL, &[&i64::from_le_bytes(seed.to_le_bytes())]).await? > 0),
        }
    }
}

async fn hostile(client: &Client, seed: u64) -> anyhow::Result<bool> {
    let tenancies = client.query(r#"SELECT "id" FROM "Tenancy" ORDER BY "id""#, &[]).await?;
    let count = u64::try_from(tenancies.len())?.max(1);
    let Some(tenancy) = tenancies.get(usize::try_from(seed % count)?) else { return Ok(false) };
    // It may have them already.
    unless_taken(data::hostile(client, tenancy.get(0)).await)
}

/// False where the key, or the place, is taken.
fn unless_taken(done: anyhow::Result<()>) -> anyhow::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if sqlstate(&error) == Some(&SqlState::UNIQUE_VIOLATION) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The server's own code, wherever it stands in the chain of causes.
pub(super) fn sqlstate(error: &anyhow::Error) -> Option<&SqlState> {
    error.chain().find_map(|cause| cause.downcast_ref::<tokio_postgres::Error>()?.code())
}
