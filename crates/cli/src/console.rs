//! `lockstep console`: pages for operators, and links to tenants' own.

use clap::{Args, Subcommand};
use lockstep_console::{ConsoleArgs, ConsoleError, Doctor, LinkArgs, TenantLink, bind};
use lockstep_core::settings::Settings;
use lockstep_core::{exit, output, shutdown};
use lockstep_mappings::MappingSet;
use lockstep_operations::doctor::Check;

use crate::doctor::{DoctorArgs, run as doctor};
use crate::output::{Page, Report, Reporting, say};

#[derive(Args, Debug)]
pub(crate) struct ConsoleCommand {
    #[command(flatten)]
    console: ConsoleArgs,
    #[command(subcommand)]
    command: Option<Link>,
}

#[derive(Subcommand, Debug)]
enum Link {
    /// Print a link that opens one tenant's own page for some minutes
    Link(Reporting<LinkArgs>),
}

impl ConsoleCommand {
    /// Whether it only signs a link, which needs no service.
    pub(crate) const fn is_link(&self) -> bool {
        self.command.is_some()
    }
}

/// Serves until the signal to stop, or prints a link. Returns the exit code.
pub(crate) async fn run(command: &ConsoleCommand, settings: &Settings, mappings: &MappingSet) -> u8 {
    let outcome = match &command.command {
        Some(Link::Link(link)) => TenantLink::make(&command.console, &link.args).map(|made| link.show(&made)),
        None => serve(command, settings, mappings).await,
    };
    outcome.unwrap_or_else(|error| {
        output::fail(&error.to_string());
        error.exit_code()
    })
}

async fn serve(command: &ConsoleCommand, settings: &Settings, mappings: &MappingSet) -> Result<u8, ConsoleError> {
    let options = command.console.resolve()?;
    // They last as long as the program: every page asks with them.
    let settings: &'static Settings = Box::leak(Box::new(settings.clone()));
    let mappings: &'static MappingSet = Box::leak(Box::new(mappings.clone()));
    let actions = options.actions;
    let listen = options.listen;
    let server = bind(options, settings, mappings, checks(settings, mappings)).await?;
    let failed = |why| ConsoleError::Listen { address: listen, why };
    let stop = shutdown::on_signal().map_err(failed)?;
    let mode = if actions { "actions are allowed" } else { "read-only" };
    // Standard error, as what a daemon says: in the log of whatever runs it.
    output::write_aside(&format!("The console is at http://{}/ ({mode}).\n", server.address().map_err(failed)?));
    server.run(stop).await.map_err(failed)?;
    Ok(exit::OK)
}

/// The doctor's checks, in sessions that only read.
fn checks(settings: &'static Settings, mappings: &'static MappingSet) -> Doctor {
    let reading: &'static Settings = Box::leak(Box::new(Settings { source_read_only: true, ..settings.clone() }));
    Box::new(move || {
        Box::pin(async move {
            let report = doctor(&DoctorArgs::default(), reading, mappings).await;
            report.map_or_else(|error| vec![Check::failed("doctor", &error)], |report| report.checks)
        })
    })
}

impl Report for TenantLink {
    fn print(&self, page: &mut Page) {
        say!(page, "{}", self.url);
    }
}
