//! Webhooks: each event comes signed, at least once, whatever the receiver and the sequencer do; nobody waits for a receiver.

mod commands;
mod receiver;
mod secrets;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use lockstep_core::failpoint;
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::Program;
use tokio::net::TcpListener;
use uuid::Uuid;

use self::receiver::{Answer, NOT_SHOWN, Receiver};
use crate::json::json;
use crate::stage::{DEADLINE, Stage};

/// Secrets of 24, 32 and 32 bytes.
const SECRETS: [&str; 3] = [
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=",
];

/// Files of a test, in a directory that is removed when dropped.
struct Files(PathBuf);

impl Files {
    fn new() -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("lockstep-webhooks-{}", Uuid::new_v4().simple()));
        fs::create_dir(&directory)?;
        Ok(Self(directory))
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// The file of secrets: each of these webhooks has all of these.
    fn secrets(&self, webhooks: &[&str], secrets: &[&str]) -> Result<String> {
        let lines = webhooks.iter().flat_map(|name| secrets.iter().map(move |secret| format!("{name}:{secret}\n")));
        let path = self.0.join("secrets");
        fs::write(&path, lines.collect::<String>())?;
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600))?;
        Ok(path.display().to_string())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // What is left behind is a few kilobytes in the directory for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A sequencer that sends to these webhooks, with one secret for each.
fn sequencer(stage: &Stage, files: &Files, webhooks: &[(&str, &str)], more: &[(&str, &str)]) -> Result<Program> {
    let list: Vec<_> = webhooks.iter().map(|(name, url)| format!("{name}={url}")).collect();
    let names: Vec<_> = webhooks.iter().map(|(name, _)| *name).collect();
    let (list, secrets) = (list.join(","), files.secrets(&names, &SECRETS[..1])?);
    let own = [("LOCKSTEP_EVENTS_WEBHOOKS", list.as_str()), ("LOCKSTEP_EVENTS_SECRET_FILE", secrets.as_str())];
    stage.start_with("lockstep-sequencer", &[&own, more].concat())
}

/// An operator did so two hours ago.
async fn pause(stage: &Stage, mapping: &str) -> Result<()> {
    let paused = format!(
        "INSERT INTO lockstep.pause (kind, name, paused_at, reason) VALUES ('mapping', '{mapping}', now() - interval '2 hours', '')"
    );
    stage.sql(&paused).await
}

async fn resume(stage: &Stage) -> Result<()> {
    stage.sql("DELETE FROM lockstep.pause").await
}

/// It is time to try again.
async fn now(stage: &Stage) -> Result<()> {
    stage.sql("UPDATE lockstep.event_delivery SET next_at = now() WHERE next_at IS NOT NULL; UPDATE lockstep.event_sink SET rests_until = now()").await
}

/// Waits until deliveries to a sink are in this state.
async fn until(stage: &Stage, sink: &str, condition: &str, deliveries: i64) -> Result<()> {
    let query = format!("SELECT count(*) FROM lockstep.event_delivery WHERE sink = '{sink}' AND {condition}");
    stage.until(&format!("{sink}: {condition}"), &query, deliveries).await
}

const USERS: &str = "mapping users";
const DELIVERED: &str = "delivered_at IS NOT NULL";

