//! ERASE-1: a tenancy that is gone goes from the destination, tombstones and all.

use lockstep_core::TenancyId;
use lockstep_testkit::data::{Shape, seed};

use crate::fixture::WorkerFixture;

/// Five tenancies in step, two of which share a place; each has tombstones and old versions.
async fn in_step() -> WorkerFixture {
    let fixture = WorkerFixture::new().await;
    seed(&fixture.client, Shape { tenants: 5, rows: 20, seed: 31 }).await.unwrap();
    let tenancies = fixture.tenancies().await;
    fixture.pass_and_flush(&tenancies).await;
    fixture
        .run_sql(
            r#"DELETE FROM "ProjectUser" WHERE "projectUserId" IN (SELECT DISTINCT ON ("tenancyId") "projectUserId" FROM "ProjectUser");
               UPDATE "ProjectUser" SET "displayName" = 'new'"#,
        )
        .await;
    fixture.pass_and_flush(&tenancies).await;
    fixture.assert_equal().await;
    fixture
}

async fn one_alone(fixture: &WorkerFixture) -> TenancyId {
    let alone =
        r#""branchId" = 'main' AND "projectId" IN (SELECT "projectId" FROM "Tenancy" GROUP BY 1 HAVING count(*) = 1)"#;
    fixture.tenancies_of(alone).await[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_a_tenancy_that_is_gone_leaves_nothing_but_a_receipt() {
    let fixture = in_step().await;
    let tenancy = one_alone(&fixture).await;
    let places = fixture.places(tenancy).await;
    let users: i64 = fixture.ask(&format!("SELECT count() FROM {{raw}}.users WHERE {places}")).await.parse().unwrap();
    let shown: i64 = fixture.ask(&format!("SELECT count() FROM {{views}}.users WHERE {places}")).await.parse().unwrap();
    assert!(fixture.versions(&format!("{places} AND sync_is_deleted = 1")).await > 0);
    fixture.delete_tenancy(tenancy).await;
    fixture.limit_late_writes("1 hour").await;
    let mut janitor = fixture.janitor();
    fixture.pass().await;
    janitor.round().await.unwrap();
    let noted = "SELECT count(*) FROM lockstep.erasure WHERE hidden_at IS NOT NULL";
    assert_eq!(fixture.number(noted).await, 0, "its rows are shown still");
    fixture.pass_and_flush(&[tenancy]).await;
    assert_eq!(janitor.round().await.unwrap().erased, 0, "what was read before may still be written");
    assert_eq!(fixture.number(noted).await, 1);
    assert!(fixture.versions(&places).await > 0);
    let still_shown = fixture.ask(&format!("SELECT count() FROM {{views}}.users WHERE {places}")).await;
    assert_eq!(still_shown, "0", "readers see them no more");
    drop(janitor);
    fixture.rounds("the erasure", |done| done.erased == 1).await;
    fixture.assert_forgotten(tenancy, &places).await;
    // Merges may have removed old versions meanwhile, but of each that was shown there is one; some were changed twice.
    assert!((shown..=4 * users).contains(&fixture.removed(tenancy, "users").await));
    assert!((12..=36).contains(&fixture.removed(tenancy, "_cursors").await), "twelve mappings, moved three times");
    fixture.assert_equal().await;
    // There is nothing to erase any more.
    assert_eq!(fixture.janitor().round().await.unwrap().erased, 0);
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_a_project_takes_all_its_tenancies_along() {
    let fixture = in_step().await;
    let project = r#"(SELECT "projectId" FROM "Tenancy" WHERE "organizationId" IS NOT NULL LIMIT 1)"#;
    let tenancies = fixture.tenancies_of(&format!(r#""projectId" = {project}"#)).await;
    assert_eq!(tenancies.len(), 2);
    let places = fixture.places(tenancies[0]).await;
    fixture.run_sql(&format!(r#"DELETE FROM "Project" WHERE "id" = {project}"#)).await;
    fixture.pass_and_flush(&tenancies).await;
    fixture.rounds("both erasures", |done| done.erased == 2).await;
    for tenancy in tenancies {
        fixture.assert_forgotten(tenancy, &places).await;
    }
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_who_shares_a_place_keeps_every_row() {
    let fixture = in_step().await;
    let gone = fixture.tenancies_of(r#""organizationId" IS NOT NULL"#).await[0];
    let places = fixture.places(gone).await;
    let (before, mine) = (fixture.versions(&places).await, r#""tenancyId" <> "#);
    fixture.delete_tenancy(gone).await;
    fixture.pass_and_flush(&[gone]).await;
    fixture.rounds("the erasure", |done| done.erased == 1).await;
    fixture.assert_unknown(gone).await;
    fixture.assert_equal().await;
    // Row by row: all that is left is of the one that stays, in whatever version.
    let stays = fixture.tenancies_of(&format!(r#"("projectId", "branchId") IN (SELECT "projectId", "branchId" FROM "Tenancy" WHERE "hasNoOrganization" = 'TRUE' AND "id" <> '{gone}')"#)).await;
    assert!(!stays.is_empty() && before > fixture.versions(&places).await);
    let of_gone = fixture
        .client
        .query(&format!(r#"SELECT "projectUserId"::text FROM "ProjectUser" WHERE NOT ({mine} '{gone}')"#), &[])
        .await
        .unwrap();
    let ids: Vec<String> = of_gone.iter().map(|row| format!("'{}'", row.get::<_, &str>(0))).collect();
    assert!(!ids.is_empty());
    let left = fixture.ask(&format!("SELECT count() FROM {{raw}}.users WHERE id IN ({})", ids.join(","))).await;
    assert_eq!(left, "0");
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_a_tenancy_that_moved_goes_from_everywhere() {
    let fixture = in_step().await;
    let tenancy = one_alone(&fixture).await;
    fixture.run_sql(&format!(r#"UPDATE "Tenancy" SET "branchId" = 'elsewhere' WHERE "id" = '{tenancy}'"#)).await;
    fixture.pass_and_flush(&[tenancy]).await;
    let places = fixture.places(tenancy).await;
    assert!(places.contains("elsewhere") && places.contains("main"), "{places}");
    fixture.delete_tenancy(tenancy).await;
    fixture.pass_and_flush(&[tenancy]).await;
    fixture.rounds("the erasure", |done| done.erased == 1).await;
    fixture.assert_forgotten(tenancy, &places).await;
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_an_erasure_that_breaks_off_anywhere_goes_on() {
    let fixture = in_step().await;
    let gone = [one_alone(&fixture).await, fixture.tenancies_of(r#""organizationId" IS NOT NULL"#).await[0]];
    let alone = fixture.places(gone[0]).await;
    // Merges may remove old versions meanwhile; of each key one is there to the end.
    let mut there = Vec::new();
    for mapping in fixture.set.iter() {
        let rows = format!("SELECT count() FROM {{raw}}.{} FINAL WHERE {alone} AND sync_is_deleted = 0", mapping.name);
        there.push((mapping.name.to_string(), fixture.ask(&rows).await.parse::<i64>().unwrap()));
    }
    assert!(there.iter().map(|(_, rows)| rows).sum::<i64>() > 50);
    for tenancy in gone {
        fixture.delete_tenancy(tenancy).await;
    }
    fixture.pass_and_flush(&gone).await;
    fixture.limit_late_writes("1 second").await;
    fixture.janitor().round().await.unwrap();
    let mut names: Vec<_> = fixture.set.iter().map(|mapping| mapping.name.to_string()).collect();
    names.push("_stack_sync_metadata".to_owned());
    for name in names {
        fixture.change(&format!("RENAME TABLE {{raw}}.{name} TO {{raw}}.away")).await;
        let failed =
            lockstep_testkit::databases::eventually("a round that breaks off", crate::fixture::DEADLINE, async || {
                Ok(fixture.janitor().round().await.is_err())
            });
        failed.await.unwrap();
        assert_eq!(fixture.number("SELECT count(*) FROM lockstep.erasure WHERE proven_at IS NOT NULL").await, 0);
        fixture.change(&format!("RENAME TABLE {{raw}}.away TO {{raw}}.{name}")).await;
    }
    fixture.rounds("both erasures", |done| done.erased == 2).await;
    fixture.assert_forgotten(gone[0], &alone).await;
    fixture.assert_unknown(gone[1]).await;
    fixture.assert_equal().await;
    // The receipt tells of every row, whichever round removed it.
    for (mapping, rows) in there {
        assert!(fixture.removed(gone[0], &mapping).await >= rows, "{mapping}: {rows} rows");
    }
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_cleaning_up_leaves_what_a_receipt_still_has_to_count() {
    let fixture = in_step().await;
    let tenancy = one_alone(&fixture).await;
    let places = fixture.places(tenancy).await;
    let users = format!("SELECT count() FROM {{raw}}.users FINAL WHERE {places} AND sync_is_deleted = 0");
    let users: i64 = fixture.ask(&users).await.parse().unwrap();
    fixture.delete_tenancy(tenancy).await;
    fixture.pass_and_flush(&[tenancy]).await;
    // Hidden for longer than a tombstone has to stay, when the janitor comes.
    fixture.limit_late_writes("1 second").await;
    let old = "SELECT max(sync_created_at) < now64(3) - INTERVAL 2 SECOND FROM {raw}.users WHERE sync_is_deleted = 1";
    fixture.eventually("tombstones to be old enough", old, "1").await;
    fixture.rounds("the erasure", |done| done.erased == 1).await;
    assert!(fixture.removed(tenancy, "users").await >= users);
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_a_tenancy_that_is_back_stays() {
    let fixture = in_step().await;
    let tenancy = one_alone(&fixture).await;
    let again = format!(
        r#"INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt")
           SELECT tenancy_id, project_id, branch_id, 'TRUE', now() FROM lockstep.tenancy_location WHERE tenancy_id = '{tenancy}'"#
    );
    fixture.delete_tenancy(tenancy).await;
    fixture.pass_and_flush(&[tenancy]).await;
    fixture.janitor().round().await.unwrap();
    assert_eq!(fixture.number("SELECT count(*) FROM lockstep.erasure").await, 1);
    fixture.run_sql(&again).await;
    fixture.janitor().round().await.unwrap();
    assert_eq!(fixture.number("SELECT count(*) FROM lockstep.erasure").await, 0);
    fixture.pass_and_flush(&[tenancy]).await;
    fixture.assert_equal().await;
    // And after its erasure it comes as one that nobody knew.
    let places = fixture.places(tenancy).await;
    fixture.delete_tenancy(tenancy).await;
    let again = again.replace("lockstep.tenancy_location", "pg_temp.was");
    fixture.run_sql("CREATE TEMPORARY TABLE was AS SELECT * FROM lockstep.tenancy_location").await;
    fixture.pass_and_flush(&[tenancy]).await;
    fixture.rounds("the erasure", |done| done.erased == 1).await;
    fixture.assert_forgotten(tenancy, &places).await;
    fixture.run_sql(&again).await;
    fixture.pass_and_flush(&[tenancy]).await;
    assert!(fixture.versions(&places).await > 0);
    fixture.assert_equal().await;
    fixture.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erase_1_a_shared_place_of_many_rows_is_gone_over_to_its_end() {
    let fixture = WorkerFixture::new().await;
    let stays = fixture.tenancy().await;
    let gone = fixture.organisation(stays).await;
    fixture.users(stays, 700).await;
    fixture.users(gone, 1_200).await;
    fixture.pass_and_flush(&[stays, gone]).await;
    fixture.assert_equal().await;
    fixture.delete_tenancy(gone).await;
    fixture.pass_and_flush(&[gone]).await;
    fixture.rounds("the erasure", |done| done.erased == 1).await;
    assert_eq!(fixture.ask("SELECT uniq(id) FROM {raw}.users").await, "700");
    assert!(fixture.removed(gone, "users").await >= 1_200);
    fixture.assert_equal().await;
    fixture.remove().await;
}
