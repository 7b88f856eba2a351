//! What operators are told of programs that are not there, are kept from a part of their work, or put it off: by every command,
//! and as an event.

use anyhow::{Result, ensure};
use lockstep_testkit::databases::eventually;
use lockstep_testkit::proxy::{Mode, Proxy};

use crate::events::Told;
use crate::stage::{DEADLINE, Stage};

/// Every command that tells how all is says this, with that exit code.
async fn told_by_all(stage: &Stage, says: &[&str]) -> Result<()> {
    eventually(&format!("`lockstep status` to say {says:?}"), DEADLINE, async || {
        Ok(says_all(stage, "status", says).await?.is_ok())
    })
    .await?;
    for command in ["status", "doctor", "top --once"] {
        says_all(stage, command, says).await?.map_err(anyhow::Error::msg)?;
    }
    Ok(())
}

/// Whether a command ends with exit code 1 and says all of this; what it said where it does not.
async fn says_all(stage: &Stage, command: &str, says: &[&str]) -> Result<Result<(), String>> {
    let words: Vec<_> = command.split(' ').collect();
    let told = stage.installation.run("lockstep", &words).await?;
    let text = told.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_so = told.code == Some(1) && says.iter().all(|part| text.contains(part));
    Ok(if is_so { Ok(()) } else { Err(format!("`lockstep {command}` ({:?}):\n{}", told.code, told.stdout)) })
}

/// `lockstep status` finds nothing wrong any more.
async fn in_order(stage: &Stage) -> Result<()> {
    let is_so = async || Ok(stage.installation.run("lockstep", &["status"]).await?.code == Some(0));
    eventually("nothing to be told any more", DEADLINE, is_so).await
}

#[tokio::test]
async fn that_no_worker_runs_is_told_once_a_change_waits_for_one() -> Result<()> {
    const SAID: &str = "no worker tells of itself";
    const START: &str = "start lockstep-worker";
    let (stage, told) = (Stage::small().await?, Told::new()?);
    let (sequencer, worker) = (told.sequencer(&stage, &[])?, stage.worker()?);
    stage.equal().await?;
    stage.installation.succeed("lockstep", &["wait", "--all"]).await?;
    worker.stop().await?;
    // It may be started again; and while nothing waits, that is no harm.
    let said = async || Ok(stage.installation.succeed("lockstep", &["status"]).await?.stdout.contains(SAID));
    ensure!(!said().await?, "it has told of itself just now");
    eventually("it to be missed", DEADLINE, said).await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'waits'"#).await?;
    stage.numbered().await?;
    told_by_all(&stage, &[SAID, START]).await?;
    told.until("no_worker worker", &["raised"]).await?;
    let worker = stage.worker()?;
    stage.equal().await?;
    told.until("no_worker worker", &["raised", "resolved"]).await?;
    in_order(&stage).await?;
    // Of a sequencer the same; nobody is there to write an event.
    sequencer.stop().await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'waits again'"#).await?;
    let said = async || {
        let says = &["no sequencer tells of itself", "start lockstep-sequencer"];
        Ok(says_all(&stage, "status", says).await?.is_ok() && says_all(&stage, "doctor", says).await?.is_ok())
    };
    eventually("the sequencer to be missed", DEADLINE, said).await?;
    stage.end([worker]).await
}

/// Another stands by, and cannot lead: the one that hangs holds the lock.
#[tokio::test]
async fn a_leader_that_hangs_is_told_while_another_stands_by() -> Result<()> {
    let stage = Stage::small().await?;
    let (leader, worker) = (stage.sequencer()?, stage.worker()?);
    stage.equal().await?;
    let stands_by = stage.sequencer()?;
    let beats = "SELECT count(*) FROM lockstep.instance WHERE role = 'sequencer' AND state ->> 'ready' = 'true'";
    stage.until("both to tell of themselves", beats, 2).await?;
    leader.signal("STOP").await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'waits'"#).await?;
    told_by_all(&stage, &["a sequencer stands by, and none that leads tells of itself", "LockstepNoLeader"]).await?;
    leader.signal("CONT").await?;
    stage.equal().await?;
    in_order(&stage).await?;
    stage.end([leader, stands_by, worker]).await
}

#[tokio::test]
async fn a_sequencer_that_leads_and_cannot_announce_is_told_with_its_own_address() -> Result<()> {
    let (stage, told) = (Stage::small().await?, Told::new()?);
    let (proxy, url) = Proxy::before(&stage.installation.services().amqp_url).await?;
    let programs = [told.sequencer(&stage, &[("LOCKSTEP_AMQP_URL", &url)])?, stage.worker()?];
    stage.equal().await?;
    proxy.set(Mode::Cut);
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'waits'"#).await?;
    let address = format!("127.0.0.1:{}", proxy.port());
    told_by_all(&stage, &["has not been ready for", "LS-0101", &address]).await?;
    told.until("program_held_up sequencer", &["raised"]).await?;
    proxy.set(Mode::Pass);
    stage.equal().await?;
    told.until("program_held_up sequencer", &["raised", "resolved"]).await?;
    in_order(&stage).await?;
    stage.end(programs).await
}

/// A table that takes no row any more: a hundred are set aside, the others wait.
#[tokio::test]
async fn what_a_worker_puts_off_is_told_until_it_is_shipped() -> Result<()> {
    let (stage, told) = (Stage::small().await?, Told::new()?);
    let programs = [told.sequencer(&stage, &[])?, stage.worker()?];
    stage.equal().await?;
    stage.in_clickhouse("ALTER TABLE {raw}.users ADD CONSTRAINT none CHECK sync_sequence_id < 0").await?;
    stage
        .sql(
            r#"INSERT INTO "ProjectUser" SELECT (jsonb_populate_record(u, jsonb_build_object('projectUserId', gen_random_uuid()))).*
            FROM (SELECT u FROM "ProjectUser" u LIMIT 1) one, generate_series(1, 150)"#,
        )
        .await?;
    told_by_all(
        &stage,
        &["puts messages off", "users: LS-0430", "mend the table or its mapping, then lockstep quarantine retry"],
    )
    .await?;
    told.until("messages_put_off worker", &["raised"]).await?;
    stage.in_clickhouse("ALTER TABLE {raw}.users DROP CONSTRAINT none").await?;
    stage.installation.succeed("lockstep", &["quarantine", "retry", "--mapping", "users"]).await?;
    stage.equal().await?;
    told.until("messages_put_off worker", &["raised", "resolved"]).await?;
    in_order(&stage).await?;
    stage.end(programs).await
}
