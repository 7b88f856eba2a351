//! Each mapping, and what one is made of.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use lockstep_operations::{DESTINATION, MappingState, MappingStatements, MappingStatus, quarantined_of, show_mapping};

use crate::answer::{Answer, Refusal};
use crate::extract::Path;
use crate::figures::{cut, whole};
use crate::page::{Page, Region, View, taken};
use crate::sample::{Sample, Seen};
use crate::state::Console;
use crate::verdict::Level;

pub(crate) async fn page(State(console): State<Arc<Console>>) -> Response {
    let sample = console.sample();
    Page::live(&console, View::Mappings, regions(&sample))
}

#[derive(Template)]
#[template(path = "mappings.html")]
struct MappingsRegion<'a> {
    unknown: Option<&'a String>,
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    name: &'a str,
    level: Level,
    state: String,
    behind: String,
    /// Each second, in the last minute.
    rows: String,
    fill: String,
    filled_rows: String,
    quarantine: String,
    /// What the last run that compared it came to, and when.
    compared: Option<(&'a String, &'a String)>,
}

pub(crate) fn regions(sample: &Sample) -> Vec<Region> {
    let seen = sample.seen.as_ref();
    let rows = seen.map(|seen| seen.status.mappings.iter().map(|mapping| row(sample, seen, mapping)).collect());
    let region = MappingsRegion { unknown: seen.err(), rows: rows.unwrap_or_default() };
    vec![Region::of("mappings", &region), taken(sample)]
}

fn row<'a>(sample: &Sample, seen: &'a Seen, mapping: &'a MappingStatus) -> Row<'a> {
    let quarantined = quarantined_of(&seen.quarantine.groups, &mapping.name);
    let compared = seen.runs.iter().find(|run| super::proof::compares(run, DESTINATION, &mapping.name));
    let state = MappingState::of((mapping, seen.status.behind_cut), &seen.status.paused, quarantined);
    Row {
        name: &mapping.name,
        level: level(state),
        state: match (state, mapping.filled_percent()) {
            (MappingState::Filling, Some(percent)) => format!("{state}, {percent} %"),
            _ => state.to_string(),
        },
        behind: cut(mapping.tenancies_behind, seen.status.behind_cut),
        rows: match &sample.recent {
            Ok(recent) => super::overview::rates(recent.rates(&mapping.name)),
            Err(why) => format!("unknown: {why}"),
        },
        fill: format!("{} of {}", whole(mapping.fill_ranges_done), whole(mapping.fill_ranges)),
        filled_rows: whole(mapping.filled_rows),
        quarantine: cut(quarantined, seen.quarantine.is_cut),
        compared: compared.map(|run| (&run.verdict, &run.finished_at)),
    }
}

/// How bad a state is.
const fn level(state: MappingState) -> Level {
    match state {
        MappingState::Stopped => Level::Wrong,
        MappingState::Paused
        | MappingState::Filling
        | MappingState::ToBeFilled
        | MappingState::Refused
        | MappingState::Unknown => Level::Attention,
        MappingState::Behind | MappingState::InStep => Level::Well,
    }
}

#[derive(Template)]
#[template(path = "mapping.html")]
struct MappingRegion {
    statements: MappingStatements,
    columns: Vec<ColumnRow>,
    actions: bool,
    is_paused: bool,
}

struct ColumnRow {
    name: String,
    column_type: String,
    is_key: bool,
}

pub(crate) async fn detail(State(console): State<Arc<Console>>, Path(name): Path<String>) -> Answer {
    let statements = show_mapping(console.reading, &name)?;
    let mapping = console.mappings.iter().find(|mapping| mapping.name.as_str() == name);
    let mapping = mapping.ok_or_else(|| Refusal::nothing(format!("There is no mapping {name} in this console.")))?;
    let columns = mapping.columns.iter().map(|column| ColumnRow {
        name: column.name.clone(),
        column_type: column.column_type.to_string(),
        is_key: mapping.key_columns().any(|key| key.name == column.name),
    });
    let sample = console.sample();
    let is_paused = sample
        .seen
        .as_ref()
        .is_ok_and(|seen| seen.status.paused.iter().any(|part| part.kind == "mapping" && part.name == name));
    let region = MappingRegion { columns: columns.collect(), statements, actions: console.options.actions, is_paused };
    Ok(Page::still(&console, View::Mappings, &name, vec![Region::of("mapping", &region)]))
}
