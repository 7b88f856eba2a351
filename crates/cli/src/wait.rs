//! `lockstep wait`: returns when every destination holds what the source held at the call.

use std::time::{Duration, Instant};

use clap::Args;
use lockstep_core::output::{Tone, toned};
use lockstep_core::{TenancyId, exit};
use lockstep_operations::{Deployment, WaitFor, WaitOutcome, WaitReport, wait};
use lockstep_schema::within;

use crate::error::CliError;
use crate::output::{Page, Report, aside, say};
use crate::progress::Progress;

#[derive(Args, Debug)]
pub(crate) struct WaitArgs {
    /// Wait for one tenancy ("Tenancy"."id")
    #[arg(long, value_name = "ID", conflicts_with_all = ["all", "destination"], required_unless_present_any = ["all", "destination"])]
    tenant: Option<TenancyId>,
    /// Wait for all of them
    #[arg(long, conflicts_with = "destination")]
    all: bool,
    /// Wait for one destination: clickhouse, or the id of a tenant's own, also while it is paused or backing off
    #[arg(long, value_name = "NAME|ID")]
    destination: Option<String>,
    /// Give up after this many seconds
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,
}

/// What is asked once the time is up, to say what is missing, is given so long.
const TO_SAY_WHY: Duration = Duration::from_secs(5);

/// Waits, connecting included: a Postgres that hangs is not waited for any longer.
pub(crate) async fn run<'a>(
    args: &WaitArgs,
    connected: impl Future<Output = Result<Deployment<'a>, CliError>>,
) -> Result<WaitReport, CliError> {
    let progress = Progress::new();
    let what = match (args.tenant, &args.destination) {
        (Some(tenancy), _) => WaitFor::Tenancy(tenancy),
        (None, Some(destination)) => WaitFor::Destination(destination.clone()),
        (None, None) => WaitFor::All,
    };
    let (began, limit) = (Instant::now(), Duration::from_secs(args.timeout));
    within(limit.saturating_add(TO_SAY_WHY), async {
        let deployment = connected.await?;
        let left = limit.saturating_sub(began.elapsed());
        wait(&deployment, &what, left, &mut |what| progress.say(what)).await
    })
    .await
}

impl Report for WaitReport {
    fn print(&self, page: &mut Page) {
        let (rows, waited_ms) = (self.quarantined_rows, self.waited_ms);
        match (self.outcome, self.sequence) {
            (WaitOutcome::InStep, sequence) => {
                let in_step = toned("In step", Tone::Good);
                match sequence.filter(|sequence| *sequence > 0) {
                    Some(sequence) => say!(page, "{in_step} with sequence {sequence} after {waited_ms} ms."),
                    None => say!(
                        page,
                        "{in_step} after {waited_ms} ms: all rows are there, and no change has a number yet."
                    ),
                }
            }
            (WaitOutcome::Quarantined, _) => {
                let refused = toned("rows were refused", Tone::Wrong);
                aside!(page, "Nothing is on its way, but {rows} {refused}: see `lockstep quarantine list`.");
            }
            (WaitOutcome::InFlight, None) => {
                let not = toned("Not in step", Tone::Wrong);
                aside!(page, "{not} after {waited_ms} ms: it is not known which changes were made before this call:");
            }
            (WaitOutcome::InFlight, Some(sequence)) => {
                let not = toned("Not in step", Tone::Attention);
                aside!(page, "{not} with sequence {sequence} after {waited_ms} ms:");
            }
        }
        self.wrong.iter().for_each(|what| aside!(page, "  - {what}"));
        self.paused.iter().for_each(|part| aside!(page, "  - {part}"));
        if self.outcome == WaitOutcome::InFlight {
            self.lag.sentences().iter().for_each(|what| aside!(page, "  - {what}"));
        }
        self.known.iter().for_each(|what| aside!(page, "  - {what}"));
        self.left_out.iter().for_each(|one| aside!(page, "Not waited for: destination {}, {}.", one.id, one.why));
    }

    fn exit_code(&self) -> u8 {
        match self.outcome {
            WaitOutcome::InStep => exit::OK,
            WaitOutcome::InFlight => exit::IN_FLIGHT,
            WaitOutcome::Quarantined => exit::DIFFERENT,
        }
    }
}
