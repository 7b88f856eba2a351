//! How tenants' destinations are shown to people.

use comfy_table::{Table, presets};
use lockstep_core::exit;
use lockstep_operations::{
    AddDestinationReport, ChangeDestinationReport, DestinationDetail, DestinationEntry, DestinationFinding,
    DestinationState, DestinationTestReport, DestinationsReport, PlannedTable, RefillReport, RemoveDestinationReport,
    RotateKeyReport,
};

use crate::output::{Report, align_right, table};

/// What a destination is doing, in a few words.
pub(crate) fn state(entry: &DestinationEntry) -> String {
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
    if entry.stopped.is_empty() { state } else { format!("{state}; stopped: {}", entry.stopped.join(", ")) }
}

/// Where it is.
fn place(entry: &DestinationEntry) -> String {
    format!("{}:{}/{}", entry.host, entry.port, entry.database)
}

impl Report for DestinationsReport {
    fn print(&self) {
        if self.destinations.is_empty() {
            println!("No tenant has a destination of its own.");
            return;
        }
        let never = || "never".to_owned();
        let row = |entry: &DestinationEntry| {
            let last = entry.last_success_at.clone().unwrap_or_else(never);
            [entry.id.to_string(), entry.tenancy.to_string(), place(entry), entry.user.clone(), state(entry), last]
        };
        let header = ["id", "tenancy", "database", "user", "state", "last success"];
        println!("{}", table(header, self.destinations.iter().map(row)));
    }
}

impl Report for DestinationDetail {
    fn print(&self) {
        let entry = &self.entry;
        println!("destination     {} of tenancy {}", entry.id, entry.tenancy);
        println!("database        {} as {}", place(entry), entry.user);
        println!(
            "mappings        {}",
            entry.mappings.as_ref().map_or_else(|| "all".to_owned(), |names| names.join(", "))
        );
        println!("state           {}", state(entry));
        println!("passed          sequence {}, behind by {}", entry.passed, entry.behind_by);
        println!("added           {}, encrypted with key {}", entry.added_at, entry.key_id);
        println!("last success    {}", entry.last_success_at.as_deref().unwrap_or("never"));
        if let Some(error) = &entry.error {
            println!("last failure    {error} ({} in a row)", entry.failures);
        }
        entry.paused.iter().for_each(|part| println!("!               {part}"));
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
        println!("{shown}");
    }
}

fn print_findings(findings: &[DestinationFinding]) {
    for finding in findings {
        println!("{:<4}{}", if finding.ok { "ok" } else { "!" }, finding.what);
    }
}

fn print_table(planned: &PlannedTable) {
    println!("{}", planned.table);
    for column in &planned.columns {
        let [key, not_null] = [(column.key, " primary key"), (!column.nullable, " not null")]
            .map(|(is_so, words)| if is_so { words } else { "" });
        println!("    {} {}{not_null}{key}", column.name, column.column_type);
    }
}

impl Report for AddDestinationReport {
    fn print(&self) {
        let Self { host, port, database, user, tenancy, .. } = self;
        self.tables.iter().for_each(print_table);
        let which = if self.all_mappings { ", and those of mappings that come later" } else { "" };
        println!(
            "{} tables{which}, readable by everybody there, in {host}:{port}/{database} as {user}.",
            self.tables.len()
        );
        print_findings(&self.findings);
        match self.id {
            Some(id) => println!(
                "Added: destination {id} of tenancy {tenancy}. Workers fill it; see `lockstep destination show {id}`."
            ),
            None if self.clean => println!("Nothing was added."),
            None => eprintln!("Nothing was added. Have what is marked with ! mended, or give --unchecked."),
        }
    }

    fn exit_code(&self) -> u8 {
        if self.clean { exit::OK } else { exit::DIFFERENT }
    }
}

impl Report for DestinationTestReport {
    fn print(&self) {
        print_findings(&self.findings);
    }

    fn exit_code(&self) -> u8 {
        if self.clean { exit::OK } else { exit::DIFFERENT }
    }
}

impl Report for ChangeDestinationReport {
    fn print(&self) {
        print_findings(&self.findings);
        if !self.changed {
            eprintln!("Nothing was changed. Have what is marked with ! mended, or give --unchecked.");
            return;
        }
        let Self { id, host, port, database, user, .. } = self;
        println!("Changed: destination {id}, {host}:{port}/{database} as {user}.");
        if !self.filled_again.is_empty() {
            println!("Filled: {}.", self.filled_again.join(", "));
        }
    }

    fn exit_code(&self) -> u8 {
        if self.changed { exit::OK } else { exit::DIFFERENT }
    }
}

impl Report for RemoveDestinationReport {
    fn print(&self) {
        println!("Removed: destination {} of tenancy {}.", self.id, self.tenancy);
        if self.tables_dropped {
            let rows: u64 = self.removed_rows.values().sum();
            println!("Its tables in {} at {} are dropped, with {rows} rows.", self.database, self.host);
        } else {
            println!("Its tables in {} at {} stay as they are.", self.database, self.host);
        }
    }
}

impl Report for RotateKeyReport {
    fn print(&self) {
        let Self { key_id, resealed, unchanged, failed } = self;
        println!("Encrypted anew with key {key_id}: {resealed}; with it before: {unchanged}.");
        for one in failed {
            eprintln!("Not {} (key {}): {}", one.id, one.key_id, one.error);
        }
        if failed.is_empty() {
            println!("The other keys may be taken out of the file, once every worker has read it.");
        }
    }

    fn exit_code(&self) -> u8 {
        if self.failed.is_empty() { exit::OK } else { exit::DIFFERENT }
    }
}

impl Report for RefillReport {
    fn print(&self) {
        if let Some(unfinished) = &self.unfinished {
            eprintln!("Not finished: {unfinished}.");
            self.paused.iter().for_each(|part| eprintln!("  - {part}"));
            eprintln!(
                "Run the same command again to continue. Do workers run? See `lockstep destination show {}`.",
                self.destination
            );
            return;
        }
        let rows = self.rows.unwrap_or_default();
        println!("Filled again: {} mappings, {rows} rows. {} ms.", self.mappings, self.took_ms);
    }

    fn exit_code(&self) -> u8 {
        if self.unfinished.is_some() { exit::IN_FLIGHT } else { exit::OK }
    }
}
