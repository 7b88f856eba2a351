//! FAIR-1: one huge or broken tenant or mapping does not stop the others.

use lockstep_mappings::postgres::fetch::PageLimits;
use lockstep_worker::Limits;

use crate::fixture::WorkerFixture;

fn pages(tenancy_rows: u32, total_rows: u32) -> Limits {
    Limits { page: PageLimits { tenancy_rows, total_rows }, ..Limits::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn fair_1_pages_of_a_huge_tenant_alternate_with_others() {
    let fixture = WorkerFixture::new().await;
    let (huge, small) = (fixture.tenancy().await, fixture.tenancy().await);
    fixture.users(huge, 200).await;
    fixture.user(small, "Ada").await;
    fixture.pass().await;
    fixture.announce(&[huge], &["users"]).await;
    fixture.announce(&[small], &["users"]).await;
    // A message at a time, so that nothing but their order decides.
    let worker = fixture.start_to(fixture.clickhouse.clone(), Limits { flush_tenancies: 1, ..pages(20, 1000) });
    fixture.eventually_equal().await;
    worker.stop().await;
    let earlier = "SELECT countIf(sync_sequence_id < (SELECT max(sync_sequence_id) FROM {raw}.users)) > 0 FROM {raw}.users \
        WHERE sync_created_at > (SELECT max(sync_created_at) FROM {raw}.users WHERE display_name = 'Ada')";
    assert_eq!(fixture.ask(earlier).await, "1", "the small one waited for the huge one's last page");
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fair_1_tenants_that_a_full_page_left_out_are_read_first_in_the_next() {
    let fixture = WorkerFixture::new().await;
    let (one, two, small) = (fixture.tenancy().await, fixture.tenancy().await, fixture.tenancy().await);
    fixture.users(one, 200).await;
    fixture.users(two, 200).await;
    fixture.user(small, "Ada").await;
    fixture.pass().await;
    let mut flusher = fixture.flusher(pages(50, 80));
    let first = flusher.flush(&fixture.hints(&[one, two, small])).await;
    assert_eq!(first.more.tenancies(), [small, one, two]);
    let second = flusher.flush(&first.more).await;
    assert_eq!(fixture.ask("SELECT count() FROM {views}.users WHERE display_name = 'Ada'").await, "1");
    assert_eq!(second.more.tenancies(), [one, two]);
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fair_1_a_broken_mapping_is_put_off_and_the_others_go_through() {
    let fixture = WorkerFixture::new().await;
    let tenancy = fixture.tenancy().await;
    let user = fixture.user(tenancy, "Ada").await;
    fixture.grant(tenancy, user).await;
    fixture.pass().await;
    fixture.change("RENAME TABLE {raw}.users TO {raw}.users_away").await;
    // Its read breaks, and with it the transaction of the flush.
    fixture.run_sql(r#"ALTER TABLE "Team" RENAME "displayName" TO "name""#).await;
    let worker = fixture.start();
    fixture.announce(&[tenancy], &[]).await;
    fixture.eventually("the permission to be seen", "SELECT count() FROM {views}.project_permissions", "1").await;
    let retrying = "the message to be put off";
    let awaited = lockstep_testkit::databases::eventually(retrying, crate::fixture::DEADLINE, async || {
        // Or two: the first sweep may have announced it as well.
        Ok(fixture.depths().await.retrying >= 1)
    });
    awaited.await.unwrap();
    fixture.change("RENAME TABLE {raw}.users_away TO {raw}.users").await;
    fixture.run_sql(r#"ALTER TABLE "Team" RENAME "name" TO "displayName""#).await;
    fixture.eventually_equal().await;
    worker.stop().await;
    assert_eq!(fixture.depths().await.dead, 0);
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fair_1_a_row_that_cannot_be_written_is_set_aside_and_its_tenant_goes_on() {
    let fixture = WorkerFixture::new().await;
    let (broken, healthy) = (fixture.tenancy().await, fixture.tenancy().await);
    fixture.run_sql(r#"ALTER TABLE "ProjectUser" ALTER "isAnonymous" DROP NOT NULL"#).await;
    fixture.pass().await;
    // A pass each: numbered in the order in which they were written.
    let mut secret = uuid::Uuid::nil();
    for (tenancy, name) in [(broken, "first"), (broken, "a secret name"), (broken, "last"), (healthy, "Ada")] {
        let user = fixture.user(tenancy, name).await;
        if name == "a secret name" {
            secret = user;
            fixture
                .run_sql(&format!(r#"UPDATE "ProjectUser" SET "isAnonymous" = NULL WHERE "projectUserId" = '{user}'"#))
                .await;
        }
        fixture.pass().await;
    }
    let mut flusher = fixture.flusher(Limits::default());
    let flushed = flusher.flush(&fixture.hints(&[broken, healthy])).await;
    assert!(flushed.failed.is_empty() && flushed.retry.is_empty() && flushed.quarantined == 1, "{flushed:?}");
    assert_eq!(fixture.ask("SELECT display_name FROM {views}.users ORDER BY display_name").await, "Ada\nfirst\nlast");
    let [entry] = &fixture.quarantined().await[..] else { panic!("not one row is in quarantine") };
    assert_eq!((entry.tenancy, entry.code.as_str(), entry.attempts), (broken, "LS-0407", 1));
    assert!(entry.error.contains("column is_anonymous") && !entry.error.contains("secret"), "{}", entry.error);
    assert_eq!(entry.sequence, fixture.last_change(secret).await);
    fixture.run_sql(r#"UPDATE "ProjectUser" SET "isAnonymous" = FALSE WHERE "isAnonymous" IS NULL"#).await;
    fixture.pass_and_flush(&[broken, healthy]).await;
    fixture.assert_equal().await;
    assert_eq!(fixture.quarantined().await, []);
    fixture.remove().await;
}
