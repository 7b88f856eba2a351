//! The file of webhooks' secrets: what lacks there is said by every program, and a line that is wrong concerns its own webhook alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Result, ensure};
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::Installation;

use super::receiver::{NOT_SHOWN, Receiver};
use super::{DELIVERED, Files, SECRETS, pause, resume, sequencer, until};
use crate::json::json;
use crate::programs::{ended, with_changed};
use crate::stage::{DEADLINE, Stage};

/// Each reads the settings of events.
const PROGRAMS: [(&str, &[&str]); 4] = [
    ("lockstep-sequencer", &[]),
    ("lockstep-worker", &[]),
    ("lockstep-verifier", &[]),
    ("lockstep", &["config", "check"]),
];

#[tokio::test]
async fn webhooks_without_a_secret_or_with_one_that_others_can_read_are_refused_by_every_program() -> Result<()> {
    let (stage, files) = (Stage::of(Installation::create().await?).await?, Files::new()?);
    let secrets = files.secrets(&["other"], &SECRETS[..1])?;
    let webhooks = ("LOCKSTEP_EVENTS_WEBHOOKS", "pager=https://hooks.example.com/hunter2");
    let file = ("LOCKSTEP_EVENTS_SECRET_FILE", secrets.as_str());
    let refused = async |settings: &[(&str, &str)], says: &str| {
        for (program, arguments) in PROGRAMS {
            let done = ended(with_changed(&stage, program, settings).args(arguments)).await?;
            let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
            assert_eq!(done.status.code(), Some(78), "{program}: {said}");
            ensure!(said.contains(says), "{program}: {said}");
            ensure!(!said.contains(NOT_SHOWN) && !said.contains(&SECRETS[0][6..]), "{program}: {said}");
        }
        anyhow::Ok(())
    };
    const CANNOT: &str = "LS-0516: events cannot be told: LOCKSTEP_EVENTS_SECRET_FILE";
    refused(&[webhooks], &format!("{CANNOT} is missing")).await?;
    refused(&[webhooks, file], &format!("{CANNOT}: {secrets} has no secret of pager")).await?;
    fs::set_permissions(&secrets, PermissionsExt::from_mode(0o644))?;
    refused(&[webhooks, file], &format!("{CANNOT}: {secrets} has mode 0644: others than its owner can get at it"))
        .await?;
    let plain = ("LOCKSTEP_EVENTS_WEBHOOKS", "pager=http://10.0.0.7/hunter2");
    refused(&[plain, file], "LOCKSTEP_EVENTS_WEBHOOKS: pager: its URL must start with https://").await?;
    let far = ("LOCKSTEP_EVENTS_WEBHOOKS", "pager=https://10.0.0.7:65536/hunter2");
    refused(&[far, file], "LOCKSTEP_EVENTS_WEBHOOKS: pager: the port in its URL").await?;
    stage.end([]).await
}

#[tokio::test]
async fn webhooks_whose_line_is_wrong_say_so_by_themselves_and_the_others_go_on() -> Result<()> {
    let (stage, files) = (Stage::small().await?, Files::new()?);
    let (pager, chat) = (Receiver::start().await?, Receiver::start().await?);
    let webhooks = [("pager", pager.url.as_str()), ("chat", &chat.url)];
    let sequencer_of_both = sequencer(&stage, &files, &webhooks, &[])?;
    pause(&stage, "users").await?;
    for sink in ["pager", "chat"] {
        until(&stage, sink, DELIVERED, 1).await?;
    }
    let path = files.secrets(&["pager"], &SECRETS[..1])?;
    let wrong = format!("pager:{}\nchat:hunter2-of-chat\nhunter2-of-nobody\n", SECRETS[0]);
    fs::write(&path, wrong)?;
    resume(&stage).await?;
    until(&stage, "pager", DELIVERED, 2).await?;
    let failing =
        "SELECT count(*) FROM lockstep.task WHERE program = 'sequencer' AND failed_at > COALESCE(last_run, '-infinity')
      AND name = 'send events chat' AND error LIKE 'LS-0516%line 2: the secret does not begin with whsec_%'";
    stage.until("chat to fail by itself", failing, 1).await?;
    let status = json(&stage, "status", &[], 1).await?;
    let failing: Vec<_> =
        status["tasks"].as_array().into_iter().flatten().filter(|task| task["is_failing"] == true).collect();
    ensure!(failing.len() == 1 && failing[0]["name"] == "send events chat", "{status}");
    let logged = async || Ok(sequencer_of_both.logged()?.contains("line 3: there is no colon"));
    eventually("the line that is nobody's to be said", DEADLINE, logged).await?;
    let failures = sequencer_of_both.metric(r#"lockstep_task_failures_total{task="send events chat"}"#).await?;
    ensure!(failures.is_some_and(|failures| failures > 0.0), "{failures:?}");
    let said = format!("{}{status}", sequencer_of_both.logged()?);
    ensure!(!said.contains(NOT_SHOWN), "a secret is shown");
    files.secrets(&["pager", "chat"], &SECRETS[..1])?;
    until(&stage, "chat", DELIVERED, 2).await?;
    sequencer_of_both.stop().await?;
    // What a sink that is not set any more did last is forgotten: it would be told of for ever.
    let last = sequencer(&stage, &files, &webhooks[..1], &[])?;
    let rows =
        "SELECT count(*) FROM lockstep.task WHERE starts_with(name, 'send events') AND name <> 'send events pager'";
    stage.until("what chat did to be forgotten", rows, 0).await?;
    stage.end([last]).await
}
