//! The inboxes' turns, against a real Postgres: nothing is emptied that anybody may still need, and the rest is.

use std::sync::Arc;
use std::time::Duration;

use lockstep_core::secret::SecretUrl;
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::passes::first_beyond;
use lockstep_schema::attach;
use lockstep_testkit::databases::{PrivatePostgres, SOURCE_SCHEMA, TestDatabase, eventually};
use uuid::Uuid;

use super::*;
use crate::step::Numbering;

const SOON: Duration = Duration::from_secs(30);

/// A database with capture.
struct Fixture {
    /// Where transaction ids are nobody else's.
    server: Option<PrivatePostgres>,
    database: TestDatabase,
    client: Client,
    source: Source,
}

impl Fixture {
    async fn new() -> Self {
        Self::on(None, TestDatabase::create().await.unwrap()).await
    }

    /// On a server of its own.
    async fn alone() -> Self {
        let server = PrivatePostgres::start().await.unwrap();
        let database = TestDatabase::create_on(server.url()).await.unwrap();
        Self::on(Some(server), database).await
    }

    async fn on(server: Option<PrivatePostgres>, database: TestDatabase) -> Self {
        let client = database.connect().await.unwrap();
        client.batch_execute(SOURCE_SCHEMA).await.unwrap();
        let source = Source::new(&SecretUrl::new(database.url()), None).unwrap();
        let set = MappingSet::built_in();
        let live = attach::inspect(&source, &set).await.unwrap();
        attach::apply(&source, &attach::plan(&set, &live, &attach::Wishes::default()).unwrap(), |_| {}).await.unwrap();
        let burn = "CREATE PROCEDURE burn(times bigint) LANGUAGE plpgsql AS $$ BEGIN
            FOR n IN 1..times LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$; SET synchronous_commit = off";
        client.batch_execute(burn).await.unwrap();
        Self { server, database, client, source }
    }

    fn numbering(&self) -> Numbering {
        Numbering::new(self.source.clone(), Arc::new(MappingSet::built_in()))
    }

