//! CUR-1, FAIR-1: a row that ClickHouse refuses is set aside before its cursor passes it, and nothing else waits for it.

use lockstep_core::TenancyId;
use lockstep_destinations::faulty::{Fault, Faulty, Operation};
use lockstep_mappings::postgres::{Target, inbox, quarantine};
use lockstep_worker::{Flushed, Hints, Limits};
use uuid::Uuid;

use crate::fixture::House;

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

impl House {
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
            self.client.execute(&sql, &[&"clickhouse", &mapping.name.as_str(), &target, &None::<Uuid>]).await.unwrap();
        }
    }

    /// Flushes until nothing is to be continued; returns what failed, and how many flushes it took.
    async fn flush_whole(&self, limits: Limits, tenancies: &[TenancyId]) -> (Vec<Flushed>, usize) {
        let mut flusher = self.flusher(limits);
        let mut news = self.news(tenancies);
        let (mut failed, mut flushes) = (Vec::new(), 0);
        while !news.is_empty() {
            let flushed = flusher.flush(&news).await;
            assert!(flushed.retry.is_empty(), "{flushed:?}");
            news = Hints::default();
            news.merge(&flushed.more);
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
    let house = House::new().await;
    house.change(REFUSE).await;
    let (broken, healthy) = (house.known_tenancy().await, house.known_tenancy().await);
    house.pass().await;
    let mut hunter = Uuid::nil();
    for name in ["one", "hunter2", "three"] {
        let user = house.user(broken, name).await;
        house.grant(broken, user).await;
        if name == "hunter2" {
            hunter = user;
        }
    }
    house.user(healthy, "four").await;
    house.pass().await;
    let (failed, _) = house.flush_whole(Limits::default(), &[broken, healthy]).await;
    assert!(failed.is_empty(), "{failed:?}");
    let names = "SELECT arrayStringConcat(groupArray(display_name), ',') FROM (SELECT display_name FROM {views}.users ORDER BY display_name)";
    assert_eq!(house.ask(names).await, "four,one,three");
    assert_eq!(house.permissions_seen().await, "3", "another mapping waited");
    let [entry] = &house.quarantined().await[..] else { panic!("not one row is in quarantine") };
    let number = house
        .number(&format!(
            "SELECT sequence FROM lockstep.change WHERE mapping = {} AND uuid_1 = '{hunter}'",
            house.target("users")
        ))
        .await;
    assert_eq!((entry.mapping.as_str(), entry.tenancy), ("users", broken));
    assert_eq!((entry.sequence, entry.code.as_str()), (number, "LS-0203"));
    assert!(entry.error.contains("VIOLATED_CONSTRAINT") && !entry.error.contains("hunter2"), "{}", entry.error);
    assert!(house.cursor(broken, "users").await.get() >= entry.sequence);
    // Flushed again, nothing changes: the entry stays while the row is as it is.
    house.user(broken, "five").await;
    house.pass().await;
    house.flush_whole(Limits::default(), &[broken, healthy]).await;
    assert_eq!(house.quarantined().await, std::slice::from_ref(entry));
    house.run_sql(r#"UPDATE "ProjectUser" SET "displayName" = 'two' WHERE "displayName" = 'hunter2'"#).await;
    house.pass().await;
    house.flush_whole(Limits::default(), &[broken, healthy]).await;
    assert_eq!(house.quarantined().await, []);
    house.assert_equal().await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_refused_rows_among_many_tenants_are_found_and_arrive_when_clickhouse_is_mended() {
    let house = House::new().await;
    house.change(REFUSE).await;
    let mut tenancies = Vec::new();
    for number in 0..20 {
        let tenancy = house.known_tenancy().await;
        house.users(tenancy, 30).await;
        if number % 6 == 1 {
            house.user(tenancy, "hunter2").await;
            house.users(tenancy, 30).await;
            house.user(tenancy, "also hunter2").await;
        }
        tenancies.push(tenancy);
    }
    house.pass().await;
    let (failed, flushes) = house.flush_whole(Limits::default(), &tenancies).await;
    assert!(failed.is_empty(), "{failed:?}");
    assert!(flushes < 80, "{flushes} flushes for 8 rows");
    let entries = house.quarantined().await;
    let refused = r#"SELECT count(*) FROM "ProjectUser" WHERE "displayName" LIKE '%hunter2%'"#;
    assert_eq!((entries.len(), house.number(refused).await), (8, 8));
    let others = r#"SELECT count(*) FROM "ProjectUser" WHERE "displayName" NOT LIKE '%hunter2%'"#;
    assert_eq!(house.ask("SELECT count() FROM {views}.users").await, house.number(others).await.to_string());
    // Refused once more: the old entries give way to new ones.
    house.retry().await;
    house.pass().await;
    house.flush_whole(Limits::default(), &tenancies).await;
    let again = house.quarantined().await;
    assert_eq!(again.len(), 8);
    assert!(again.iter().all(|entry| !entries.contains(entry)));
    house.change(TAKE).await;
    house.retry().await;
    house.pass().await;
    house.flush_whole(Limits::default(), &tenancies).await;
    assert_eq!(house.quarantined().await, []);
    house.assert_equal().await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_refuses_every_row_is_not_set_aside_row_by_row() {
    let house = House::new().await;
    house.change("ALTER TABLE {raw}.users ADD CONSTRAINT no_hunter CHECK sync_sequence_id < 0").await;
    let (one, two) = (house.known_tenancy().await, house.known_tenancy().await);
    for tenancy in [one, two] {
        house.users(tenancy, 150).await;
        let user = house.user(tenancy, "Ada").await;
        house.grant(tenancy, user).await;
    }
    house.pass().await;
    let (failed, _) = house.flush_whole(Limits::default(), &[one, two]).await;
    assert_eq!(house.quarantined().await.len(), 100);
    assert!(failed.iter().flat_map(|flushed| &flushed.failed).all(|failed| failed.reason.contains("LS-0430")));
    assert!(!failed.is_empty());
    assert_eq!(house.permissions_seen().await, "2", "another mapping waited");
    // The others were not passed: they arrive by themselves.
    house.change(TAKE).await;
    house.flush_whole(Limits::default(), &[one, two]).await;
    assert_eq!(house.ask("SELECT count() FROM {views}.users").await, "202");
    house.retry().await;
    house.pass().await;
    house.flush_whole(Limits::default(), &[one, two]).await;
    assert_eq!(house.quarantined().await, []);
    house.assert_equal().await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_tombstone_is_set_aside_and_leaves_with_its_key() {
    let house = House::new().await;
    let tenancy = house.known_tenancy().await;
    let (one, two) = (house.user(tenancy, "one").await, house.user(tenancy, "two").await);
    house.grant(tenancy, one).await;
    house.grant(tenancy, two).await;
    house.pass_and_flush(&[tenancy]).await;
    house.change("ALTER TABLE {raw}.project_permissions ADD CONSTRAINT all_live CHECK sync_is_deleted = 0").await;
    house.revoke(one).await;
    house.revoke(two).await;
    house.pass().await;
    house.flush_whole(Limits::default(), &[tenancy]).await;
    assert_eq!(house.permissions_seen().await, "2");
    assert_eq!(house.quarantined().await.len(), 2);
    // The first is granted again: its tombstone has nothing more to say.
    house.grant(tenancy, one).await;
    house.pass().await;
    house.flush_whole(Limits::default(), &[tenancy]).await;
    assert_eq!(house.quarantined().await.len(), 1);
    house.change("ALTER TABLE {raw}.project_permissions DROP CONSTRAINT all_live").await;
    house.retry().await;
    house.pass().await;
    house.flush_whole(Limits::default(), &[tenancy]).await;
    assert_eq!(house.quarantined().await, []);
    house.assert_equal().await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_tombstone_of_a_former_location_is_set_aside() {
    let house = House::new().await;
    let tenancy = house.known_tenancy().await;
    let user = house.user(tenancy, "one").await;
    house.user(tenancy, "two").await;
    house.pass_and_flush(&[tenancy]).await;
    let refuse =
        format!("ALTER TABLE {{raw}}.users ADD CONSTRAINT all_live CHECK NOT (sync_is_deleted = 1 AND id = '{user}')");
    house.change(&refuse).await;
    house.run_sql(&format!(r#"UPDATE "Tenancy" SET "branchId" = 'elsewhere' WHERE "id" = '{tenancy}'"#)).await;
    house.pass().await;
    let (failed, _) = house.flush_whole(Limits::default(), &[tenancy]).await;
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(house.quarantined().await.len(), 1);
    assert_eq!(
        house.ask("SELECT count() FROM {views}.users WHERE branch_id = 'elsewhere' AND display_name = 'two'").await,
        "1"
    );
    assert_eq!(
        house.ask("SELECT count() FROM {views}.users WHERE branch_id = 'main' AND display_name = 'two'").await,
        "0"
    );
    house.change("ALTER TABLE {raw}.users DROP CONSTRAINT all_live").await;
    house.retry().await;
    house.pass().await;
    house.flush_whole(Limits::default(), &[tenancy]).await;
    assert_eq!(house.quarantined().await, []);
    house.assert_equal().await;
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cur_1_a_cursor_does_not_pass_a_refused_row_that_is_not_kept() {
    let house = House::new().await;
    house.change(REFUSE).await;
    let (broken, healthy) = (house.known_tenancy().await, house.known_tenancy().await);
    house.user(broken, "one").await;
    house.user(healthy, "two").await;
    house.pass_and_flush(&[broken, healthy]).await;
    let before = house.cursor(broken, "users").await;
    house.user(broken, "hunter2").await;
    house.user(healthy, "three").await;
    house.pass().await;
    // Postgres does not take the entry.
    house.run_sql("ALTER TABLE lockstep.quarantine ADD CONSTRAINT nothing CHECK (attempts < 0)").await;
    let (failed, _) = house.flush_whole(Limits::default(), &[broken, healthy]).await;
    assert!(!failed.is_empty());
    assert_eq!(house.cursor(broken, "users").await, before, "it passed a row that nobody holds");
    assert_eq!(house.ask("SELECT count() FROM {views}.users").await, "3");
    house.run_sql("ALTER TABLE lockstep.quarantine DROP CONSTRAINT nothing").await;
    // As many rows as may be are there already.
    let fill = format!(
        "INSERT INTO lockstep.quarantine (destination, mapping_name, tenancy_id, sequence, code, error) SELECT 'clickhouse', 'users', '{healthy}', -n, 'c', 'e' FROM generate_series(1, 10000) n"
    );
    house.run_sql(&fill).await;
    let (failed, _) = house.flush_whole(Limits::default(), &[broken]).await;
    assert!(failed.iter().flat_map(|flushed| &flushed.failed).any(|failed| failed.reason.contains("LS-0431")));
    assert_eq!(house.cursor(broken, "users").await, before);
    house.run_sql("DELETE FROM lockstep.quarantine").await;
    let (failed, _) = house.flush_whole(Limits::default(), &[broken]).await;
    assert!(failed.is_empty() && house.cursor(broken, "users").await > before);
    assert_eq!(house.quarantined().await.len(), 1);
    house.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_whose_row_the_destination_took_after_all_goes() {
    let house = House::new().await;
    house.change(REFUSE).await;
    let tenancy = house.known_tenancy().await;
    house.user(tenancy, "hunter2").await;
    house.pass().await;
    let destination = Faulty::new(house.clickhouse.clone());
    destination.script(Operation::Advance, [Some(Fault::LostConnection)]);
    let mut flusher = house.flusher_to(destination, Limits::default());
    // The entry is written, and the cursor is not.
    assert!(!flusher.flush(&house.news(&[tenancy])).await.retry.is_empty());
    assert_eq!(house.quarantined().await.len(), 1);
    house.change(TAKE).await;
    let flushed = flusher.flush(&house.news(&[tenancy])).await;
    assert!(flushed.retry.is_empty() && flushed.quarantined == 0, "{flushed:?}");
    house.assert_equal().await;
    assert_eq!(house.quarantined().await, []);
    house.remove().await;
}

/// The code of the error is that of a value, and no row is at fault: it is the definition that names the label.
#[tokio::test(flavor = "multi_thread")]
async fn cap_1_a_label_that_was_renamed_sets_no_row_aside() {
    let house = House::new().await;
    let tenancy = house.known_tenancy().await;
    house.users(tenancy, 3).await;
    house.pass().await;
    let label = |from: &str, to: &str| format!(r#"ALTER TYPE "ContactChannelType" RENAME VALUE '{from}' TO '{to}'"#);
    house.run_sql(&label("EMAIL", "ADDRESS")).await;
    let flushed = house.flusher(Limits::default()).flush(&house.news(&[tenancy])).await;
    let reasons: Vec<_> = flushed.failed.iter().map(|failed| &failed.reason).collect();
    assert!(reasons.iter().any(|reason| reason.starts_with("users: ") && reason.contains("22P02")), "{reasons:?}");
    assert!(flushed.quarantined == 0 && flushed.more.is_empty(), "{flushed:?}");
    house.run_sql(&label("ADDRESS", "EMAIL")).await;
    let flushed = house.flusher(Limits::default()).flush(&house.news(&[tenancy])).await;
    assert!(flushed.failed.is_empty() && flushed.quarantined == 0, "{flushed:?}");
    house.assert_equal().await;
    house.remove().await;
}
