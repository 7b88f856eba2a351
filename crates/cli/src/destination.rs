//! `lockstep destination`: tenants' own databases.

mod connection;
mod print;

use std::io::{BufRead, Write};

use clap::{Args, Subcommand};
use lockstep_core::settings::Settings;
use lockstep_core::{TenancyId, exit, output};
use lockstep_mappings::MappingSet;
use lockstep_operations::{
    ActionRecord, AddDestinationRequest, ChangeDestinationRequest, Deployment, Part, RemoveDestinationRequest,
    add_destination, change_destination, list_destinations, pause, remove_destination, resume, rotate_key,
    show_destination, test_destination,
};
use uuid::Uuid;

use self::connection::{ConnectionArgs, NewConnectionArgs};
pub(crate) use self::print::state;
use serde_json::json;

use crate::error::CliError;
use crate::output::Reporting;
use crate::progress::Progress;
use crate::watch::{WatchArgs, watch_deployment};

#[derive(Args, Debug)]
pub(crate) struct DestinationArgs {
    #[command(subcommand)]
    action: Action,
}

impl DestinationArgs {
    /// As it is written down.
    pub(crate) fn change(&self) -> Option<ActionRecord> {
        let of = |what, id: &Uuid| Some(ActionRecord::new(what, json!({ "id": id })));
        match &self.action {
            Action::Add(args) => (!args.dry_run).then(|| {
                let (tenant, mappings) = (args.tenant.to_string(), &args.mappings);
                let arguments = json!({ "tenant": tenant, "mappings": mappings, "unchecked": args.unchecked });
                ActionRecord::new("destination add", arguments)
            }),
            Action::Change(ChangeArgs { id, mappings, all_mappings, unchecked, .. }) => {
                let arguments =
                    json!({ "id": id, "mappings": mappings, "all_mappings": all_mappings, "unchecked": unchecked });
                Some(ActionRecord::new("destination change", arguments))
            }
            Action::Pause { id, .. } => of("destination pause", id),
            Action::Resume { id } => of("destination resume", id),
            Action::Remove { id, drop_tables, .. } => {
                Some(ActionRecord::new("destination remove", json!({ "id": id, "drop_tables": drop_tables })))
            }
            Action::RotateKey => Some(ActionRecord::new("destination rotate-key", json!({}))),
            Action::List { .. } | Action::Show { .. } | Action::Test { .. } => None,
        }
    }
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Add a tenant's database: look at it, show what will be created there, and have it filled
    Add(AddArgs),
    /// Show tenants' destinations and how each is. Never a password
    List {
        /// Only those of this tenancy ("Tenancy"."id")
        #[arg(long, value_name = "ID")]
        tenant: Option<TenancyId>,
        #[command(flatten)]
        watch: WatchArgs,
    },
    /// Show a destination with its mappings
    Show {
        /// Its id
        id: Uuid,
    },
    /// Connect, and say what is wrong with rights, version, TLS, slots or tables; exit 1 if anything is
    Test {
        /// Its id
        id: Uuid,
    },
    /// Give a destination another connection string or other mappings
    Change(ChangeArgs),
    /// Pause a destination, within a second; the same as `lockstep pause destination`
    Pause {
        /// Its id
        id: Uuid,
        /// Why, for whoever looks at what is paused
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Resume a destination that is paused
    Resume {
        /// Its id
        id: Uuid,
    },
    /// Take a destination away, with its tables or without
    Remove {
        /// Its id
        id: Uuid,
        /// Drop the tables, and all that Lockstep has created there
        #[arg(long, conflicts_with = "keep_tables")]
        drop_tables: bool,
        /// Leave the tables as they are
        #[arg(long)]
        keep_tables: bool,
    },
    /// Encrypt every connection string with the first key of LOCKSTEP_SECRET_KEY_FILE. Other keys may be taken out after that
    RotateKey,
}

#[derive(Args, Debug)]
struct AddArgs {
    /// Whose database it is ("Tenancy"."id")
    #[arg(long, value_name = "ID")]
    tenant: TenancyId,
    /// Only this mapping. May be repeated (default: all, also those that come later)
    #[arg(long = "mapping", value_name = "NAME")]
    mappings: Vec<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Look, and show what would be created; add nothing
    #[arg(long)]
    dry_run: bool,
    /// Add it without connecting to it
    #[arg(long, conflicts_with = "dry_run")]
    unchecked: bool,
}

#[derive(Args, Debug)]
struct ChangeArgs {
    /// Its id
    id: Uuid,
    /// Only these mappings from now on. May be repeated
    #[arg(long = "mapping", value_name = "NAME", conflicts_with = "all_mappings")]
    mappings: Vec<String>,
    /// All mappings from now on, also those that come later
    #[arg(long)]
    all_mappings: bool,
    #[command(flatten)]
    connection: NewConnectionArgs,
    /// Change it without connecting to it
    #[arg(long)]
    unchecked: bool,
}

/// Does it, and shows what came of it. Returns the exit code.
pub(crate) async fn run(
    command: &Reporting<DestinationArgs>,
    settings: &Settings,
    mappings: &MappingSet,
) -> Result<u8, CliError> {
    if let Action::List { tenant, watch } = &command.args.action {
        let list = async |deployment: &Deployment<'_>| list_destinations(deployment, *tenant).await;
        return watch_deployment(watch.every(), (settings, mappings), list).await;
    }
    let deployment = &mut Deployment::connect(settings, mappings).await?;
    Ok(match &command.args.action {
        Action::Add(args) => {
            let request = AddDestinationRequest {
                tenancy: args.tenant,
                mappings: args.mappings.clone(),
                connection: args.connection.read()?,
                dry_run: args.dry_run,
                unchecked: args.unchecked,
            };
            command.show(&add_destination(deployment, &request).await?)
        }
        Action::List { .. } => exit::OK,
        Action::Show { id } => command.show(&show_destination(deployment, *id).await?),
        Action::Test { id } => command.show(&test_destination(deployment, *id).await?),
        Action::Change(args) => {
            let names = !args.mappings.is_empty() || args.all_mappings;
            let request = ChangeDestinationRequest {
                id: args.id,
                connection: args.connection.read()?,
                mappings: names.then(|| args.mappings.clone()),
                unchecked: args.unchecked,
            };
            command.show(&change_destination(deployment, &request).await?)
        }
        Action::Pause { id, reason } => command.show(&pause(deployment, &part(*id), reason).await?),
        Action::Resume { id } => command.show(&resume(deployment, &part(*id)).await?),
        Action::Remove { id, drop_tables, keep_tables } => {
            let drop_tables = if *drop_tables || *keep_tables { *drop_tables } else { asked(deployment, *id).await? };
            let request = RemoveDestinationRequest { id: *id, drop_tables };
            let progress = Progress::new();
            command.show(&remove_destination(deployment, request, &mut |what| progress.say(what)).await?)
        }
        Action::RotateKey => command.show(&rotate_key(deployment).await?),
    })
}

fn part(id: Uuid) -> Part {
    Part::Destination(id.to_string())
}

/// Asks at a terminal whether the tables go too.
async fn asked(deployment: &Deployment<'_>, id: Uuid) -> Result<bool, CliError> {
    let input = std::io::stdin();
    if !output::chosen().may_ask() {
        return Err(CliError::TablesUndecided);
    }
    let entry = show_destination(deployment, id).await?.entry;
    eprint!("Drop Lockstep's tables in {} at {} too? [drop/keep] ", entry.database, entry.host);
    // The question may not be seen where this fails; then there is no answer either.
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    input.lock().read_line(&mut answer).map_err(|_| CliError::TablesUndecided)?;
    match answer.trim() {
        "drop" => Ok(true),
        "keep" => Ok(false),
        _ => Err(CliError::TablesUndecided),
    }
}
