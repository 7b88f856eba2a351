//! ERASE-1 at scale: what is due is erased together, by one or two statements a table.

use std::time::Instant;

use lockstep_core::TenancyId;
use lockstep_worker::Hints;

use crate::fixture::WorkerFixture;

/// As many as `LOCKSTEP_ERASED_TENANCIES` says, for those who want to know how long more take.
fn many() -> usize {
    std::env::var("LOCKSTEP_ERASED_TENANCIES").ok().and_then(|many| many.parse().ok()).unwrap_or(2_000)
}

impl WorkerFixture {
    async fn flush_all(&self, tenancies: &[TenancyId]) {
        for some in tenancies.chunks(4_000) {
            let mut flusher = self.flusher(lockstep_worker::Limits::default());
            let mut hints = self.hints(some);
            while !hints.is_empty() {
                let flushed = flusher.flush(&hints).await;
                assert!(flushed.failed.is_empty() && !flushed.outage, "{flushed:?}");
                hints = Hints::default();
                hints.merge(&flushed.more);
                hints.merge(&flushed.retry);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_thousands_of_tenancies_are_erased_in_one_round_by_few_statements() {
    let (fixture, many) = (WorkerFixture::new().await, many());
    let stays = fixture.tenancy().await;
    fixture.users(stays, 10).await;
    // Nine of ten at a place of their own, the others beside the one that stays.
    fixture
        .run_sql(&format!(
            r#"INSERT INTO "Project" ("id", "displayName", "isProductionMode", "updatedAt") SELECT gen_random_uuid(), 'many', FALSE, now() FROM generate_series(1, {many} * 9 / 10);
               INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt") SELECT gen_random_uuid(), "id", 'main', 'TRUE', now() FROM "Project" WHERE "displayName" = 'many';
               INSERT INTO "Tenancy" ("id", "projectId", "branchId", "organizationId", "updatedAt") SELECT gen_random_uuid(), 'project {stays}', 'main', gen_random_uuid(), now() FROM generate_series(1, {many} - {many} * 9 / 10);
               INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
               SELECT t."id", gen_random_uuid(), 'p', t."id"::text, 'user', now() FROM "Tenancy" t, generate_series(1, 5) WHERE t."id" <> '{stays}'"#
        ))
        .await;
    let gone: Vec<TenancyId> = fixture.tenancies().await.into_iter().filter(|tenancy| *tenancy != stays).collect();
    assert_eq!(gone.len(), many);
    fixture.pass().await;
    fixture.flush_all(&fixture.tenancies().await).await;
    assert_eq!(fixture.ask("SELECT uniqExact(id) FROM {raw}.users").await, (5 * many + 10).to_string());
    fixture
        .run_sql(&format!(
            r#"DELETE FROM "Tenancy" WHERE "id" <> '{stays}'; DELETE FROM "Project" WHERE "displayName" = 'many'"#
        ))
        .await;
    fixture.pass().await;
    fixture.flush_all(&gone).await;
    assert_eq!(fixture.ask("SELECT count() FROM {views}.users").await, "10");
    let started = Instant::now();
    let noticed = fixture.janitor().round().await.unwrap();
    println!("{many} tenancies were noticed in {:.1} s: {noticed:?}", started.elapsed().as_secs_f64());
    assert_eq!(usize::try_from(fixture.number("SELECT count(*) FROM lockstep.erasure").await).unwrap(), many);
    fixture.limit_late_writes("1 second").await;
    fixture.run_sql("UPDATE lockstep.erasure SET requested_at = requested_at - interval '1 day'").await;
    let started = Instant::now();
    let erased = fixture.janitor().round().await.unwrap().erased;
    println!("{erased} tenancies were erased in {:.1} s", started.elapsed().as_secs_f64());
    assert_eq!(erased, many, "in one round");
    let statements =
        "SELECT max(c) FROM (SELECT count() AS c FROM system.mutations WHERE database = '{raw}' GROUP BY table)";
    let statements: usize = fixture.ask(statements).await.parse().unwrap();
    println!("at most {statements} statements rewrote a table");
    assert!(statements <= 3 + many / 5_000, "{statements} statements for one table");
    // Every row of theirs, and nobody else's.
    assert_eq!(fixture.ask("SELECT count() FROM {views}.users").await, "10");
    assert_eq!(fixture.ask("SELECT uniqExact(id) FROM {raw}.users").await, "10");
    assert_eq!(fixture.number("SELECT count(*) FROM lockstep.tenancy_location WHERE gone_at IS NOT NULL").await, 0);
    let receipts =
        "SELECT count(*) FROM lockstep.erasure WHERE finished_at >= proven_at AND (removed ->> '_cursors')::int >= 1";
    assert_eq!(usize::try_from(fixture.number(receipts).await).unwrap(), many);
    let users = "SELECT sum((removed ->> 'users')::bigint)::bigint FROM lockstep.erasure";
    assert!(usize::try_from(fixture.number(users).await).unwrap() >= 5 * many);
    fixture.remove().await;
}
