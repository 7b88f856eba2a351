//! The program: its exit codes, and what it prints.

use std::process::{Command, Output};

use serde_json::Value;

use crate::fixture::{Fixture, environment, id, teams, tenancy};

fn run(environment: Vec<(&'static str, String)>, arguments: &[String]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep-verifier"));
    // Whatever the caller's environment says is not what is tested.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LOCKSTEP_")) {
        command.env_remove(name);
    }
    let Output { status, stdout, stderr } = command.envs(environment).args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Its exit code, and what it printed on standard output and on standard error.
pub(crate) async fn verifier(
    environment: Vec<(&'static str, String)>,
    arguments: &[&str],
) -> (Option<i32>, String, String) {
    let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
    tokio::task::spawn_blocking(move || run(environment, &arguments)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_the_exit_code_says_what_was_found() {
    let fixture = Fixture::create("", None).await.unwrap();
    let environment = environment(&fixture.settings);
    let json = &["--output", "json", "--settle", "0"];
    let verdict = |output: &str| serde_json::from_str::<Value>(output).unwrap()["verdict"].as_str().unwrap().to_owned();

    fixture.run(&(tenancy(1) + &teams(1, 10..13))).await.unwrap();
    fixture.end_fills().await.unwrap();
    let (code, output, _) = verifier(environment.clone(), json).await;
    assert_eq!((code, verdict(&output).as_str()), (Some(2), "in_flight"), "{output}");

    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    let (code, output, errors) = verifier(environment.clone(), json).await;
    assert_eq!((code, verdict(&output).as_str()), (Some(0), "equal"), "{output}");
    // A run of more than two seconds tells how far it has come.
    assert!(errors.lines().all(|line| line.contains(" rows of Postgres, ") || line == "connecting"), "{errors}");
    let report: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(report["mappings"].as_array().unwrap().len(), 12);
    let teams = report["mappings"].as_array().unwrap().iter().find(|mapping| mapping["name"] == "teams").unwrap();
    for (name, expected) in [
        ("source_rows", 3),
        ("destination_rows", 3),
        ("missing", 0),
        ("unexpected", 0),
        ("different", 0),
        ("in_flight", 0),
    ] {
        assert_eq!(teams[name], expected, "{name}");
    }
    assert_eq!(teams["equal"], true);
    assert!(report["elapsed_ms"].is_u64());

    fixture.in_clickhouse("teams", &format!("DELETE FROM {{t}} WHERE id = '{}'", id(11))).await.unwrap();
    let (code, output, _) = verifier(environment.clone(), json).await;
    assert_eq!((code, verdict(&output).as_str()), (Some(1), "different"), "{output}");
    let (code, output, _) = verifier(environment.clone(), &["--mapping", "teams", "--settle", "0"]).await;
    assert_eq!(code, Some(1));
    assert!(output.contains(&format!("missing in ClickHouse (lost): id={}", id(11))), "{output}");
    assert!(!output.contains("Team 11"), "a tenant's value was shown: {output}");
    let (code, ..) = verifier(environment.clone(), &["--mapping", "users", "--mapping", "contact_channels"]).await;
    assert_eq!(code, Some(0), "the mapping that differs was not asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_what_cannot_be_finished_says_why_and_claims_nothing() {
    let fixture = Fixture::create("", None).await.unwrap();
    let environment = environment(&fixture.settings);
    let unknown = &["--tenant", "00000000-0000-4000-8000-000000000077", "--output", "json"];
    let (code, output, errors) = verifier(environment.clone(), unknown).await;
    assert_eq!((code, output.as_str()), (Some(3), ""), "it has no result");
    let failure: Value = serde_json::from_str(errors.lines().last().unwrap()).unwrap();
    assert_eq!(failure["code"], "LS-0302", "{failure}");
    assert!(failure["message"].as_str().unwrap().contains("000000000077"), "{failure}");

    let mut unreachable = environment.clone();
    unreachable.push(("LOCKSTEP_CLICKHOUSE_URL", "http://127.0.0.1:9".to_owned()));
    let (code, output, errors) = verifier(unreachable, &[]).await;
    assert_eq!((code, output.as_str()), (Some(3), ""), "{errors}");
    assert!(errors.contains("LS-0201"), "{errors}");

    // A table that is not there is no table without rows.
    fixture.in_clickhouse("teams", "DROP TABLE {t} SYNC").await.unwrap();
    let (code, _, errors) = verifier(environment.clone(), &[]).await;
    assert_eq!(code, Some(3), "{errors}");
    assert!(errors.contains("lockstep migrate"), "{errors}");
    fixture.run("DROP SCHEMA lockstep CASCADE").await.unwrap();
    let (code, _, errors) = verifier(environment.clone(), &["--mapping", "users"]).await;
    assert_eq!(code, Some(3), "{errors}");
    assert!(errors.contains("LS-0023") && errors.contains("lockstep migrate"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_tables_of_which_a_policy_hides_rows_are_refused() {
    let fixture = Fixture::create("", None).await.unwrap();
    fixture.run(r#"ALTER TABLE "Team" ENABLE ROW LEVEL SECURITY"#).await.unwrap();
    fixture.end_fills().await.unwrap();
    let environment = environment(&fixture.settings);
    let (code, ..) = verifier(environment.clone(), &[]).await;
    assert_eq!(code, Some(0), "a superuser sees all rows");
    // A role that every server has, may read everything, and is no superuser.
    let mut limited = environment.clone();
    let url = format!("{}?options=-c%20role%3Dpg_read_all_data", fixture.database.url());
    limited.push(("LOCKSTEP_SOURCE_URL", url));
    // The table of a mapping, and one that another mapping is joined with.
    for mapping in ["teams", "team_invitations"] {
        let arguments: &[&'static str] = match mapping {
            "teams" => &["--mapping", "teams", "--output", "json"],
            _ => &["--mapping", "team_invitations", "--output", "json"],
        };
        let (code, output, errors) = verifier(limited.clone(), arguments).await;
        assert_eq!((code, output.as_str()), (Some(78), ""), "{mapping}: {errors}");
        let failure: Value = serde_json::from_str(errors.lines().last().unwrap()).unwrap();
        assert_eq!(failure["code"], "LS-0031", "{mapping}: {failure}");
        assert!(failure["message"].as_str().unwrap().contains("public.Team"), "{mapping}: {failure}");
    }
    let (code, _, errors) = verifier(limited, &["--mapping", "refresh_tokens"]).await;
    assert_eq!(code, Some(0), "no policy is on what it reads: {errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_start_nothing() {
    let (code, output, errors) = verifier(Vec::new(), &[]).await;
    assert_eq!((code, output.as_str()), (Some(78), ""));
    assert!(errors.contains("LOCKSTEP_SOURCE_URL") && errors.contains("LOCKSTEP_CLICKHOUSE_URL"), "{errors}");
    let unused = vec![
        ("LOCKSTEP_SOURCE_URL", "postgres://127.0.0.1:9/x".to_owned()),
        ("LOCKSTEP_CLICKHOUSE_URL", "http://127.0.0.1:9".to_owned()),
    ];
    let (code, _, errors) = verifier(unused.clone(), &["--mapping", "user"]).await;
    assert_eq!(code, Some(78));
    assert!(errors.contains("LS-0301") && errors.contains("contact_channels"), "{errors}");
    for wrong in [&["--tenant", "me"][..], &["--output", "xml"], &["--format", "json"], &["--settle", "-1"]] {
        assert_eq!(verifier(unused.clone(), wrong).await.0, Some(78), "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_what_is_skipped_is_not_compared_and_the_first_difference_can_end_a_run() {
    let fixture = Fixture::create("", None).await.unwrap();
    fixture.run(&(tenancy(1) + &teams(1, 10..13))).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    let environment = environment(&fixture.settings);
    fixture.in_clickhouse("teams", &format!("DELETE FROM {{t}} WHERE id = '{}'", id(11))).await.unwrap();
    let run = async |arguments: &[&str]| {
        let arguments = [&["--output", "json", "--settle", "0"][..], arguments].concat();
        let (code, output, _) = verifier(environment.clone(), &arguments).await;
        (code.unwrap(), serde_json::from_str::<Value>(&output).unwrap_or_default())
    };
    let names = |report: &Value| {
        let mappings = report["mappings"].as_array().unwrap().iter();
        mappings.map(|mapping| mapping["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };

    let (code, report) = run(&["--skip-mapping", "teams", "--skip-mapping", "users"]).await;
    assert_eq!((code, names(&report).len()), (0, 10), "{report}");
    let (code, report) = run(&["--skip-destination", "clickhouse"]).await;
    assert_eq!((code, names(&report).len()), (3, 0), "nothing is no proof of anything: {report}");
    for wrong in [["--skip-mapping", "team"], ["--skip-destination", "00000000-0000-4000-8000-000000000077"]] {
        assert_eq!(run(&wrong).await.0, 78, "{wrong:?}");
    }

    // Only teams have changed: they come first, differ, and the others are left out.
    let (code, report) = run(&["--recent-first", "--stop-at-first"]).await;
    assert_eq!((code, names(&report)[0].as_str()), (1, "teams"), "{report}");
    let mappings = report["mappings"].as_array().unwrap();
    assert_eq!((mappings.len(), &mappings[0]["missing"]), (12, &Value::from(1)), "{report}");
    let is_left_out =
        |mapping: &Value| mapping["unfinished"].as_str().is_some_and(|why| why.contains("--stop-at-first"));
    assert!(mappings[1..].iter().all(is_left_out), "{report}");
    // In the order of definitions, all that come before are compared.
    let (code, report) = run(&["--stop-at-first"]).await;
    let mappings = report["mappings"].as_array().unwrap();
    let at = names(&report).iter().position(|name| name == "teams").unwrap();
    assert_eq!(code, 1);
    assert!(
        mappings[..at].iter().all(|mapping| mapping["equal"] == true) && mappings[at + 1..].iter().all(is_left_out)
    );
    let (_, text, _) = verifier(environment.clone(), &["--stop-at-first", "--settle", "0"]).await;
    assert!(text.contains("team_permissions: left out, since a difference was found before"), "{text}");
    let (code, report) = run(&["--recent-first", "--stop-at-first", "--skip-mapping", "teams"]).await;
    assert_eq!((code, report["verdict"].as_str()), (0, Some("equal")), "nothing was left out: {report}");
}
