//! What stands still, what runs, what was asked for, and the doctor in full.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use lockstep_operations::doctor::Outcome;
use lockstep_operations::{
    ActionEntry, Instance, PausedPart, ResyncEntry, SessionCount, Setting, TaskStatus, actions, resyncs, settings,
};

use crate::answer::Refusal;
use crate::figures::utc;
use crate::page::{Page, Region, View, taken};
use crate::sample::{Checks, Sample};
use crate::state::Console;
use crate::verdict::Level;

#[derive(Template)]
#[template(path = "operations_now.html")]
struct NowRegion<'a> {
    unknown: Option<&'a String>,
    paused: &'a [PausedPart],
    instances: &'a [Instance],
    sessions: &'a [SessionCount],
    tasks: &'a [TaskStatus],
    checks: Option<&'a Checks>,
    checked_at: String,
    actions: bool,
}

/// What follows from a sample alone.
pub(crate) fn regions(sample: &Sample, actions: bool) -> Vec<Region> {
    let seen = sample.seen.as_ref();
    let checks = sample.checks.as_deref();
    let region = NowRegion {
        unknown: seen.err(),
        paused: seen.map_or(&[], |seen| &seen.status.paused),
        instances: seen.map_or(&[], |seen| &seen.status.instances),
        sessions: seen.map_or(&[], |seen| &seen.sessions),
        tasks: seen.map_or(&[], |seen| &seen.status.tasks),
        checked_at: checks.map(|checks| utc(checks.taken_at)).unwrap_or_default(),
        checks,
        actions,
    };
    vec![Region::of("now", &region), super::events::region(sample), taken(sample)]
}

#[derive(Template)]
#[template(path = "operations_asked.html")]
struct AskedRegion {
    resyncs: Vec<ResyncEntry>,
    jobs: Vec<String>,
    settings: Vec<Setting>,
    entries: Vec<ActionEntry>,
    actions: bool,
    version: &'static str,
}

#[derive(Template)]
#[template(source = "<p class=\"verdict bad\"><strong>Unknown:</strong> {{ why }}</p>", ext = "html")]
struct Unknown {
    why: String,
}

pub(crate) async fn page(State(console): State<Arc<Console>>) -> Response {
    let sample = console.sample();
    let mut regions = regions(&sample, console.options.actions);
    // The first part stands however this one goes.
    regions.push(match asked(&console).await {
        Ok(region) => Region::of("asked", &region),
        Err(refusal) => Region::of("asked", &Unknown { why: refusal.text() }),
    });
    Page::live(&console, View::Operations, regions)
}

async fn asked(console: &Console) -> Result<AskedRegion, Refusal> {
    let lent = console.readers.lend().await?;
    let resyncs = resyncs(&lent.deployment).await?;
    let settings = settings(&lent.deployment).await?.settings;
    let entries = actions(&lent.deployment, None).await?;
    lent.give_back();
    Ok(AskedRegion {
        resyncs,
        jobs: console.jobs.told(),
        settings,
        entries,
        actions: console.options.actions,
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// Whether an instance is alive and ready, in words; a line of each part that is not.
pub(crate) fn liveness(of: &Instance) -> (Level, String) {
    let why = of.state["why"].as_str().unwrap_or("it does not say why");
    match (of.is_alive, of.state["ready"].as_bool()) {
        (false, _) => (Level::Attention, "not heard of for half a minute".to_owned()),
        (true, Some(true)) if of.state["leads"] == true => (Level::Well, "ready, and leads".to_owned()),
        (true, Some(true)) => (Level::Well, "ready".to_owned()),
        (true, _) => (Level::Attention, format!("not ready: {why}")),
    }
}

/// An outcome in a word.
pub(crate) const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Finding => "to do",
        Outcome::Unknown => "not known",
    }
}

/// Its class in the style sheet.
pub(crate) const fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Finding => "warn",
        Outcome::Unknown => "bad",
    }
}
