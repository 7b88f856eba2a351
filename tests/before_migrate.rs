//! A database in which `lockstep migrate` has not run: every command says so, with what to do.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use clap::{Command, CommandFactory};
use lockstep_testkit::databases::{SOURCE_SCHEMA, eventually};
use lockstep_testkit::installation::Installation;

use crate::custom_mapping::Definitions;
use crate::programs::{ended, with_changed};
use crate::stage::{DEADLINE, Stage};

/// Every command that reads or writes Lockstep's own tables, with what it cannot be called without; `ID` stands for an id.
const NEED_TABLES: &str = "status
status --tenant ID
tenants
wait --all
wait --tenant ID
explain --mapping users --key ID
explain --mapping users --key ID --tenant ID
verified --tenant ID
pause sequencer
pause workers
pause mapping users
pause destination clickhouse
pause tenancy ID
resume sequencer
resume workers
resume mapping users
resume destination clickhouse
resume tenancy ID
paused
resync
resync --tenant ID
rewind
quarantine list
quarantine retry --all
quarantine drop --all
events list
events show 1
events test
events retry --all
events resume pager
erase --tenant ID
access grant --tenant ID
access revoke --tenant ID
access list
access check
destination add - --tenant ID
destination list
destination show ID
destination test ID
destination change ID --all-mappings
destination pause ID
destination resume ID
destination remove ID --keep-tables
destination rotate-key
settings
settings set late_write_limit 10s
mapping list";

/// Those that make the tables, tell what there is whether or not they are there, or ask no database.
const NEED_NONE: &str = "migrate
init
config show
config check
completions
support-bundle
mapping show
mapping init
mapping check
detach
top
console
console link
console hash-password
doctor
exit-codes";

const ID: &str = "0b7d3f5e-0000-4000-8000-000000000007";

/// Every command that can be called, as it is typed.
fn commands(below: &Command, typed: &str, found: &mut BTreeSet<String>) {
    if !typed.is_empty() && !below.is_subcommand_required_set() {
        found.insert(typed.to_owned());
    }
    for command in below.get_subcommands() {
        commands(command, format!("{typed} {}", command.get_name()).trim(), found);
    }
}

#[test]
fn every_command_is_known_to_need_lockstep_s_tables_or_none() {
    let mut all = BTreeSet::new();
    commands(&lockstep_cli::Cli::command(), "", &mut all);
    let listed = || NEED_TABLES.lines().chain(NEED_NONE.lines());
    let is_listed =
        |command: &&String| listed().any(|line| line == *command || line.starts_with(&format!("{command} ")));
    let unknown: Vec<_> = all.iter().filter(|command| !is_listed(command)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[tokio::test]
async fn every_command_that_needs_lockstep_s_tables_says_that_they_are_not_there() -> Result<()> {
    for before in ["", SOURCE_SCHEMA, "DROP SCHEMA public"] {
        let stage = Stage::of(Installation::create().await?).await?;
        stage.sql(before).await?;
        for command in NEED_TABLES.lines() {
            let words: Vec<_> = command.split(' ').map(|word| if word == "ID" { ID } else { word }).collect();
            let told = stage.installation.run("lockstep", &words).await?;
            let said = told.stderr.starts_with("LS-0023") && told.stderr.contains("run `lockstep migrate` first");
            ensure!(told.code == Some(1) && said && told.stdout.is_empty(), "{command}: {told:?}");
        }
        if before.starts_with("DROP") {
            without_public(&stage).await?;
        }
        stage.end([]).await?;
    }
    Ok(())
}

/// Programs say it as commands do, of a database without any of the tables and of one without one of them.
#[tokio::test]
async fn programs_that_need_lockstep_s_tables_say_that_they_are_not_there() -> Result<()> {
    let stage = Stage::of(Installation::create().await?).await?;
    let verifier = stage.verifier(&[]).await?;
    ensure!(verifier.code == Some(3) && verifier.stderr.contains("LS-0023"), "{verifier:?}");
    let programs = [stage.sequencer()?, stage.worker()?];
    for program in ["lockstep_sequencer", "lockstep_worker"] {
        let what = format!("{program} to say that it has no tables");
        let is_said = |said: &str| said.lines().any(|line| line.contains("LS-0023") && line.contains(program));
        eventually(&what, DEADLINE, async || Ok(is_said(&stage.installation.said()?))).await?;
    }
    let said = stage.installation.said()?;
    let raw = said.lines().find(|line| line.contains("LS-0012") && line.contains("does not exist"));
    ensure!(raw.is_none(), "it is said in Postgres's words: {raw:?}");
    stage.end(programs).await?;

    let stage = Stage::empty().await?;
    for (table, command) in [("fence", &["wait", "--all"][..]), ("fill", &["status"]), ("event", &["events", "list"])] {
        stage.sql(&format!("DROP TABLE lockstep.{table} CASCADE")).await?;
        let told = stage.installation.run("lockstep", command).await?;
        let said = told.stderr.starts_with("LS-0023") && told.stderr.contains("run `lockstep migrate` first");
        ensure!(told.code == Some(1) && said, "{command:?} without {table}: {told:?}");
    }
    stage.end([]).await
}

/// A definition that nobody has migrated is in step with nothing.
#[tokio::test]
async fn a_mapping_that_was_not_set_up_is_waited_for_in_vain_and_named() -> Result<()> {
    let stage = Stage::small().await?;
    stage.sql("CREATE TABLE \"Basket\" (\"tenancyId\" uuid NOT NULL, \"id\" uuid PRIMARY KEY)").await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let basket = "name = \"basket\"\ntable = \"Basket\"\ntenant = { column = \"tenancyId\" }\nkey = [\"id\"]\n
        [[columns]]\nname = \"id\"\ntype = \"uuid\"\ncolumn = \"id\"\n";
    let definitions = Definitions::new(&[("basket.toml", basket)])?;
    let directory = definitions.path("").display().to_string();
    let mut lockstep = with_changed(&stage, "lockstep", &[("LOCKSTEP_MAPPINGS_DIR", &directory)]);
    let waited = ended(lockstep.args(["wait", "--all", "--timeout", "1"])).await?;
    let said = String::from_utf8_lossy(&waited.stderr);
    ensure!(waited.status.code() == Some(2), "it is called in step: {waited:?}");
    ensure!(
        said.contains("basket is not set up: run `lockstep migrate`") && !said.contains("basket is still being"),
        "{said}"
    );
    stage.end(programs).await
}

/// A database of Lockstep's own gets the schema; what is missing of an application's is named, and not taken for Lockstep's tables.
async fn without_public(stage: &Stage) -> Result<()> {
    stage.migrate(&["--standalone"]).await?;
    stage.installation.succeed("lockstep", &["settings"]).await?;
    stage.sql("DROP SCHEMA public CASCADE").await?;
    let told = stage.installation.run("lockstep", &["verified", "--tenant", ID]).await?;
    ensure!(told.code == Some(1) && told.stderr.contains("public.Tenancy"), "{told:?}");
    ensure!(!told.stderr.contains("LS-0023"), "{told:?}");
    Ok(())
}
