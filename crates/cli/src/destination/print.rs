//! How tenants' destinations are shown to people.

use comfy_table::{Table, presets};
use lockstep_core::exit;
use lockstep_core::output::{Tone, toned};
use lockstep_operations::shown::counted;
use lockstep_operations::{
    AddDestinationReport, ChangeDestinationReport, DestinationDetail, DestinationEntry, DestinationFinding,
    DestinationState, DestinationTestReport, DestinationsReport, PlannedTable, RefillReport, RemoveDestinationReport,
    RotateKeyReport,
};

use crate::output::{Page, Report, align_right, aside, fitted, say, table};

/// What a destination is doing, in a few words.
pub(crate) fn state(entry: &DestinationEntry) -> String {
    let tone = match entry.state {
        DestinationState::InStep => Tone::Good,
        DestinationState::BackingOff => Tone::Wrong,
        _ => Tone::Attention,
    };
    let state = match entry.state {
        DestinationState::Paused => "paused".to_owned(),
        DestinationState::BackingOff => {
            let [since, retry, code] = [&entry.backing_off_since, &entry.retry_at, &entry.error_code]
                .map(|text| text.as_deref().unwrap_or("?"));
            format!("backing off since {since}, retried at {retry} ({code})")
        }
        DestinationState::Filling => match (entry.filled_rows, entry.total_rows) {
            (Some(rows), Some(total)) => format!("filling {rows} of about {total} rows"),
            (Some(rows), None) => format!("filling {rows} rows"),
            _ => "to be looked at".to_owned(),
        },
        DestinationState::NeedsRefill => format!("needs refill: {}", entry.needs_refill.join(", ")),
        DestinationState::Behind => format!("behind by {}", entry.behind_by),
        DestinationState::InStep => "in step".to_owned(),
    };
    let stopped = || toned(&format!("stopped: {}", entry.stopped.join(", ")), Tone::Wrong);
    let state = toned(&state, tone);
    if entry.stopped.is_empty() { state } else { format!("{state}; {}", stopped()) }
}

/// Where it is.
fn place(entry: &DestinationEntry) -> String {
    format!("{}:{}/{}", entry.host, entry.port, entry.database)
}

impl Report for DestinationsReport {
    fn print(&self, page: &mut Page) {
        if self.destinations.is_empty() {
            say!(page, "No tenant has a destination of its own.");
            return;
        }
        let never = || "never".to_owned();
        let row = |entry: &DestinationEntry| {
            let last = entry.last_success_at.clone().unwrap_or_else(never);
            [entry.id.to_string(), entry.tenancy.to_string(), place(entry), entry.user.clone(), state(entry), last]
        };
        let header = ["id", "tenancy", "database", "user", "state", "last success"];
        say!(page, "{}", table(header, self.destinations.iter().map(row)));
    }

    fn list(&self) -> Option<&'static str> {
        Some("destinations")
    }
}

impl Report for DestinationDetail {
    fn print(&self, page: &mut Page) {
        let entry = &self.entry;
        say!(page, "destination     {} of tenancy {}", entry.id, entry.tenancy);
        say!(page, "database        {} as {}", place(entry), entry.user);
        say!(
            page,
            "mappings        {}",
            entry.mappings.as_ref().map_or_else(|| "all".to_owned(), |names| names.join(", "))
        );
        say!(page, "state           {}", state(entry));
        say!(page, "passed          sequence {}, behind by {}", entry.passed, entry.behind_by);
        say!(page, "added           {}, encrypted with key {}", entry.added_at, entry.key_id);
        say!(page, "last success    {}", entry.last_success_at.as_deref().unwrap_or("never"));
        if let Some(error) = &entry.error {
            say!(page, "last failure    {error} ({} in a row)", entry.failures);
        }
        entry.paused.iter().for_each(|part| say!(page, "!               {part}"));
        let mut shown = Table::new();
        shown.load_style(presets::NOTHING).set_header(["mapping", "state", "rows", "of about", "filled", "why"]);
        for mapping in &self.mapping_states {
            let total = mapping.total_rows.map_or_else(String::new, |total| total.to_string());
            let state = if mapping.refill_requested_at.is_some() { "to be filled" } else { mapping.state };
            let why = mapping.error.as_ref().or(mapping.fill_reason.as_ref());
            let [filled, why] = [mapping.filled_at.as_ref(), why].map(|text| text.cloned().unwrap_or_default());
            shown.add_row([
                mapping.name.clone(),
                state.to_owned(),
                mapping.filled_rows.to_string(),
                total,
                filled,
                why,
            ]);
        }
        align_right(&mut shown, &[2, 3]);
        say!(page, "{}", fitted(shown));
    }
}

