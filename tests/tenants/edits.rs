//! Random edits of many tenancies, with several workers: everything ends equal, in ClickHouse and at every tenant.

use anyhow::{Result, ensure};
use lockstep_testkit::data::Shape;
use lockstep_testkit::edits;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::background_edits::BackgroundEdits;
use crate::own_databases::OwnDatabase;
use crate::stage::Stage;

async fn tenancies(stage: &Stage) -> Result<Vec<String>> {
    let rows = stage.client.query(r#"SELECT "id"::text FROM "Tenancy" ORDER BY "organizationId" NULLS LAST, 1"#, &[]);
    Ok(rows.await?.iter().map(|row| row.get(0)).collect())
}

#[tokio::test]
async fn tenants_are_equal_after_random_edits_by_several_with_several_workers() -> Result<()> {
    let seed = rand::rng().random_range(0..1_000_000);
    println!("seed {seed}");
    let stage = Stage::seeded_with_tenants(Shape { tenants: 5, rows: 40, seed: 5 }).await?;
    let ids = tenancies(&stage).await?;
    let databases = [
        stage.add_destination(&ids[0], &[]).await?,
        stage.add_destination(&ids[1], &[]).await?,
        stage
            .add_destination(&ids[1], &["users", "contact_channels", "team_permissions", "connected_accounts"])
            .await?,
    ];
    let programs = [stage.sequencer()?, stage.worker()?, stage.worker()?, stage.worker()?];
    // While the first fills are under way, and after them.
    let editors = [BackgroundEdits::start(&stage, seed).await?, BackgroundEdits::start(&stage, seed + 1).await?];
    for editor in &editors {
        editor.go_on(150).await?;
    }
    for editor in editors {
        editor.stop().await?;
    }
    let references: Vec<_> = databases.iter().collect();
    stage.all_equal(&references).await?;
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..4 {
        for _ in 0..60 {
            edits::one(&stage.client, &mut rng).await?;
        }
        stage.all_equal(&references).await?;
    }
    stage.end_with(programs, databases).await
}

/// Tenancies that differ only in their organisation share project and branch: what is one's is never the other's.
#[tokio::test]
async fn tenants_that_share_a_place_do_not_see_each_others_rows() -> Result<()> {
    let stage = Stage::seeded_with_tenants(Shape { tenants: 5, rows: 20, seed: 83 }).await?;
    let sharing = r#"SELECT t."id"::text FROM "Tenancy" t JOIN "Tenancy" o USING ("projectId", "branchId") WHERE t."id" <> o."id" ORDER BY 1"#;
    let rows = stage.client.query(sharing, &[]).await?;
    let ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    ensure!(ids.len() == 2, "no tenancies share a place");
    let databases = [stage.add_destination(&ids[0], &[]).await?, stage.add_destination(&ids[1], &[]).await?];
    let references: Vec<_> = databases.iter().collect();
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.all_equal(&references).await?;
    nothing_in_common(&databases).await?;
    // A user with the same id in both, which one of them loses; and a user that changes hands.
    let (one, other) = (&ids[0], &ids[1]);
    let same = "00000000-0000-4000-8000-000000000007";
    let insert = |tenancy: &str, branch: &str| {
        format!(
            r#"INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
               VALUES ('{tenancy}', '{same}', 'mirror', '{branch}', 'of {branch}', now())"#
        )
    };
    stage.sql(&format!("{}; {}", insert(one, "one"), insert(other, "other"))).await?;
    stage.in_step().await?;
    for (own, branch) in databases.iter().zip(["one", "other"]) {
        let shown = format!("SELECT count(*) FROM users WHERE id = '{same}' AND display_name = 'of {branch}'");
        ensure!(own.number(&shown).await? == 1, "{branch} does not show its own user");
        stage.assert_tenant_equal(own).await?;
    }
    stage
        .sql(&format!(r#"DELETE FROM "ProjectUser" WHERE "projectUserId" = '{same}' AND "tenancyId" = '{one}'"#))
        .await?;
    stage.in_step().await?;
    for own in &databases {
        stage.assert_tenant_equal(own).await?;
    }
    ensure!(databases[1].number(&format!("SELECT count(*) FROM users WHERE id = '{same}'")).await? == 1);
    let moved = format!(
        r#"UPDATE "ProjectUserRefreshToken" SET "tenancyId" = '{other}' WHERE "tenancyId" = '{one}';
           UPDATE "Tenancy" SET "branchId" = 'moved' WHERE "id" = '{one}'"#
    );
    stage.sql(&moved).await?;
    stage.all_equal(&references).await?;
    ensure!(databases[0].number("SELECT count(*) FROM refresh_tokens").await? == 0);
    stage.end_with(programs, databases).await
}

async fn nothing_in_common(databases: &[OwnDatabase; 2]) -> Result<()> {
    let ids =
        "SELECT id::text FROM users UNION ALL SELECT id::text FROM teams UNION ALL SELECT id::text FROM refresh_tokens";
    let mut seen = std::collections::BTreeSet::new();
    for own in databases {
        let rows = own.own.query(ids, &[]).await?;
        ensure!(rows.len() > 20);
        for row in rows {
            ensure!(seen.insert(row.get::<_, String>(0)), "a row is at both tenants");
        }
    }
    Ok(())
}
