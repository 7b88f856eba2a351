//! `lockstep mapping`: write, check and show definitions.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lockstep_core::exit;
use lockstep_core::settings::Settings;
use lockstep_operations::{
    DefinitionFinding, MappingCheckReport, MappingDraft, MappingInitRequest, MappingStatements, check_mappings,
    init_mapping, show_mapping,
};

use crate::error::CliError;
use crate::output::{Page, Report, Reporting, aside, say};

#[derive(Args, Debug)]
pub(crate) struct MappingArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
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
    /// Print every statement that is derived from a mapping. Asks no database
    Show {
        /// The mapping's name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

impl MappingArgs {
    /// Whether the source database is asked.
    pub(crate) const fn needs_source(&self) -> bool {
        !matches!(self.action, Action::Show { .. })
    }
}

pub(crate) async fn run(command: &Reporting<MappingArgs>, settings: &Settings) -> Result<u8, CliError> {
    Ok(match &command.args.action {
        Action::Init { table, tenant_column, to } => {
            let request =
                MappingInitRequest { table: table.clone(), tenant_column: tenant_column.clone(), to: to.clone() };
            command.show(&init_mapping(settings, &request).await?)
        }
        Action::Check { which } => command.show(&check_mappings(settings, which.as_deref()).await?),
        Action::Show { name } => command.show(&show_mapping(settings, name)?),
    })
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
            say!(page, "{} mappings fit the source database.", self.mappings);
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
