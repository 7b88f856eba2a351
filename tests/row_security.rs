//! Row level security that applies to Lockstep's role: refused before anything is read, and never an empty answer.

use anyhow::{Result, ensure};
use lockstep_testkit::databases::{PrivatePostgres, TestDatabase, connect};
use lockstep_testkit::installation::{Installation, Program};
use tokio_postgres::Client;

use crate::platform_migrations::stopped;
use crate::programs::{ended, with_changed};
use crate::stage::Stage;

const FORCE: &str = r#"CREATE POLICY nobody ON "Team" USING (FALSE); ALTER TABLE "Team" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"#;
const ALL_TEAMS: &str = "SELECT count() FROM {views}.teams";

/// A server where Lockstep's role owns the database and is no superuser.
async fn owned() -> Result<(PrivatePostgres, Stage)> {
    let server = PrivatePostgres::start().await?;
    // It may end the application's connections, and is no less subject to policies for that.
    let roles =
        "CREATE ROLE platform LOGIN CREATEDB; CREATE ROLE application LOGIN BYPASSRLS; GRANT application TO platform";
    connect(&server.url()).await?.batch_execute(roles).await?;
    let url = server.url().replace("postgres://postgres@", "postgres://platform@");
    let stage = Stage::of(Installation::around(TestDatabase::create_on(url).await?)?).await?;
    Ok((server, stage))
}

/// What runs when policies are switched on.
struct Filled {
    server: PrivatePostgres,
    stage: Stage,
    programs: [Program; 2],
    application: Client,
}

/// Everything has arrived, and from now on policies hide rows from Lockstep.
async fn filled() -> Result<Filled> {
    let (server, stage) = owned().await?;
    stage.migrate(&["--standalone"]).await?;
    stage.sql(include_str!("world.sql")).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    stage.sql(FORCE).await?;
    let application = application(&server, &stage).await?;
    Ok(Filled { server, stage, programs, application })
}

/// The application sees all rows, where Lockstep would see none.
async fn application(server: &PrivatePostgres, stage: &Stage) -> Result<Client> {
    stage.sql("GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO application").await?;
    let url = server.url_of(stage.installation.database().name());
    connect(&url.replace("postgres://postgres@", "postgres://application@")).await
}

/// Every program that starts, or command that reads, is refused.
async fn is_refused(stage: &Stage) -> Result<()> {
    for (program, arguments) in
        [("lockstep", "migrate"), ("lockstep-sequencer", ""), ("lockstep-worker", ""), ("lockstep-verifier", "")]
    {
        let mut command = with_changed(stage, program, &[]);
        let refused = ended(command.args(arguments.split_whitespace())).await?;
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(78), "{program} {arguments}: {said}");
        ensure!(
            said.contains("LS-0031") && said.contains("public.Team") && said.contains("BYPASSRLS"),
            "{program}: {said}"
        );
    }
    let found = stage.installation.run("lockstep", &["doctor"]).await?;
    ensure!(found.code == Some(1) && found.stdout.contains("LS-0031"), "doctor: {}", found.stdout);
    Ok(())
}

#[tokio::test]
async fn row_security_is_refused_before_anything_is_read() -> Result<()> {
    let (_server, stage) = owned().await?;
    stage.migrate(&["--standalone"]).await?;
    stage.sql(FORCE).await?;
    is_refused(&stage).await?;
    stage.end([]).await
}

#[tokio::test]
async fn row_security_that_is_switched_on_under_a_filled_system_removes_nothing() -> Result<()> {
    let Filled { server: _server, stage, programs, application } = filled().await?;
    application
        .batch_execute(
            r#"UPDATE "Team" SET "displayName" = 'unseen' WHERE "teamId" = id('cobol');
            UPDATE "ProjectUser" SET "displayName" = 'seen' WHERE "projectUserId" = id('grace')"#,
        )
        .await?;
    stage
        .until_seen(
            "another mapping's change",
            "SELECT display_name FROM {views}.users WHERE project_id = 'compilers'",
            "seen",
        )
        .await?;
    // What cannot be read is stopped alone, with the remedy; a fill that is asked for has to wait.
    for mapping in ["teams", "team_invitations"] {
        let reason = stopped(&stage, mapping).await?;
        ensure!(
            reason.starts_with("LS-0508") && reason.contains("\"Team\"") && reason.contains("BYPASSRLS"),
            "{reason}"
        );
    }
    stage.sql("INSERT INTO lockstep.refill (mapping_name, reason) VALUES ('teams', 'a test wants it')").await?;
    application
        .batch_execute(r#"UPDATE "ProjectUser" SET "displayName" = 'seen again' WHERE "projectUserId" = id('grace')"#)
        .await?;
    stage
        .until_seen(
            "a later change",
            "SELECT display_name FROM {views}.users WHERE project_id = 'compilers'",
            "seen again",
        )
        .await?;
    assert_eq!(stage.seen(ALL_TEAMS).await?, "3");
    is_refused(&stage).await?;
    stage.sql(r#"ALTER TABLE "Team" NO FORCE ROW LEVEL SECURITY"#).await?;
    stage.until("the mappings to go on", "SELECT count(*) FROM lockstep.pause", 0).await?;
    stage.equal().await?;
    stage.end(programs).await
}

/// TRUNCATE asks no policy, so its trigger must not either.
#[tokio::test]
async fn row_security_hides_no_truncate() -> Result<()> {
    let Filled { server: _server, stage, programs, application } = filled().await?;
    application.batch_execute(r#"TRUNCATE "Team" CASCADE"#).await?;
    stage.sql(r#"ALTER TABLE "Team" NO FORCE ROW LEVEL SECURITY"#).await?;
    stage.until_seen("the teams to go", ALL_TEAMS, "0").await?;
    stage.equal().await?;
    stage.end(programs).await
}
