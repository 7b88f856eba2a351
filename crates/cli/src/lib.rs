//! The `lockstep` command: set up, look, wait.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to people through its output")]

mod access;
mod audit;
mod config;
mod console;
mod destination;
mod detach;
mod doctor;
mod erase;
mod error;
mod events;
mod explain;
mod init;
mod mapping;
mod migrate;
mod output;
mod pause;
mod progress;
mod quarantine;
mod resync;
mod rewind;
mod settings;
mod status;
mod support;
mod tenants;
mod top;
mod verified;
mod wait;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use lockstep_core::output::{OutputArgs, chosen, fail, fail_at, print};
use lockstep_core::settings::{Needs, Settings, SettingsArgs};
use lockstep_core::{exit, telemetry};
use lockstep_mappings::{DefinitionErrors, MappingSet};
use lockstep_operations::{ActionRecord, Deployment};

use crate::audit::Entry;
use crate::output::{NoArgs, Reporting};
use crate::pause::PauseArgs;
use crate::watch::{Watching, watch, watch_deployment};

pub use error::CliError;

/// Keeps every tenant's data in ClickHouse exactly in step with Postgres, and proves it.
#[derive(Parser, Debug)]
#[command(name = "lockstep", version, about, disable_help_subcommand = true, infer_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Set up capture in the source database, and the tables in ClickHouse. Safe to run again
    Migrate(Reporting<migrate::MigrateArgs>),
    /// Look at the three services, and write lockstep.toml and a definition for each table of tenants. Changes no database
    Init(Reporting<init::InitArgs>),
    /// Show what the settings are and where each comes from, or check them. Asks no service
    Config(Reporting<config::ConfigArgs>),
    /// Print completions for a shell
    Completions {
        /// Which
        shell: clap_complete::Shell,
    },
    /// Write one archive of all that helps to understand an installation from afar: no secret, no key and no tenant's value
    SupportBundle(Reporting<support::SupportArgs>),
    /// Show how mappings are and what they are made of, write a definition from a table, check definitions
    Mapping(Reporting<mapping::MappingArgs>),
    /// Remove everything that Lockstep has installed in the source database
    Detach(detach::DetachArgs),
    /// Show what waits where, how far each mapping is, and what the periodic tasks did
    Status(Watching<status::StatusArgs>),
    /// Show how all is, every second, on one screen: what is wrong, numbers, the worst mappings and tenants. Ends with q or Ctrl-C
    Top(top::TopArgs),
    /// Show tenants, a page at a time: how far each is, and what is wrong
    Tenants(Watching<tenants::TenantsArgs>),
    /// Wait until every destination holds what the source holds now
    Wait(Reporting<wait::WaitArgs>),
    /// Tell one row's whole story: source, changes, destinations, and what to do. Exit 0 in step, 1 wrong, 2 on its way, 3 unknown
    Explain(Watching<explain::ExplainArgs>),
    /// Show what the verifier has proven of a tenancy, through which number; sign and check certificates of it
    Verified(Watching<verified::VerifiedArgs>),
    /// Pause a part, within a second. Nothing is lost: changes made meanwhile are shipped when it is resumed
    Pause(Reporting<PauseArgs>),
    /// Resume a part that is paused
    Resume(Reporting<pause::ResumeArgs>),
    /// Show what is paused, since when, and why
    Paused(Watching<NoArgs>),
    /// Export rows again, while everything keeps running and readers see no gap
    Resync(Reporting<resync::ResyncArgs>),
    /// Recover after the source was restored to an earlier state
    Rewind(Reporting<rewind::RewindArgs>),
    /// Show rows that were refused or could not be read, ship them again, or forget them
    Quarantine(Reporting<quarantine::QuarantineArgs>),
    /// Show events, the beginnings and ends of what is wrong, and who was told of them; have them told again
    Events(Reporting<events::EventsArgs>),
    /// Erase the rows of a deleted tenancy from the destination, and print the receipt
    Erase(Reporting<erase::EraseArgs>),
    /// Give tenants their ClickHouse users, take them away, and check who reads what
    Access(Reporting<access::AccessArgs>),
    /// Add tenants' own databases, show how they are, and take them away
    Destination(Reporting<destination::DestinationArgs>),
    /// Show or change the settings that all programs share
    Settings(Reporting<settings::SettingsCommand>),
    /// Serve a page that shows all of this, on this machine alone and read-only unless told otherwise
    Console(console::ConsoleCommand),
    /// Say what is wrong with capture, the replica that workers read, RabbitMQ and ClickHouse, and what to do about it; exit 1 if anything is
    Doctor(Watching<doctor::DoctorArgs>),
    /// Print what each exit code means
    ExitCodes(NoArgs),
}

