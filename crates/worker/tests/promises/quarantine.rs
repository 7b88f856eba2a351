//! CUR-1, FAIR-1: a row that ClickHouse refuses is set aside before its cursor passes it, and nothing else waits for it.

use lockstep_core::TenancyId;
use lockstep_destinations::faulty::{Fault, Faulty, Operation};
use lockstep_mappings::postgres::{Target, inbox, quarantine};
use lockstep_worker::{Flushed, Hints, Limits};
use uuid::Uuid;

use crate::fixture::WorkerFixture;

/// What tenants must not see in errors.
pub(crate) const REFUSE: &str =
    "ALTER TABLE {raw}.users ADD CONSTRAINT no_hunter CHECK NOT like(ifNull(display_name, ''), '%hunter2%')";
pub(crate) const TAKE: &str = "ALTER TABLE {raw}.users DROP CONSTRAINT no_hunter";

/// A row of `lockstep.quarantine`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) mapping: String,
    pub(crate) tenancy: TenancyId,
    pub(crate) sequence: i64,
    pub(crate) code: String,
    pub(crate) error: String,
    pub(crate) attempts: i64,
}

impl WorkerFixture {
    pub(crate) async fn quarantined(&self) -> Vec<Entry> {
        let sql = "SELECT mapping_name, tenancy_id, sequence, code, error, attempts FROM lockstep.quarantine WHERE destination = 'clickhouse' ORDER BY 1, 2, 3";
        let rows = self.client.query(sql, &[]).await.unwrap();
        rows.iter()
            .map(|row| Entry {
                mapping: row.get(0),
                tenancy: TenancyId::new(row.get::<_, Uuid>(1)),
                sequence: row.get(2),
                code: row.get(3),
                error: row.get(4),
                attempts: row.get(5),
            })
            .collect()
    }

    /// What `lockstep quarantine retry --all` does.
    async fn retry(&self) {
        let xid = self.number("SELECT txid_current()").await;
        // The transaction that writes is another: both write to the same inbox, but for one in 32,768.
        for mapping in self.set.iter() {
            let target = Target::row(mapping).id();
            let sql = quarantine::retry(inbox::inbox_of(xid));
            self.client
                .execute(&sql, &[&"clickhouse", &mapping.name.as_str(), &target, &None::<Uuid>, &None::<&str>])
                .await
                .unwrap();
        }
    }

