//! Changes are read from a replica that may lag: nothing that it has not replayed is passed, or forgotten.

use std::time::Duration;

use lockstep_core::secret::SecretUrl;
use lockstep_queue::QueueDepths;
use lockstep_schema::Source;
use lockstep_testkit::databases::{PrivatePostgres, SOURCE_SCHEMA, TestDatabase, connect, eventually};
use lockstep_worker::Limits;
use tokio_postgres::Client;

use crate::fixture::{DEADLINE, WorkerFixture};

/// A fixture on a server of its own, and a replica of that.
struct Followed {
    fixture: WorkerFixture,
    server: PrivatePostgres,
    replica: PrivatePostgres,
    /// Pauses and resumes the replica.
    reader: Client,
}

/// No sweep comes to help.
fn alone() -> Limits {
    Limits { sweep_every: Duration::from_secs(3600), ..Limits::default() }
}

impl Followed {
    async fn new() -> Self {
        let server = PrivatePostgres::start().await.unwrap();
        let database = TestDatabase::create_on(server.url()).await.unwrap();
        database.connect().await.unwrap().batch_execute(SOURCE_SCHEMA).await.unwrap();
        let name = database.name().to_owned();
        let mut fixture = WorkerFixture::attached_to(database).await;
        fixture.filled().await;
        let replica = server.replica().await.unwrap();
        fixture.settings.source_read_url = Some(SecretUrl::new(replica.url_of(&name)));
        let reader = connect(&replica.url_of(&name)).await.unwrap();
        Self { fixture, server, replica, reader }
    }

    async fn pause(&self) {
        self.caught_up().await;
        self.reader.batch_execute("SELECT pg_wal_replay_pause()").await.unwrap();
        eventually("replay to be paused", DEADLINE, async || {
            Ok(self.reader.query_one("SELECT pg_get_wal_replay_pause_state()", &[]).await?.get::<_, &str>(0)
                == "paused")
        })
        .await
        .unwrap();
    }

    async fn caught_up(&self) {
        let head = self.fixture.head().await.get();
        eventually("the replica to have replayed what is numbered", DEADLINE, async || {
            let seen = self.reader.query_one("SELECT max(last_sequence) FROM lockstep.pass", &[]).await?;
            Ok(seen.get::<_, Option<i64>>(0).unwrap_or_default() >= head)
        })
        .await
        .unwrap();
    }

    async fn resume(&self) {
        self.reader.batch_execute("SELECT pg_wal_replay_resume()").await.unwrap();
    }

