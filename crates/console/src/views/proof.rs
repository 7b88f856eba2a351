//! What is proven: runs of the verifier, what they found, receipts of erasures.

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use lockstep_operations::{
    FindingOf, OwnReceipt, RUNS_A_PAGE, Receipt, VerificationRun, all_findings, receipts, verification_runs,
};
use serde::Deserialize;

use crate::answer::{Answer, Refusal};
use crate::extract::{Path, Query};
use crate::figures::{duration, whole};
use crate::page::{Page, Region, View};
use crate::state::Console;
use crate::verdict::{Level, mending};

#[derive(Deserialize, Default)]
pub(crate) struct Asked {
    runs_before: Option<i64>,
    findings_before: Option<i64>,
    receipts_before: Option<i64>,
}

#[derive(Template)]
#[template(path = "proof.html")]
struct ProofRegion {
    runs: Vec<RunRow>,
    findings: Vec<FindingOf>,
    receipts: Vec<OwnReceipt>,
    next_runs: Option<i64>,
    next_findings: Option<i64>,
    next_receipts: Option<i64>,
    mending: &'static str,
}

struct RunRow {
    level: Level,
    scope: String,
    numbers: Vec<String>,
    took: String,
    run: VerificationRun,
}

/// What a list of runs adds up, and what one run shows of each mapping.
const SUMS: [&str; 5] = ["source_rows", "missing", "unexpected", "different", "in_flight"];
const COUNTS: [&str; 8] =
    ["source_rows", "destination_rows", "missing", "unexpected", "different", "in_flight", "unjudged", "unreadable"];

impl From<VerificationRun> for RunRow {
    fn from(run: VerificationRun) -> Self {
        let level = match run.verdict.as_str() {
            "equal" | "in_flight" => Level::Well,
            "different" => Level::Wrong,
            _ => Level::Attention,
        };
        let numbers = SUMS.iter().map(|of| whole(total(&run, of))).collect();
        Self { level, scope: scope(&run), numbers, took: duration(run.seconds), run }
    }
}

/// What the verifier has counted of all mappings together.
pub(crate) fn total(run: &VerificationRun, of: &str) -> i64 {
    run.counts.as_array().into_iter().flatten().filter_map(|one| one[of].as_i64()).sum()
}

/// Whether a run has compared a mapping of a destination.
pub(crate) fn compares(run: &VerificationRun, destination: &str, mapping: &str) -> bool {
    let is_it = |one: &serde_json::Value| one["destination"] == destination && one["mapping"] == mapping;
    run.counts.as_array().into_iter().flatten().any(is_it)
}

/// What was asked for, in words.
fn scope(run: &VerificationRun) -> String {
    let some = |of: &str| run.scope[of].as_array().map(Vec::len).filter(|count| *count > 0);
    let parts =
        ["tenants", "mappings", "destinations"].into_iter().filter_map(|of| Some(format!("{} {of}", some(of)?)));
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
}

/// What the next page begins below, where this one is full.
fn next<T>(all: &[T], id: fn(&T) -> i64) -> Option<i64> {
    let is_full = i64::try_from(all.len()).is_ok_and(|count| count >= RUNS_A_PAGE);
    all.last().filter(|_| is_full).map(id)
}

pub(crate) async fn page(State(console): State<Arc<Console>>, Query(asked): Query<Asked>) -> Answer {
    let lent = console.readers.lend().await?;
    let runs = verification_runs(&lent.deployment, asked.runs_before).await?;
    let findings = all_findings(&lent.deployment, asked.findings_before).await?;
    let receipts = receipts(&lent.deployment, asked.receipts_before).await?;
    lent.give_back();
    let sample = console.samples.borrow().clone();
    let region = ProofRegion {
        mending: mending(sample.seen.as_ref().ok()),
        next_runs: next(&runs, |run| run.id),
        next_findings: next(&findings, |finding| finding.id),
        next_receipts: next(&receipts, |receipt| receipt.id),
        runs: runs.into_iter().map(RunRow::from).collect(),
        findings,
        receipts,
    };
    Ok(Page::still(&console, View::Proof, "Proof", vec![Region::of("proof", &region)]))
}

#[derive(Deserialize, Default)]
pub(crate) struct Form {
    #[serde(default)]
    form: String,
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunRegion {
    row: RunRow,
    counts: Vec<(String, String, Vec<String>)>,
}

pub(crate) async fn run(State(console): State<Arc<Console>>, Path(id): Path<i64>, Query(asked): Query<Form>) -> Answer {
    let lent = console.readers.lend().await?;
    let found = lockstep_operations::verification_run(&lent.deployment, id).await?;
    lent.give_back();
    let run = found.ok_or_else(|| Refusal::nothing(format!("Run {id} is not kept.")))?;
    if asked.form == "json" {
        return Ok(Json(run).into_response());
    }
    let of = |one: &serde_json::Value| {
        let text = |of: &str| one[of].as_str().unwrap_or("unknown").to_owned();
        let number = |of: &str| one[of].as_i64().map_or_else(|| "unknown".to_owned(), whole);
        (text("destination"), text("mapping"), COUNTS.iter().map(|of| number(of)).collect())
    };
    let counts = run.counts.as_array().into_iter().flatten().map(of).collect();
    let region = RunRegion { row: run.into(), counts };
    Ok(Page::still(&console, View::Proof, &format!("Run {id}"), vec![Region::of("run", &region)]))
}

#[derive(Template)]
#[template(path = "receipt.html")]
struct ReceiptRegion {
    receipt: Receipt,
    removed: Vec<(String, String)>,
}

pub(crate) async fn receipt(State(console): State<Arc<Console>>, Path(id): Path<i64>) -> Answer {
    let lent = console.readers.lend().await?;
    let found = lockstep_operations::receipt(&lent.deployment, id).await?;
    lent.give_back();
    let receipt = found.ok_or_else(|| Refusal::nothing(format!("There is no receipt {id}.")))?.receipt;
    let removed = receipt.removed.as_object().into_iter().flatten();
    let removed = removed
        .filter(|(name, _)| !name.starts_with('_'))
        .map(|(name, rows)| (name.clone(), rows.as_i64().map_or_else(|| rows.to_string(), whole)));
    let region = ReceiptRegion { removed: removed.collect(), receipt };
    Ok(Page::still(&console, View::Proof, &format!("Receipt {id}"), vec![Region::of("receipt", &region)]))
}
