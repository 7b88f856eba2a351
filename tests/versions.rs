//! What differs between versions of the services: a source of any version arrives, and what a version cannot do is said.

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::attached::catalog;
use crate::platform_migrations::stopped;
use crate::programs::{ended, with_changed};
use crate::stage::Stage;

#[tokio::test]
async fn versions_detach_leaves_the_catalogs_as_they_were_and_migrate_begins_anew() -> Result<()> {
    let stage = Stage::before_capture().await?;
    stage.sql(include_str!("world.sql")).await?;
    let before = catalog::lines(&stage.client).await?;
    for _ in 0..2 {
        stage.migrate(&[]).await?;
        let programs = [stage.sequencer()?, stage.worker()?];
        stage.equal().await?;
        for program in programs {
            program.stop().await?;
        }
        stage.installation.succeed("lockstep", &["detach", "--yes"]).await?;
        assert_eq!(catalog::lines(&stage.client).await?, before);
        // What it held may be ahead of numbers that begin anew, which would need `lockstep rewind` (SRC-1).
        for database in ["{views}", "{raw}"] {
            stage.in_clickhouse(&format!("DROP DATABASE {database} SYNC")).await?;
        }
    }
    stage.end([]).await
}

/// Virtual generated columns, the default of PostgreSQL 18: what is read of them, a trigger cannot compare.
#[tokio::test]
async fn versions_a_generated_column_that_is_not_stored_stops_its_mapping_alone_and_is_refused() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let column = |kind: &str| {
        format!(
            r#"ALTER TABLE "ProjectUser" DROP COLUMN "displayName",
               ADD COLUMN "displayName" text GENERATED ALWAYS AS (upper("profileImageUrl")) {kind}"#
        )
    };
    stage.migrate(&["--relax", "ProjectUser"]).await?;
    let made = stage.client.batch_execute(&column("VIRTUAL")).await;
    if stage.number("SELECT current_setting('server_version_num')::bigint").await? < 180_000 {
        ensure!(made.is_err(), "PostgreSQL before 18 has columns that are generated and not stored");
        return stage.end(programs).await;
    }
    made?;
    let reason = stopped(&stage, "users").await?;
    let told = r#""ProjectUser"."displayName": is generated and not stored"#;
    ensure!(reason.contains("LS-0508") && reason.contains(told), "{reason}");
    let refused = stage.installation.run("lockstep", &["migrate"]).await?;
    ensure!(refused.code == Some(78) && refused.stderr.starts_with("LS-0015"), "{}", refused.stderr);
    ensure!(refused.stderr.contains(told), "{}", refused.stderr);
    stage.sql(r#"UPDATE "Team" SET "displayName" = 'goes on'"#).await?;
    let seen = "SELECT countIf(display_name = 'goes on') = count() FROM {views}.teams";
    stage.until_seen("changes of another mapping", seen, "1").await?;

    stage.sql(&column("STORED")).await?;
    stage.migrate(&[]).await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "profileImageUrl" = 'changes it too'"#).await?;
    stage.until("the mapping to go on", "SELECT count(*) FROM lockstep.pause", 0).await?;
    stage.equal().await?;
    stage.verified().await?;
    stage.end(programs).await
}

/// A server that answers everything with its version, as one of that age would.
async fn old_clickhouse() -> Result<String> {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n[\"24.8.4.1\"]\n";
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            // The question, which is short, is read so that the answer is not taken for one to nothing.
            let mut question = [0; 4096];
            if connection.read(&mut question).await.is_ok() {
                let _ = connection.write_all(ANSWER.as_bytes()).await;
            }
        }
    });
    Ok(url)
}

#[tokio::test]
async fn versions_a_clickhouse_that_is_too_old_is_refused_by_migrate_and_at_start() -> Result<()> {
    let stage = Stage::before_capture().await?;
    let url = old_clickhouse().await?;
    let old = [("LOCKSTEP_CLICKHOUSE_URL", url.as_str())];
    let refused = |code: i32, output: std::process::Output| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(code), "{:?}: {said}", output.status.code());
        for told in
            ["LS-0207", "it has version 24.8, and 25.5 or later is needed", "max_bytes_ratio_before_external_sort"]
        {
            ensure!(said.contains(told), "{told:?} is not in\n{said}");
        }
        Ok(())
    };
    refused(78, ended(with_changed(&stage, "lockstep", &old).arg("migrate")).await?)?;
    let made = "SELECT count(*) FROM pg_namespace WHERE nspname = 'lockstep'";
    assert_eq!(stage.number(made).await?, 0, "the source was prepared for a ClickHouse that is refused");
    stage.migrate(&[]).await?;
    refused(78, ended(&mut with_changed(&stage, "lockstep-worker", &old)).await?)?;
    refused(78, ended(&mut with_changed(&stage, "lockstep-sequencer", &old)).await?)?;
    refused(3, ended(&mut with_changed(&stage, "lockstep-verifier", &old)).await?)?;
    let looked = ended(with_changed(&stage, "lockstep", &old).arg("doctor")).await?;
    let found = String::from_utf8_lossy(&looked.stdout).into_owned();
    ensure!(looked.status.code() == Some(1) && found.contains("LS-0207"), "{:?}: {found}", looked.status.code());
    stage.end([]).await
}
