//! What the command line shows to people: how mappings are, the screen of `top`, `--watch`, and colours.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::json::json;
use crate::programs::{ended, with_changed};
use crate::stage::{DEADLINE, Stage};

fn named<'a>(report: &'a Value, list: &str, name: &str) -> Result<&'a Value> {
    let found = report[list].as_array().and_then(|list| list.iter().find(|one| one["name"] == name));
    found.with_context(|| format!("no {name} in {report}"))
}

#[tokio::test]
async fn mapping_list_and_top_tell_how_each_mapping_is() -> Result<()> {
    let stage = Stage::small().await?;
    let listed = json(&stage, "mapping list", &[], 0).await?;
    ensure!(
        ["to_be_filled", "filling"].iter().any(|state| named(&listed, "mappings", "users").unwrap()["state"] == *state)
    );
    let before = json(&stage, "top", &[], 1).await?;
    ensure!(before["sentence"].as_str().is_some_and(|said| said.contains("no sequencer leads")), "{before}");
    ensure!(before["troubles"][0]["remedy"] == "lockstep-sequencer", "{before}");

    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    assert_eq!(stage.verifier(&["--output", "json"]).await?.code, Some(0));
    stage.installation.succeed("lockstep", &["pause", "mapping", "teams", "--reason", "a test"]).await?;
    let listed = json(&stage, "mapping list", &[], 0).await?;
    let users = named(&listed, "mappings", "users")?;
    ensure!(users["state"] == "in_step" && users["filled_percent"] == 100, "{listed}");
    ensure!(users["last_verdict"] == "equal" && users["equal_at"].is_string(), "{listed}");
    assert_eq!(named(&listed, "mappings", "teams")?["state"], "paused");

    let top = json(&stage, "top", &["--once"], 0).await?;
    assert_eq!((&top["level"], &top["mappings"][0]["name"]), (&"attention".into(), &"teams".into()), "{top}");
    ensure!(top["numbers"]["numbered_per_s"].is_number(), "two looks make a rate: {top}");
    assert_eq!(named(&top, "stages", "Sequencer")?["word"], "one leads");
    ensure!(top["instances"].as_array().is_some_and(|all| all.len() == 2), "{top}");
    stage.end(programs).await
}

/// Before programs were started nothing is wrong, and where no change has a number nothing is behind.
#[tokio::test]
async fn status_tells_what_was_not_started_and_what_has_not_changed() -> Result<()> {
    let stage = Stage::before_capture().await?;
    stage.sql(include_str!("world.sql")).await?;
    stage.migrate(&[]).await?;
    let before = stage.installation.run("lockstep", &["status"]).await?;
    ensure!(before.code == Some(0), "nothing is wrong yet: {before:?}");
    for told in ["not started yet", "not there yet"] {
        ensure!(before.stdout.contains(told), "{told:?} is missing: {}", before.stdout);
    }
    let programs = [stage.sequencer()?, stage.worker()?];
    let waited = stage.installation.succeed("lockstep", &["wait", "--all", "--timeout", "60"]).await?;
    ensure!(waited.stdout.contains("no change has a number yet"), "{}", waited.stdout);
    let status = stage.installation.succeed("lockstep", &["status"]).await?;
    ensure!(status.stdout.contains("all of it shipped") && !status.stdout.contains("not started"), "{}", status.stdout);
    stage.end(programs).await
}

#[tokio::test]
async fn watch_ends_by_ctrl_c_with_exit_code_0() -> Result<()> {
    let stage = Stage::small().await?;
    let mut command = with_changed(&stage, "lockstep", &[]);
    let mut watching = command.args(["status", "--watch", "1", "--output", "jsonl"]).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(watching.stdout.take().context("its output")?).lines();
    for _ in 0..2 {
        let line = timeout(DEADLINE, lines.next_line()).await.context("there was no report")??;
        let report: Value = serde_json::from_str(&line.context("it ended")?)?;
        ensure!(report["last_sequence"].is_i64(), "{report}");
    }
    interrupt(watching.id().context("it has ended")?).await?;
    let status = timeout(DEADLINE, watching.wait()).await.context("it did not end")??;
    assert_eq!(status.code(), Some(0));
    stage.end([]).await
}

async fn interrupt(process: u32) -> Result<()> {
    let sent = Command::new("kill").args(["-INT", &process.to_string()]).status().await?;
    ensure!(sent.success(), "no signal could be sent");
    Ok(())
}

