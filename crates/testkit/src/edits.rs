//! Live edits of every kind on seeded data, as an application, its operators and its foreign keys make them.
//!
//! An edit is two messages to the server and finds its rows by index, whatever the size of the tables. The statements are in
//! `edits/sql`, a section for each kind.

mod kind;
mod place;

use std::collections::HashMap;
use std::sync::LazyLock;

use anyhow::{Context, bail};
use rand::Rng;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

pub use kind::EditKind;
use place::Place;

/// How often [`one`] draws again when there was nothing to edit, before it says so.
const DRAWS: u32 = 200;

/// The statements of each kind, by its name.
static SECTIONS: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let files = [
        include_str!("edits/sql/users.sql"),
        include_str!("edits/sql/teams.sql"),
        include_str!("edits/sql/codes_and_emails.sql"),
        include_str!("edits/sql/sessions.sql"),
        include_str!("edits/sql/rollbacks.sql"),
    ];
    let sections = files.into_iter().flat_map(|file| file.split("-- edit: ").skip(1));
    sections.filter_map(|section| section.split_once('\n')).collect()
});

/// Makes one random edit, in a transaction of its own, and says which. Tenancies are drawn unevenly, kinds by weight.
///
/// The client must not be in a transaction. Most of the time is the disk's: for a thousand edits a second set
/// `synchronous_commit = off` on it, or use several clients. Edits that clash are drawn again.
///
/// # Errors
/// When the database refuses, or nothing can be edited since nothing is seeded.
pub async fn one(client: &Client, rng: &mut impl Rng) -> anyhow::Result<EditKind> {
    for _ in 0..DRAWS {
        let kind = EditKind::draw(rng);
        if of_kind(client, rng, kind).await? {
            return Ok(kind);
        }
    }
    bail!("nothing could be edited in {DRAWS} draws: are there rows?")
}

/// Makes one edit of that kind somewhere. False when the place that was drawn had nothing for it, or another client was
/// in the way.
///
/// # Errors
/// When the database refuses.
pub async fn of_kind(client: &Client, rng: &mut impl Rng, kind: EditKind) -> anyhow::Result<bool> {
    let section = SECTIONS.get(kind.name()).with_context(|| format!("no statements for {kind}"))?;
    statements(client, rng, section).await.with_context(|| format!("making the edit {kind}"))
}

/// As [`of_kind`], with statements of the caller's own: `{tenancy}`, `{user}` and so on stand for what is drawn.
///
/// # Errors
/// When the database refuses.
pub async fn statements(client: &Client, rng: &mut impl Rng, statements: &str) -> anyhow::Result<bool> {
    let Some(place) = Place::draw(client, rng).await? else { return Ok(false) };
    // Several statements in one message are one transaction, unless they say otherwise.
    match client.simple_query(&place.fill(statements)).await {
        Ok(messages) => Ok(statements.contains("DO $$") || affected(&messages)),
        Err(error) if another_try(&error) => {
            // A kind that begins its transaction itself leaves it open when it fails.
            client.batch_execute("ROLLBACK").await?;
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

fn affected(messages: &[SimpleQueryMessage]) -> bool {
    messages.iter().any(|message| matches!(message, SimpleQueryMessage::CommandComplete(rows) if *rows > 0))
}

/// Nothing was there for a block, or another client edited the same rows at the same time.
fn another_try(error: &tokio_postgres::Error) -> bool {
    const PASSING: [SqlState; 5] = [
        SqlState::NO_DATA_FOUND,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::UNIQUE_VIOLATION,
        SqlState::FOREIGN_KEY_VIOLATION,
    ];
    error.code().is_some_and(|code| PASSING.contains(code))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::attached;
    use crate::data::{Shape, Table, seed};
    use crate::databases::TestDatabase;

    #[test]
    fn every_kind_has_its_statements_and_every_section_its_kind() {
        let kinds: BTreeSet<_> = EditKind::ALL.iter().map(|kind| kind.name()).collect();
        let sections: BTreeSet<_> = SECTIONS.keys().copied().collect();
        assert_eq!(kinds, sections);
    }

    #[tokio::test]
    async fn every_kind_can_be_made_on_either_schema() {
        for attached in [false, true] {
            let database = TestDatabase::create().await.unwrap();
            let client = database.connect().await.unwrap();
            if attached {
                attached::former_sync(&client).await.unwrap();
            } else {
                client.batch_execute(crate::databases::SOURCE_SCHEMA).await.unwrap();
                seed(&client, Shape { tenants: 5, rows: 40, seed: 6 }).await.unwrap();
            }
            let mut rng = StdRng::seed_from_u64(11);
            for &kind in EditKind::ALL {
                let mut made = false;
                for _ in 0..100 {
                    made = made || of_kind(&client, &mut rng, kind).await.unwrap();
                }
                assert!(made, "{kind} was never possible");
            }
            database.remove().await.unwrap();
        }
    }

    #[tokio::test]
    async fn many_edits_from_several_clients_leave_every_table_filled() {
        let database = TestDatabase::standalone().await.unwrap();
        let client = database.connect().await.unwrap();
        seed(&client, Shape { tenants: 10, rows: 50, seed: 8 }).await.unwrap();
        let editing = (0..4).map(|seed| {
            let connecting = database.connect();
            async move {
                let client = connecting.await.unwrap();
                client.batch_execute("SET synchronous_commit = off").await.unwrap();
                let mut rng = StdRng::seed_from_u64(seed);
                for _ in 0..500 {
                    one(&client, &mut rng).await.unwrap();
                }
            }
        });
        futures_util::future::join_all(editing).await;
        for table in Table::ALL {
            let count = format!(r#"SELECT count(*) FROM "{}""#, table.name());
            let rows: i64 = client.query_one(&count, &[]).await.unwrap().get(0);
            assert!(rows > 20, "{} has only {rows} rows left", table.name());
        }
        for view in &lockstep_oracle::VIEWS {
            lockstep_oracle::expected(&client, view.name).await.unwrap();
        }
        database.remove().await.unwrap();
    }
}
