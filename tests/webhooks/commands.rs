//! What operators do about webhooks, by `lockstep events`.

use anyhow::{Context, Result, ensure};
use lockstep_testkit::databases::eventually;
use serde_json::json;

use super::receiver::{Answer, Receiver};
use super::{DELIVERED, Files, USERS, now, pause, resume, sequencer, until};
use crate::json::json;
use crate::stage::{DEADLINE, Stage};

#[tokio::test]
async fn webhooks_of_a_receiver_that_is_gone_stop_until_an_operator_resumes_them() -> Result<()> {
    let (stage, files) = (Stage::small().await?, Files::new()?);
    let (gone, other) = (Receiver::start().await?, Receiver::start().await?);
    gone.answers(Answer::Status(410));
    let sequencer = sequencer(&stage, &files, &[("pager", &gone.url), ("chat", &other.url)], &[])?;
    pause(&stage, "users").await?;
    let stopped = "SELECT count(*) FROM lockstep.event_sink WHERE sink = 'pager' AND stopped_at IS NOT NULL";
    stage.until("it to be stopped", stopped, 1).await?;
    gone.answers(Answer::Status(200));
    resume(&stage).await?;
    until(&stage, "chat", DELIVERED, 2).await?;
    now(&stage).await?;
    let counted = async || Ok(sequencer.metric(r#"lockstep_events_sink_stopped{sink="pager"}"#).await? == Some(1.0));
    eventually("it to be counted as stopped", DEADLINE, counted).await?;
    let status = json(&stage, "status", &[], 1).await?;
    let sinks = &status["event_sinks"];
    ensure!(sinks[0]["sink"] == "chat" && sinks[0]["stopped_at"].is_null() && sinks[0]["waiting"] == 0, "{sinks}");
    ensure!(sinks[1]["sink"] == "pager" && sinks[1]["stopped_at"].is_string() && sinks[1]["waiting"] == 2, "{sinks}");
    let text = stage.installation.run("lockstep", &["status"]).await?.stdout;
    ensure!(text.contains("events: pager has been told nothing since"), "{text}");
    let shown = json(&stage, "events show", &["1"], 0).await?;
    let stopped = &shown["deliveries"][1];
    ensure!(stopped["state"] == "stopped" && stopped["next_at"].is_null(), "it is said to be told: {shown}");
    let retried = json(&stage, "events retry", &["--all"], 0).await?;
    assert_eq!(retried, json!({ "deliveries": 2, "stopped": ["pager"] }));
    let tested = json(&stage, "events test", &[], 1).await?;
    let states: Vec<_> = tested["deliveries"].as_array().context("a list")?.iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["delivered", "stopped"]);
    assert_eq!(gone.requests().len(), 1, "it was sent something although it is gone");
    let resumed = json(&stage, "events resume", &["pager"], 0).await?;
    assert_eq!(resumed, json!({ "deliveries": 3, "stopped": [] }));
    until(&stage, "pager", DELIVERED, 3).await?;
    assert_eq!(gone.states(USERS)?, ["raised", "raised", "resolved"]);
    let written = "SELECT count(*) FROM lockstep.action WHERE what IN ('events retry', 'events test', 'events resume')
      AND outcome IS NOT NULL AND (what <> 'events resume' OR arguments->>'sink' = 'pager')";
    assert_eq!(stage.number(written).await?, 3);
    stage.end([sequencer]).await
}

#[tokio::test]
async fn events_are_listed_and_those_that_were_given_up_are_told_again_when_asked_for() -> Result<()> {
    let (stage, files, receiver) = (Stage::small().await?, Files::new()?, Receiver::start().await?);
    let none = stage.installation.run("lockstep", &["events", "test"]).await?;
    ensure!(none.code == Some(78) && none.stderr.contains("LS-0519"), "{none:?}");
    receiver.answers(Answer::Status(400));
    let sequencer = sequencer(&stage, &files, &[("pager", &receiver.url)], &[])?;
    pause(&stage, "users").await?;
    until(&stage, "pager", "last_error = 'http_400'", 1).await?;
    stage.sql("UPDATE lockstep.event_delivery SET attempts = 7").await?;
    now(&stage).await?;
    until(&stage, "pager", "attempts = 8 AND next_at IS NULL", 1).await?;
    let shown = json(&stage, "events show", &["1"], 0).await?;
    ensure!(
        shown["subject"] == USERS && shown["is_open"] == true && shown["undelivered"] == json!(["pager"]),
        "{shown}"
    );
    let delivery = &shown["deliveries"][0];
    ensure!(delivery["state"] == "given_up" && delivery["attempts"] == 8 && delivery["error"] == "http_400", "{shown}");
    let failed = json(&stage, "events test", &[], 1).await?;
    ensure!(failed["deliveries"][0]["error"] == "http_400", "{failed}");
    receiver.answers(Answer::Status(200));
    assert_eq!(json(&stage, "events retry", &["1"], 0).await?["deliveries"], 1);
    until(&stage, "pager", &format!("event_id = 1 AND {DELIVERED} AND attempts = 1"), 1).await?;
    resume(&stage).await?;
    until(&stage, "pager", DELIVERED, 3).await?;
    let tested = json(&stage, "events test", &[], 0).await?;
    let page = json(&stage, "events list", &["--limit", "2"], 0).await?;
    let ids: Vec<_> = page["events"].as_array().context("a list")?.iter().map(|event| &event["id"]).collect();
    assert_eq!(ids, [&tested["event"], &json!(3)]);
    let next = page["next"].to_string();
    let last = json(&stage, "events list", &["--limit", "2", "--before", &next], 0).await?;
    ensure!(last["next"].is_null() && last["events"][1]["id"] == 1 && last["events"][0]["kind"] == "test", "{last}");
    assert_eq!(
        json(&stage, "events list", &["--kind", "paused"], 0).await?["events"].as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(json(&stage, "events list", &["--undelivered"], 0).await?["events"], json!([]));
    for (arguments, code) in [
        (&["show", "99"][..], "LS-0517"),
        (&["resume", "nobody"], "LS-0518"),
        (&["retry", "--sink", "nobody"], "LS-0518"),
        (&["list", "--kind", "nope"], "possible values: destination_down, "),
    ] {
        let refused = stage.installation.run("lockstep", &[&["events"], arguments].concat()).await?;
        ensure!(refused.code == Some(78) && refused.stderr.contains(code), "{refused:?}");
    }
    sequencer.stop().await?;
    let late = json(&stage, "events test", &["--timeout", "1"], 2).await?;
    ensure!(late["deliveries"][0]["state"] == "waiting", "{late}");
    stage.end([]).await
}
