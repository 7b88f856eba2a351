//! `lockstep events`: what operators are told, who has it, and telling it again.

use std::time::Duration;

use clap::{Args, Subcommand};
use lockstep_core::exit;
use lockstep_core::settings::Settings;
use lockstep_mappings::MappingSet;
use lockstep_operations::{
    ActionRecord, Deployment, EVENT_KINDS, EventDelivery, EventFilter, EventReport, EventRetryReport, EventTestReport,
    EventsReport,
};
use serde_json::json;

use crate::error::CliError;
use crate::output::{Page, Report, Reporting, say, table};
use crate::progress::Progress;
use crate::watch::{Watching, watch_deployment};

#[derive(Args, Debug)]
pub(crate) struct EventsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Show events, the latest first
    List(Watching<ListArgs>),
    /// Show an event, and which sinks have it
    Show {
        /// Its number
        #[arg(value_name = "ID")]
        id: i64,
    },
    /// Have every sink told of an event of the kind test, and wait until each was tried; exit 1 if one does not take it
    Test {
        /// Stop waiting after this many seconds; the event is told all the same
        #[arg(long, default_value_t = 60, value_name = "SECONDS")]
        timeout: u64,
    },
    /// Have what sinks do not have told at once: what waits for its time, and what was given up
    Retry(RetryArgs),
    /// Have a sink told again whose receiver had said that it is gone (410), beginning with what it does not have
    Resume {
        /// Its name
        #[arg(value_name = "SINK")]
        sink: String,
    },
}

#[derive(Args, Debug)]
struct ListArgs {
    /// Of one kind
    #[arg(long, value_name = "KIND", value_parser = EVENT_KINDS)]
    kind: Option<String>,
    /// Those that a sink does not have
    #[arg(long)]
    undelivered: bool,
    /// How many
    #[arg(long, default_value_t = 50, value_name = "EVENTS", value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// Those before this number, for the next page
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
}

#[derive(Args, Debug)]
struct RetryArgs {
    /// Of one event
    #[arg(value_name = "ID")]
    id: Option<i64>,
    /// Of one sink
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
    /// Of all events and sinks
    #[arg(long, conflicts_with_all = ["id", "sink"], required_unless_present_any = ["id", "sink"])]
    all: bool,
}

impl EventsArgs {
    /// As it is written down.
    pub(crate) fn change(&self) -> Option<ActionRecord> {
        match &self.action {
            Action::List(_) | Action::Show { .. } => None,
            Action::Test { .. } => Some(ActionRecord::new("events test", json!({}))),
            Action::Retry(RetryArgs { id, sink, all }) => {
                Some(ActionRecord::new("events retry", json!({ "event": id, "sink": sink, "all": all })))
            }
            Action::Resume { sink } => Some(ActionRecord::new("events resume", json!({ "sink": sink }))),
        }
    }
}

/// Does it, and shows what came of it. Returns the exit code.
pub(crate) async fn run(
    command: &Reporting<EventsArgs>,
    settings: &Settings,
    mappings: &MappingSet,
) -> Result<u8, CliError> {
    if let Action::List(Watching { args, watch }) = &command.args.action {
        let ListArgs { kind, undelivered, limit, before } = args;
        let filter = EventFilter { kind: kind.clone(), undelivered: *undelivered, before: *before, limit: *limit };
        let list = async |deployment: &Deployment<'_>| lockstep_operations::list_events(deployment, &filter).await;
        return watch_deployment(watch.every(), (settings, mappings), list).await;
    }
    let deployment = &Deployment::connect(settings, mappings).await?;
    Ok(match &command.args.action {
        Action::List(_) => exit::OK,
        Action::Show { id } => command.show(&lockstep_operations::show_event(deployment, *id).await?),
        Action::Test { timeout } => {
            let (limit, progress) = (Duration::from_secs(*timeout), Progress::new());
            let tell = &mut |what: &str| progress.say(what);
            command.show(&lockstep_operations::test_events(deployment, limit, tell).await?)
        }
        Action::Retry(RetryArgs { id, sink, .. }) => {
            command.show(&lockstep_operations::retry_events(deployment, *id, sink.as_deref()).await?)
        }
        Action::Resume { sink } => command.show(&lockstep_operations::resume_events(deployment, sink).await?),
    })
}

impl Report for EventsReport {
    fn print(&self, page: &mut Page) {
        if self.events.is_empty() {
            say!(page, "There are no such events.");
            return;
        }
        let rows = self.events.iter().map(|event| {
            let [at, kind, subject, state] = [&event.at, &event.kind, &event.subject, &event.state].map(String::clone);
            let open = if event.is_open { "yes" } else { "" };
            [event.id.to_string(), at, kind, subject, state, open.to_owned(), event.undelivered.join(", ")]
        });
        let header = ["event", "at (UTC)", "kind", "subject", "state", "open", "not told"];
        say!(page, "{}", table(header, rows));
        if let Some(next) = self.next {
            say!(page, "There are more: --before {next}");
        }
    }

    fn list(&self) -> Option<&'static str> {
        Some("events")
    }
}

impl Report for EventReport {
    fn print(&self, page: &mut Page) {
        let event = &self.event;
        let open = if event.is_open { ", still open" } else { "" };
        say!(page, "event {}, {}: {} {}, {}{open}", event.id, event.at, event.kind, event.subject, event.state);
        say!(page, "{:#}", event.about);
        deliveries(page, &self.deliveries);
    }
}

impl Report for EventTestReport {
    fn print(&self, page: &mut Page) {
        say!(page, "event {}", self.event);
        deliveries(page, &self.deliveries);
    }

    fn exit_code(&self) -> u8 {
        let is = |state: &str| self.deliveries.iter().any(|delivery| delivery.state == state);
        let is_untried = self.deliveries.iter().any(|delivery| delivery.state == "waiting" && delivery.attempts == 0);
        match (is_untried, is("waiting") || is("stopped") || is("given_up")) {
            (true, _) => exit::IN_FLIGHT,
            (false, true) => exit::DIFFERENT,
            (false, false) => exit::OK,
        }
    }
}

impl Report for EventRetryReport {
    fn print(&self, page: &mut Page) {
        say!(page, "{} are told at once.", self.deliveries);
        for sink in &self.stopped {
            say!(page, "{sink} is stopped, and told nothing before `lockstep events resume {sink}`.");
        }
    }
}

fn deliveries(page: &mut Page, all: &[EventDelivery]) {
    if all.is_empty() {
        say!(page, "No sink was to be told.");
        return;
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let rows = all.iter().map(|one| {
        let (sink, state, attempts) = (one.sink.clone(), one.state.clone(), one.attempts.to_string());
        [sink, state, attempts, text(&one.delivered_at), text(&one.next_at), text(&one.error)]
    });
    say!(page, "{}", table(["sink", "state", "attempts", "delivered (UTC)", "next (UTC)", "error"], rows));
}
