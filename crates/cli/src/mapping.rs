//! `lockstep mapping`: how mappings are, and writing, checking and showing their definitions.

use std::iter;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use lockstep_console::figures::duration;
use lockstep_core::exit;
use lockstep_core::output::{Tone, toned};
use lockstep_core::settings::Settings;
use lockstep_mappings::MappingSet;
use lockstep_operations::shown::counted;
use lockstep_operations::{
    DefinitionFinding, Deployment, MappingCheckReport, MappingDetail, MappingDraft, MappingEntry, MappingInitRequest,
    MappingState, MappingStatements, MappingsReport, OwnDatabases, check_mappings, init_mapping, mapping_detail,
    mappings, show_mapping,
};

use crate::error::CliError;
use crate::output::{Page, Report, Reporting, align_right, aside, say, table};
use crate::watch::{WatchArgs, watch_deployment};

#[derive(Args, Debug)]
pub(crate) struct MappingArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Show how each mapping is: what it is doing, who is behind, what is in quarantine, when it was last proven equal, and how it is in
    /// tenants' own databases
    List(WatchArgs),
    /// Show a mapping: its definition as it was loaded, its columns with their types on both sides, and its triggers
    Show {
        /// The mapping's name
        #[arg(value_name = "NAME")]
        name: String,
        /// Print every statement that is derived from it instead. Asks no database
        #[arg(long)]
        sql: bool,
    },
    /// Write a definition from a live table, to standard output
    Init {
        /// The table, with its schema where that is not public: Invoice, billing.Invoice
        #[arg(long, value_name = "TABLE")]
        table: String,
        /// The column of type uuid that holds "Tenancy"."id" (default: tenancyId, tenancy_id, tenantId or tenant_id)
        #[arg(long, value_name = "COLUMN")]
        tenant_column: Option<String>,
        /// Write it to this file, which must not exist
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Check definitions against the source database; exit 1 if anything is wrong
    Check {
        /// A mapping's name, or a definition file (default: all mappings)
        #[arg(value_name = "NAME|FILE")]
        which: Option<String>,
    },
}

impl MappingArgs {
    /// Whether the source database is asked.
    pub(crate) const fn needs_source(&self) -> bool {
        !matches!(self.action, Action::Show { sql: true, .. })
    }

    /// Whether it is about definitions, those that are wrong too.
    pub(crate) const fn is_of_definitions(&self) -> bool {
        !matches!(self.action, Action::List(_))
    }
}

pub(crate) async fn run(command: &Reporting<MappingArgs>, at: (&Settings, &MappingSet)) -> Result<u8, CliError> {
    let (settings, _) = at;
    Ok(match &command.args.action {
        Action::List(watch) => {
            let look = async |deployment: &Deployment<'_>| mappings(deployment).await;
            watch_deployment(watch.every(), at, look).await?
        }
        Action::Show { name, sql: false } => command.show(&mapping_detail(settings, name).await?),
        Action::Show { name, sql: true } => command.show(&show_mapping(settings, name)?),
        Action::Init { table, tenant_column, to } => {
            let request =
                MappingInitRequest { table: table.clone(), tenant_column: tenant_column.clone(), to: to.clone() };
            command.show(&init_mapping(settings, &request).await?)
        }
        Action::Check { which } => command.show(&check_mappings(settings, which.as_deref()).await?),
    })
}

/// What a mapping is doing, in the colour of it.
pub(crate) fn state(of: &MappingEntry) -> String {
    let tone = match of.state {
        MappingState::InStep => Tone::Good,
        MappingState::Stopped => Tone::Wrong,
        _ => Tone::Attention,
    };
    let percent = of.filled_percent.filter(|_| of.state == MappingState::Filling);
    toned(&percent.map_or_else(|| of.state.to_string(), |percent| format!("{}, {percent} %", of.state)), tone)
}

/// A table of mappings.
pub(crate) fn entries<'a>(of: impl IntoIterator<Item = &'a MappingEntry>) -> comfy_table::Table {
    let row = |of: &MappingEntry| {
        let [behind, refused] = [of.tenants_behind, of.quarantined].map(|number| number.to_string());
        let equal = match (&of.equal_at, &of.last_verdict) {
            (_, Some(verdict)) if verdict == "different" => toned("different", Tone::Wrong),
            (Some(at), _) => at.clone(),
            (None, _) => "never".to_owned(),
        };
        let oldest = of.oldest_s.map_or_else(String::new, duration);
        [of.name.clone(), of.destination.clone(), state(of), behind, oldest, refused, equal]
    };
    let rows = |of: &'a MappingEntry| iter::once(row(of)).chain(own_databases(of));
    let header = ["mapping", "destination", "state", "tenants behind", "oldest", "in quarantine", "proven equal"];
    let mut table = table(header, of.into_iter().flat_map(rows));
    align_right(&mut table, &[3, 4, 5]);
    table
}

