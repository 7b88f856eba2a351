//! `lockstep pause`: each part stops and goes on; nothing is lost meanwhile, and nothing grows without bound.

use anyhow::{Result, ensure};
use lockstep_testkit::data::{Shape, seed};
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::Program;

use crate::background_edits::BackgroundEdits;
use crate::out_1::UNANNOUNCED;
use crate::stage::{DEADLINE, Stage};

const HEAD: &str = "SELECT last_sequence FROM lockstep.pass ORDER BY id DESC LIMIT 1";
const RENAMED: &str = "SELECT count() FROM {views}.users WHERE display_name = 'renamed'";

/// Runs `lockstep pause`, `resume` or `paused`.
async fn lockstep(stage: &Stage, arguments: &[&str]) -> Result<String> {
    Ok(stage.installation.succeed("lockstep", arguments).await?.stdout)
}

/// Waits until a log has said something so many times: a worker has no metric of what is paused.
pub(crate) async fn says(program: &Program, text: &str, times: usize) -> Result<()> {
    let said = async || Ok(program.logged()?.matches(text).count() >= times);
    eventually(&format!("the log to say {text:?}"), DEADLINE, said).await
}

/// `lockstep wait` gives up, and says why.
async fn waits_in_vain_for(stage: &Stage, what: &str) -> Result<()> {
    let waited = stage.installation.run("lockstep", &["wait", "--all", "--timeout", "2"]).await?;
    assert_eq!(waited.code, Some(2), "{}", waited.stdout);
    ensure!(waited.stderr.contains(what) && waited.stderr.contains("for a test"), "{}", waited.stderr);
    let status = stage.installation.succeed("lockstep", &["status"]).await?.stdout;
    ensure!(status.contains(what), "{status}");
    Ok(())
}

#[tokio::test]
async fn pause_stops_the_sequencer() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    lockstep(&stage, &["pause", "sequencer", "--reason", "for a test"]).await?;
    let paused = async || Ok(programs[0].metric("lockstep_sequencer_paused").await? == Some(1.0));
    eventually("the sequencer to pause", DEADLINE, paused).await?;
    let head = stage.number(HEAD).await?;
    stage.sql(r#"UPDATE "ProjectUser" SET "displayName" = 'renamed'"#).await?;
    waits_in_vain_for(&stage, "sequencer paused since").await?;
    assert_eq!(stage.number(HEAD).await?, head, "something was numbered");
    lockstep(&stage, &["resume", "sequencer"]).await?;
    stage.equal().await?;
    assert_eq!(stage.seen(RENAMED).await?, "4");
    stage.end(programs).await
}

/// Whoever waits is told what keeps the answer: nobody who could give it, or one who has not come to it.
#[tokio::test]
async fn wait_says_whether_a_sequencer_leads_where_it_has_no_answer() -> Result<()> {
    let stage = Stage::small().await?;
    let waits_in_vain = async |what: &str| {
        let waited = stage.installation.run("lockstep", &["wait", "--all", "--timeout", "3"]).await?;
        ensure!(waited.code == Some(2) && waited.stderr.contains(what), "{waited:?}");
        Ok::<_, anyhow::Error>(())
    };
    waits_in_vain("changes get no numbers, as no sequencer leads").await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let holding = stage.connect().await?;
    holding.batch_execute("BEGIN; LOCK TABLE lockstep.pass IN EXCLUSIVE MODE").await?;
    waits_in_vain("the sequencer that leads has not answered yet").await?;
    holding.batch_execute("ROLLBACK").await?;
    stage.equal().await?;
    stage.end(programs).await
}

