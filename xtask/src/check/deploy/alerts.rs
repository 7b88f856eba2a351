//! Alerts and the dashboard ask only for metrics that exist, and each alert has a runbook and a test.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::described::Described;
use super::promql;
use crate::check::finding::Finding;
use crate::workspace::Workspace;

pub(super) const ALERTS: &str = "deploy/alerts/lockstep.yaml";
pub(super) const TESTS: &str = "deploy/alerts/tests.yaml";
pub(super) const DASHBOARD: &str = "deploy/grafana/lockstep.json";
pub(super) const RUNBOOKS: &str = "docs/runbooks";
/// Where a runbook's page is read; a path of the repository follows.
const PAGES: &str = "https://github.com/lockstep-sync/lockstep/blob/main/";

/// An alert as far as it is looked at.
#[derive(Default, Debug)]
struct Alert {
    name: String,
    line: usize,
    expression: String,
    runbook: String,
}

/// Everything that the alerts, their runbooks and the dashboard name in vain.
pub(super) fn findings(workspace: &Workspace) -> Result<Vec<Finding>> {
    let described = Described::in_sources(workspace)?;
    let read =
        |file: &str| fs::read_to_string(workspace.root.join(file)).with_context(|| format!("cannot read {file}"));
    let (text, tests) = (read(ALERTS)?, read(TESTS)?);
    let alerts = alerts(&text);
    let mut findings: Vec<_> =
        alerts.iter().flat_map(|alert| examine(alert, &described, &tests, &workspace.root)).collect();
    if described.is_empty() || alerts.is_empty() {
        let what = "no alert or no metric was found at all".to_owned();
        findings.push(Finding { file: ALERTS.to_owned(), line: 1, what, remedy: "mend the reading of them" });
    }
    findings.extend(pages_without_an_alert(&alerts, &workspace.root)?);
    let dashboard = read(DASHBOARD)?;
    let panels: Value = serde_json::from_str(&dashboard).with_context(|| format!("{DASHBOARD} is no JSON"))?;
    for expression in expressions(&panels) {
        // Found again by how it is written there, for the line.
        let written = serde_json::to_string(expression)?;
        let line = dashboard.lines().position(|line| line.contains(&written)).map_or(1, |index| index + 1);
        findings.extend(unknown(expression, &described, DASHBOARD, line));
    }
    Ok(findings)
}

/// Reads alerts of the form that the file keeps to; promtool reads it as YAML.
fn alerts(text: &str) -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    let mut in_expression = false;
    for (index, line) in text.lines().enumerate() {
        let content = line.trim_start();
        if let Some(name) = content.strip_prefix("- alert: ") {
            alerts.push(Alert { name: name.to_owned(), line: index + 1, ..Alert::default() });
        }
        let Some(alert) = alerts.last_mut() else { continue };
        let key = content
            .split_once(": ")
            .filter(|(key, _)| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        match key {
            Some(("expr", expression)) => {
                in_expression = true;
                expression.trim_start_matches("|-").trim_matches('\'').clone_into(&mut alert.expression);
            }
            Some(("runbook_url", url)) => url.clone_into(&mut alert.runbook),
            Some(_) => in_expression = false,
            None if in_expression && content != "annotations:" => {
                alert.expression.push('\n');
                alert.expression.push_str(content);
            }
            None => {}
        }
    }
    alerts
}

fn examine(alert: &Alert, described: &Described, tests: &str, root: &Path) -> Vec<Finding> {
    let finding = |what: String, remedy| Finding { file: ALERTS.to_owned(), line: alert.line, what, remedy };
    let mut findings = unknown(&alert.expression, described, ALERTS, alert.line);
    let page = format!("{RUNBOOKS}/{}.md", alert.name);
    if alert.runbook != format!("{PAGES}{page}") {
        findings
            .push(finding(format!("the runbook_url of {} is {:?}", alert.name, alert.runbook), "name its own page"));
    }
    match fs::read_to_string(root.join(&page)) {
        Ok(text) if !text.starts_with(&format!("# {}\n", alert.name)) => {
            findings.push(finding(format!("{page} has another title"), "begin it with the alert's name"));
        }
        Ok(_) => {}
        Err(_) => findings.push(finding(format!("{page} does not exist"), "write the runbook")),
    }
    if !tests.contains(&format!("alertname=\"{}\"", alert.name)) {
        findings.push(finding(format!("{} has no test", alert.name), "show in deploy/alerts/tests.yaml when it fires"));
    }
    findings
}