/// How it is in tenants' own databases, where it goes to any.
fn own_databases(of: &MappingEntry) -> Option<[String; 7]> {
    let OwnDatabases { total, paused, failing, stopped, refused, filling, holding, is_cut } = of.own_databases;
    let parts = [
        (holding, "hold it"),
        (filling, "being filled"),
        (refused, "refused rows"),
        (stopped, "do not fit"),
        (failing, "not reached"),
        (paused, "paused"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let tone = if holding == total { Tone::Good } else { Tone::Attention };
    let state = toned(&parts.collect::<Vec<_>>().join(", "), tone);
    let at_least = if is_cut { "≥ " } else { "" };
    let destination = format!("{at_least}{total} of tenants");
    let [none, no_age, no_rows, unproven] = [(); 4].map(|()| String::new());
    (total > 0).then(|| [of.name.clone(), destination, state, none, no_age, no_rows, unproven])
}

impl Report for MappingsReport {
    fn print(&self, page: &mut Page) {
        say!(page, "{}", entries(&self.mappings));
    }

    fn list(&self) -> Option<&'static str> {
        Some("mappings")
    }
}

impl Report for MappingDetail {
    fn print(&self, page: &mut Page) {
        say!(page, "# {}, which reads {}\n\n{}", self.file, self.source, self.definition.trim_end());
        let columns = self.columns.iter().map(|column| {
            let name = if column.is_key { format!("{} (key)", column.name) } else { column.name.clone() };
            let source = column.source.clone().unwrap_or_else(|| "an expression".to_owned());
            let there = match (&column.source, &column.source_type) {
                (Some(_), None) => toned("not there", Tone::Wrong),
                (_, there) => there.clone().unwrap_or_default(),
            };
            [name, column.column_type.clone(), source, there, column.clickhouse_type.clone()]
        });
        let header = ["column", "type", "in the source", "its type there", "type in ClickHouse"];
        say!(page, "\n{}", table(header, columns));
        let triggers = self.triggers.iter().map(|trigger| {
            let state =
                trigger.problem.map_or_else(|| toned("in place", Tone::Good), |problem| toned(problem, Tone::Wrong));
            [trigger.table.clone(), trigger.name.clone(), state]
        });
        say!(page, "\n{}", table(["table", "trigger", "state"], triggers));
    }

    fn list(&self) -> Option<&'static str> {
        Some("columns")
    }
}

impl Report for MappingDraft {
    /// Standard output holds the definition alone, so that it can be redirected; the rest is said beside it.
    fn print(&self, page: &mut Page) {
        match &self.file {
            Some(file) => say!(page, "Wrote the definition of mapping {} to {}.", self.name, file.display()),
            None => page.text(&self.definition),
        }
        for left_out in &self.left_out {
            aside!(page, "Column {} is a comment only: {}.", left_out.column, left_out.reason);
        }
    }
}

impl Report for MappingCheckReport {
    fn print(&self, page: &mut Page) {
        for finding in &self.findings {
            let DefinitionFinding { file, line, subject, problem, remedy } = finding;
            let line = line.map_or_else(String::new, |line| format!(":{line}"));
            let subject = subject.as_ref().map_or_else(String::new, |subject| format!("{subject}: "));
            say!(page, "{file}{line}: {subject}{problem}; {remedy}");
        }
        if self.clean {
            say!(page, "{} the source database.", counted(self.mappings, "mapping fits", "mappings fit"));
        }
    }

    fn exit_code(&self) -> u8 {
        if self.clean { exit::OK } else { exit::DIFFERENT }
    }

    fn list(&self) -> Option<&'static str> {
        Some("findings")
    }
}

impl Report for MappingStatements {
    fn print(&self, page: &mut Page) {
        for statement in &self.statements {
            say!(page, "-- {}\n{};\n", statement.title, statement.sql);
        }
    }

    fn list(&self) -> Option<&'static str> {
        Some("statements")
    }
}
