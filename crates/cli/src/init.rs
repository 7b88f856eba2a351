//! `lockstep init`: from three URLs to a configuration file and definitions.

use std::path::PathBuf;

use clap::Args;
use lockstep_core::exit;
use lockstep_core::settings::{Settings, SettingsArgs};
use lockstep_operations::doctor::Outcome;
use lockstep_operations::shown::counted;
use lockstep_operations::{FileConflict, InitReport, InitRequest, TenantsReport, init};

use crate::error::CliError;
use crate::output::{Page, Report, say, table};

#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    /// Where lockstep.toml, the directory mappings and, for URLs with a password, the directory secrets are written
    #[arg(long, value_name = "DIR", default_value = ".")]
    to: PathBuf,
    /// The table whose rows are the tenants (default: "Tenancy", or else one of a usual name that others refer to)
    #[arg(long, value_name = "TABLE")]
    tenants_table: Option<String>,
    /// The column of type uuid that holds the tenant's id in every table (default: what refers to it, or has a usual name)
    #[arg(long, value_name = "COLUMN")]
    tenant_column: Option<String>,
    /// Write anew what is there: settings, secrets, tenancy.sql, and definitions that tell tenants by another column
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(args: &InitArgs, given: &SettingsArgs, settings: &Settings) -> Result<InitReport, CliError> {
    let InitArgs { to, tenants_table, tenant_column, force } = args;
    let request = InitRequest {
        to: to.clone(),
        tenants_table: tenants_table.clone(),
        tenant_column: tenant_column.clone(),
        force: *force,
        settings: given.as_file(),
    };
    init(settings, &request).await
}

impl Report for InitReport {
    fn print(&self, page: &mut Page) {
        let services = self.services.iter().map(|check| {
            let result = if check.outcome == Outcome::Ok { "ok" } else { "wanting" };
            [check.check.to_owned(), result.to_owned(), check.detail.clone(), check.remedy.clone().unwrap_or_default()]
        });
        say!(page, "{}", table(["service", "result", "detail", "remedy"], services));
        if let Some(tenants) = &self.tenants {
            let TenantsReport { table, referring_tables, others } = tenants;
            say!(page, "The tenants are the rows of {table}; other tables that refer to it: {referring_tables}.");
            if !others.is_empty() {
                say!(page, "Fewer refer to {}: --tenants-table decides.", others.join(", "));
            }
        }
        say!(page, "Built-in mappings: {}.", self.built_in_mappings);
        if !self.known.is_empty() {
            let known = counted(self.known.len(), "table has", "tables have");
            say!(page, "{known} a mapping already.");
        }
        for mapping in &self.suggested {
            say!(page, "{}: mapping {}", mapping.table, mapping.name);
            mapping.left_out.iter().for_each(|column| say!(page, "  a comment only: {column}"));
        }
        for unmapped in &self.unmapped {
            say!(page, "{}: no mapping: {}", unmapped.table, unmapped.reason);
        }
        for finding in &self.findings {
            let subject = finding.subject.as_ref().map_or_else(String::new, |subject| format!("{subject}: "));
            say!(page, "{}: {subject}{}; {}", finding.file, finding.problem, finding.remedy);
        }
        self.written.iter().for_each(|file| say!(page, "wrote {}", file.display()));
        let is_other = |file: &&PathBuf| self.conflicts.iter().any(|conflict| conflict.file == **file);
        self.kept.iter().filter(|file| !is_other(file)).for_each(|file| say!(page, "kept {}", file.display()));
        for FileConflict { file, problem, remedy } in &self.conflicts {
            say!(page, "kept {}, but {problem}: {remedy}", file.display());
        }
        if !self.next.is_empty() {
            let when = if self.ready { "what comes next" } else { "when what is wanting above is mended, run" };
            say!(page, "\nNo database was changed yet; {when}:");
            self.next.iter().for_each(|command| say!(page, "  {command}"));
        }
    }

    fn exit_code(&self) -> u8 {
        if self.ready { exit::OK } else { exit::DIFFERENT }
    }
}