#[tokio::test]
async fn top_is_drawn_on_a_terminal_until_q_which_gets_its_cursor_back() -> Result<()> {
    let stage = Stage::small().await?;
    // It gives a program a terminal; each Debian has it.
    let mut command = Command::new("script");
    command
        .envs(stage.installation.environment())
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .kill_on_drop(true);
    command.args(["--quiet", "--return", "--command"]);
    command.arg(format!("stty rows 50; {} top", stage.installation.program("lockstep").display())).arg("/dev/null");
    let mut drawing = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("script, of bsdutils")?;
    let mut output = drawing.stdout.take().context("its output")?;
    let (mut screen, mut part) = (String::new(), [0; 4096]);
    // It is drawn twice: the second time in the place of the first.
    while screen.matches("took ").count() < 2 {
        let read = timeout(DEADLINE, output.read(&mut part)).await.with_context(|| format!("only: {screen}"))??;
        ensure!(read > 0, "it ended: {screen}");
        screen.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    ensure!(screen.contains("\x1b[31mWrong\x1b[0m: no sequencer leads"), "{screen:?}");
    ensure!(screen.contains("\x1b[?1049h") && screen.contains("\x1b[?25l"), "{screen:?}");
    drawing.stdin.as_mut().context("its input")?.write_all(b"q").await?;
    timeout(DEADLINE, output.read_to_string(&mut screen)).await.context("q does not end it")??;
    ensure!(screen.ends_with("\x1b[?25h\x1b[?7h\x1b[?1049l"), "{screen:?}");
    assert_eq!(drawing.wait().await?.code(), Some(0));
    stage.end([]).await
}

/// What somebody answers at a terminal when `lockstep detach` asks: its exit code, and what it has said.
async fn detach_answered(stage: &Stage, answer: &str) -> Result<(Option<i32>, String)> {
    let mut command = Command::new("script");
    command.envs(stage.installation.environment()).env("TERM", "dumb").kill_on_drop(true);
    command.args(["--quiet", "--return", "--command"]);
    command.arg(format!("{} detach", stage.installation.program("lockstep").display())).arg("/dev/null");
    let mut asking = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("script, of bsdutils")?;
    let mut output = asking.stdout.take().context("its output")?;
    let (mut screen, mut part) = (String::new(), [0; 4096]);
    while !screen.contains("[yes/no]") {
        let read = timeout(DEADLINE, output.read(&mut part)).await.with_context(|| format!("only: {screen}"))??;
        ensure!(read > 0, "it ended: {screen}");
        screen.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    ensure!(screen.contains("What goes") && screen.contains("What stays"), "{screen}");
    asking.stdin.as_mut().context("its input")?.write_all(format!("{answer}\n").as_bytes()).await?;
    timeout(DEADLINE, output.read_to_string(&mut screen)).await.context("an answer does not end it")??;
    Ok((asking.wait().await?.code(), screen))
}

#[tokio::test]
async fn detach_asks_at_a_terminal_and_does_nothing_without_a_yes() -> Result<()> {
    const THERE: &str = "SELECT count(*) FROM pg_namespace WHERE nspname = 'lockstep'";
    let stage = Stage::small().await?;
    for (answer, code, there) in [("", 78, 1), ("y", 78, 1), ("yes", 0, 0)] {
        let (ended, said) = detach_answered(&stage, answer).await?;
        assert_eq!(ended, Some(code), "{answer:?}: {said}");
        ensure!(
            said.contains("the answer was not yes") == (there == 1) && !said.contains("--yes"),
            "{answer:?}: {said}"
        );
        ensure!(said.contains("Stop sequencers and workers first"), "{said}");
        assert_eq!(stage.number(THERE).await?, there, "{answer:?}");
    }
    stage.end([]).await
}

#[tokio::test]
async fn colors_follow_one_policy_in_every_command() -> Result<()> {
    let stage = Stage::small().await?;
    const FORCED: (&str, &str) = ("CLICOLOR_FORCE", "1");
    const REFUSED: (&str, &str) = ("NO_COLOR", "1");
    for (program, arguments) in [
        ("lockstep", &["status"][..]),
        ("lockstep", &["doctor"]),
        ("lockstep", &["mapping", "list"]),
        ("lockstep", &["top"]),
        ("lockstep", &["wait", "--all", "--timeout", "0"]),
        ("lockstep-verifier", &["--settle", "0"]),
        ("lockstep-worker", &["--no-such-flag"]),
    ] {
        for (environment, flag, has_colors) in [
            (&[][..], "auto", false),
            (&[FORCED], "auto", true),
            (&[FORCED, ("NO_COLOR", "")], "auto", true),
            (&[FORCED, REFUSED], "auto", false),
            (&[FORCED], "never", false),
            (&[REFUSED], "always", true),
        ] {
            let mut command = with_changed(&stage, program, environment);
            for name in ["CLICOLOR", "CLICOLOR_FORCE", "NO_COLOR"] {
                if !environment.iter().any(|(given, _)| *given == name) {
                    command.env_remove(name);
                }
            }
            let output = ended(command.args(arguments).args(["--color", flag])).await?;
            let text = String::from_utf8([output.stdout, output.stderr].concat())?;
            let is_colored = ["\x1b[31m", "\x1b[32m", "\x1b[33m"].iter().any(|code| text.contains(code));
            ensure!(is_colored == has_colors, "{program} {arguments:?} {environment:?} {flag}: {text:?}");
            ensure!(!text.contains(['\u{fff1}', '\u{fff2}', '\u{fff3}', '\u{fff4}']), "a mark was shown: {text:?}");
        }
    }
    stage.end([]).await
}
