//! A dump of the platform's schema, which is what its own migration tool compares: while attached it differs in our triggers
//! and the one searched index alone, and after `lockstep detach` in nothing (APP-1).

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::client_program;
use tokio::process::Command;

use super::{Platform, SEARCHED, catalog, edit, platform, rows};
use crate::stage::Stage;

/// The statements of `pg_dump`, as often as they are there. None where it is not installed; then the catalogs have to do,
/// and the test says so at its end.
async fn statements(stage: &Stage) -> Result<Option<Vec<String>>> {
    let Ok(mut program) = pg_dump(stage).await else { return Ok(None) };
    let url = stage.installation.database().url();
    let dumped = program.args(["--schema-only", "-n", "public", url]).output().await.context("dumping")?;
    ensure!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    let dumped = String::from_utf8(dumped.stdout)?;
    // Comments are pg_dump's own, and what begins so is for psql, with a key that is drawn anew each time.
    let is_of_a_statement = |line: &&str| !line.is_empty() && !line.starts_with("--") && !line.starts_with('\\');
    let lines: Vec<_> = dumped.lines().filter(is_of_a_statement).collect();
    let mut statements: Vec<_> = lines.join("\n").split(";\n").map(str::to_owned).collect();
    statements.sort_unstable();
    Ok(Some(statements))
}

async fn pg_dump(stage: &Stage) -> Result<Command> {
    let version = stage.number("SELECT current_setting('server_version_num')::bigint / 10000").await?;
    client_program("pg_dump", u32::try_from(version)?)
}

fn is_ours(statement: &str) -> bool {
    let begins =
        ["CREATE TRIGGER lockstep_", "COMMENT ON TRIGGER lockstep_"].iter().any(|ours| statement.starts_with(ours));
    let always = statement.starts_with("ALTER TABLE public.") && statement.contains(" ENABLE ALWAYS TRIGGER lockstep_");
    begins || always || statement.starts_with(&format!("CREATE INDEX {SEARCHED} ON public.\"VerificationCode\" "))
}

/// What is left of a dump without ours.
fn theirs(dump: Option<Vec<String>>) -> Option<Vec<String>> {
    dump.map(|statements| statements.into_iter().filter(|statement| !is_ours(statement)).collect())
}

async fn own_tables(stage: &Stage) -> Result<i64> {
    stage.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'lockstep'").await
}

#[tokio::test]
async fn attached_a_dump_of_the_platform_differs_in_triggers_alone_and_after_detach_in_nothing() -> Result<()> {
    for kind in [Platform::Bare, Platform::FormerSync] {
        let stage = platform(kind).await?;
        let (before, catalog_before) = (statements(&stage).await?, catalog::lines(&stage.client).await?);
        stage.migrate(&[]).await?;
        let attached = statements(&stage).await?;
        assert_eq!(theirs(attached.clone()), before);
        assert_eq!(attached == before, before.is_none(), "a dump does not show the triggers");
        let programs = [stage.sequencer()?, stage.worker()?];
        edit(&stage).await?;
        stage.equal().await?;
        assert_eq!(statements(&stage).await?, attached, "the programs altered something");
        for program in programs {
            program.stop().await?;
        }

        let (catalog_attached, written) = (catalog::lines(&stage.client).await?, rows(&stage.client).await?);
        let printed = stage.installation.succeed("lockstep", &["detach", "--dry-run"]).await?.stdout;
        assert_eq!(catalog::lines(&stage.client).await?, catalog_attached, "--dry-run changed the catalog");
        let ours = r"SELECT tgname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
            WHERE tgname LIKE 'lockstep\_%' AND c.relnamespace = 'public'::regnamespace UNION ALL SELECT evtname FROM pg_event_trigger";
        for trigger in stage.client.query(ours, &[]).await? {
            let trigger: &str = trigger.get(0);
            let told = printed.lines().any(|line| line.starts_with("DROP ") && line.contains(trigger));
            ensure!(told, "{trigger} is not in\n{printed}");
        }
        for told in
            [&format!("DROP INDEX CONCURRENTLY \"public\".\"{SEARCHED}\";"), "DROP SCHEMA IF EXISTS lockstep CASCADE;"]
        {
            ensure!(printed.lines().any(|line| line == told), "{told} is not in\n{printed}");
        }

        // Nobody is asked without a terminal, and nothing is done without a yes.
        let refused = stage.installation.run("lockstep", &["detach"]).await?;
        ensure!(refused.code == Some(78) && refused.stderr.contains("LS-0028"), "{}", refused.stderr);
        let told = format!("schema lockstep: {} tables", own_tables(&stage).await?);
        for told in ["What goes", &told, "What stays", "views of 12 mappings", "6 queues"] {
            ensure!(refused.stderr.contains(told), "{told} is not in\n{}", refused.stderr);
        }
        assert_eq!(catalog::lines(&stage.client).await?, catalog_attached, "it was not confirmed");

        let done = stage.installation.succeed("lockstep", &["detach", "--yes"]).await?;
        ensure!(done.stdout.contains("What stays"), "{}", done.stdout);
        assert_eq!(statements(&stage).await?, before);
        assert_eq!(catalog::lines(&stage.client).await?, catalog_before);
        assert_eq!(rows(&stage.client).await?, written, "detach wrote to rows");
        let again = stage.installation.succeed("lockstep", &["detach"]).await?;
        assert!(again.stdout.starts_with("Nothing to do"), "{}", again.stdout);
        pg_dump(&stage).await.context("everything held, but only by the catalogs: nothing was dumped")?;
        stage.end([]).await?;
    }
    Ok(())
}
