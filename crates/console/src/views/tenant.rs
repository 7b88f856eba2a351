//! One tenant, for operators and by a signed link for itself: how far it is, its own databases, the story of a row.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use lockstep_core::TenancyId;
use lockstep_operations::{
    ActionEntry, ChangedRow, DESTINATION, DestinationState, ExplainRequest, OperationError, ProgressState, Proven,
    TenantMappingProgress, TenantReport, Verdict, VerifiedReport, actions, explain, latest_changes, tenant, verified,
};
use serde::Deserialize;
use uuid::Uuid;

use crate::answer::{Answer, Refusal};
use crate::extract::{Path, Query};
use crate::figures::{at_least, whole};
use crate::page::{Page, Region, View};
use crate::pool::Lent;
use crate::state::Console;
use crate::tokens::now_s;
use crate::verdict::Level;
use crate::views::tenants::encoded;

#[derive(Deserialize, Default)]
pub(crate) struct Asked {
    #[serde(default)]
    mapping: String,
    #[serde(default)]
    key: String,
}

#[derive(Template)]
#[template(path = "tenant.html")]
struct TenantRegion {
    report: TenantReport,
    rows: Vec<Row>,
    verified: Option<VerifiedReport>,
    told: Option<Told>,
    /// It is the tenant's own page: nothing of other places, operators or other tenants is on it.
    own: bool,
    /// Who changed what of it; nothing on its own page.
    entries: Vec<ActionEntry>,
    /// Rows to explain; none on its own page.
    latest: Vec<Latest>,
    actions: bool,
    is_paused: bool,
    here: String,
    asked_mapping: String,
    asked_key: String,
}

struct Row {
    of: TenantMappingProgress,
    level: Level,
    cursor: String,
    last_change: String,
    behind: String,
    proven: Option<Proven>,
}

/// A row that changed.
struct Latest {
    of: ChangedRow,
    /// Where it is explained.
    link: Option<String>,
}

/// The story of a row.
struct Told {
    level: Level,
    word: &'static str,
    sentence: String,
    lines: Vec<String>,
}

