//! A side against a file: what is equal is called equal however it is written, and what differs is named.

use std::path::{Path, PathBuf};

use lockstep_core::TenancyId;
use lockstep_testkit::data::{Shape, hostile, seed};
use lockstep_testkit::databases::unique_suffix;
use lockstep_verifier::{
    DestinationChoice, FileOptions, FileReport, Kind, Shown, SideChoice, SideOptions, Verdict, VerifyError,
    compare_file, save_file,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::everything;
use crate::fixture::{Fixture, environment, id, teams, tenancy};
use crate::program::verifier;

pub(crate) const CLICKHOUSE: SideChoice = SideChoice::Destination(DestinationChoice::ClickHouse);

/// Where a file is, until it is dropped.
pub(crate) struct TestFile(pub(crate) PathBuf);

impl TestFile {
    pub(crate) fn new() -> Self {
        Self(std::env::temp_dir().join(format!("lockstep-{}.ndjson", unique_suffix())))
    }

    fn write(&self, lines: &[Value]) {
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(&self.0, lines).unwrap();
    }

    fn argument(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(crate) fn rows_of(mapping: &str, tenant: Uuid, side: SideChoice) -> SideOptions {
    SideOptions { mapping: mapping.to_owned(), tenant: TenancyId::new(tenant), side }
}

pub(crate) async fn compared(fixture: &Fixture, of: &SideOptions, file: &Path) -> Result<FileReport, VerifyError> {
    let options = FileOptions { file: file.to_owned(), max_rows: 100_000, show: 20, shown: Shown::Ids };
    compare_file(&fixture.settings, of, &options).await
}

/// Saves from one side, and expects both to be equal to it.
async fn round_trip(fixture: &Fixture, mapping: &str, tenant: Uuid) -> u64 {
    let mut rows = 0;
    for saved in [SideChoice::Source, CLICKHOUSE] {
        let file = TestFile::new();
        rows = save_file(&fixture.settings, &rows_of(mapping, tenant, saved), &file.0).await.unwrap();
        for side in [SideChoice::Source, CLICKHOUSE] {
            let report = compared(fixture, &rows_of(mapping, tenant, side), &file.0).await.unwrap();
            assert_eq!(report.verdict, Verdict::Equal, "{saved:?} and {side:?}: {}", report.to_text());
            assert_eq!((report.file_rows, report.side_rows, report.equal_rows), (rows, rows, rows));
            assert!(report.not_compared.is_empty() && report.ignored_values == 0, "{}", report.to_text());
        }
    }
    rows
}

/// One tenancy with three teams, shipped.
async fn three_teams() -> Fixture {
    let fixture = Fixture::create("", None).await.unwrap();
    fixture.run(&(tenancy(1) + &teams(1, 10..13))).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    fixture
}

/// A team as a REST API might give it.
async fn exported(fixture: &Fixture, n: u128) -> Value {
    let created = format!(
        r#"SELECT floor(extract(epoch FROM "createdAt") * 1000)::bigint FROM "Team" WHERE "teamId" = '{}'"#,
        id(n)
    );
    let created: i64 = fixture.client.query_one(&created, &[]).await.unwrap().get(0);
    json!({
        "server_metadata": {}, "client_metadata": {}, "client_read_only_metadata": {}, "created_at": created,
        "profile_image_url": null, "display_name": format!("Team {n}"), "id": id(n).to_string().to_uppercase(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_a_saved_file_is_equal_to_both_sides_over_all_types() {
    let definition = Some((everything::FILE, everything::DEFINITION));
    let fixture = Fixture::create(everything::TABLE, definition).await.unwrap();
    fixture.run(&(tenancy(1) + &tenancy(2))).await.unwrap();
    let names = [
        "", " ", "a", "B", "é", "日本", "\u{ff5e}", "😀", "'", "\\", "\"", "\t", "\n", "\u{1}", "{}", "null", "10", "9",
    ];
    fixture.run(&everything::rows(id(1), &names)).await.unwrap();
    fixture.run(&everything::rows(id(2), &["other"])).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    assert_eq!(round_trip(&fixture, "everything", id(1)).await, names.len() as u64 * 2 + 16);
    assert_eq!(round_trip(&fixture, "teams", id(1)).await, 0, "an empty file is a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_a_saved_file_is_equal_to_both_sides_over_all_mappings() {
    let fixture = Fixture::create("", None).await.unwrap();
    seed(&fixture.client, Shape { tenants: 2, rows: 30, seed: 11 }).await.unwrap();
    let tenancies = fixture.client.query(r#"SELECT "id" FROM "Tenancy" ORDER BY "id""#, &[]).await.unwrap();
    let tenant: Uuid = tenancies[0].get(0);
    hostile(&fixture.client, tenant).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    for mapping in fixture.set.iter() {
        assert!(round_trip(&fixture, mapping.name.as_str(), tenant).await > 10, "{}", mapping.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_rows_from_elsewhere_are_compared_by_the_rules_of_the_mapping() {
    let fixture = three_teams().await;
    let (file, of) = (TestFile::new(), rows_of("teams", id(1), CLICKHOUSE));
    let mut lines = Vec::new();
    for n in [12, 10, 11] {
        lines.push(exported(&fixture, n).await);
    }
    file.write(&lines);
    assert_eq!(compared(&fixture, &of, &file.0).await.unwrap().verdict, Verdict::Equal);

    // One row is not in the file, one only there, one has other values; what the mapping has not is counted.
    lines[0]["id"] = json!(id(77));
    lines[1]["display_name"] = json!("somebody@example.com");
    lines[1]["created_at"] = json!(0);
    lines[2]["members"] = json!(["somebody@example.com"]);
    file.write(&lines);
    for side in [CLICKHOUSE, SideChoice::Source] {
        let report = compared(&fixture, &rows_of("teams", id(1), side), &file.0).await.unwrap();
        assert_eq!((report.verdict, report.exit_code()), (Verdict::Different, 1));
        assert_eq!((report.missing, report.unexpected, report.different, report.equal_rows), (1, 1, 1, 1));
        assert_eq!(
            report.columns.iter().map(|(name, rows)| (name.as_str(), *rows)).collect::<Vec<_>>(),
            [("created_at", 1), ("display_name", 1)]
        );
        assert_eq!((report.ignored_values, report.ignored_fields.first().map(String::as_str)), (1, Some("members")));
        let found: Vec<_> =
            report.findings.iter().map(|one| (one.kind, one.key.get("id").unwrap().to_owned())).collect();
        let expected = [(Kind::Different, id(10)), (Kind::Unexpected, id(12)), (Kind::Missing, id(77))]
            .map(|(kind, id)| (kind, id.to_string()));
        assert_eq!(found, expected);
        assert!(
            !(report.to_text() + &report.to_json()).contains("somebody"),
            "a value was shown: {}",
            report.to_text()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_columns_that_a_file_lacks_are_not_compared_and_said() {
    let fixture = three_teams().await;
    let (file, of) = (TestFile::new(), rows_of("teams", id(1), CLICKHOUSE));
    let bare = |n: u128| json!({"id": id(n), "display_name": format!("Team {n}")});
    file.write(&[bare(10), bare(11), bare(12)]);
    let report = compared(&fixture, &of, &file.0).await.unwrap();
    assert_eq!((report.verdict, report.equal_rows), (Verdict::Equal, 3), "{}", report.to_text());
    assert_eq!((report.not_compared.len(), report.not_compared["created_at"]), (5, 3));
    assert!(
        report.to_text().contains("Not compared where lines lack it: client_metadata (3 of 3)"),
        "{}",
        report.to_text()
    );

    // A column that only some lines have was not compared in the others: that is not equal.
    let mut lines = vec![bare(10), bare(11), bare(12)];
    lines[0]["profile_image_url"] = Value::Null;
    file.write(&lines);
    let report = compared(&fixture, &of, &file.0).await.unwrap();
    assert_eq!((report.verdict, report.exit_code()), (Verdict::Unfinished, 3), "{}", report.to_text());
    lines[0]["profile_image_url"] = json!("https://example.com");
    file.write(&lines);
    let report = compared(&fixture, &of, &file.0).await.unwrap();
    assert_eq!((report.verdict, report.columns["profile_image_url"]), (Verdict::Different, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_a_side_that_is_not_filled_is_not_compared() {
    let fixture = Fixture::create("", None).await.unwrap();
    fixture.run(&(tenancy(1) + &teams(1, 10..13))).await.unwrap();
    let file = TestFile::new();
    let filling = save_file(&fixture.settings, &rows_of("teams", id(1), CLICKHOUSE), &file.0).await.unwrap_err();
    assert!(filling.to_string().starts_with("LS-0333: teams is not filled in clickhouse"), "{filling}");
    assert_eq!(filling.exit_code(), 3);
    assert!(!file.0.exists());
    assert_eq!(save_file(&fixture.settings, &rows_of("teams", id(1), SideChoice::Source), &file.0).await.unwrap(), 3);
    let nobody = save_file(&fixture.settings, &rows_of("teams", id(9), SideChoice::Source), &file.0).await.unwrap_err();
    assert!(matches!(nobody, VerifyError::UnknownTenants(_)), "{nobody}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_the_exit_code_of_compare_says_what_was_found() {
    let fixture = three_teams().await;
    let (file, tenant) = (TestFile::new(), id(1).to_string());
    let run = async |arguments: &[&str]| {
        let compare = ["compare", "--mapping", "teams", "--tenant", &tenant];
        verifier(environment(&fixture.settings), &[&compare[..], arguments].concat()).await
    };
    let path = file.argument();
    let (code, output, errors) = run(&["--save", &path, "--output", "json"]).await;
    let saved: Value = serde_json::from_str(&output).unwrap_or_default();
    assert_eq!((code, &saved["rows"], &saved["side"]), (Some(0), &json!(3), &json!("clickhouse")), "{output}{errors}");

    let against = ["--against", &path, "--output", "json"];
    let (code, output, _) = run(&against).await;
    let report: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((code, &report["verdict"], &report["equal_rows"]), (Some(0), &json!("equal"), &json!(3)), "{output}");
    let (code, output, _) = run(&["--against", &path, "--side", "source"]).await;
    assert_eq!(code, Some(0), "{output}");

    fixture.in_clickhouse("teams", &format!("DELETE FROM {{t}} WHERE id = '{}'", id(11))).await.unwrap();
    let (code, output, _) = run(&["--against", &path]).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains(&format!("missing in ClickHouse: id={}", id(11))), "{output}");

    std::fs::write(&file.0, "{\"id\": \"hunter2\"}\n").unwrap();
    let (code, output, errors) = run(&against).await;
    assert_eq!((code, output.as_str()), (Some(3), ""));
    assert!(errors.contains("LS-0330: line 1") && !errors.contains("hunter2"), "{errors}");
    for wrong in [
        &["--against", "/nonexistent/file"][..],
        &[],
        &["--against", "a", "--save", "b"],
        &["--against", &path, "--max-rows", "0"],
    ] {
        assert_eq!(run(wrong).await.0, Some(78), "{wrong:?}");
    }
    let both = ["--mapping", "teams", "compare", "--mapping", "teams", "--tenant", &tenant, "--against", &path];
    let (code, ..) = verifier(environment(&fixture.settings), &both).await;
    assert_eq!(code, Some(78), "arguments of a verification mean nothing here");
}