impl Command {
    const fn needs(&self) -> Needs {
        let (amqp, clickhouse) = match self {
            Self::Mapping(_)
            | Self::Verified(_)
            | Self::Config(_)
            | Self::Completions { .. }
            | Self::SupportBundle(_) => (false, false),
            Self::Migrate(_)
            | Self::Wait(_)
            | Self::Explain(_)
            | Self::Resync(_)
            | Self::Rewind(_)
            | Self::Access(_) => (false, true),
            Self::Console(command) => (command.serves(), command.serves()),
            Self::Init(_) | Self::Status(_) | Self::Top(_) | Self::Doctor(_) => (true, true),
            Self::Pause(_)
            | Self::Resume(_)
            | Self::Paused(_)
            | Self::Quarantine(_)
            | Self::Events(_)
            | Self::Tenants(_)
            | Self::Erase(_)
            | Self::Destination(_)
            | Self::Settings(_)
            | Self::ExitCodes(_)
            | Self::Detach(_) => (false, false),
        };
        let source = match self {
            Self::Mapping(command) => command.args.needs_source(),
            Self::Verified(command) => command.args.needs_source(),
            Self::Console(command) => command.serves(),
            Self::Config(_) | Self::Completions { .. } | Self::SupportBundle(_) | Self::ExitCodes(_) => false,
            _ => true,
        };
        Needs { source, amqp, clickhouse }
    }

    /// Whether it is about definitions, those that are wrong too.
    const fn is_of_definitions(&self) -> bool {
        match self {
            Self::Mapping(command) => command.args.is_of_definitions(),
            Self::SupportBundle(_) => true,
            _ => false,
        }
    }

    /// What it changes, if it does. `detach` takes the list of changes with it.
    fn change(&self) -> Option<ActionRecord> {
        match self {
            Self::Migrate(command) => command.args.change(),
            Self::Pause(command) => Some(command.args.part.change("pause")),
            Self::Resume(command) => Some(command.args.part.change("resume")),
            Self::Resync(command) => Some(command.args.change()),
            Self::Rewind(command) => command.args.change(),
            Self::Quarantine(command) => command.args.change(),
            Self::Events(command) => command.args.change(),
            Self::Erase(command) => Some(command.args.change()),
            Self::Access(command) => command.args.change(),
            Self::Destination(command) => command.args.change(),
            Self::Settings(command) => command.args.change(),
            Self::Mapping(_)
            | Self::Config(_)
            | Self::Init(_)
            | Self::Completions { .. }
            | Self::SupportBundle(_)
            | Self::Detach(_)
            | Self::Status(_)
            | Self::Top(_)
            | Self::Tenants(_)
            | Self::Wait(_)
            | Self::Explain(_)
            | Self::Verified(_)
            | Self::Paused(_)
            | Self::Doctor(_)
            | Self::ExitCodes(_)
            | Self::Console(_) => None,
        }
    }
}

/// Runs a command line to its exit code.
pub async fn run(cli: Cli) -> ExitCode {
    cli.output.apply();
    match &cli.command {
        Command::ExitCodes(_) => return ExitCode::from(exit_codes()),
        Command::Config(command) => return ExitCode::from(config::run(command, &cli.settings)),
        Command::Completions { shell } => return ExitCode::from(completions(*shell)),
        _ => {}
    }
    let settings = match cli.settings.resolve(cli.command.needs()) {
        Ok(settings) => settings,
        Err(errors) => {
            fail(&errors.to_string());
            return ExitCode::from(exit::CONFIGURATION);
        }
    };
    let telemetry = telemetry::start("lockstep", &settings);
    let entry = match cli.command.change() {
        Some(change) => Entry::begin(change, &settings).await,
        None => None,
    };
    let outcome = dispatch(&cli, &settings).await;
    if let Some(entry) = entry {
        entry.end(&outcome).await;
    }
    telemetry.end().await;
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            fail_at(&error.to_string(), &settings);
            ExitCode::from(error.exit_code())
        }
    }
}

fn exit_codes() -> u8 {
    let text = if chosen().form().is_json() { format!("{}\n", exit::json()) } else { exit::text() };
    print(&text, exit::OK)
}

/// A reader that goes away is no failure here either: what is printed is made first.
fn completions(shell: clap_complete::Shell) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lockstep", &mut script);
    print(&String::from_utf8_lossy(&script), exit::OK)
}