fn print_findings(page: &mut Page, findings: &[DestinationFinding]) {
    for finding in findings {
        say!(page, "{:<4}{}", if finding.ok { "ok" } else { "!" }, finding.what);
    }
}

fn print_table(page: &mut Page, planned: &PlannedTable) {
    say!(page, "{}", planned.table);
    for column in &planned.columns {
        let [key, not_null] = [(column.key, " primary key"), (!column.nullable, " not null")]
            .map(|(is_so, words)| if is_so { words } else { "" });
        say!(page, "    {} {}{not_null}{key}", column.name, column.column_type);
    }
}

impl Report for AddDestinationReport {
    fn print(&self, page: &mut Page) {
        let Self { host, port, database, user, tenancy, .. } = self;
        self.tables.iter().for_each(|table| print_table(page, table));
        let which = if self.all_mappings { ", and those of mappings that come later" } else { "" };
        say!(
            page,
            "{} tables{which}, readable by everybody there, in {host}:{port}/{database} as {user}.",
            self.tables.len()
        );
        print_findings(page, &self.findings);
        match self.id {
            Some(id) => say!(
                page,
                "Added: destination {id} of tenancy {tenancy}. Workers fill it; see `lockstep destination show {id}`."
            ),
            None if self.clean => say!(page, "Nothing was added."),
            None => aside!(page, "Nothing was added. Have what is marked with ! mended, or give --unchecked."),
        }
    }

    fn exit_code(&self) -> u8 {
        if self.clean { exit::OK } else { exit::DIFFERENT }
    }
}

impl Report for DestinationTestReport {
    fn print(&self, page: &mut Page) {
        print_findings(page, &self.findings);
    }

    fn exit_code(&self) -> u8 {
        if self.clean { exit::OK } else { exit::DIFFERENT }
    }
}

impl Report for ChangeDestinationReport {
    fn print(&self, page: &mut Page) {
        print_findings(page, &self.findings);
        if !self.changed {
            aside!(page, "Nothing was changed. Have what is marked with ! mended, or give --unchecked.");
            return;
        }
        let Self { id, host, port, database, user, .. } = self;
        say!(page, "Changed: destination {id}, {host}:{port}/{database} as {user}.");
        if !self.filled_again.is_empty() {
            say!(page, "Filled: {}.", self.filled_again.join(", "));
        }
    }

    fn exit_code(&self) -> u8 {
        if self.changed { exit::OK } else { exit::DIFFERENT }
    }
}

impl Report for RemoveDestinationReport {
    fn print(&self, page: &mut Page) {
        say!(page, "Removed: destination {} of tenancy {}.", self.id, self.tenancy);
        if self.tables_dropped {
            let rows: u64 = self.removed_rows.values().sum();
            say!(page, "Its tables in {} at {} are dropped, with {rows} rows.", self.database, self.host);
        } else {
            say!(page, "Its tables in {} at {} stay as they are.", self.database, self.host);
        }
    }
}

impl Report for RotateKeyReport {
    fn print(&self, page: &mut Page) {
        let Self { key_id, resealed, unchanged, failed } = self;
        say!(page, "Encrypted anew with key {key_id}: {resealed}; with it before: {unchanged}.");
        for one in failed {
            aside!(page, "Not {} (key {}): {}", one.id, one.key_id, one.error);
        }
        if failed.is_empty() {
            say!(page, "The other keys may be taken out of the file, once every worker has read it.");
        }
    }

    fn exit_code(&self) -> u8 {
        if self.failed.is_empty() { exit::OK } else { exit::DIFFERENT }
    }
}

impl Report for RefillReport {
    fn print(&self, page: &mut Page) {
        if let Some(unfinished) = &self.unfinished {
            aside!(page, "Not finished: {unfinished}.");
            self.paused.iter().for_each(|part| aside!(page, "  - {part}"));
            aside!(
                page,
                "Run the same command again to continue. Do workers run? See `lockstep destination show {}`.",
                self.destination
            );
            return;
        }
        let rows = self.rows.unwrap_or_default();
        let mappings = counted(self.mappings, "mapping", "mappings");
        say!(page, "Filled again: {mappings}, {rows} rows. {} ms.", self.took_ms);
    }

    fn exit_code(&self) -> u8 {
        if self.unfinished.is_some() { exit::IN_FLIGHT } else { exit::OK }
    }
}
