//! A source that was detached and set up anew is behind its ClickHouse: whoever is asked says so, and what mends it.

use anyhow::{Result, ensure};
use lockstep_testkit::databases::eventually;

use super::{LOST_CONTENT, refuses};
use crate::events::Told;
use crate::stage::{DEADLINE, Stage};

/// What a command says, on either stream, and its exit code.
async fn said(stage: &Stage, program: &str, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let finished = stage.installation.run(program, arguments).await?;
    Ok((finished.code, finished.stdout + &finished.stderr))
}

/// That a command ends so, and says that ClickHouse is ahead and what mends that.
async fn tells(stage: &Stage, command: &str, code: i32) -> Result<String> {
    let (ended, said) = said(stage, "lockstep", &command.split(' ').collect::<Vec<_>>()).await?;
    ensure!(ended == Some(code), "`lockstep {command}` ended with {ended:?}:\n{said}");
    ensure!(said.contains("ClickHouse has come to sequence"), "`lockstep {command}` does not tell:\n{said}");
    ensure!(said.contains("lockstep rewind"), "`lockstep {command}` names no remedy:\n{said}");
    Ok(said)
}

#[tokio::test]
async fn src_1_a_source_that_was_detached_and_attached_again_is_told_by_whoever_is_asked() -> Result<()> {
    let (stage, told) = (Stage::small().await?, Told::new()?);
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    for program in programs {
        program.stop().await?;
    }
    stage.installation.succeed("lockstep", &["detach", "--yes"]).await?;

    tells(&stage, "doctor", 1).await?;
    tells(&stage, "migrate --check", 1).await?;
    tells(&stage, "migrate", 0).await?;
    tells(&stage, "migrate --check", 1).await?;
    tells(&stage, "doctor", 1).await?;

    let programs = [told.sequencer(&stage, &[])?, stage.worker()?];
    refuses(&programs[0]).await?;
    let told_of = async || Ok(said(&stage, "lockstep", &["status"]).await?.1.contains("LS-0510"));
    eventually("the sequencer to have told of it", DEADLINE, told_of).await?;
    stage.in_clickhouse(LOST_CONTENT).await?;
    let (_, compared) = said(&stage, "lockstep-verifier", &[]).await?;
    for command in ["status", "doctor", "top --once"] {
        let said = tells(&stage, command, 1).await?;
        ensure!(!said.contains("repair apply"), "`lockstep {command}` names what mends nothing:\n{said}\n{compared}");
    }
    let (_, top) = said(&stage, "lockstep", &["top", "--once"]).await?;
    ensure!(top.contains("the last proof found rows that differ"), "{top}\n{compared}");
    told.until("program_held_up sequencer", &["raised"]).await?;

    stage.installation.succeed("lockstep", &["rewind"]).await?;
    stage.equal().await?;
    told.until("program_held_up sequencer", &["raised", "resolved"]).await?;
    let in_order = async || Ok(said(&stage, "lockstep", &["status"]).await?.0 == Some(0));
    eventually("nothing to be told any more", DEADLINE, in_order).await?;
    let (code, migrated) = said(&stage, "lockstep", &["migrate", "--check"]).await?;
    ensure!(code == Some(0), "{migrated}");
    stage.end(programs).await
}