    async fn remove(self) {
        let Self { fixture, mut server, mut replica, reader } = self;
        drop(reader);
        replica.stop().await.unwrap();
        fixture.remove().await;
        server.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cur_1_what_the_replica_has_not_replayed_is_neither_passed_nor_forgotten() {
    let followed = Followed::new().await;
    let fixture = &followed.fixture;
    let tenancy = fixture.known_tenancy().await;
    fixture.users(tenancy, 10).await;
    fixture.pass().await;
    followed.caught_up().await;
    let reads = Source::new(fixture.settings.source_read_url.as_ref().unwrap(), None).unwrap();
    let mut flusher = fixture.flusher(Limits::default()).reading_from(reads);
    let flushed = flusher.flush(&fixture.numbered(&[tenancy], fixture.head().await)).await;
    assert!(flushed.behind.is_empty() && flushed.rows == 10, "{flushed:?}");
    fixture.assert_equal().await;
    let (before, seen) = (fixture.cursor(tenancy, "users").await, fixture.head().await);
    followed.pause().await;
    fixture.run_sql(r#"DELETE FROM "ProjectUser" WHERE "displayName" = 'user 3'"#).await;
    fixture.users(tenancy, 5).await;
    // The replica does not know that it exists.
    let newcomer = fixture.tenancy().await;
    fixture.user(newcomer, "Ada").await;
    fixture.pass().await;
    let hints = fixture.numbered(&[tenancy, newcomer], fixture.head().await);
    let flushed = flusher.flush(&hints).await;
    assert_eq!((flushed.behind, flushed.rows, flushed.head), (hints.clone(), 0, seen));
    assert_eq!(fixture.cursor(tenancy, "users").await, before, "a cursor passed what was not read");
    // Without a number they are read as far as the replica is; then, too, no cursor goes further.
    flusher.flush(&fixture.hints(&[tenancy, newcomer])).await;
    assert_eq!(fixture.cursor(tenancy, "users").await, before);
    followed.resume().await;
    followed.caught_up().await;
    let flushed = flusher.flush(&hints).await;
    assert!(flushed.behind.is_empty(), "{flushed:?}");
    fixture.assert_equal().await;
    drop(flusher);
    followed.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_waits_for_a_lagging_replica_without_burning_attempts() {
    let followed = Followed::new().await;
    let fixture = &followed.fixture;
    let tenancy = fixture.known_tenancy().await;
    fixture.users(tenancy, 10).await;
    fixture.pass().await;
    followed.caught_up().await;
    let worker = fixture.start_to(fixture.clickhouse.clone(), alone());
    fixture.announce(&[tenancy], &[]).await;
    fixture.eventually_equal().await;
    followed.pause().await;
    fixture.users(tenancy, 5).await;
    let newcomer = fixture.tenancy().await;
    fixture.user(newcomer, "Ada").await;
    fixture.pass().await;
    fixture.announce(&[tenancy, newcomer], &[]).await;
    // A tenancy whose changes the replica has is shipped meanwhile: that the others were tried before is certain then.
    fixture.change("TRUNCATE TABLE {raw}._stack_sync_metadata SYNC").await;
    fixture.change("TRUNCATE TABLE {raw}.users SYNC").await;
    fixture.announce_old(&[tenancy]).await;
    fixture.eventually("what the replica has", "SELECT count() FROM {views}.users", "10").await;
    assert_eq!(fixture.depths().await.retrying + fixture.depths().await.dead, 0, "an attempt was burnt");
    followed.resume().await;
    fixture.eventually_equal().await;
    worker.stop().await;
    assert_eq!(fixture.depths().await, QueueDepths::default());
    followed.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_no_replica_is_not_read() {
    let followed = Followed::new().await;
    let fixture = &followed.fixture;
    let tenancy = fixture.tenancy().await;
    fixture.user(tenancy, "Ada").await;
    fixture.pass().await;
    // Prepared like the source, with a head of its own.
    let other = WorkerFixture::new().await;
    other.run_sql("UPDATE lockstep.pass SET last_sequence = 1000000").await;
    let wrong = Source::new(&other.settings.source_url, None).unwrap();
    let mut flusher = fixture.flusher(Limits::default()).reading_from(wrong);
    assert!(flusher.check().await.unwrap_err().contains("LS-0432"));
    let flushed = flusher.flush(&fixture.hints(&[tenancy])).await;
    assert!(flushed.outage && flushed.retry.len() == 1, "{flushed:?}");
    assert_eq!(fixture.cursor(tenancy, "users").await.get(), 0);
    // Nor one that was a replica, and takes writes of its own since.
    followed.reader.batch_execute("SELECT pg_promote()").await.unwrap();
    let promoted = Source::new(fixture.settings.source_read_url.as_ref().unwrap(), None).unwrap();
    let mut flusher = fixture.flusher(Limits::default()).reading_from(promoted);
    assert!(flusher.check().await.unwrap_err().contains("LS-0432"));
    drop(flusher);
    other.remove().await;
    followed.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_a_tenancy_that_is_gone_is_not_shipped_from_a_replica_that_still_shows_it() {
    let followed = Followed::new().await;
    let fixture = &followed.fixture;
    let (stays, goes) = (fixture.known_tenancy().await, fixture.known_tenancy().await);
    fixture.users(stays, 2).await;
    fixture.users(goes, 10).await;
    fixture.pass().await;
    followed.caught_up().await;
    followed.pause().await;
    fixture.run_sql(&format!(r#"DELETE FROM "Tenancy" WHERE "id" = '{goes}'"#)).await;
    // As the janitor notes it once its rows are hidden: from here on nothing of it is shipped.
    fixture
        .run_sql(&format!("INSERT INTO lockstep.erasure (tenancy_id, destination, reason, up_to) VALUES ('{goes}', 'clickhouse', 'automatic', 1000)"))
        .await;
    let reads = Source::new(fixture.settings.source_read_url.as_ref().unwrap(), None).unwrap();
    let mut flusher = fixture.flusher(Limits::default()).reading_from(reads);
    let flushed = flusher.flush(&fixture.hints(&[stays, goes])).await;
    assert!(flushed.failed.is_empty() && flushed.retry.is_empty(), "{flushed:?}");
    assert_eq!(flushed.rows, 2);
    followed.resume().await;
    drop(flusher);
    followed.remove().await;
}
