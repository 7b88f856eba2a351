//! What is deployed is right: the chart with sets of values, the kustomize base, alerts, dashboard, units and packages.

mod alerts;
mod described;
mod kustomize;
mod promql;
mod settings;
mod systemd;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

pub(crate) use self::described::page as metrics_page;
pub(crate) use self::tools::promtool_for_tests;
use self::tools::{Tools, passes};
use super::finding::Finding;
use super::{Outcomes, listed, sources};
use crate::workspace::Workspace;

/// Renders the chart; runs in the virtual environment.
const RENDER: &str = include_str!("deploy/render.py");
/// The oldest version that the chart allows, and the newest that there are schemas of; each with the check's name.
const KUBERNETES: [(&str, &str); 2] = [("1.31", "objects of Kubernetes 1.31"), ("1.37", "objects of Kubernetes 1.37")];
const SCHEMAS: [&str; 2] = ["deploy/helm/lockstep/values.schema.json", "deploy/schemas/custom-resources.json"];

/// What can be looked at without any tool: part of every check.
pub(super) fn findings(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = alerts::findings(workspace)?;
    findings.extend(systemd::findings(workspace)?);
    findings.extend(settings::findings(workspace)?);
    Ok(findings)
}

/// Looks at everything, with the tools of others. With `write`, the kustomize base is rendered anew instead of compared.
pub(crate) fn check(workspace: &Workspace, write: bool) -> Result<ExitCode> {
    let mut outcomes = Outcomes::default();
    outcomes.note("deploy files", listed(&findings(workspace)?));
    let tools = Tools::ready(workspace)?;
    let rendered = workspace.directory.join("deploy/rendered");
    if !render(&tools, &rendered)? {
        outcomes.note("chart", false);
        return Ok(outcomes.end());
    }
    outcomes.note("chart", true);
    outcomes.note("kustomize", kustomize::passes(workspace, &tools, &rendered, write)?);
    for (version, name) in KUBERNETES {
        outcomes.note(name, objects_pass(&tools, &rendered, version)?);
    }
    outcomes.note("schemas", schemas_pass(&tools, &rendered)?);
    outcomes.note("hardening", hardening_passes(&tools, &rendered)?);
    outcomes.note("yaml", yaml_passes(workspace, &tools, &rendered)?);
    outcomes.note("alerts", alerts_pass(workspace, &tools)?);
    outcomes.note("containers", containers_pass(&tools)?);
    outcomes.note("units", systemd::units_pass(workspace, &tools)?);
    Ok(outcomes.end())
}

/// Renders every set of values, and sees that those are refused that have to be.
fn render(tools: &Tools<'_>, into: &Path) -> Result<bool> {
    if into.exists() {
        fs::remove_dir_all(into).with_context(|| format!("cannot remove {}", into.display()))?;
    }
    fs::create_dir_all(into.join("custom")).with_context(|| format!("cannot create {}", into.display()))?;
    let mut python = tools.python("python");
    python.args(["-c", RENDER, "deploy/helm/lockstep", "deploy/helm/values", kustomize::VALUES]).arg(into);
    let complaint = tools::complaint(python)?;
    // Helm tells each time that alerts and dashboard are links into the repository.
    let lines = complaint.iter().flat_map(|said| said.lines()).filter(|line| !line.contains("found symbolic link"));
    lines.for_each(|line| eprintln!("{line}"));
    Ok(complaint.is_none())
}

/// Objects that a version of Kubernetes would refuse, or whose fields it does not know.
fn objects_pass(tools: &Tools<'_>, rendered: &Path, version: &str) -> Result<bool> {
    let mut validate = tools.python("kubernetes-validate");
    // Kinds of others are looked at by schemas of our own.
    validate.args(["--strict", "--quiet", "--no-warn", "--kubernetes-version", version]).args(yaml_in(rendered)?);
    passes(validate)
}

/// Schemas are schemas, and kinds that Kubernetes does not have itself keep to ours.
fn schemas_pass(tools: &Tools<'_>, rendered: &Path) -> Result<bool> {
    let mut schemas = tools.python("check-jsonschema");
    schemas.arg("--check-metaschema").args(SCHEMAS);
    let mut custom = tools.python("check-jsonschema");
    custom.args(["--schemafile", SCHEMAS[1]]).args(yaml_in(&rendered.join("custom"))?);
    Ok(passes(schemas)? & passes(custom)?)
}

/// Pods are as Kubernetes' restricted standard asks, and more; `deploy/checkov.yaml` says what is left out and why.
fn hardening_passes(tools: &Tools<'_>, rendered: &Path) -> Result<bool> {
    let mut checkov = tools.python("checkov");
    checkov.args(["--config-file", "deploy/checkov.yaml"]);
    for file in yaml_in(rendered)? {
        checkov.arg("--file").arg(file);
    }
    passes(checkov)
}

fn yaml_passes(workspace: &Workspace, tools: &Tools<'_>, rendered: &Path) -> Result<bool> {
    let files = sources::files(workspace, &["deploy"], &["yaml"])?;
    let mut yamllint = tools.python("yamllint");
    yamllint.args(["--strict", "--config-file", "deploy/yamllint.yaml"]);
    // Templates are no YAML before they are rendered.
    yamllint.args(files.iter().filter(|file| !file.components().any(|part| part.as_os_str() == "templates")));
    yamllint.args(yaml_in(rendered)?);
    passes(yamllint)
}

/// Alerts fire when they should, and every panel asks in PromQL.
fn alerts_pass(workspace: &Workspace, tools: &Tools<'_>) -> Result<bool> {
    let dashboard = fs::read_to_string(workspace.root.join(alerts::DASHBOARD))?;
    let panels = serde_json::from_str(&dashboard)?;
    let rules = alerts::expressions(&panels).into_iter().enumerate().map(|(index, expression)| {
        let expression = expression.replace("$__rate_interval", "5m");
        serde_json::json!({ "record": format!("panel:{index}"), "expr": expression })
    });
    let rules = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules.collect::<Vec<_>>() }] });
    let file = workspace.directory.join("deploy/dashboard.json");
    fs::write(&file, rules.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    let mut check = tools.promtool();
    check.args(["check", "rules", alerts::ALERTS]).arg(file);
    let mut test = tools.promtool();
    test.args(["test", "rules", alerts::TESTS]);
    Ok(passes(check)? & passes(test)?)
}

fn containers_pass(tools: &Tools<'_>) -> Result<bool> {
    let mut hadolint = tools.python("hadolint");
    hadolint.arg("deploy/Containerfile");
    let mut compose = tools.python("check-jsonschema");
    compose.args(["--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml"]);
    Ok(passes(hadolint)? & passes(compose)?)
}

fn yaml_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect())
}
