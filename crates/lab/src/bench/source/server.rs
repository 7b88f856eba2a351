//! The server and its three databases.

use std::time::Instant;

use anyhow::Context;
use tokio_postgres::Client;

use super::Round;
use super::case::Case;
use super::load::{Application, Keys};
use super::slot::Slot;
use crate::bench::passes;
use lockstep_testkit::attached;
use lockstep_testkit::data::{Shape, Table, seed_tables};
use lockstep_testkit::databases::{PrivatePostgres, TestDatabase};
use lockstep_testkit::installation::{Installation, Program};

/// Like one in production, but for two things. Full page images would fall into whichever round follows a checkpoint.
/// Automatic vacuum of the application's tables would too: they are vacuumed between cases.
const SETTINGS: [&str; 7] = [
    "wal_level=logical",
    "fsync=on",
    "full_page_writes=off",
    "shared_buffers=512MB",
    "max_wal_size=8GB",
    "checkpoint_timeout=1h",
    "wal_buffers=16MB",
];
/// The same, for the record.
pub(super) const DESCRIPTION: &str =
    "fsync on, synchronous_commit off, full_page_writes off (no page image is in these bytes), wal_level logical";

/// Ten of these are [`super::case::BULK_ROWS`], one is [`super::case::CASCADE_ROWS`].
pub(super) const USERS: u32 = 10_000;
const TENANTS: u32 = 12;

const BEFORE_COPIES: &str = r#"DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = off)', name);
    END LOOP;
END $$"#;

/// A database of the comparison; its number is its place in a round of all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Variant {
    Untouched,
    Captured,
    Slot,
}

impl Variant {
    pub(super) const ALL: [Self; 3] = [Self::Untouched, Self::Captured, Self::Slot];
}

/// One of the three, with the connections of its application and one beside them.
struct Place {
    url: String,
    control: Client,
    application: Application,
}

impl Place {
    async fn open(database: &TestDatabase) -> anyhow::Result<Self> {
        let (control, application) = (database.connect().await?, Application::connect(database).await?);
        Ok(Self { url: database.url().to_owned(), control, application })
    }
}

pub(super) struct Server {
    places: [Place; 3],
    sequencer: Program,
    installation: Installation,
    others: [TestDatabase; 2],
    postgres: PrivatePostgres,
}

impl Server {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let postgres = PrivatePostgres::start_with(&SETTINGS).await?;
        let untouched = TestDatabase::create_on(postgres.url()).await?;
        seed(&untouched).await?;
        let (captured, slotted) = (untouched.copy().await?, untouched.copy().await?);
        let installation = Installation::around(captured)?;
        installation.succeed("lockstep", &["migrate"]).await?;
        let sequencer = installation.start("lockstep-sequencer", "bench-sequencer")?;
        let places =
            [Place::open(&untouched).await?, Place::open(installation.database()).await?, Place::open(&slotted).await?];
        places[Variant::Slot as usize].control.batch_execute("CREATE PUBLICATION bench FOR ALL TABLES").await?;
        for place in &places {
            // So that there is a pass, which says how far the sequencer is.
            place
                .control
                .batch_execute(r#"UPDATE "ProjectUser" SET "displayName" = 'Grace' WHERE ctid = '(0,1)'"#)
                .await?;
        }
        passes::drained(&places[Variant::Captured as usize].control).await?;
        Ok(Self { places, sequencer, installation, others: [untouched, slotted], postgres })
    }

    pub(super) const fn control(&self, variant: Variant) -> &Client {
        &self.places[variant as usize].control
    }

    pub(super) fn has_slots(&self) -> bool {
        self.postgres.program(Slot::PROGRAM).is_some()
    }

    /// Makes all three databases alike, and leaves nothing for the server to do by itself.
    pub(super) async fn flush_dirty_pages(&self) -> anyhow::Result<()> {
        passes::drained(self.control(Variant::Captured)).await?;
        for place in &self.places {
            place.control.batch_execute("VACUUM ANALYZE").await.context("vacuuming")?;
        }
        Ok(self.control(Variant::Untouched).batch_execute("CHECKPOINT").await?)
    }

    pub(super) async fn round(&self, variant: Variant, keys: &Keys, case: Case, number: u32) -> anyhow::Result<Round> {
        let place = &self.places[variant as usize];
        if let Some(preparation) = case.preparation() {
            place.control.batch_execute(preparation).await?;
            self.caught_up(variant, None).await?;
        }
        let slot = match variant {
            Variant::Slot => Some(Slot::start(&self.postgres, &place.url, &place.control).await?),
            Variant::Untouched | Variant::Captured => None,
        };
        let before = written(&place.control).await?;
        let (changes, seconds) = place.application.round(keys, case, number).await?;
        let ended = Instant::now();
        self.caught_up(variant, slot.as_ref()).await?;
        let behind_seconds = ended.elapsed().as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "counts of benchmarks are far below 2^52")]
        let (changes, wal_bytes) = (changes as f64, (written(&place.control).await? - before) as f64);
        if let Some(slot) = slot {
            slot.stop(&place.control).await?;
        }
        if let Some(tidying) = case.tidying() {
            place.control.batch_execute(tidying).await?;
            place.control.batch_execute("CHECKPOINT").await?;
        }
        Ok(Round { changes, seconds, wal_bytes, behind_seconds })
    }

    /// Waits for whoever follows the database, so that its work neither goes uncounted nor falls into the next round.
    async fn caught_up(&self, variant: Variant, slot: Option<&Slot>) -> anyhow::Result<()> {
        match (variant, slot) {
            (Variant::Captured, _) => passes::drained(self.control(variant)).await,
            (_, Some(slot)) => slot.caught_up(self.control(variant)).await,
            (_, None) => Ok(()),
        }
    }

    pub(super) async fn remove(self) -> anyhow::Result<()> {
        self.sequencer.stop().await?;
        drop(self.places);
        self.installation.remove().await?;
        for database in self.others {
            database.remove().await?;
        }
        Ok(())
    }
}

async fn seed(database: &TestDatabase) -> anyhow::Result<()> {
    let client = database.connect().await?;
    client.batch_execute("SET synchronous_commit = off").await?;
    attached::indexed(&client).await?;
    client.batch_execute(BEFORE_COPIES).await?;
    let shape = Shape { tenants: TENANTS, rows: USERS, seed: 11 };
    seed_tables(&client, shape, &[Table::Users, Table::RefreshTokens]).await?;
    client.batch_execute("VACUUM (FREEZE, ANALYZE)").await.context("vacuuming")
}

/// Bytes of the log that the server ever wrote.
async fn written(client: &Client) -> anyhow::Result<i64> {
    let sql = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";
    Ok(client.query_one(sql, &[]).await?.get(0))
}
