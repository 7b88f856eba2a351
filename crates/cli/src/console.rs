//! `lockstep console`: pages for operators, links to tenants' own, and the hash of the password.

use clap::{Args, Subcommand};
use lockstep_console::{ConsoleArgs, ConsoleError, Doctor, LinkArgs, PasswordFile, TenantLink, bind};
use lockstep_core::settings::Settings;
use lockstep_core::terminal::{ask_hidden, read_line};
use lockstep_core::{exit, output, shutdown};
use lockstep_mappings::MappingSet;
use lockstep_operations::doctor::Check;

use crate::doctor::{DoctorArgs, run as doctor};
use crate::output::{NoArgs, Page, Report, Reporting, say};

#[derive(Args, Debug)]
pub(crate) struct ConsoleCommand {
    #[command(flatten)]
    console: ConsoleArgs,
    #[command(subcommand)]
    command: Option<Beside>,
}

#[derive(Subcommand, Debug)]
enum Beside {
    /// Print a link that opens one tenant's own page for some minutes
    Link(Reporting<LinkArgs>),
    /// Print what stands in the password file: asks for the password, or takes the first line of standard input
    HashPassword(Reporting<NoArgs>),
}

impl ConsoleCommand {
    /// Whether it serves. What is beside that asks no service.
    pub(crate) const fn serves(&self) -> bool {
        self.command.is_none()
    }
}

/// Serves until the signal to stop, or prints a link or a hash. Returns the exit code.
pub(crate) async fn run(command: &ConsoleCommand, settings: &Settings, mappings: &MappingSet) -> u8 {
    let outcome = match &command.command {
        Some(Beside::HashPassword(hash)) => hash_password().map(|made| hash.show(&made)),
        Some(Beside::Link(link)) => TenantLink::make(&command.console, &link.args).map(|made| link.show(&made)),
        None => serve(command, settings, mappings).await,
    };
    outcome.unwrap_or_else(|error| {
        output::fail(&error.to_string());
        error.exit_code()
    })
}

/// Asks twice at a terminal, and takes what is piped in as it is.
fn hash_password() -> Result<PasswordFile, ConsoleError> {
    let refused = |why: String| ConsoleError::Setting { name: "the password", why };
    let unread = |error: std::io::Error| refused(format!("cannot be read: {error}"));
    if !output::chosen().may_ask() {
        return PasswordFile::of(&read_line().map_err(unread)?);
    }
    let password = ask_hidden("Password: ").map_err(unread)?;
    if ask_hidden("The same again: ").map_err(unread)? != password {
        return Err(refused("was not the same the second time".to_owned()));
    }
    PasswordFile::of(&password)
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
            report.map_or_else(|error| vec![Check::failed("doctor", &error, reading)], |report| report.checks)
        })
    })
}

impl Report for PasswordFile {
    fn print(&self, page: &mut Page) {
        say!(page, "{}", self.hash);
    }
}

impl Report for TenantLink {
    fn print(&self, page: &mut Page) {
        say!(page, "{}", self.url);
    }
}
