//! `lockstep tenants`, and `lockstep status --tenant`: tenants a page at a time, and one in full.

use clap::Args;
use comfy_table::{Table, presets};
use lockstep_core::output::{Tone, toned};
use lockstep_core::{TenancyId, exit};
use lockstep_operations::{
    Deployment, ProgressState, TENANTS_A_PAGE, TenantEntry, TenantMappingProgress, TenantReport, TenantSearch,
    TenantState, TenantsPage, find_tenants,
};

use crate::destination::state as state_of_destination;
use crate::error::CliError;
use crate::output::{Page, Report, align_right, say, table};
use crate::status::{at_least, noted};

#[derive(Args, Debug)]
pub(crate) struct TenantsArgs {
    /// Only those with changes that ClickHouse has not passed
    #[arg(long, group = "which")]
    behind: bool,
    /// Only those that are paused
    #[arg(long, group = "which")]
    paused: bool,
    /// Only those with rows in quarantine
    #[arg(long, group = "which")]
    quarantined: bool,
    /// Only those whose rows are being erased
    #[arg(long, group = "which")]
    erasing: bool,
    /// Only this one, or those of a project: an id, PROJECT, or PROJECT/BRANCH
    #[arg(long, value_name = "TEXT", group = "which")]
    search: Option<String>,
    /// So many at most
    #[arg(long, value_name = "N", default_value_t = TENANTS_A_PAGE, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// Those behind this id: where the page before has ended
    #[arg(long, value_name = "ID")]
    after: Option<TenancyId>,
}

pub(crate) async fn run(args: &TenantsArgs, deployment: &Deployment<'_>) -> Result<TenantsPage, CliError> {
    let TenantsArgs { behind, paused, quarantined, erasing, search, limit, after } = args;
    let states = [
        (*behind, TenantState::Behind),
        (*paused, TenantState::Paused),
        (*quarantined, TenantState::Quarantined),
        (*erasing, TenantState::Erasing),
    ];
    let only = states.into_iter().find_map(|(is_asked, state)| is_asked.then_some(TenantSearch::Only(state)));
    let search = only.or_else(|| search.as_deref().map(TenantSearch::parse)).unwrap_or(TenantSearch::All);
    find_tenants(deployment, &search, after.map(|id| id.as_uuid()), *limit).await
}

/// In words; several where several hold.
fn state(of: &TenantEntry) -> String {
    let words = [
        (of.is_erased, "being erased", Tone::Attention),
        (of.is_paused, "paused", Tone::Attention),
        (of.quarantined > 0, "rows refused", Tone::Wrong),
        (of.failing > 0, "own database not reached", Tone::Wrong),
        (of.behind > 0, "behind", Tone::Attention),
    ];
    let said: Vec<_> = words.iter().filter(|(is_so, ..)| *is_so).map(|(_, word, tone)| toned(word, *tone)).collect();
    if said.is_empty() { toned("in step", Tone::Good) } else { said.join(", ") }
}

/// A table of tenants.
pub(crate) fn entries<'a>(of: impl IntoIterator<Item = &'a TenantEntry>) -> Table {
    let text = |id: &Option<String>| id.clone().unwrap_or_else(|| "gone".to_owned());
    let row = |one: &TenantEntry| {
        let [project, branch] = [&one.project_id, &one.branch_id].map(text);
        let numbers = [one.behind, one.quarantined, one.destinations].map(|number| number.to_string());
        let [behind, quarantined, own] = numbers;
        [one.tenancy.to_string(), project, branch, behind, quarantined, own, state(one)]
    };
    let header = ["tenancy", "project", "branch", "mappings behind", "refused", "own databases", "state"];
    let mut table = table(header, of.into_iter().map(row));
    align_right(&mut table, &[3, 4, 5]);
    table
}

impl Report for TenantsPage {
    fn print(&self, page: &mut Page) {
        if self.tenants.is_empty() {
            say!(page, "There is no such tenant.");
        } else {
            say!(page, "{}", entries(&self.tenants));
        }
        if let Some(next) = self.next {
            say!(page, "There are more: --after {next}");
        }
    }

    fn list(&self) -> Option<&'static str> {
        Some("tenants")
    }
}

impl Report for TenantReport {
    fn print(&self, page: &mut Page) {
        let place =
            |place: &lockstep_operations::Place| format!("project {}, branch {}", place.project_id, place.branch_id);
        let lives = self.place.as_ref().map_or_else(|| "gone".to_owned(), place);
        say!(page, "tenancy         {}: {lives}", self.tenancy);
        self.former_places.iter().for_each(|former| say!(page, "was at          {}", place(former)));
        if let Some(why) = &self.unreachable {
            noted(page, Tone::Wrong, &format!("ClickHouse cannot be asked: {why}"));
        }
        // The cursor is told, and is worth nothing.
        let is_ahead = |one: &&TenantMappingProgress| one.behind.is_none() && one.cursor.is_some();
        let ahead: Vec<_> = self.mappings.iter().filter(is_ahead).map(|one| one.mapping.as_str()).collect();
        if !ahead.is_empty() {
            let ahead = ahead.join(", ");
            noted(
                page,
                Tone::Wrong,
                &format!("LS-0420: cursors are ahead of the source ({ahead}): run `lockstep rewind`"),
            );
        }
        self.paused.iter().for_each(|part| noted(page, Tone::Attention, &part.to_string()));
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header([
            "in ClickHouse",
            "cursor",
            "last change",
            "behind",
            "refused",
            "state",
        ]);
        for one in &self.mappings {
            let number = |number: Option<i64>, none: &str| number.map_or_else(|| none.to_owned(), |it| it.to_string());
            let behind = one.behind.map_or_else(|| "unknown".to_owned(), |behind| at_least(behind, self.behind_limit));
            let tone = match one.state {
                ProgressState::InStep => Tone::Good,
                ProgressState::Behind | ProgressState::Paused => Tone::Attention,
                ProgressState::Unknown | ProgressState::RowsRefused => Tone::Wrong,
            };
            let cursor = number(one.cursor, if self.unreachable.is_some() { "unknown" } else { "none" });
            let numbers = [cursor, number(one.last_change, "none"), behind, one.quarantined.to_string()];
            table.add_row([one.mapping.clone()].into_iter().chain(numbers).chain([toned(one.state.word(), tone)]));
        }
        align_right(&mut table, &[1, 2, 3, 4]);
        say!(page, "{table}");
        for own in &self.destinations {
            say!(page, "own database    {}: {}", own.entry.id, state_of_destination(&own.entry));
        }
        for erasure in &self.erasures {
            let state = erasure.receipt.finished_at.as_deref().unwrap_or("not finished");
            say!(page, "erasure         {} from {}: {state}", erasure.id, erasure.receipt.destination);
        }
    }

    fn exit_code(&self) -> u8 {
        let is_known = self.mappings.iter().all(|one| one.state != ProgressState::Unknown);
        if self.unreachable.is_none() && is_known { exit::OK } else { exit::UNFINISHED }
    }
}
