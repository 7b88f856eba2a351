//! `lockstep detach`: takes everything of Lockstep's out of the source database again.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::BufRead;

use clap::Args;
use lockstep_core::settings::Settings;
use lockstep_core::{exit, output};
use lockstep_mappings::MappingSet;
use lockstep_mappings::clickhouse::drop_everything;
use lockstep_mappings::postgres::{KEEPER, table, tenancies_taken_out, tenancy_table};
use lockstep_operations::shown::counted;
use lockstep_operations::{queue_names, queues_taken_out};
use lockstep_schema::attach::{Extent, Keeper, Live, Part, Step};
use lockstep_schema::{Source, attach};

use crate::error::CliError;
use crate::migrate::source;
use crate::progress::Progress;

const NOBODY_ASKED: &str = "LS-0028: nothing was taken out: detach asks before it does, and there is nobody to ask; stop sequencers and workers, \
                            then give --yes";
const NOT_AGREED: &str = "LS-0028: nothing was taken out: the answer was not yes";

#[derive(Args, Debug)]
pub(crate) struct DetachArgs {
    /// Print every statement without running any
    #[arg(long)]
    dry_run: bool,
    /// Ask nothing
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
}

pub(crate) async fn run(args: &DetachArgs, settings: &Settings, mappings: &MappingSet) -> Result<u8, CliError> {
    let from = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let live = attach::inspect_catalog(&from, mappings).await?;
    let steps = attach::detach(mappings, &live);
    let extent = attach::extent(&from).await?;
    let stays = Stays { settings, mappings, extent: &extent };
    if steps.is_empty() {
        let nothing = "Nothing to do: nothing of Lockstep's own is in this database.";
        return Ok(output::print(
            &format!("{nothing}\n{}", stays.with_commands("What stays elsewhere, unless it was dropped:")),
            exit::OK,
        ));
    }
    let goes = goes(settings, (&live, &steps), &extent);
    if args.dry_run {
        if !output::chosen().is_quiet() {
            output::write_aside(&format!("{goes}{}", stays.with_commands("What stays:")));
        }
        return Ok(output::print(&source::text(&steps), exit::OK));
    }
    if !args.yes || !output::chosen().is_quiet() {
        output::write_aside(&format!("{goes}{}", stays.summary()));
    }
    if let Some(refused) = (!args.yes).then(ask).flatten() {
        output::fail(refused);
        return Ok(exit::CONFIGURATION);
    }
    let mut progress = Progress::new();
    source::apply(&from, &steps, &mut progress).await?;
    drop(progress);
    Ok(output::print(&format!("Done: {} steps.\n{}", steps.len(), stays.with_commands("What stays:")), exit::OK))
}

/// What goes, in numbers.
fn goes(settings: &Settings, (live, steps): (&Live, &[Step]), extent: &Extent) -> String {
    let tables: BTreeSet<_> = live.triggers.keys().map(|(on, _)| on).collect();
    let indexes = steps.iter().filter(|step| step.part == Part::Indexes).count();
    let Extent { tables: own, size, receipts, running, .. } = extent;
    let running: Vec<_> = running.iter().map(|(role, count)| counted(*count, role, &format!("{role}s"))).collect();
    let running = if running.is_empty() { "none".to_owned() } else { running.join(", ") };
    format!(
        "Stop sequencers and workers first: without their tables they can do nothing. Those that say they run now: {running}.\n\
         What goes, from {}:\n  triggers: {} on {} tables; event triggers: {}; indexes: {indexes}\n  schema lockstep: {own} tables, {size}, \
         with {receipts} receipts of erasures, and all that was proven and done\n",
        settings.source_url,
        live.triggers.len(),
        tables.len(),
        live.event_triggers.len(),
    )
}

/// What `detach` leaves, because it is the operator's or is not in this database.
struct Stays<'a> {
    settings: &'a Settings,
    mappings: &'a MappingSet,
    extent: &'a Extent,
}

impl Stays<'_> {
    /// Each part in a line.
    fn summary(&self) -> String {
        let parts = self.parts().into_iter().map(|(part, _)| format!("  {part}\n"));
        format!(
            "What stays (how it is dropped is printed at the end, and by --dry-run):\n{}",
            parts.collect::<String>()
        )
    }

    /// The same, below each part the commands that drop it.
    fn with_commands(&self, title: &str) -> String {
        let mut text = format!("{title}\n");
        for (part, commands) in self.parts() {
            let _ = writeln!(text, "  {part}");
            commands.iter().for_each(|command| text.push_str(&format!("    {command}\n")));
        }
        text
    }

    /// What was set up there, with the statements that drop it. What this database does not know of any more may be another system's.
    fn in_clickhouse(&self) -> (String, Vec<String>) {
        let clickhouse = &self.settings.clickhouse;
        let place = format!("{} and {}", clickhouse.raw_database, clickhouse.view_database);
        let known = |name: &str| self.mappings.iter().find(|mapping| mapping.name.as_str() == name);
        let (mut made, mut beside, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for (name, is_beside) in &self.extent.mappings {
            match known(name) {
                None => others.push(name.as_str()),
                Some(known) if *is_beside => {
                    beside.push(name.as_str());
                    made.push(known.beside());
                }
                Some(known) => made.push(known.clone()),
            }
        }
        if made.is_empty() {
            let unknown = format!(
                "ClickHouse: what Lockstep made in {place}, if it is still there; which tables these are is not known here any more"
            );
            return (unknown, Vec::new());
        }
        let mut rows = format!(
            "ClickHouse: tables and views of {}, in the databases {place}, which stay, empty where nobody else has tables in them",
            counted(made.len(), "mapping", "mappings")
        );
        if !beside.is_empty() {
            let _ =
                write!(rows, "; tables are still built beside {}, which may be another system's", beside.join(", "));
        }
        if !others.is_empty() {
            let _ = write!(rows, "; those of {}, of which no definition is given here", others.join(", "));
        }
        (rows, drop_everything(&made, &clickhouse.into()))
    }

    fn parts(&self) -> Vec<(String, Vec<String>)> {
        let statements = |sql: Vec<String>| sql.into_iter().map(|statement| format!("{statement};")).collect();
        let queues = queue_names(self.settings);
        let kept = self.extent.keeper.as_ref().map(|Keeper { triggers, tables }| {
            let on = if tables.is_empty() { String::new() } else { format!(" on {}", tables.join(", ")) };
            let what = format!(
                "Postgres, made by tenancy.sql: table {}, function public.{KEEPER} and {triggers} triggers{on}",
                table(&tenancy_table())
            );
            (what, statements(tenancies_taken_out().to_vec()))
        });
        let (rows, drops) = self.in_clickhouse();
        let messages = format!("RabbitMQ: {} queues: {}", queues.len(), queues.join(", "));
        let tenants = format!(
            "tenants' own databases: {} (`lockstep destination remove`, before this, drops the tables in one)",
            self.extent.tenant_databases
        );
        let elsewhere = [(rows, statements(drops)), (messages, queues_taken_out(self.settings)), (tenants, Vec::new())];
        kept.into_iter().chain(elsewhere).collect()
    }
}

/// Asks at a terminal. Returns what to say where nobody has agreed.
fn ask() -> Option<&'static str> {
    if !output::chosen().may_ask() {
        return Some(NOBODY_ASKED);
    }
    output::write_aside("Take all of it out? [yes/no] ");
    let mut answer = String::new();
    let is_yes = std::io::stdin().lock().read_line(&mut answer).is_ok() && answer.trim() == "yes";
    (!is_yes).then_some(NOT_AGREED)
}