/// A finding for each series that no program exports.
fn unknown(expression: &str, described: &Described, file: &str, line: usize) -> Vec<Finding> {
    let names: BTreeSet<_> = promql::series(expression).into_iter().filter(|name| !described.has(name)).collect();
    let finding = |name| Finding {
        file: file.to_owned(),
        line,
        what: format!("no program exports {name}"),
        remedy: "ask for a metric that a program describes",
    };
    names.into_iter().map(finding).collect()
}

fn pages_without_an_alert(alerts: &[Alert], root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for entry in fs::read_dir(root.join(RUNBOOKS)).with_context(|| format!("cannot read {RUNBOOKS}"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "README.md" && !alerts.iter().any(|alert| name == format!("{}.md", alert.name)) {
            let (file, what) = (format!("{RUNBOOKS}/{name}"), "no alert has this page".to_owned());
            findings.push(Finding { file, line: 1, what, remedy: "remove it, or write the alert" });
        }
    }
    Ok(findings)
}

/// The expressions of all panels.
pub(super) fn expressions(dashboard: &Value) -> Vec<&str> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.filter_map(|target| target["expr"].as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "groups:\n  - rules:\n      - alert: One\n        expr: max(lockstep_sequencer_leader) < 1\n        \
                        for: 1m\n        annotations:\n          runbook_url: https://elsewhere/One.md\n      - alert: Two\n        \
                        expr: |-\n          lockstep_gone > 1\n          and lockstep_sequencer_leader\n        labels: { a: b }\n";

    fn workspace() -> Workspace {
        Workspace::find().unwrap()
    }

    #[test]
    fn an_unknown_metric_a_missing_runbook_and_a_missing_test_are_found() {
        let described = Described::in_sources(&workspace()).unwrap();
        let found = alerts(TEXT);
        assert_eq!(found.len(), 2);
        assert_eq!(promql::series(&found[1].expression), ["lockstep_gone", "lockstep_sequencer_leader"]);
        let said = |alert| {
            let findings = examine(alert, &described, "alertname=\"One\"", &workspace().root);
            findings.into_iter().map(|finding| finding.what).collect::<Vec<_>>()
        };
        assert_eq!(
            said(&found[0]),
            ["the runbook_url of One is \"https://elsewhere/One.md\"", "docs/runbooks/One.md does not exist"]
        );
        assert_eq!(
            said(&found[1]),
            [
                "no program exports lockstep_gone",
                "the runbook_url of Two is \"\"",
                "docs/runbooks/Two.md does not exist",
                "Two has no test"
            ]
        );
    }

    #[test]
    fn an_unknown_metric_of_a_panel_is_found() {
        let dashboard = serde_json::json!({ "panels": [
            { "type": "row" },
            { "targets": [{ "expr": "rate(lockstep_worker_rows_total[5m])" }, { "expr": "up * lockstep_worker_row_total" }] },
        ] });
        let described = Described::in_sources(&workspace()).unwrap();
        let found = expressions(&dashboard).into_iter().flat_map(|text| unknown(text, &described, DASHBOARD, 1));
        let what: Vec<_> = found.map(|finding| finding.what).collect();
        assert_eq!(what, ["no program exports lockstep_worker_row_total", "no program exports up"]);
    }

    #[test]
    fn the_alerts_of_this_checkout_are_all_read() {
        let text = fs::read_to_string(workspace().root.join(ALERTS)).unwrap();
        let found = alerts(&text);
        assert_eq!(found.len(), text.matches("- alert:").count());
        assert!(found.iter().all(|alert| !promql::series(&alert.expression).is_empty()), "{found:?}");
    }
}