    async fn number(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Writes a user on some connection, and returns the inbox in which its line is.
    async fn user(&self, client: &Client) -> usize {
        let insert = r#"INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "updatedAt") VALUES ($1, $2, 'p', 'b', now())"#;
        client.execute(insert, &[&Uuid::from_u128(1), &Uuid::new_v4()]).await.unwrap();
        let of_last = "SELECT COALESCE((SELECT max(xid) FROM lockstep.inbox), 0)";
        inbox_of(client.query_one(of_last, &[]).await.unwrap().get(0))
    }

    /// Uses up transaction ids until it is the other inbox's turn, with some to spare.
    async fn until_the_next_turn(&self) {
        let xid = self.number("SELECT txid_current()").await;
        let left = TURN_TRANSACTIONS - xid % TURN_TRANSACTIONS;
        self.client.batch_execute(&format!("CALL burn({})", left + 10)).await.unwrap();
    }

    async fn lines(&self, inbox: usize) -> i64 {
        self.number(&format!("SELECT count(*) FROM lockstep.{}", INBOXES[inbox])).await
    }

    async fn remove(self) {
        drop(self.client);
        self.database.remove().await.unwrap();
        drop(self.server);
    }
}

/// Waits until upkeep has emptied an inbox: a vacuum may be under way.
async fn empties(upkeep: &UpkeepSession) {
    let emptied = async || Ok(upkeep.truncate().await?);
    eventually("the inbox to be emptied", SOON, emptied).await.unwrap();
}

async fn drain(numbering: &mut Numbering) -> i64 {
    let mut changes = 0;
    loop {
        let report = numbering.poll().await.unwrap();
        changes += report.changes;
        if !report.passed {
            return changes;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_inbox_whose_turn_is_over_is_emptied_when_all_of_it_is_numbered_and_nobody_can_write_to_it() {
    let fixture = Fixture::alone().await;
    let upkeep = UpkeepSession::open(&fixture.source).await.unwrap();
    let mut numbering = fixture.numbering();
    for turn in 0..3 {
        let inbox = fixture.user(&fixture.client).await;
        // One that stays open over the end of the turn: its lines will be in this inbox.
        let older = fixture.database.connect().await.unwrap();
        older.batch_execute("BEGIN").await.unwrap();
        older.query_one("SELECT txid_current()", &[]).await.unwrap();
        assert_eq!(drain(&mut numbering).await, 1);
        assert!(!upkeep.truncate().await.unwrap(), "in its own turn");
        fixture.until_the_next_turn().await;
        assert!(!upkeep.truncate().await.unwrap(), "an older transaction is open");
        assert_eq!(fixture.user(&older).await, inbox, "turn {turn}");
        older.batch_execute("COMMIT").await.unwrap();
        assert!(!upkeep.truncate().await.unwrap(), "a line has no number");
        assert_eq!(fixture.lines(inbox).await, 2);
        assert_eq!(drain(&mut numbering).await, 1);
        empties(&upkeep).await;
        assert_eq!(fixture.lines(inbox).await, 0);
        assert!(!upkeep.truncate().await.unwrap(), "there is nothing to empty");
    }
    assert_eq!(fixture.number("SELECT count(*) FROM lockstep.change").await, 6);
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_inbox_with_the_rest_of_a_large_transaction_is_not_emptied() {
    let fixture = Fixture::alone().await;
    let upkeep = UpkeepSession::open(&fixture.source).await.unwrap();
    let mut numbering = fixture.numbering();
    let many = r#"INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "updatedAt") SELECT $1, gen_random_uuid(), 'p', 'b', now() FROM generate_series(1, 50000)"#;
    fixture.client.execute(many, &[&Uuid::from_u128(1)]).await.unwrap();
    let inbox = inbox_of(fixture.number("SELECT max(xid) FROM lockstep.inbox").await);
    for _ in 0..2 {
        numbering.poll().await.unwrap();
    }
    fixture.until_the_next_turn().await;
    assert!(!upkeep.truncate().await.unwrap());
    assert_eq!(fixture.lines(inbox).await, 50_000);
    drain(&mut numbering).await;
    empties(&upkeep).await;
    assert_eq!(fixture.number("SELECT count(DISTINCT uuid_1) FROM lockstep.change").await, 50_000);
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_inbox_that_somebody_reads_is_emptied_another_time_and_nobody_waits() {
    let fixture = Fixture::alone().await;
    let upkeep = UpkeepSession::open(&fixture.source).await.unwrap();
    fixture.user(&fixture.client).await;
    drain(&mut fixture.numbering()).await;
    fixture.until_the_next_turn().await;
    let reader = fixture.database.connect().await.unwrap();
    reader.batch_execute("BEGIN; SELECT FROM lockstep.inbox").await.unwrap();
    assert!(!upkeep.truncate().await.unwrap());
    reader.batch_execute("COMMIT").await.unwrap();
    empties(&upkeep).await;
    fixture.remove().await;
}

/// Under writers that never stop, over three turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_is_lost_while_inboxes_take_turns() {
    let fixture = Fixture::alone().await;
    let mut writers = Vec::new();
    for _ in 0..2 {
        let client = fixture.database.connect().await.unwrap();
        writers.push(tokio::spawn(async move {
            client.batch_execute("SET synchronous_commit = off").await.unwrap();
            let write = r#"CALL burn(250); INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "updatedAt") VALUES ('00000000-0000-0000-0000-000000000001', gen_random_uuid(), 'p', 'b', now())"#;
            for _ in 0..200 {
                for statement in write.split("; ") {
                    client.batch_execute(statement).await.unwrap();
                }
            }
        }));
    }
    let upkeep = UpkeepSession::open(&fixture.source).await.unwrap();
    let (mut numbering, mut emptied) = (fixture.numbering(), 0);
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        numbering.poll().await.unwrap();
        emptied += u32::from(upkeep.truncate().await.unwrap());
    }
    for writer in writers {
        writer.await.unwrap();
    }
    drain(&mut numbering).await;
    assert!(emptied >= 2, "the inboxes were emptied {emptied} times only: the test shows little");
    assert_eq!(fixture.number("SELECT count(DISTINCT uuid_1) FROM lockstep.change").await, 400);
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn changes_that_every_destination_has_passed_are_dropped_and_others_only_when_they_are_old() {
    let fixture = Fixture::new().await;
    let upkeep = UpkeepSession::open(&fixture.source).await.unwrap();
    let run = async |sql: &str| fixture.client.batch_execute(sql).await.unwrap();
    let partitions = "SELECT count(*) FROM lockstep.change_partition";
    let ahead = "SELECT setval('lockstep.sequence', 16777216 * 2 + 5)";
    fixture.user(&fixture.client).await;
    drain(&mut fixture.numbering()).await;
    run(ahead).await;
    fixture.user(&fixture.client).await;
    drain(&mut fixture.numbering()).await;
    run("INSERT INTO lockstep.announced SELECT max(last_sequence) FROM lockstep.pass; INSERT INTO lockstep.destination (name, passed) VALUES ('clickhouse', 3)").await;
    let before = fixture.number(partitions).await;
    assert!(before >= 3, "{before} partitions");
    upkeep.drop_changes().await.unwrap();
    assert_eq!(fixture.number(partitions).await, before, "the destination has not passed them");
    run("UPDATE lockstep.destination SET passed = 16777216").await;
    upkeep.drop_changes().await.unwrap();
    assert_eq!(fixture.number(partitions).await, before - 1);
    assert_eq!(fixture.number("SELECT count(*) FROM lockstep.change").await, 1);
    upkeep.drop_changes().await.unwrap();
    assert_eq!(fixture.number(partitions).await, before - 1);
    run("UPDATE lockstep.setting SET value = interval '0' WHERE name = 'change_retention'").await;
    upkeep.drop_changes().await.unwrap();
    assert_eq!(fixture.number(partitions).await, before - 2, "they are too old");
    let marked =
        "SELECT count(*) FROM lockstep.destination WHERE needs_refill_since IS NOT NULL AND passed >= 16777216 * 2 - 1";
    assert_eq!(fixture.number(marked).await, 1);
    // The one that is written to stays, however old.
    upkeep.drop_changes().await.unwrap();
    assert_eq!(fixture.number("SELECT count(*) FROM lockstep.change").await, 1);
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn changes_are_retained_for_tenants_destinations_that_lack_them_but_not_for_ever() {
    let fixture = Fixture::new().await;
    let upkeep = UpkeepSession::open(&fixture.source).await.unwrap();
    let run = async |sql: &str| fixture.client.batch_execute(sql).await.unwrap();
    fixture.user(&fixture.client).await;
    drain(&mut fixture.numbering()).await;
    run("SELECT setval('lockstep.sequence', 16777216 * 2 + 5)").await;
    fixture.user(&fixture.client).await;
    drain(&mut fixture.numbering()).await;
    // Of the tenancy with changes, and of one without.
    run("INSERT INTO lockstep.announced SELECT max(last_sequence) FROM lockstep.pass;
        INSERT INTO lockstep.destination (name, passed) VALUES ('clickhouse', 16777216 * 3);
        INSERT INTO lockstep.tenant_destination (id, tenancy_id, kind, key_id, connection, host, port, database_name, user_name)
          SELECT gen_random_uuid(), tenancy, 'postgres', 'k', '', 'h', 5432, 'd', 'u'
          FROM (SELECT DISTINCT tenancy_id FROM lockstep.change UNION SELECT gen_random_uuid()) t (tenancy);
        INSERT INTO lockstep.tenant_mapping (destination_id, mapping_name, state) SELECT id, 'users', 'streaming' FROM lockstep.tenant_destination")
    .await;
    let dropped = async || upkeep.drop_changes().await.unwrap();
    let refills = "SELECT count(*) FROM lockstep.tenant_mapping WHERE refill_requested_at IS NOT NULL";
    assert!(!dropped().await, "they were never looked at");
    run("UPDATE lockstep.tenant_destination SET unfinished = FALSE").await;
    assert!(!dropped().await, "the sweep has not come so far");
    run("UPDATE lockstep.tenant_sweep SET through = 16777216; UPDATE lockstep.tenant_destination SET known = 3").await;
    assert!(!dropped().await, "changes are known that they have not passed");
    run("UPDATE lockstep.tenant_destination SET passed = 3").await;
    assert!(dropped().await, "they have passed all that there is");
    assert_eq!(fixture.number(refills).await, 0);
    // The next one has no changes; but nobody has looked.
    run("UPDATE lockstep.setting SET value = interval '0' WHERE name = 'change_retention'").await;
    assert!(dropped().await && fixture.number(refills).await == 0, "nothing was lost");
    run("SELECT setval('lockstep.sequence', 16777216 * 3 + 5)").await;
    fixture.user(&fixture.client).await;
    drain(&mut fixture.numbering()).await;
    run("INSERT INTO lockstep.announced SELECT max(last_sequence) FROM lockstep.pass").await;
    assert!(dropped().await, "they are too old");
    assert_eq!(fixture.number(refills).await, 1, "of the tenancy that has changes");
    let marked = "SELECT count(*) FROM lockstep.tenant_destination WHERE unfinished AND passed = 16777216 * 3 - 1";
    assert_eq!(fixture.number(marked).await, 1);
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_passes_fences_and_announcements_only_what_may_be_asked_for_stays() {
    let fixture = Fixture::new().await;
    let upkeep = UpkeepSession::open(&fixture.source).await.unwrap();
    let old = "INSERT INTO lockstep.pass (last_sequence, consumed, passed_at)
          SELECT 0, '1:1:', date_trunc('minute', now()) - interval '3 hours' + n * interval '10 seconds' FROM generate_series(0, 59) n;
        INSERT INTO lockstep.pass (last_sequence, consumed) VALUES (5, '1:1:');
        INSERT INTO lockstep.announced VALUES (3), (5);
        INSERT INTO lockstep.action (at, what) VALUES (now() - interval '401 days', 'erase'), (now() - interval '399 days', 'pause');
        INSERT INTO lockstep.fence (requested_at) VALUES (now() - interval '2 hours'), (now())";
    fixture.client.batch_execute(old).await.unwrap();
    upkeep.prune().await.unwrap();
    assert_eq!(
        fixture.number("SELECT count(*) FROM lockstep.pass WHERE passed_at < now() - interval '1 hour'").await,
        10
    );
    assert_eq!(fixture.number("SELECT last_sequence FROM lockstep.pass ORDER BY id DESC LIMIT 1").await, 5);
    assert_eq!(fixture.number("SELECT count(*) * 100 + max(sequence) FROM lockstep.announced").await, 105);
    assert_eq!(fixture.number("SELECT count(*) FROM lockstep.fence").await, 1);
    assert_eq!(fixture.number("SELECT count(*) FROM lockstep.action WHERE what = 'pause'").await, 1);
    assert_eq!(fixture.number("SELECT count(*) FROM lockstep.action").await, 1);
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_oldest_of_what_is_not_announced_and_of_what_is_to_be_searched_is_known() {
    let fixture = Fixture::new().await;
    let session = UpkeepSession::open(&fixture.source).await.unwrap();
    assert_eq!(session.oldest(true).await.unwrap(), told::Oldest { unannounced: None, expansion: None });
    let waiting = "INSERT INTO lockstep.pass (last_sequence, consumed, passed_at)
          SELECT n, '1:1:', clock_timestamp() - make_interval(secs => 100 - 10 * n) FROM generate_series(1, 3) n;
        INSERT INTO lockstep.announced VALUES (1);
        INSERT INTO lockstep.expansion (target, requested_at) SELECT 7, clock_timestamp() - make_interval(secs => 50 - n) FROM generate_series(1, 3) n";
    fixture.client.batch_execute(waiting).await.unwrap();
    let oldest = session.oldest(true).await.unwrap();
    let within = |age: Option<Duration>, from: u64| (from..from + 10).contains(&age.unwrap().as_secs());
    assert!(within(oldest.unannounced, 80) && within(oldest.expansion, 49), "{oldest:?}");
    assert_eq!(session.oldest(false).await.unwrap().unannounced, None, "not asked for");
    fixture
        .client
        .batch_execute("INSERT INTO lockstep.announced VALUES (3); DELETE FROM lockstep.expansion")
        .await
        .unwrap();
    assert_eq!(session.oldest(true).await.unwrap(), told::Oldest { unannounced: None, expansion: None });
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_first_pass_beyond_a_number_is_found_among_any_number_of_them_and_whichever_are_kept() {
    let fixture = Fixture::new().await;
    let session = UpkeepSession::open(&fixture.source).await.unwrap();
    // Some passes move nothing, and of the older most are gone.
    let many = "INSERT INTO lockstep.pass (last_sequence, consumed, passed_at)
          SELECT n / 3 * 2, '1:1:', clock_timestamp() - make_interval(secs => 20000 - n) FROM generate_series(1, 10000) n;
        DELETE FROM lockstep.pass WHERE id BETWEEN 100 AND 4000 AND id % 97 <> 0;
        INSERT INTO lockstep.announced VALUES (20)";
    fixture.client.batch_execute(many).await.unwrap();
    let unlike = format!(
        "SELECT count(*) FROM generate_series(-2, 6670) n
        WHERE (SELECT p.id FROM {} p) IS DISTINCT FROM (SELECT min(p.id) FROM lockstep.pass p WHERE p.last_sequence > n)",
        first_beyond("n")
    );
    assert_eq!(fixture.number(&unlike).await, 0);
    let oldest = session.oldest(true).await.unwrap().unannounced.unwrap().as_secs();
    assert!((19_960..19_990).contains(&oldest), "{oldest}");
    fixture.remove().await;
}
