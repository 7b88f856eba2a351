//! ISO-1: no row of one tenant is ever written under, or readable by, another.

mod server;

use anyhow::{Context, Result, ensure};
use lockstep_core::Location;
use lockstep_destinations::ClickHouse;
use lockstep_mappings::MappingSet;
use lockstep_mappings::clickhouse::{Databases, TenantUser, access_sql, literal, users_xml};

use self::server::Server;
use crate::programs::{ended, with_changed};
use crate::stage::Stage;

/// SHA-256 of `tenant-password`.
const PASSWORD: &str = "670d11caf34ad26c88ee4d80386270665db2a07ac8881f926f463f72f418fb93";

fn databases(stage: &Stage) -> Databases {
    Databases { raw: stage.installation.raw_database(), views: stage.installation.view_database(), cluster: None }
}

fn user(project: &str) -> TenantUser {
    TenantUser {
        name: format!("tenant_{project}"),
        password_sha256_hex: PASSWORD.to_owned(),
        location: Location { project_id: project.to_owned(), branch_id: "main".to_owned() },
    }
}

/// A whole Lockstep with a ClickHouse of its own, whose users come from files.
#[tokio::test]
async fn iso_1_a_tenant_reads_its_own_rows_and_nothing_else() -> Result<()> {
    let stage = Stage::small().await?;
    let set = MappingSet::load(None)?;
    let users = users_xml(&set, &databases(&stage), &[user("engines"), user("compilers")]);
    let Some(server) = Server::start(&stage, &users).await? else {
        eprintln!("There is no ClickHouse to start here: only the SQL rendering is looked at, in another test.");
        return stage.end([]).await;
    };
    let there = [
        ("LOCKSTEP_CLICKHOUSE_URL", server.url()),
        ("LOCKSTEP_CLICKHOUSE_USER", "default"),
        ("LOCKSTEP_CLICKHOUSE_PASSWORD", ""),
    ];
    let daemons = [stage.start_with("lockstep-sequencer", &there)?, stage.start_with("lockstep-worker", &there)?];
    for arguments in [&["migrate"][..], &["wait", "--all"]] {
        let done = ended(with_changed(&stage, "lockstep", &there).args(arguments)).await?;
        ensure!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    let everybody = server.client(&stage, "default", "")?;
    for project in ["engines", "compilers"] {
        let tenant = server.client(&stage, &format!("tenant_{project}"), "tenant-password")?;
        for mapping in set.iter() {
            reads_its_own(&stage, &everybody, &tenant, project, mapping.name.as_str()).await?;
        }
        reads_nothing_else(&stage, &tenant).await?;
    }
    for daemon in daemons {
        daemon.stop().await?;
    }
    server.stop().await?;
    stage.end([]).await
}

async fn reads_its_own(
    stage: &Stage,
    everybody: &ClickHouse,
    tenant: &ClickHouse,
    project: &str,
    mapping: &str,
) -> Result<()> {
    let view = format!("{}.{mapping}", stage.installation.view_database());
    let its_own = format!("SELECT * FROM {view} WHERE project_id = '{project}' ORDER BY ALL");
    let expected = everybody.fetch_text(&its_own).await?;
    ensure!(!expected.is_empty(), "{project} has no {mapping}");
    for query in [
        format!("SELECT * FROM {view} ORDER BY ALL"),
        // Whoever asks chooses conditions and settings; the policy stays.
        format!("SELECT * FROM {view} WHERE project_id <> '{project}' OR 1 = 1 ORDER BY ALL"),
        format!("SELECT * FROM {view} ORDER BY ALL SETTINGS final = 0, optimize_move_to_prewhere = 0"),
        format!("WITH all_rows AS (SELECT * FROM {view}) SELECT * FROM all_rows ORDER BY ALL"),
    ] {
        let seen = tenant.fetch_text(&query).await.with_context(|| query.clone())?;
        ensure!(seen == expected, "{project} sees other rows than its own: {query}\n{seen}");
    }
    Ok(())
}

async fn reads_nothing_else(stage: &Stage, tenant: &ClickHouse) -> Result<()> {
    let (raw, views) = (stage.installation.raw_database(), stage.installation.view_database());
    for forbidden in [
        format!("SELECT count() FROM {raw}.users"),
        format!("SELECT count() FROM {raw}._stack_sync_metadata"),
        format!("SELECT count() FROM merge('{raw}', 'users')"),
        format!("SELECT count() FROM remote('127.0.0.1', {raw}.users)"),
        "SELECT * FROM file('users.xml', 'LineAsString')".to_owned(),
    ] {
        let refused = tenant.fetch_text(&forbidden).await;
        ensure!(refused.is_err(), "a tenant may: {forbidden}");
    }
    for forbidden in [
        format!("INSERT INTO {raw}.teams (project_id) VALUES ('x')"),
        format!("DROP VIEW {views}.users"),
        format!("CREATE TABLE {views}.mine (x UInt8) ENGINE = Memory"),
        format!("ALTER TABLE {raw}.users DELETE WHERE 1"),
        format!("SYSTEM STOP MERGES {raw}.users"),
    ] {
        let refused = tenant.execute(&forbidden).await;
        ensure!(refused.is_err(), "a tenant may: {forbidden}");
    }
    Ok(())
}

/// For servers that manage access in SQL: what is derived is understood, policy for policy.
#[tokio::test]
async fn iso_1_the_sql_rendering_says_the_same() -> Result<()> {
    let stage = Stage::empty().await?;
    let set = MappingSet::load(None)?;
    let statements = access_sql(&set, &databases(&stage), "lockstep_tenants").statements;
    assert_eq!(statements.len(), 1 + 2 * set.iter().count());
    for statement in &statements {
        let formatted = stage.seen(&format!("SELECT formatQuery({})", literal(statement))).await?;
        ensure!(!formatted.is_empty(), "{statement}");
        stage.seen(&format!("EXPLAIN AST {statement}")).await?;
    }
    for mapping in set.iter() {
        let of = format!("{}`.`{}`", stage.installation.view_database(), mapping.name);
        let policy = statements.iter().find(|statement| statement.contains("ROW POLICY") && statement.contains(&of));
        let policy = policy.with_context(|| format!("{} has no policy", mapping.name))?;
        for condition in ["project_id = getSetting('SQL_project_id')", "branch_id = getSetting('SQL_branch_id')"] {
            ensure!(policy.contains(condition), "{policy}");
        }
        ensure!(!statements.iter().any(|statement| statement.contains(&stage.installation.raw_database())));
    }
    stage.end([]).await
}

/// Rows say themselves whose they are; what else they say about it does not count.
#[tokio::test]
async fn iso_1_rows_are_written_under_the_place_of_their_tenancy_alone() -> Result<()> {
    let stage = Stage::small().await?;
    stage
        .sql(
            r#"UPDATE "ProjectUser" SET "mirroredProjectId" = 'compilers', "projectId" = 'compilers' WHERE "projectUserId" = id('mary');
               -- The same ids in another tenancy.
               INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
               SELECT id('compilers'), "projectUserId", 'compilers', 'main', 'another ' || "displayName", now() FROM "ProjectUser" WHERE "tenancyId" = id('engines') AND "projectUserId" <> id('mary');
               INSERT INTO "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isPrimary", "isVerified", "value", "updatedAt")
               SELECT id('compilers'), "projectUserId", "id", "type", "isPrimary", "isVerified", 'other-' || "value", now() FROM "ContactChannel" WHERE "tenancyId" = id('engines');
               -- An invitation that names a team of another project.
               UPDATE "VerificationCode" SET "data" = jsonb_build_object('team_id', id('cobol')) WHERE "id" = id('invitation')"#,
        )
        .await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let mary = "SELECT project_id FROM {views}.users WHERE display_name = 'mary'";
    assert_eq!(stage.seen(mary).await?, "engines");
    let invitation =
        "SELECT team_display_name FROM {views}.team_invitations WHERE id = UUIDNumToString(MD5('invitation'))";
    assert_eq!(stage.seen(invitation).await?, "", "it shows the name of another tenant's team");
    // What goes in one tenancy stays in the other.
    stage.sql(r#"DELETE FROM "ProjectUser" WHERE "tenancyId" = id('engines')"#).await?;
    stage.equal().await?;
    let others = "SELECT project_id, groupArray(display_name) FROM (SELECT * FROM {views}.users ORDER BY display_name) GROUP BY project_id";
    assert_eq!(stage.seen(others).await?, "compilers\t['another ada','another charles','grace']");
    stage.verified().await?;
    stage.end(programs).await
}
