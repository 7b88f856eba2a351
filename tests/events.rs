//! Operators are told of what begins and what ends: each edge once, in a file that may be rotated, and nothing of what rows hold.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lockstep_core::failpoint;
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::Program;
use lockstep_testkit::proxy::Mode;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::time::timeout;
use uuid::Uuid;

use crate::erase_1::impatient;
use crate::own_databases::RECOVERED;
use crate::quarantine::{HUNTERS, REFUSE};
use crate::stage::{DEADLINE, Stage};

/// Where a sequencer appends its events, in a directory that is removed when dropped.
pub(crate) struct Told(PathBuf);

impl Told {
    pub(crate) fn new() -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("lockstep-events-{}", Uuid::new_v4().simple()));
        fs::create_dir(&directory)?;
        Ok(Self(directory))
    }

    fn file(&self) -> String {
        self.0.join("events.jsonl").display().to_string()
    }

    pub(crate) fn sequencer(&self, stage: &Stage, more: &[(&str, &str)]) -> Result<Program> {
        stage.start_with("lockstep-sequencer", &[&[("LOCKSTEP_EVENTS_TO", self.file().as_str())], more].concat())
    }

    /// Takes the file away, as a rotation does.
    fn rotate(&self) -> Result<()> {
        Ok(fs::rename(self.file(), self.0.join(format!("events.jsonl.{}", Uuid::new_v4())))?)
    }

    /// All that was written, into whichever file.
    fn text(&self) -> Result<String> {
        let files = fs::read_dir(&self.0)?.map(|file| Ok(fs::read_to_string(file?.path())?));
        files.collect()
    }

    /// The events of whole lines, as often as they were told.
    pub(crate) fn all(&self) -> Result<Vec<Value>> {
        let text = self.text()?;
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))).collect()
    }

    /// What was told of each topic, in order.
    fn topics(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let mut all = self.all()?;
        all.sort_by_key(|event| event["id"].as_i64());
        let mut topics = BTreeMap::<_, Vec<_>>::new();
        for event in all {
            let text = |name: &str| event[name].as_str().unwrap_or("?").to_owned();
            topics.entry(format!("{} {}", text("kind"), text("subject"))).or_default().push(text("state"));
        }
        Ok(topics)
    }

    /// Waits until this, and not more, was told of a topic.
    pub(crate) async fn until(&self, topic: &str, states: &[&str]) -> Result<()> {
        let told = async || Ok(self.topics()?.get(topic).is_some_and(|told| told == states));
        let waited = eventually(&format!("{topic} to be told as {states:?}"), RECOVERED, told).await;
        waited.with_context(|| self.text().unwrap_or_default())
    }

    /// Each edge was told once, and nothing but these topics.
    fn assert_only(&self, topics: &[(&str, &[&str])]) -> Result<()> {
        let expected = topics.iter().map(|(topic, states)| {
            ((*topic).to_owned(), states.iter().map(|state| (*state).to_owned()).collect::<Vec<_>>())
        });
        assert_eq!(self.topics()?, expected.collect());
        Ok(())
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        // What is left behind is a few kilobytes in the directory for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

const EDGES: &[&str] = &["raised", "resolved"];

#[tokio::test]
async fn events_tell_of_a_refused_row_and_of_a_mapping_that_does_not_fit_until_they_are_mended() -> Result<()> {
    let (stage, told) = (Stage::small().await?, Told::new()?);
    stage.in_clickhouse(REFUSE).await?;
    let (sequencer, worker) = (told.sequencer(&stage, &[])?, stage.worker()?);
    stage.equal().await?;
    stage.sql(HUNTERS).await?;
    told.until("quarantine clickhouse users", &["raised"]).await?;
    let raised = told.all()?.pop().context("no event")?;
    let about = &raised["about"];
    assert_eq!((&about["code"], &about["rows"], &about["mapping"]), (&"LS-0203".into(), &1.into(), &"users".into()));
    told.rotate()?;
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'mended' WHERE "displayName" = 'hunter2'"#).await?;
    told.until("quarantine clickhouse users", EDGES).await?;
    ensure!(fs::metadata(told.file()).is_ok(), "no new file was begun");
    stage.sql(r#"ALTER TABLE "TeamMember" RENAME COLUMN "displayName" TO "nickname""#).await?;
    told.until("paused mapping team_member_profiles", &["raised"]).await?;
    stage.sql(r#"ALTER TABLE "TeamMember" RENAME COLUMN "nickname" TO "displayName""#).await?;
    told.until("paused mapping team_member_profiles", EDGES).await?;
    told.assert_only(&[("quarantine clickhouse users", EDGES), ("paused mapping team_member_profiles", EDGES)])?;
    let all = told.all()?;
    let paused = all.iter().find(|event| event["kind"] == "paused" && event["state"] == "raised");
    let about = &paused.context("no pause")?["about"];
    assert_eq!((&about["automatic"], &about["code"]), (&true.into(), &"LS-0508".into()));
    let resolved = all.iter().find(|event| event["kind"] == "quarantine" && event["state"] == "resolved");
    assert_eq!(resolved.context("no end")?["about"]["raised_by"], raised["id"]);
    let text = told.text()?;
    ensure!(!text.contains("hunter2") && !text.contains("secret-") && !text.contains("VIOLATED"), "{text}");
    assert_eq!(sequencer.metric(r#"lockstep_events_total{kind="quarantine"}"#).await?, Some(2.0));
    assert_eq!(sequencer.metric("lockstep_events_dropped_total").await?, Some(0.0));
    let told_all = async || Ok(sequencer.metric(r#"lockstep_events_waiting{sink="lines"}"#).await? == Some(0.0));
    eventually("nothing to wait", DEADLINE, told_all).await?;
    stage.end([sequencer, worker]).await
}

#[tokio::test]
async fn events_tell_of_a_tenants_database_that_is_down_and_of_an_erasure() -> Result<()> {
    let (stage, told) = (Stage::small_with_tenants().await?, Told::new()?);
    impatient(&stage).await?;
    let (sequencer, worker) = (told.sequencer(&stage, &[])?, stage.worker()?);
    let engines = stage.id("engines").await?;
    let own = stage.add_destination(&engines, &[]).await?;
    stage.all_equal(&[&own]).await?;
    own.database.proxy().set(Mode::Cut);
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'hunter2'"#).await?;
    let down = format!("destination_down {}", own.id);
    told.until(&down, &["raised"]).await?;
    let raised = told.all()?.pop().context("no event")?;
    assert_eq!((&raised["about"]["code"], &raised["about"]["tenancy"]), (&"LS-0201".into(), &engines.as_str().into()));
    own.database.proxy().set(Mode::Pass);
    told.until(&down, EDGES).await?;
    stage.all_equal(&[&own]).await?;
    stage.sql(r#"DELETE FROM "Project" WHERE "id" = 'engines'"#).await?;
    let finished = "SELECT count(*) FROM lockstep.erasure WHERE finished_at IS NOT NULL";
    stage.until("both to be erased", finished, 2).await?;
    let ids = stage.client.query("SELECT id::text FROM lockstep.erasure", &[]).await?;
    let mut erased = Vec::new();
    for id in ids {
        let topic = format!("erasure_done {}", id.get::<_, String>(0));
        told.until(&topic, &["told"]).await?;
        erased.push(topic);
    }
    // Another sequencer tells nothing again.
    sequencer.kill().await?;
    let sequencer = told.sequencer(&stage, &[])?;
    stage.in_step().await?;
    let looked = "SELECT count(*) FROM lockstep.task WHERE name = 'events' AND last_run > clock_timestamp() - interval '3 seconds'";
    stage.until("it to look", looked, 1).await?;
    told.assert_only(&[(&down, EDGES), (&erased[0], &["told"]), (&erased[1], &["told"])])?;
    let text = told.text()?;
    let password = own.database.password();
    ensure!(!text.contains("hunter2") && !text.contains(password) && !text.contains("127.0.0.1"), "{text}");
    stage.end_with([sequencer, worker], [own]).await
}

/// An operator did so two hours ago.
const PAUSE: &str = "INSERT INTO lockstep.pause (kind, name, paused_at, reason) VALUES ('mapping', 'users', now() - interval '2 hours', 'hunter2')";
const RESUME: &str = "DELETE FROM lockstep.pause";

#[tokio::test]
async fn events_are_told_again_by_a_sequencer_that_was_killed_before_it_had_noted_them() -> Result<()> {
    let (stage, told) = (Stage::small().await?, Told::new()?);
    let killed = told.sequencer(&stage, &[("FAILPOINTS", "sequencer::events::told=1*return(abort)")])?;
    stage.sql(PAUSE).await?;
    eventually("it to be killed", DEADLINE, async || Ok(killed.logged()?.contains(failpoint::REACHED))).await?;
    told.until("paused mapping users", &["raised"]).await?;
    let sequencer = told.sequencer(&stage, &[])?;
    told.until("paused mapping users", &["raised", "raised"]).await?;
    stage.sql(RESUME).await?;
    told.until("paused mapping users", &["raised", "raised", "resolved"]).await?;
    let all = told.all()?;
    assert_eq!(all[0], all[1], "it was told as something else");
    assert_eq!(stage.number("SELECT count(*) FROM lockstep.event").await?, 2);
    ensure!(!told.text()?.contains("hunter2"), "an operator's reason is told");
    drop(killed);
    stage.end([sequencer]).await
}

#[tokio::test]
async fn events_begin_with_what_is_open_where_somebody_is_told_from_now_on() -> Result<()> {
    let (stage, told) = (Stage::small().await?, Told::new()?);
    let written =
        async |what: &str, events: i64| stage.until(what, "SELECT count(*) FROM lockstep.event", events).await;
    for _ in 0..2 {
        let before = stage.number("SELECT count(*) FROM lockstep.event").await?;
        let sequencer = stage.sequencer()?;
        stage.sql(PAUSE).await?;
        written("the pause to be written down", before + 1).await?;
        stage.sql(RESUME).await?;
        written("its end to be written down", before + 2).await?;
        stage.sql(&PAUSE.replace("users", "teams")).await?;
        written("the next pause to be written down", before + 3).await?;
        sequencer.stop().await?;
        let sequencer = told.sequencer(&stage, &[])?;
        told.until("paused mapping teams", &["raised"]).await?;
        stage.sql(RESUME).await?;
        told.until("paused mapping teams", EDGES).await?;
        told.assert_only(&[("paused mapping teams", EDGES)])?;
        told.rotate()?;
        sequencer.stop().await?;
        fs::remove_dir_all(&told.0)?;
        fs::create_dir(&told.0)?;
    }
    stage.end([]).await
}

/// Nobody reads the pipe: whoever opens it to write waits, as on a disk that hangs.
#[tokio::test]
async fn events_that_cannot_be_written_keep_nobody_waiting_and_are_told_later() -> Result<()> {
    let (stage, told) = (Stage::small().await?, Told::new()?);
    let made = Command::new("mkfifo").arg(told.file()).status().await?;
    ensure!(made.success(), "no pipe can be made");
    let (sequencer, worker) = (told.sequencer(&stage, &[])?, stage.worker()?);
    stage.sql(PAUSE).await?;
    let failing =
        "SELECT count(*) FROM lockstep.task WHERE name = 'tell events' AND error LIKE 'LS-0516%not written yet%'";
    eventually("the next write not to be begun", RECOVERED, async || Ok(stage.number(failing).await? == 1)).await?;
    let hanging = format!("/proc/{}/task", sequencer.id().context("it has ended")?);
    let names = fs::read_dir(&hanging)?.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    assert_eq!(names.filter(|name| name.trim() == "tell events").count(), 1, "more than one write hangs");
    stage.sql(RESUME).await?;
    stage.equal().await?;
    let edges = "SELECT count(*) FROM lockstep.event WHERE subject = 'mapping users'";
    stage.until("both edges to be written down", edges, 2).await?;
    let reader = pipe::OpenOptions::new().read_write(true).open_receiver(told.file())?;
    let (mut lines, mut edges) = (BufReader::new(reader).lines(), Vec::new());
    while edges.len() < 2 {
        let line = timeout(RECOVERED, lines.next_line()).await.context("nothing is told")??;
        let event: Value = serde_json::from_str(&line.context("the pipe has ended")?)?;
        if event["subject"] == "mapping users" && !edges.contains(&event["state"]) {
            edges.push(event["state"].clone());
        }
    }
    assert_eq!(edges, EDGES);
    drop(lines);
    // Nobody reads any more: it ends all the same.
    stage.sql(PAUSE).await?;
    let hangs = Duration::from_secs(20);
    timeout(hangs, async { stage.end([sequencer, worker]).await }).await.context("it does not end")?
}