    /// Flushes until nothing is to be continued; returns what failed, and how many flushes it took.
    async fn flush_whole(&self, limits: Limits, tenancies: &[TenancyId]) -> (Vec<Flushed>, usize) {
        let mut flusher = self.flusher(limits);
        let mut hints = self.hints(tenancies);
        let (mut failed, mut flushes) = (Vec::new(), 0);
        while !hints.is_empty() {
            let flushed = flusher.flush(&hints).await;
            assert!(flushed.retry.is_empty(), "{flushed:?}");
            hints = Hints::default();
            hints.merge(&flushed.more);
            if !flushed.failed.is_empty() {
                failed.push(flushed);
            }
            flushes += 1;
            assert!(flushes < 1000, "it does not end");
        }
        (failed, flushes)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_clickhouse_refuses_is_set_aside_and_arrives_when_it_is_mended() {
    let fixture = WorkerFixture::new().await;
    fixture.change(REFUSE).await;
    let (broken, healthy) = (fixture.known_tenancy().await, fixture.known_tenancy().await);
    fixture.pass().await;
    let mut hunter = Uuid::nil();
    for name in ["one", "hunter2", "three"] {
        let user = fixture.user(broken, name).await;
        fixture.grant(broken, user).await;
        if name == "hunter2" {
            hunter = user;
        }
    }
    fixture.user(healthy, "four").await;
    fixture.pass().await;
    let (failed, _) = fixture.flush_whole(Limits::default(), &[broken, healthy]).await;
    assert!(failed.is_empty(), "{failed:?}");
    let names = "SELECT arrayStringConcat(groupArray(display_name), ',') FROM (SELECT display_name FROM {views}.users ORDER BY display_name)";
    assert_eq!(fixture.ask(names).await, "four,one,three");
    assert_eq!(fixture.permissions_seen().await, "3", "another mapping waited");
    let [entry] = &fixture.quarantined().await[..] else { panic!("not one row is in quarantine") };
    let number = fixture
        .number(&format!(
            "SELECT sequence FROM lockstep.change WHERE mapping = {} AND uuid_1 = '{hunter}'",
            fixture.target("users")
        ))
        .await;
    assert_eq!((entry.mapping.as_str(), entry.tenancy), ("users", broken));
    assert_eq!((entry.sequence, entry.code.as_str()), (number, "LS-0203"));
    assert!(entry.error.contains("VIOLATED_CONSTRAINT") && !entry.error.contains("hunter2"), "{}", entry.error);
    assert!(fixture.cursor(broken, "users").await.get() >= entry.sequence);
    // Flushed again, nothing changes: the entry stays while the row is as it is.
    fixture.user(broken, "five").await;
    fixture.pass().await;
    fixture.flush_whole(Limits::default(), &[broken, healthy]).await;
    assert_eq!(fixture.quarantined().await, std::slice::from_ref(entry));
    fixture.run_sql(r#"UPDATE "ProjectUser" SET "displayName" = 'two' WHERE "displayName" = 'hunter2'"#).await;
    fixture.pass().await;
    fixture.flush_whole(Limits::default(), &[broken, healthy]).await;
    assert_eq!(fixture.quarantined().await, []);
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_refused_rows_among_many_tenants_are_found_and_arrive_when_clickhouse_is_mended() {
    let fixture = WorkerFixture::new().await;
    fixture.change(REFUSE).await;
    let mut tenancies = Vec::new();
    for number in 0..20 {
        let tenancy = fixture.known_tenancy().await;
        fixture.users(tenancy, 30).await;
        if number % 6 == 1 {
            fixture.user(tenancy, "hunter2").await;
            fixture.users(tenancy, 30).await;
            fixture.user(tenancy, "also hunter2").await;
        }
        tenancies.push(tenancy);
    }
    fixture.pass().await;
    let (failed, flushes) = fixture.flush_whole(Limits::default(), &tenancies).await;
    assert!(failed.is_empty(), "{failed:?}");
    assert!(flushes < 80, "{flushes} flushes for 8 rows");
    let entries = fixture.quarantined().await;
    let refused = r#"SELECT count(*) FROM "ProjectUser" WHERE "displayName" LIKE '%hunter2%'"#;
    assert_eq!((entries.len(), fixture.number(refused).await), (8, 8));
    let others = r#"SELECT count(*) FROM "ProjectUser" WHERE "displayName" NOT LIKE '%hunter2%'"#;
    assert_eq!(fixture.ask("SELECT count() FROM {views}.users").await, fixture.number(others).await.to_string());
    // Refused once more: the old entries give way to new ones.
    fixture.retry().await;
    fixture.pass().await;
    fixture.flush_whole(Limits::default(), &tenancies).await;
    let again = fixture.quarantined().await;
    assert_eq!(again.len(), 8);
    assert!(again.iter().all(|entry| !entries.contains(entry)));
    fixture.change(TAKE).await;
    fixture.retry().await;
    fixture.pass().await;
    fixture.flush_whole(Limits::default(), &tenancies).await;
    assert_eq!(fixture.quarantined().await, []);
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_refuses_every_row_is_not_set_aside_row_by_row() {
    let fixture = WorkerFixture::new().await;
    fixture.change("ALTER TABLE {raw}.users ADD CONSTRAINT no_hunter CHECK sync_sequence_id < 0").await;
    let (one, two) = (fixture.known_tenancy().await, fixture.known_tenancy().await);
    for tenancy in [one, two] {
        fixture.users(tenancy, 150).await;
        let user = fixture.user(tenancy, "Ada").await;
        fixture.grant(tenancy, user).await;
    }
    fixture.pass().await;
    let (failed, _) = fixture.flush_whole(Limits::default(), &[one, two]).await;
    assert_eq!(fixture.quarantined().await.len(), 100);
    assert!(failed.iter().flat_map(|flushed| &flushed.failed).all(|failed| failed.reason.contains("LS-0430")));
    assert!(!failed.is_empty());
    assert_eq!(fixture.permissions_seen().await, "2", "another mapping waited");
    // The others were not passed: they arrive by themselves.
    fixture.change(TAKE).await;
    fixture.flush_whole(Limits::default(), &[one, two]).await;
    assert_eq!(fixture.ask("SELECT count() FROM {views}.users").await, "202");
    fixture.retry().await;
    fixture.pass().await;
    fixture.flush_whole(Limits::default(), &[one, two]).await;
    assert_eq!(fixture.quarantined().await, []);
    fixture.assert_equal().await;
    fixture.remove().await;
}

/// ClickHouse is mended, and what it refused of the tenancy is tried again: nothing is set aside any more.
async fn all_arrives_without(fixture: &WorkerFixture, mend: &str, tenancy: TenancyId) {
    fixture.change(mend).await;
    fixture.retry().await;
    fixture.pass().await;
    fixture.flush_whole(Limits::default(), &[tenancy]).await;
    assert_eq!(fixture.quarantined().await, []);
    fixture.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_tombstone_is_set_aside_and_leaves_with_its_key() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.known_tenancy().await;
    let (one, two) = (fixture.user(tenancy, "one").await, fixture.user(tenancy, "two").await);
    fixture.grant(tenancy, one).await;
    fixture.grant(tenancy, two).await;
    fixture.pass_and_flush(&[tenancy]).await;
    fixture.change("ALTER TABLE {raw}.project_permissions ADD CONSTRAINT all_live CHECK sync_is_deleted = 0").await;
    fixture.revoke(one).await;
    fixture.revoke(two).await;
    fixture.pass().await;
    fixture.flush_whole(Limits::default(), &[tenancy]).await;
    assert_eq!(fixture.permissions_seen().await, "2");
    assert_eq!(fixture.quarantined().await.len(), 2);
    // The first is granted again: its tombstone has nothing more to say.
    fixture.grant(tenancy, one).await;
    fixture.pass().await;
    fixture.flush_whole(Limits::default(), &[tenancy]).await;
    assert_eq!(fixture.quarantined().await.len(), 1);
    all_arrives_without(&fixture, "ALTER TABLE {raw}.project_permissions DROP CONSTRAINT all_live", tenancy).await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_tombstone_of_a_former_location_is_set_aside() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.known_tenancy().await;
    let user = fixture.user(tenancy, "one").await;
    fixture.user(tenancy, "two").await;
    fixture.pass_and_flush(&[tenancy]).await;
    let refuse =
        format!("ALTER TABLE {{raw}}.users ADD CONSTRAINT all_live CHECK NOT (sync_is_deleted = 1 AND id = '{user}')");
    fixture.change(&refuse).await;
    fixture.run_sql(&format!(r#"UPDATE "Tenancy" SET "branchId" = 'elsewhere' WHERE "id" = '{tenancy}'"#)).await;
    fixture.pass().await;
    let (failed, _) = fixture.flush_whole(Limits::default(), &[tenancy]).await;
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(fixture.quarantined().await.len(), 1);
    assert_eq!(
        fixture.ask("SELECT count() FROM {views}.users WHERE branch_id = 'elsewhere' AND display_name = 'two'").await,
        "1"
    );
    assert_eq!(
        fixture.ask("SELECT count() FROM {views}.users WHERE branch_id = 'main' AND display_name = 'two'").await,
        "0"
    );
    all_arrives_without(&fixture, "ALTER TABLE {raw}.users DROP CONSTRAINT all_live", tenancy).await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cur_1_a_cursor_does_not_pass_a_refused_row_that_is_not_in_quarantine() {
    let fixture = WorkerFixture::new().await;
    fixture.change(REFUSE).await;
    let (broken, healthy) = (fixture.known_tenancy().await, fixture.known_tenancy().await);
    fixture.user(broken, "one").await;
    fixture.user(healthy, "two").await;
    fixture.pass_and_flush(&[broken, healthy]).await;
    let before = fixture.cursor(broken, "users").await;
    fixture.user(broken, "hunter2").await;
    fixture.user(healthy, "three").await;
    fixture.pass().await;
    // Postgres does not take the entry.
    fixture.run_sql("ALTER TABLE lockstep.quarantine ADD CONSTRAINT nothing CHECK (attempts < 0)").await;
    let (failed, _) = fixture.flush_whole(Limits::default(), &[broken, healthy]).await;
    assert!(!failed.is_empty());
    assert_eq!(fixture.cursor(broken, "users").await, before, "it passed a row that nobody holds");
    assert_eq!(fixture.ask("SELECT count() FROM {views}.users").await, "3");
    fixture.run_sql("ALTER TABLE lockstep.quarantine DROP CONSTRAINT nothing").await;
    // As many rows as may be are there already.
    let fill = format!(
        "INSERT INTO lockstep.quarantine (destination, mapping_name, tenancy_id, sequence, code, error) SELECT 'clickhouse', 'users', '{healthy}', -n, 'c', 'e' FROM generate_series(1, 10000) n"
    );
    fixture.run_sql(&fill).await;
    let (failed, _) = fixture.flush_whole(Limits::default(), &[broken]).await;
    assert!(failed.iter().flat_map(|flushed| &flushed.failed).any(|failed| failed.reason.contains("LS-0431")));
    assert_eq!(fixture.cursor(broken, "users").await, before);
    fixture.run_sql("DELETE FROM lockstep.quarantine").await;
    let (failed, _) = fixture.flush_whole(Limits::default(), &[broken]).await;
    assert!(failed.is_empty() && fixture.cursor(broken, "users").await > before);
    assert_eq!(fixture.quarantined().await.len(), 1);
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_whose_row_the_destination_took_after_all_goes() {
    let fixture = WorkerFixture::new().await;
    fixture.change(REFUSE).await;
    let tenancy = fixture.known_tenancy().await;
    fixture.user(tenancy, "hunter2").await;
    fixture.pass().await;
    let destination = Faulty::new(fixture.clickhouse.clone());
    destination.script(Operation::Advance, [Some(Fault::LostConnection)]);
    let mut flusher = fixture.flusher_to(destination, Limits::default());
    // The entry is written, and the cursor is not.
    assert!(!flusher.flush(&fixture.hints(&[tenancy])).await.retry.is_empty());
    assert_eq!(fixture.quarantined().await.len(), 1);
    fixture.change(TAKE).await;
    let flushed = flusher.flush(&fixture.hints(&[tenancy])).await;
    assert!(flushed.retry.is_empty() && flushed.quarantined == 0, "{flushed:?}");
    fixture.assert_equal().await;
    assert_eq!(fixture.quarantined().await, []);
    fixture.remove().await;
}

/// The code of the error is that of a value, and no row is at fault: it is the definition that names the label.
#[tokio::test(flavor = "multi_thread")]
async fn cap_1_a_label_that_was_renamed_sets_no_row_aside() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.known_tenancy().await;
    fixture.users(tenancy, 3).await;
    fixture.pass().await;
    let label = |from: &str, to: &str| format!(r#"ALTER TYPE "ContactChannelType" RENAME VALUE '{from}' TO '{to}'"#);
    fixture.run_sql(&label("EMAIL", "ADDRESS")).await;
    let flushed = fixture.flusher(Limits::default()).flush(&fixture.hints(&[tenancy])).await;
    let reasons: Vec<_> = flushed.failed.iter().map(|failed| &failed.reason).collect();
    assert!(reasons.iter().any(|reason| reason.starts_with("users: ") && reason.contains("22P02")), "{reasons:?}");
    assert!(flushed.quarantined == 0 && flushed.more.is_empty(), "{flushed:?}");
    fixture.run_sql(&label("ADDRESS", "EMAIL")).await;
    let flushed = fixture.flusher(Limits::default()).flush(&fixture.hints(&[tenancy])).await;
    assert!(flushed.failed.is_empty() && flushed.quarantined == 0, "{flushed:?}");
    fixture.assert_equal().await;
    fixture.remove().await;
}
