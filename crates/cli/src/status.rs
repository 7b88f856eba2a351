//! `lockstep status`: what waits where.

use clap::Args;
use comfy_table::{Table, presets};
use lockstep_core::output::{Tone, toned};
use lockstep_core::settings::Settings;
use lockstep_core::{TenancyId, exit};
use lockstep_mappings::MappingSet;
use lockstep_operations::{Deployment, EVENTS_COUNTED, Instance, Queue, SinkState, Status, TaskStatus, TenantsStatus};

use crate::destination::state;
use crate::error::CliError;
use crate::output::{Page, Report, align_right, fitted, say};
use crate::watch::{Watching, watch_deployment};

#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// Show this tenancy ("Tenancy"."id") instead: its mappings, destinations, pauses and erasures
    #[arg(long, value_name = "ID")]
    tenant: Option<TenancyId>,
}

/// Of all tenants, or of one.
pub(crate) async fn run(command: &Watching<StatusArgs>, at: (&Settings, &MappingSet)) -> Result<u8, CliError> {
    let every = command.watch.every();
    match command.args.tenant {
        Some(tenant) => {
            let look = async |deployment: &Deployment<'_>| lockstep_operations::tenant(deployment, tenant).await;
            watch_deployment(every, at, look).await
        }
        None => {
            let look = async |deployment: &Deployment<'_>| lockstep_operations::status(deployment).await;
            watch_deployment(every, at, look).await
        }
    }
}

impl Report for Status {
    fn print(&self, page: &mut Page) {
        let at_least = |count| at_least(count, self.count_limit);
        print_position(page, self);
        say!(page, "inbox           {} lines", at_least(self.inbox_lines));
        say!(page, "expansions      {}", at_least(self.expansions));
        say!(page, "not announced   {} changes", at_least(self.unannounced));
        print_queue(page, self);
        if self.erasures > 0 {
            say!(page, "erasures        {} tenancies wait to be erased", at_least(self.erasures));
        }
        self.paused.iter().for_each(|part| noted(page, Tone::Attention, &part.to_string()));
        if self.needs_refill {
            let what = "changes that ClickHouse had not passed were dropped: it is being filled again";
            noted(page, Tone::Attention, what);
        }
        if self.quarantine > 0 {
            let rows = at_least(self.quarantine);
            let refused = toned("rows refused", Tone::Attention);
            say!(page, "quarantine      {rows} {refused}; see `lockstep quarantine list`");
        }
        for trouble in &self.programs {
            noted(page, if trouble.is_wrong { Tone::Wrong } else { Tone::Attention }, &trouble.told());
        }
        for task in &self.tasks {
            let tone = if task.is_failing { Tone::Wrong } else { Tone::Attention };
            task.trouble().iter().for_each(|trouble| noted(page, tone, trouble));
        }
        self.event_sinks.iter().for_each(|sink| print_sink(page, sink));
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["mapping", "tenancies behind", "fill", "filled rows"]);
        for mapping in &self.mappings {
            let fill = if mapping.filled {
                toned("done", Tone::Good)
            } else {
                toned(&format!("{} of {} ranges", mapping.fill_ranges_done, mapping.fill_ranges), Tone::Attention)
            };
            let (cut, rows) = (if self.behind_cut { "≥ " } else { "" }, mapping.filled_rows.to_string());
            let behind = format!("{cut}{}", mapping.tenancies_behind);
            table.add_row([&mapping.name, &behind, &fill, &rows]);
        }
        align_right(&mut table, &[1, 3]);
        say!(page, "{table}");
        print_tenants(page, &self.tenants);
        print_instances(page, &self.instances);
        print_tasks(page, &self.tasks);
    }

    fn exit_code(&self) -> u8 {
        let fails = self.programs.iter().any(|of| of.is_wrong) || self.tasks.iter().any(|task| task.is_failing);
        let is_queue_wrong = match self.queue {
            Queue::Known { .. } => false,
            // It is there from the first start on.
            Queue::Missing { .. } => self.any_runs(),
            Queue::Unknown { .. } => true,
        };
        if fails || is_queue_wrong || self.tenants.stopped_mappings > 0 { exit::DIFFERENT } else { exit::OK }
    }
}