async fn dispatch(cli: &Cli, settings: &Settings) -> Result<u8, CliError> {
    let command = &cli.command;
    // Definitions that do not hold together are what `lockstep mapping` is for, and what a bundle tells.
    let (mappings, wrong) = MappingSet::load_right(&settings.mappings, None);
    if !wrong.is_empty() && !command.is_of_definitions() {
        return Err(DefinitionErrors(wrong).into());
    }
    let mappings = &mappings;
    let at = (settings, mappings);
    let connected = Deployment::connect(settings, mappings);
    Ok(match command {
        // These were done before there were settings.
        Command::Config(_) | Command::Completions { .. } | Command::ExitCodes(_) => exit::OK,
        Command::Init(command) => command.show(&init::run(&command.args, &cli.settings, settings).await?),
        Command::SupportBundle(command) => {
            command.show(&support::run(&command.args, &cli.settings, settings, (mappings, wrong)).await?)
        }
        Command::Mapping(command) => mapping::run(command, at).await?,
        Command::Migrate(command) => command.show(&migrate::run(&command.args, settings, mappings).await?),
        Command::Console(command) => console::run(command, settings, mappings).await,
        Command::Detach(args) => detach::run(args, settings, mappings).await?,
        Command::Doctor(command) => {
            watch(command.watch.every(), settings, async || doctor::run(&command.args, settings, mappings).await)
                .await?
        }
        Command::Tenants(command) => {
            let look = async |deployment: &Deployment<'_>| tenants::run(&command.args, deployment).await;
            watch_deployment(command.watch.every(), at, look).await?
        }
        Command::Top(args) => top::run(args, settings, mappings).await?,
        Command::Status(command) => status::run(command, at).await?,
        Command::Wait(command) => command.show(&wait::run(&command.args, connected).await?),
        Command::Explain(command) => {
            let look = async |deployment: &Deployment<'_>| explain::run(&command.args, deployment).await;
            watch_deployment(command.watch.every(), at, look).await?
        }
        Command::Verified(command) => {
            watch(command.watch.every(), settings, async || verified::run(&command.args, settings, mappings).await)
                .await?
        }
        Command::Pause(command) => {
            let PauseArgs { part, reason } = &command.args;
            command.show(&lockstep_operations::pause(&connected.await?, &part.into(), reason).await?)
        }
        Command::Resume(command) => {
            command.show(&lockstep_operations::resume(&connected.await?, &(&command.args.part).into()).await?)
        }
        Command::Paused(command) => {
            let look = async |deployment: &Deployment<'_>| lockstep_operations::paused(deployment).await;
            watch_deployment(command.watch.every(), at, look).await?
        }
        Command::Resync(command) => resync::run(command, &mut connected.await?).await?,
        Command::Rewind(command) => command.show(&rewind::run(&command.args, &mut connected.await?).await?),
        Command::Quarantine(command) => quarantine::run(command, settings, mappings).await?,
        Command::Events(command) => events::run(command, settings, mappings).await?,
        Command::Erase(command) => command.show(&erase::run(&command.args, &connected.await?).await?),
        Command::Access(command) => access::run(command, &connected.await?).await?,
        Command::Destination(command) => destination::run(command, settings, mappings).await?,
        Command::Settings(command) => command.show(&settings::run(&command.args, &connected.await?).await?),
    })
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory, Parser};

    use super::Cli;

    /// A flag of a command that has the id of a global one takes that one's value.
    fn no_flag_hides_a_global_one(root: &Command, command: &Command) {
        for flag in command.get_subcommands().flat_map(Command::get_arguments) {
            let global = root.get_arguments().find(|global| global.is_global_set() && global.get_id() == flag.get_id());
            assert!(
                global.is_none_or(|global| global.get_env() == flag.get_env()),
                "{} of {}",
                flag.get_id(),
                command.get_name()
            );
        }
        command.get_subcommands().for_each(|command| no_flag_hides_a_global_one(root, command));
    }

    #[test]
    fn filters_that_name_what_there_is_not_are_refused() {
        let is_taken = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        assert!(is_taken("lockstep events list --kind task_failing"));
        assert!(!is_taken("lockstep events list --kind nope"));
        assert!(is_taken("lockstep quarantine list --code LS-0203"));
        for code in ["nope", "203", "LS-02031", "ls-0203"] {
            assert!(!is_taken(&format!("lockstep quarantine retry --code {code}")), "{code}");
        }
    }

    #[test]
    fn no_flag_of_a_command_has_the_id_of_a_global_one() {
        let root = Cli::command();
        no_flag_hides_a_global_one(&root, &root);
    }
}