#[tokio::test]
async fn what_stands_still_holds_up_no_number_before_its_first_change() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    lockstep(&stage, &["pause", "mapping", "users", "--reason", "for a test"]).await?;
    says(&programs[1], "some_paused=true", 1).await?;
    let head = stage.number(HEAD).await?;
    stage.sql(r#"BEGIN; UPDATE "ProjectUser" SET "displayName" = 'renamed'; UPDATE "Team" SET "displayName" = 'renamed'; COMMIT"#).await?;
    stage.numbered().await?;
    let first = format!(
        "SELECT min(c.sequence) FROM lockstep.change c JOIN lockstep.target t ON t.id = c.mapping WHERE t.name = 'users' AND c.sequence > {head}"
    );
    let first = stage.number(&first).await?;
    ensure!(first > head + 1, "teams come first");
    const PASSED: &str = "SELECT passed FROM lockstep.destination WHERE name = 'clickhouse'";
    stage.until("all before the first user to be known as shipped", PASSED, first - 1).await?;
    assert_eq!(stage.seen(RENAMED).await?, "0", "users stand still");
    lockstep(&stage, &["resume", "mapping", "users"]).await?;
    stage.equal().await?;
    stage.end(programs).await
}

#[tokio::test]
async fn pause_stops_workers_and_a_destination() -> Result<()> {
    let stage = Stage::seeded(Shape { tenants: 4, rows: 20, seed: 71 }).await?;
    let programs = [stage.sequencer()?, stage.worker()?, stage.worker()?];
    stage.equal().await?;
    let parts = [
        (&["workers"][..], "workers paused since"),
        (&["destination", "clickhouse"], "destination clickhouse paused since"),
    ];
    for (round, (part, said)) in parts.into_iter().enumerate() {
        lockstep(&stage, &[&["pause"], part, &["--reason", "for a test"]].concat()).await?;
        for worker in &programs[1..] {
            says(worker, " paused=true", round + 1).await?;
        }
        let editor = BackgroundEdits::start(&stage, 72).await?;
        editor.go_on(60).await?;
        editor.stop().await?;
        stage.sql(&format!(r#"UPDATE "ProjectUser" SET "displayName" = 'round {round}'"#)).await?;
        stage.numbered().await?;
        stage.until("all of it to be announced", UNANNOUNCED, 0).await?;
        waits_in_vain_for(&stage, said).await?;
        let shipped = format!("SELECT countIf(display_name = 'round {round}') FROM {{views}}.users");
        assert_eq!(stage.seen(&shipped).await?, "0", "something was shipped");
        lockstep(&stage, &[&["resume"], part].concat()).await?;
        stage.equal().await?;
    }
    stage.end(programs).await
}

#[tokio::test]
async fn pause_stops_one_mapping_and_one_tenant() -> Result<()> {
    let stage = Stage::small().await?;
    let programs = [stage.sequencer()?, stage.worker()?, stage.worker()?];
    stage.equal().await?;
    let engines: String = stage.client.query_one("SELECT id('engines')::text", &[]).await?.get(0);
    let parts = [
        (
            ["mapping", "users"],
            "SELECT countIf(display_name = 'renamed') = count() FROM {views}.teams",
            "SELECT countIf(display_name = 'renamed') = 0 FROM {views}.users",
        ),
        (
            ["tenancy", engines.as_str()],
            "SELECT countIf(display_name = 'again') = count() FROM {views}.users WHERE project_id = 'compilers'",
            "SELECT (SELECT countIf(display_name = 'again') FROM {views}.users WHERE project_id = 'engines') + (SELECT countIf(display_name = 'again') FROM {views}.teams WHERE project_id = 'engines') = 0",
        ),
    ];
    for (round, (part, arrives, stays)) in parts.into_iter().enumerate() {
        lockstep(&stage, &[&["pause"], &part[..], &["--reason", "for a test"]].concat()).await?;
        for worker in &programs[1..] {
            says(worker, "some_paused=true", round + 1).await?;
        }
        let name = if part[0] == "mapping" { "renamed" } else { "again" };
        stage
            .sql(&format!(
                r#"UPDATE "ProjectUser" SET "displayName" = '{name}'; UPDATE "Team" SET "displayName" = '{name}'"#
            ))
            .await?;
        stage.until_seen("everything else to arrive", arrives, "1").await?;
        waits_in_vain_for(&stage, &format!("{} {} paused since", part[0], part[1])).await?;
        assert_eq!(stage.seen(stays).await?, "1", "what was paused arrived");
        // Its messages are gone: nobody but the sweep knows that there are changes.
        stage.until("all of it to be announced", UNANNOUNCED, 0).await?;
        lockstep(&stage, &[&["resume"], &part[..]].concat()).await?;
        // Sooner than a sweep that was not told would announce it again: that takes a minute.
        stage.installation.succeed("lockstep", &["wait", "--all", "--timeout", "25"]).await?;
        stage.equal().await?;
    }
    stage.end(programs).await
}

#[tokio::test]
async fn pause_stops_fills() -> Result<()> {
    let stage = Stage::before_capture().await?;
    seed(&stage.client, Shape { tenants: 3, rows: 30, seed: 73 }).await?;
    stage.migrate(&[]).await?;
    let tenant: String = stage.client.query_one(r#"SELECT max("id"::text) FROM "Tenancy""#, &[]).await?.get(0);
    let other: String = stage.client.query_one(r#"SELECT min("id"::text) FROM "Tenancy""#, &[]).await?.get(0);
    lockstep(&stage, &["pause", "tenancy", &tenant]).await?;
    lockstep(&stage, &["pause", "mapping", "users"]).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    // The stream of another tenant's goes on.
    stage.sql(&format!(r#"UPDATE "Team" SET "displayName" = 'renamed' WHERE "tenancyId" = '{other}'"#)).await?;
    stage.until_seen("the stream", "SELECT countIf(display_name = 'renamed') > 0 FROM {views}.teams", "1").await?;
    let taken = "SELECT count(*) FROM lockstep.fill_range WHERE claimed_until IS NOT NULL OR finished_at IS NOT NULL";
    assert_eq!(stage.number(taken).await?, 0, "a range was taken that holds rows of a paused tenant");
    lockstep(&stage, &["resume", "tenancy", &tenant]).await?;
    let left = "SELECT count(*) FROM lockstep.fill WHERE finished_at IS NULL";
    stage.until("the fills of all other mappings", left, 1).await?;
    assert_eq!(stage.number(&format!("{left} AND mapping_name = 'users'")).await?, 1);
    lockstep(&stage, &["resume", "mapping", "users"]).await?;
    stage.equal().await?;
    stage.end(programs).await
}

#[tokio::test]
async fn pause_refuses_what_there_is_not_and_shows_what_there_is() -> Result<()> {
    let stage = Stage::small().await?;
    ensure!(lockstep(&stage, &["paused"]).await?.contains("Nothing is paused"));
    let nobody = "00000000-0000-4000-8000-000000000000";
    for (arguments, said) in [
        (&["everything"][..], "everything"),
        (&["mapping", "user"], "LS-0040: there is no mapping \"user\"; those that there are: users, contact_channels"),
        (&["mapping"], "<NAME>"),
        (&["workers", "one"], "'one'"),
        (&["destination", "postgres"], "LS-0041: there is no destination \"postgres\"; there is clickhouse"),
        (&["tenancy", "ada"], "'ada'"),
        (&["tenancy", nobody], "LS-0019"),
    ] {
        let refused = stage.installation.run("lockstep", &[&["pause"], arguments].concat()).await?;
        assert_eq!(refused.code, Some(78), "{arguments:?}");
        ensure!(refused.stderr.contains(said), "{arguments:?}: {}", refused.stderr);
    }
    assert_eq!(stage.number("SELECT count(*) FROM lockstep.pause").await?, 0);
    lockstep(&stage, &["pause", "mapping", "teams", "--reason", "too wide"]).await?;
    ensure!(lockstep(&stage, &["pause", "mapping", "teams", "--reason", "another"]).await?.contains("Already paused"));
    let shown = lockstep(&stage, &["paused"]).await?;
    ensure!(shown.contains("teams") && shown.contains("too wide"), "{shown}");
    ensure!(lockstep(&stage, &["resume", "mapping", "teams"]).await?.contains("Resumed"));
    ensure!(lockstep(&stage, &["resume", "mapping", "teams"]).await?.contains("Was not paused"));
    stage.end([]).await
}