fn print_position(page: &mut Page, status: &Status) {
    // Fills draw numbers too, which are no change's: the last change may have a lower one.
    if status.is_all_shipped() {
        say!(page, "sequence        {}, all of it shipped", status.last_sequence);
    } else {
        say!(page, "sequence        {}, shipped through {}", status.last_sequence, status.passed);
    }
    if status.is_not_started() {
        noted(page, Tone::Attention, "not started yet: start lockstep-sequencer and lockstep-worker");
    }
}

fn print_queue(page: &mut Page, status: &Status) {
    match &status.queue {
        Queue::Known { ready, retrying, dead } => {
            say!(page, "queue           {ready} ready, {retrying} retrying, {dead} dead");
        }
        Queue::Missing { missing } if status.any_runs() => {
            let gone = toned(&format!("there is no queue {missing}"), Tone::Wrong);
            say!(page, "queue           {gone}: programs declare it when they connect; restart one");
        }
        Queue::Missing { .. } => {
            say!(page, "queue           not there yet: a sequencer or a worker declares it when it starts");
        }
        Queue::Unknown { error } => say!(page, "queue           {}: {error}", toned("unknown", Tone::Wrong)),
    }
}

/// A number that was counted up to a limit.
pub(crate) fn at_least(count: i64, limit: i64) -> String {
    if count >= limit { format!("≥ {count}") } else { count.to_string() }
}

/// A line that stands out.
pub(crate) fn noted(page: &mut Page, tone: Tone, what: &str) {
    say!(page, "{}               {what}", toned("!", tone));
}

/// Where a sink of events lacks something.
fn print_sink(page: &mut Page, SinkState { sink, stopped_at, waiting, given_up, .. }: &SinkState) {
    if let Some(at) = stopped_at {
        say!(page, "!               events: {sink} has been told nothing since {at}; see `lockstep events resume`");
    } else if waiting + given_up > 0 {
        say!(
            page,
            "events          {sink}: {} wait, {} given up; see `lockstep events list --undelivered`",
            at_least(*waiting, EVENTS_COUNTED),
            at_least(*given_up, EVENTS_COUNTED)
        );
    }
}

fn print_tenants(page: &mut Page, tenants: &TenantsStatus) {
    let TenantsStatus { total, paused, backing_off, unfinished, behind, in_step, .. } = tenants;
    if *total == 0 {
        return;
    }
    say!(
        page,
        "\ntenants' destinations  {total}: {in_step} in step, {behind} behind, {unfinished} filling, {backing_off} backing off, {paused} paused; noted through {}",
        tenants.noted
    );
    if tenants.stopped_mappings > 0 {
        let what = format!("{} of their mappings are stopped: tables do not fit", tenants.stopped_mappings);
        noted(page, Tone::Wrong, &what);
    }
    if tenants.refills > 0 {
        noted(page, Tone::Attention, &format!("{} of their mappings are to be filled", tenants.refills));
    }
    for entry in &tenants.worst {
        say!(page, "{}  tenancy {}  {}", entry.id, entry.tenancy, state(entry));
    }
}

pub(crate) fn print_instances(page: &mut Page, instances: &[Instance]) {
    if instances.is_empty() {
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["instance", "version", "started", "seen", "state"]);
    for Instance { id, role, version, started_at, seen_at, is_alive, state } in instances {
        let state = match (is_alive, state["why"].as_str(), state["leads"].as_bool()) {
            (false, ..) => toned("silent", Tone::Wrong),
            (true, Some(why), _) => toned(&why.replace('\n', "; "), Tone::Attention),
            (true, None, Some(true)) => toned("leads", Tone::Good),
            (true, None, Some(false)) => toned("stands by", Tone::Good),
            (true, None, None) => toned("ready", Tone::Good),
        };
        table.add_row([format!("{role} {id}"), version.clone(), started_at.clone(), seen_at.clone(), state]);
    }
    say!(page, "\n{}", fitted(table));
}

fn print_tasks(page: &mut Page, tasks: &[TaskStatus]) {
    if tasks.is_empty() {
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["task", "last run", "took ms", "did", "last failure"]);
    for task in tasks {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "never".to_owned());
        let took = task.took_ms.map_or_else(String::new, |took| took.to_string());
        let name = format!("{} {}", task.program, task.name);
        table.add_row([name, text(&task.last_run), took, task.did.to_string(), text(&task.failed_at)]);
    }
    align_right(&mut table, &[2, 3]);
    say!(page, "\n{}", fitted(table));
}
