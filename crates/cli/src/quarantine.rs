//! `lockstep quarantine`: rows that a destination refused or the source could not give, each with its error.

use clap::{Args, Subcommand};
use lockstep_core::output::code_in;
use lockstep_core::settings::Settings;
use lockstep_core::{MappingName, TenancyId, exit};
use lockstep_mappings::MappingSet;
use lockstep_operations::{
    ActionRecord, Deployment, QuarantineEntry, QuarantineReport, QuarantineScope, QuarantinedRows, quarantine_of,
};

use crate::error::CliError;
use crate::output::{Page, Report, Reporting, say, table};
use crate::watch::{Watching, watch_deployment};

#[derive(Args, Debug)]
pub(crate) struct QuarantineArgs {
    #[command(subcommand)]
    action: Action,
}

impl QuarantineArgs {
    /// As it is written down.
    pub(crate) fn change(&self) -> Option<ActionRecord> {
        let (what, Chosen { scope, all }) = match &self.action {
            Action::List(_) => return None,
            Action::Retry(chosen) => ("quarantine retry", chosen),
            Action::Drop(chosen) => ("quarantine drop", chosen),
        };
        let Scope { mapping, tenant, destination, code } = scope;
        let [mapping, tenant] = [mapping.as_ref().map(ToString::to_string), tenant.as_ref().map(ToString::to_string)];
        let of = [mapping.as_deref(), tenant.as_deref(), destination.as_deref(), code.as_deref()];
        Some(ActionRecord::of_quarantine(what, of, *all))
    }
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Show the rows with their keys and errors
    List(Watching<Scope>),
    /// Ship rows again: for when the destination was mended. A row that was itself mended is shipped by itself
    Retry(Chosen),
    /// Forget rows without shipping them. The verifier keeps reporting them as different
    Drop(Chosen),
}

/// Which entries.
#[derive(Args, Debug)]
struct Scope {
    /// Of one mapping
    #[arg(long, value_name = "NAME")]
    mapping: Option<MappingName>,
    /// Of one tenancy ("Tenancy"."id")
    #[arg(long, value_name = "ID")]
    tenant: Option<TenancyId>,
    /// Of one destination: clickhouse, or the id of a tenant's own
    #[arg(long, value_name = "NAME|ID")]
    destination: Option<String>,
    /// With one error code, such as LS-0203
    #[arg(long, value_name = "CODE", value_parser = error_code)]
    code: Option<String>,
}

/// No row has another text for its code.
fn error_code(text: &str) -> Result<String, String> {
    let is_code = code_in(text) == Some(text);
    if is_code { Ok(text.to_owned()) } else { Err("a code is LS- and four digits".to_owned()) }
}

impl Scope {
    fn chosen(&self) -> Result<QuarantineScope, CliError> {
        let destination = self.destination.as_deref().map(quarantine_of).transpose()?;
        Ok(QuarantineScope {
            mapping: self.mapping.clone(),
            tenancy: self.tenant,
            destination,
            code: self.code.clone(),
        })
    }
}

/// The same, where everything has to be asked for.
#[derive(Args, Debug)]
#[group(skip)]
struct Chosen {
    #[command(flatten)]
    scope: Scope,
    /// Of all mappings, tenancies and destinations
    #[arg(long, conflicts_with_all = ["mapping", "tenant", "destination", "code"], required_unless_present_any = ["mapping", "tenant", "destination", "code"])]
    all: bool,
}

/// Does it, and shows what came of it. Returns the exit code.
pub(crate) async fn run(
    command: &Reporting<QuarantineArgs>,
    settings: &Settings,
    mappings: &MappingSet,
) -> Result<u8, CliError> {
    if let Action::List(Watching { args, watch }) = &command.args.action {
        let scope = args.chosen()?;
        let list = async |deployment: &Deployment<'_>| lockstep_operations::quarantined(deployment, &scope).await;
        return watch_deployment(watch.every(), (settings, mappings), list).await;
    }
    let deployment = &mut Deployment::connect(settings, mappings).await?;
    Ok(match &command.args.action {
        Action::List(_) => exit::OK,
        Action::Retry(chosen) => {
            command.show(&Retried(lockstep_operations::retry_quarantined(deployment, &chosen.scope.chosen()?).await?))
        }
        Action::Drop(chosen) => {
            command.show(&Dropped(lockstep_operations::drop_quarantined(deployment, &chosen.scope.chosen()?).await?))
        }
    })
}

#[derive(serde::Serialize)]
struct Retried(QuarantinedRows);

#[derive(serde::Serialize)]
struct Dropped(QuarantinedRows);

impl Report for Retried {
    fn print(&self, page: &mut Page) {
        let rows = self.0.rows;
        say!(page, "{rows} rows are shipped again. Their entries go when that is done; what is refused anew stays.");
    }
}

impl Report for Dropped {
    fn print(&self, page: &mut Page) {
        let rows = self.0.rows;
        say!(
            page,
            "{rows} rows are forgotten. The destination does not hold them: lockstep-verifier keeps reporting them as different."
        );
    }
}

impl Report for QuarantineReport {
    fn print(&self, page: &mut Page) {
        if self.entries.is_empty() {
            say!(page, "The quarantine is empty.");
            return;
        }
        let row = |entry: &QuarantineEntry| {
            let [destination, mapping, tenancy, refused, error] =
                [&entry.destination, &entry.mapping, &entry.tenancy, &entry.last_refused_at, &entry.error]
                    .map(String::clone);
            [destination, mapping, tenancy, entry.sequence.to_string(), entry.key.to_string(), refused, error]
        };
        let header = ["destination", "mapping", "tenancy", "change", "key", "refused (UTC)", "error"];
        say!(page, "{}", table(header, self.entries.iter().map(row)));
        let rows = self.entries.len();
        say!(page, "{rows} rows. Mend them in the source, or the destination and then `lockstep quarantine retry`.");
    }

    fn list(&self) -> Option<&'static str> {
        Some("entries")
    }
}