#[tokio::test]
async fn webhooks_are_signed_by_every_secret_that_there_is_and_secrets_are_replaced_while_it_runs() -> Result<()> {
    let (stage, files) = (Stage::small().await?, Files::new()?);
    let authority = files.path("authority.pem");
    let receiver = Receiver::encrypted(Path::new(&authority)).await?;
    let more = [("LOCKSTEP_TLS_CA_FILE", authority.as_str())];
    let sequencer = sequencer(&stage, &files, &[("pager", &receiver.url)], &more)?;
    pause(&stage, "users").await?;
    until(&stage, "pager", DELIVERED, 1).await?;
    let first = receiver.requests().pop().context("no request")?;
    assert_eq!(first.verified(SECRETS[0])?, [true]);
    assert_eq!(first.verified(SECRETS[1])?, [false], "any secret verifies it");
    assert_eq!((first.header("content-type")?, first.event()?["subject"].as_str()), ("application/json", Some(USERS)));
    files.secrets(&["other", "pager"], &SECRETS[..2])?;
    resume(&stage).await?;
    until(&stage, "pager", DELIVERED, 2).await?;
    let both = receiver.requests().pop().context("no request")?;
    assert_eq!((both.verified(SECRETS[0])?, both.verified(SECRETS[1])?), (vec![true, false], vec![false, true]));
    ensure!(both.header("webhook-id")? != first.header("webhook-id")?, "two events have one id");
    files.secrets(&["pager"], &SECRETS[2..])?;
    pause(&stage, "teams").await?;
    until(&stage, "pager", DELIVERED, 3).await?;
    let last = receiver.requests().pop().context("no request")?;
    assert_eq!((last.verified(SECRETS[2])?, last.verified(SECRETS[1])?), (vec![true], vec![false]));
    assert_eq!(receiver.requests().len(), 3);
    let logged = sequencer.logged()?;
    ensure!(SECRETS.iter().all(|secret| !logged.contains(&secret[6..])), "a secret is logged");
    assert_eq!(sequencer.metric(r#"lockstep_events_attempts_total{sink="pager",result="taken"}"#).await?, Some(3.0));
    stage.end([sequencer]).await
}

/// One hangs, one refuses, one sends elsewhere, one is not there: each is tried again by itself, and the others have the event meanwhile.
#[tokio::test]
async fn webhooks_that_fail_are_tried_again_by_themselves_and_no_other_waits_for_them() -> Result<()> {
    let (stage, files) = (Stage::small().await?, Files::new()?);
    let (fine, failing, hanging, redirecting) =
        (Receiver::start().await?, Receiver::start().await?, Receiver::start().await?, Receiver::start().await?);
    failing.answers(Answer::Status(500));
    hanging.answers(Answer::Hangs);
    redirecting.answers(Answer::With(307, "location", fine.url.clone()));
    let absent = format!("http://{}/{NOT_SHOWN}", TcpListener::bind("127.0.0.1:0").await?.local_addr()?);
    let webhooks = [
        ("failing", failing.url.as_str()),
        ("hanging", &hanging.url),
        ("redirecting", &redirecting.url),
        ("absent", &absent),
        ("untrusted", &fine.url.replacen("http:", "https:", 1)),
        ("fine", &fine.url),
    ];
    let lines = files.path("events.jsonl");
    let sequencer = sequencer(&stage, &files, &webhooks, &[("LOCKSTEP_EVENTS_TO", &lines)])?;
    pause(&stage, "users").await?;
    for sink in ["fine", "lines"] {
        until(&stage, sink, DELIVERED, 1).await?;
    }
    until(&stage, "hanging", "attempts = 0", 1).await?;
    let errors =
        [("failing", "http_500"), ("redirecting", "http_307"), ("absent", "unreachable"), ("untrusted", "tls")];
    for (sink, error) in errors.into_iter().chain([("hanging", "timeout")]) {
        let tried = format!("attempts > 0 AND last_error = '{error}'");
        until(&stage, sink, &tried, 1).await?;
    }
    assert_eq!(fine.states(USERS)?, ["raised"], "a redirect was followed");
    // Its next time is in 5 seconds: then once more, and after that not for minutes.
    until(
        &stage,
        "failing",
        "attempts = 2 AND next_at > now() + interval '4 minutes' AND next_at < now() + interval '7 minutes'",
        1,
    )
    .await?;
    let requests = failing.requests();
    assert_eq!(requests[0].header("webhook-id")?, requests[1].header("webhook-id")?);
    assert_eq!(requests[1].verified(SECRETS[0])?, [true]);
    failing.answers(Answer::Status(200));
    resume(&stage).await?;
    until(&stage, "failing", DELIVERED, 1).await?;
    assert_eq!(failing.states(USERS)?, ["raised", "raised", "resolved"], "an event waits for another");
    now(&stage).await?;
    until(&stage, "failing", DELIVERED, 2).await?;
    assert_eq!(failing.states(USERS)?.last().map(String::as_str), Some("raised"));
    let texts = stage.client.query("SELECT row_to_json(d)::text FROM lockstep.event_delivery d", &[]).await?;
    let texts: String = texts.iter().map(|row| row.get::<_, String>(0)).collect();
    let (logged, metrics) = (sequencer.logged()?, sequencer.get("/metrics").await?.1);
    for shown in [&texts, &logged, &metrics] {
        ensure!(!shown.contains(NOT_SHOWN), "an address or an answer is shown");
    }
    assert_eq!(fine.states(USERS)?, ["raised", "resolved"]);
    stage.end([sequencer]).await
}

#[tokio::test]
async fn webhooks_of_a_receiver_that_asks_for_a_rest_wait_for_an_hour_at_most() -> Result<()> {
    let (stage, files, receiver) = (Stage::small().await?, Files::new()?, Receiver::start().await?);
    receiver.answers(Answer::With(503, "retry-after", "86400".to_owned()));
    let sequencer = sequencer(&stage, &files, &[("pager", &receiver.url)], &[])?;
    pause(&stage, "users").await?;
    until(&stage, "pager", "last_error = 'http_503'", 1).await?;
    let rests = "SELECT count(*) FROM lockstep.event_sink WHERE rests_until BETWEEN now() + interval '50 minutes' AND now() + interval '1 hour'";
    stage.until("it to rest for an hour", rests, 1).await?;
    let rested = "SELECT to_char(rests_until, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM lockstep.event_sink";
    let rested: String = stage.client.query_one(rested, &[]).await?.get(0);
    let shown = json(&stage, "events show", &["1"], 0).await?;
    assert_eq!(shown["deliveries"][0]["next_at"], rested, "it is said to be told while it rests");
    receiver.answers(Answer::Status(200));
    resume(&stage).await?;
    until(&stage, "pager", "attempts = 0", 1).await?;
    stage.sql("UPDATE lockstep.event_delivery SET next_at = now() - interval '1 hour'").await?;
    let looked = format!(
        "SELECT count(*) FROM lockstep.task WHERE name = 'send events pager' AND last_run > '{}'",
        moment(&stage).await?
    );
    stage.until("it to look", &looked, 1).await?;
    assert_eq!(receiver.requests().len(), 1, "it is not left alone");
    now(&stage).await?;
    until(&stage, "pager", DELIVERED, 2).await?;
    assert_eq!(receiver.states(USERS)?, ["raised", "raised", "resolved"]);
    stage.end([sequencer]).await
}

/// What the time is in Postgres.
async fn moment(stage: &Stage) -> Result<String> {
    Ok(stage.client.query_one("SELECT clock_timestamp()::text", &[]).await?.get(0))
}

#[tokio::test]
async fn webhooks_are_tried_by_the_next_leader_when_their_time_has_come_and_given_up_at_the_end() -> Result<()> {
    let (stage, files, receiver) = (Stage::small().await?, Files::new()?, Receiver::start().await?);
    receiver.answers(Answer::Status(500));
    let webhooks = [("pager", receiver.url.as_str())];
    let first = sequencer(&stage, &files, &webhooks, &[])?;
    pause(&stage, "users").await?;
    until(&stage, "pager", "attempts = 2", 1).await?;
    first.kill().await?;
    let killed = sequencer(&stage, &files, &webhooks, &[("FAILPOINTS", "sequencer::events::sent=1*return(abort)")])?;
    resume(&stage).await?;
    receiver.answers(Answer::Status(200));
    eventually("it to be killed", DEADLINE, async || Ok(killed.logged()?.contains(failpoint::REACHED))).await?;
    assert_eq!(receiver.states(USERS)?, ["raised", "raised", "resolved"]);
    let last = sequencer(&stage, &files, &webhooks, &[])?;
    until(&stage, "pager", DELIVERED, 1).await?;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 4, "what waits for its time is tried before");
    assert_eq!(
        requests[2].header("webhook-id")?,
        requests[3].header("webhook-id")?,
        "it comes again as something else"
    );
    assert_eq!(requests[2].body, requests[3].body);
    // All attempts but the last are behind it.
    receiver.answers(Answer::Status(404));
    stage.sql("UPDATE lockstep.event_delivery SET attempts = 7 WHERE delivered_at IS NULL").await?;
    now(&stage).await?;
    until(&stage, "pager", "attempts = 8 AND next_at IS NULL AND delivered_at IS NULL AND last_error = 'http_404'", 1)
        .await?;
    let given_up = async || Ok(last.metric(r#"lockstep_events_given_up{sink="pager"}"#).await? == Some(1.0));
    eventually("it to be counted as given up", DEADLINE, given_up).await?;
    assert_eq!(last.metric(r#"lockstep_events_waiting{sink="pager"}"#).await?, Some(0.0));
    drop(killed);
    stage.end([last]).await
}