pub(crate) async fn page(
    State(console): State<Arc<Console>>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Answer {
    let Ok(id) = id.parse::<Uuid>() else { return Err(Refusal::nothing("A tenant is named by its id, a UUID.")) };
    let region = region(&console, id, asked, None).await?;
    let heading = format!("Tenant {id}");
    Ok(Page::still(&console, View::Tenants, &heading, vec![region]))
}

/// The tenant's own page.
pub(crate) async fn own(
    State(console): State<Arc<Console>>,
    link: Result<Path<String>, Refusal>,
    asked: Result<Query<Asked>, Refusal>,
) -> Answer {
    let refused = |status: StatusCode, text: &str| {
        Ok((status, Page::refusal(View::Own, "This page is not shown", text)).into_response())
    };
    // Other pages of refusals lead to views that are not a tenant's.
    let (link, asked) = match (link, asked) {
        (Ok(Path(link)), Ok(Query(asked))) => (link, asked),
        (Err(refusal), _) | (_, Err(refusal)) => return refused(StatusCode::BAD_REQUEST, &refusal.text()),
    };
    let opened = console.link_key.as_ref().and_then(|key| key.opens(&link, now_s()));
    let Some((id, _)) = opened else {
        return refused(StatusCode::NOT_FOUND, "This link does not open anything, or not any more. Ask for a new one.");
    };
    match region(&console, id, asked, Some(&link)).await {
        Ok(region) => Ok(Page::still(&console, View::Own, "Your data", vec![region])),
        Err(refusal) => {
            // Why is the operator's business: errors name hosts.
            tracing::warn!(error = refusal.text(), "a tenant's own page cannot be shown");
            refused(StatusCode::SERVICE_UNAVAILABLE, "It is not known at the moment. Try again later.")
        }
    }
}

async fn region(console: &Console, id: Uuid, asked: Asked, link: Option<&str>) -> Result<Region, Refusal> {
    let tenancy = TenancyId::new(id);
    let lent = console.readers.lend().await?;
    let report = tenant(&lent.deployment, tenancy).await?;
    let proven = match verified(&lent.deployment, tenancy).await {
        Ok(report) => Some(report),
        // Of a tenancy that is gone nothing is proven.
        Err(OperationError::UnknownTenancy(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let told =
        if asked.key.trim().is_empty() { None } else { Some(story(&lent, tenancy, &asked, link.is_some()).await?) };
    let entries = if link.is_some() { Vec::new() } else { actions(&lent.deployment, Some(tenancy)).await? };
    let latest = if link.is_some() { Vec::new() } else { latest_changes(&lent.deployment, tenancy).await? };
    lent.give_back();
    let explained = |row: &ChangedRow| {
        let key = row.typed.as_deref().map(encoded)?;
        Some(format!("/tenants/{id}?mapping={}&key={key}#explain", encoded(&row.mapping)))
    };
    let latest = latest.into_iter().map(|row| Latest { link: explained(&row), of: row }).collect();
    let rows = report.mappings.iter().map(|mapping| row(mapping, &report, proven.as_ref())).collect();
    let is_paused = report.paused.iter().any(|part| part.kind == "tenancy");
    let region = TenantRegion {
        rows,
        told,
        verified: proven,
        own: link.is_some(),
        entries,
        latest,
        actions: console.options.actions && link.is_none(),
        is_paused,
        here: link.map_or_else(|| format!("/tenants/{id}"), |link| format!("/t/{link}")),
        asked_mapping: asked.mapping,
        asked_key: asked.key,
        report,
    };
    Ok(Region::of("tenant", &region))
}

fn row(mapping: &TenantMappingProgress, report: &TenantReport, verified: Option<&VerifiedReport>) -> Row {
    let number = |number: Option<i64>, none: &str| number.map_or_else(|| none.to_owned(), whole);
    let level = match mapping.state {
        ProgressState::Unknown => Level::Unknown,
        ProgressState::Paused | ProgressState::RowsRefused => Level::Attention,
        ProgressState::Behind | ProgressState::InStep => Level::Well,
    };
    let proven = verified.into_iter().flat_map(|verified| &verified.proven);
    let is_of = |proof: &&Proven| {
        proof.destination == DESTINATION && proof.mapping == mapping.mapping && proof.level != "versions"
    };
    let unknown = "unknown";
    Row {
        level,
        cursor: number(mapping.cursor, if report.unreachable.is_some() { unknown } else { "nothing came yet" }),
        last_change: number(mapping.last_change, "none is kept"),
        behind: mapping.behind.map_or_else(|| unknown.to_owned(), |behind| at_least(behind, report.behind_limit)),
        proven: proven.filter(is_of).max_by_key(|proof| proof.through).cloned(),
        of: mapping.clone(),
    }
}

/// What is told of a row. What was typed and is no key is told as well.
async fn story(lent: &Lent<'_>, tenancy: TenancyId, asked: &Asked, is_own: bool) -> Result<Told, Refusal> {
    let request = ExplainRequest { mapping: asked.mapping.clone(), key: asked.key.clone(), tenancy: Some(tenancy) };
    match explain(&lent.deployment, &request).await {
        Ok(report) => {
            let (level, word) = match report.judgement.verdict {
                Verdict::InStep => (Level::Well, "In step"),
                Verdict::NeverSeen => (Level::Unknown, "Never seen"),
                Verdict::OnItsWay => (Level::Attention, "On its way"),
                Verdict::NotLookedAt => (Level::Unknown, "Unknown"),
                Verdict::Wrong => (Level::Wrong, "Wrong"),
            };
            // The whole story names other places and commands.
            let lines = if is_own { Vec::new() } else { report.sentences() };
            Ok(Told { level, word, sentence: format!("{}.", report.judgement.sentence), lines })
        }
        Err(error @ OperationError::NoKey { .. }) => Ok(not_asked("This is no key", &error)),
        Err(error @ OperationError::UnknownMapping { .. }) => Ok(not_asked("No such mapping", &error)),
        Err(error) => Err(error.into()),
    }
}

/// Nothing was looked at.
fn not_asked(word: &'static str, error: &OperationError) -> Told {
    Told { level: Level::Attention, word, sentence: error.to_string(), lines: Vec::new() }
}

/// A destination's state in words.
pub(crate) const fn word(state: DestinationState) -> &'static str {
    match state {
        DestinationState::Paused => "paused",
        DestinationState::BackingOff => "not reached",
        DestinationState::Filling => "being filled",
        DestinationState::NeedsRefill => "waits to be filled again",
        DestinationState::Behind => "news on the way",
        DestinationState::InStep => "in step",
    }
}
