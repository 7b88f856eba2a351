//! What `lockstep detach` leaves is said, with the commands that drop it; and what programs say from which all was taken.

use anyhow::{Context, Result, ensure};
use lockstep_mappings::SourceTable;
use lockstep_mappings::postgres::tenancies_kept_from;
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::Installation;

use crate::custom_mapping::Definitions;
use crate::stage::{DEADLINE, Stage};

const SHOP: &str = "CREATE TABLE account (id uuid PRIMARY KEY); INSERT INTO account VALUES (md5('one')::uuid);
    CREATE TABLE bill (id uuid PRIMARY KEY, account uuid NOT NULL REFERENCES account)";
const BILL: &str = "name = \"bill\"\ntable = \"bill\"\ntenant = { column = \"account\" }\nkey = [\"id\"]\n
    [[columns]]\nname = \"id\"\ntype = \"uuid\"\ncolumn = \"id\"\n";

/// What the file of `lockstep init` makes in the source: a table and a function.
const MADE: &str = "SELECT (SELECT count(*) FROM pg_class WHERE relname = 'Tenancy') +
    (SELECT count(*) FROM pg_proc WHERE proname = 'keep_lockstep_tenancies')";

/// The statements that are printed below what stays at one service.
fn commands<'a>(said: &'a str, service: &str) -> Vec<&'a str> {
    let below = said.lines().skip_while(|line| !line.trim_start().starts_with(service)).skip(1);
    below.take_while(|line| line.starts_with("    ")).map(str::trim).collect()
}

/// A database of somebody's, whose tenants are accounts.
async fn shop() -> Result<(Stage, Definitions)> {
    let definitions = Definitions::new(&[("bill.toml", BILL)])?;
    let installation = Installation::create().await?.without_built_in_mappings().with_mappings(definitions.path(""));
    let stage = Stage::of(installation).await?;
    stage.sql(SHOP).await?;
    let account = SourceTable { schema: "public".to_owned(), name: "account".to_owned() };
    stage.sql(&tenancies_kept_from(&account, "id")).await?;
    Ok((stage, definitions))
}

#[tokio::test]
async fn detach_says_all_that_stays_with_the_commands_that_drop_it() -> Result<()> {
    let (stage, definitions) = shop().await?;
    stage.migrate(&[]).await?;
    // It is given, and nothing of it was set up: a table of that name would be another system's.
    definitions.write("receipt.toml", &BILL.replacen("bill", "receipt", 1))?;

    let planned = stage.installation.succeed("lockstep", &["detach", "--dry-run"]).await?;
    ensure!(planned.stderr.contains("Stop sequencers and workers first"), "{}", planned.stderr);
    ensure!(commands(&planned.stderr, "Postgres").len() == 2, "{}", planned.stderr);
    ensure!(!planned.stdout.contains("DROP TABLE"), "it drops what is the operator's: {}", planned.stdout);
    let done = stage.installation.succeed("lockstep", &["detach", "--yes"]).await?;
    let databases = format!("{} and {}", stage.installation.raw_database(), stage.installation.view_database());
    let left = format!("tables and views of 1 mapping, in the databases {databases}, which stay, empty where");
    ensure!(done.stdout.contains(&left), "{}", done.stdout);
    ensure!(done.stderr.contains("run now: none."), "{}", done.stderr);
    // A second one says it once more: what stays is easily forgotten. A table in ClickHouse may be another system's by then.
    let again = stage.installation.succeed("lockstep", &["detach"]).await?;
    ensure!(again.stdout.starts_with("Nothing to do"), "{}", again.stdout);
    ensure!(commands(&again.stdout, "ClickHouse").is_empty(), "{}", again.stdout);
    for said in [&done.stdout, &again.stdout] {
        ensure!(said.contains("3 triggers on public.account"), "{said}");
        assert_eq!(commands(said, "RabbitMQ").len(), 6, "{said}");
        ensure!(said.contains(&format!("rabbitmqctl delete_queue {}", stage.installation.queue_prefix())), "{said}");
    }

    assert_eq!(stage.number(MADE).await?, 2);
    for statement in commands(&done.stdout, "Postgres") {
        stage.sql(statement).await?;
    }
    const TRIGGERS: &str = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'account'::regclass AND NOT tgisinternal";
    assert_eq!((stage.number(MADE).await?, stage.number(TRIGGERS).await?), (0, 0));
    for statement in commands(&done.stdout, "ClickHouse") {
        stage.in_clickhouse(statement.trim_end_matches(';')).await.with_context(|| statement.to_owned())?;
    }
    let left = format!(
        "SELECT name FROM system.tables WHERE database IN ('{}', '{}')",
        stage.installation.raw_database(),
        stage.installation.view_database()
    );
    assert_eq!(stage.seen(&left).await?, "");
    let last = stage.installation.succeed("lockstep", &["detach"]).await?;
    ensure!(commands(&last.stdout, "Postgres").is_empty(), "{}", last.stdout);
    stage.end([]).await
}

#[tokio::test]
async fn detach_under_programs_has_them_say_that_lockstep_s_tables_are_not_there() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let planned = stage.installation.succeed("lockstep", &["detach", "--dry-run"]).await?;
    ensure!(planned.stderr.contains("run now: 1 sequencer, 1 worker."), "{}", planned.stderr);
    stage.installation.succeed("lockstep", &["detach", "--yes"]).await?;
    let said = async |program: &str| -> Result<bool> {
        let said = stage.installation.said()?;
        Ok(said.lines().any(|line| line.contains("LS-0023") && line.contains(program)))
    };
    for program in ["lockstep_sequencer", "lockstep_worker"] {
        let what = format!("{program} to say that its tables are not there");
        eventually(&what, DEADLINE, async || said(program).await).await?;
    }
    let said = stage.installation.said()?;
    ensure!(!said.contains("create that schema"), "it is advised to make an empty schema");
    ensure!(
        !said.lines().any(|line| line.contains("LS-0012") && line.contains("does not exist")),
        "it is said in Postgres's words"
    );
    stage.end(programs).await
}

/// Fills draw the first numbers: where ClickHouse has come no further than these, what was deleted meanwhile is told by no number.
#[tokio::test]
async fn detach_and_attaching_again_leaves_no_row_that_was_deleted_meanwhile() -> Result<()> {
    let (stage, _definitions) = shop().await?;
    stage.sql("INSERT INTO bill SELECT gen_random_uuid(), md5('one')::uuid FROM generate_series(1, 3)").await?;
    for rows in ["3", "2"] {
        stage.migrate(&[]).await?;
        let programs = [stage.sequencer()?, stage.worker()?];
        stage.in_step().await?;
        assert_eq!(stage.seen("SELECT count() FROM {views}.bill").await?, rows);
        for program in programs {
            program.stop().await?;
        }
        stage.installation.succeed("lockstep", &["detach", "--yes"]).await?;
        stage.sql("DELETE FROM bill WHERE id IN (SELECT id FROM bill LIMIT 1)").await?;
    }
    stage.end([]).await
}
