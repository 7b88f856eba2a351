//! Transactions at the higher isolation levels end as they would without Lockstep.

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use tokio_postgres::Client;

use crate::stage::Stage;

const LEVELS: [&str; 2] = ["REPEATABLE READ", "SERIALIZABLE"];

const READ_ADA: &str = r#"SELECT "displayName" FROM "ProjectUser" WHERE "projectUserId" = id('ada')"#;
const READ_MARY: &str = r#"SELECT "displayName" FROM "ProjectUser" WHERE "projectUserId" = id('mary')"#;
const READ_CHANNELS: &str = r#"SELECT count(*) FROM "ContactChannel" WHERE "tenancyId" = id('engines')"#;
const WRITE_ADA: &str =
    r#"UPDATE "ProjectUser" SET "displayName" = "displayName" || 'a' WHERE "projectUserId" = id('ada')"#;
const WRITE_MARY: &str =
    r#"UPDATE "ProjectUser" SET "displayName" = "displayName" || 'm' WHERE "projectUserId" = id('mary')"#;
const WRITE_CHANNEL: &str = r#"INSERT INTO "ContactChannel" ("tenancyId", "projectUserId", "id", "type", "isVerified", "value", "updatedAt")
    VALUES (id('engines'), id('mary'), gen_random_uuid(), 'EMAIL', FALSE, gen_random_uuid()::text, now())"#;
const UNNOTICED: &str = r#"UPDATE "ProjectUser" SET "lastActiveAt" = now() WHERE "projectUserId" = id('ada')"#;
const NOTHING: &str = "SELECT 1";

/// What the first of two transactions reads and writes, and what the second does. Both read, then the first writes and
/// commits, then the second.
const SCHEDULES: [[&str; 4]; 8] = [
    [READ_ADA, WRITE_ADA, READ_ADA, WRITE_ADA],
    [READ_ADA, WRITE_MARY, READ_MARY, WRITE_ADA],
    [READ_ADA, WRITE_ADA, READ_MARY, WRITE_MARY],
    [READ_CHANNELS, WRITE_CHANNEL, READ_CHANNELS, WRITE_CHANNEL],
    [READ_CHANNELS, WRITE_ADA, READ_ADA, WRITE_CHANNEL],
    [READ_ADA, UNNOTICED, READ_ADA, WRITE_ADA],
    [READ_ADA, WRITE_ADA, READ_ADA, NOTHING],
    [READ_MARY, WRITE_CHANNEL, READ_CHANNELS, WRITE_MARY],
];

/// The SQLSTATE of whatever fails first.
async fn outcome(client: &Client, statements: &str) -> Result<String> {
    match client.batch_execute(statements).await {
        Ok(()) => Ok("fine".to_owned()),
        Err(error) => {
            client.batch_execute("ROLLBACK").await?;
            Ok(error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned()))
        }
    }
}

/// How all schedules end at both levels.
async fn outcomes(stage: &Stage) -> Result<Vec<String>> {
    let (first, second) = (stage.connect().await?, stage.connect().await?);
    let mut ended = Vec::new();
    for level in LEVELS {
        for [first_reads, first_writes, second_reads, second_writes] in SCHEDULES {
            let begin = |reads: &str| format!("BEGIN ISOLATION LEVEL {level}; {reads}");
            first.batch_execute(&begin(first_reads)).await?;
            second.batch_execute(&begin(second_reads)).await?;
            ended.push(outcome(&first, &format!("{first_writes}; COMMIT")).await?);
            ended.push(outcome(&second, &format!("{second_writes}; COMMIT")).await?);
        }
    }
    Ok(ended)
}

#[tokio::test]
async fn app_1_several_clients_fail_when_they_would_without_lockstep_and_never_else() -> Result<()> {
    let stage = Stage::before_capture().await?;
    stage.sql(include_str!("../world.sql")).await?;
    let without = outcomes(&stage).await?;
    ensure!(without.iter().any(|outcome| outcome == "40001"), "nothing conflicts: {without:?}");
    stage.migrate(&[]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    for _ in 0..5 {
        assert_eq!(outcomes(&stage).await?, without);
    }
    stage.equal().await?;
    stage.end(programs).await
}

/// Between its read and its write the row's former change is numbered and shipped.
#[tokio::test]
async fn app_1_a_single_client_that_reads_and_writes_a_row_never_fails() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let client = stage.connect().await?;
    let numbered = "SELECT count(*) FROM lockstep.change";
    let mut changes = stage.number(numbered).await?;
    for level in LEVELS.repeat(10) {
        client.batch_execute(WRITE_ADA).await?;
        client.batch_execute(&format!("BEGIN ISOLATION LEVEL {level}; {READ_ADA}")).await?;
        changes += 1;
        stage.until("the former change to be numbered", numbered, changes).await?;
        client.batch_execute(&format!("{WRITE_ADA}; COMMIT")).await?;
        changes += 1;
        stage.until("this change to be numbered", numbered, changes).await?;
    }
    stage.equal().await?;
    stage.end(programs).await
}

/// Each of them has rows of its own: nothing but Lockstep could be between them.
#[tokio::test]
async fn app_1_clients_with_rows_of_their_own_never_fail() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    let clients = ["ada", "charles", "mary", "grace"].map(async |name| {
        let client = stage.connect().await?;
        for n in 0..50 {
            let statements = format!(
                r#"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT "displayName" FROM "ProjectUser" WHERE "projectUserId" = id('{name}');
                UPDATE "ProjectUser" SET "displayName" = '{name} {n}' WHERE "projectUserId" = id('{name}'); COMMIT"#
            );
            client.batch_execute(&statements).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(clients).await?;
    stage.equal().await?;
    stage.end(programs).await
}
