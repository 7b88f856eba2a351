//! `lockstep erase`: has a tenancy erased from the destination, and prints the receipt (ERASE-1).

use std::time::Duration;

use clap::Args;
use lockstep_core::{Location, TenancyId, exit};
use lockstep_operations::{ActionRecord, Deployment, EraseOutcome, EraseReport, EraseRequest, erase};

use crate::error::CliError;
use crate::output::{Page, Report, align_right, aside, say, table};
use crate::progress::Progress;

#[derive(Args, Debug)]
pub(crate) struct EraseArgs {
    /// Whose rows to erase ("Tenancy"."id")
    #[arg(long, value_name = "ID")]
    tenant: TenancyId,
    /// Also where it exists in the source: it is paused first, and not shipped before it is resumed
    #[arg(long, alias = "and-stop")]
    and_pause: bool,
    /// Its project, where nothing is known of the tenancy any more
    #[arg(long, requires = "branch", value_name = "ID")]
    project: Option<String>,
    /// Its branch
    #[arg(long, requires = "project", value_name = "ID")]
    branch: Option<String>,
    /// Stop waiting after this many seconds; the erasure continues
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    timeout: u64,
}

impl EraseArgs {
    /// As it is written down.
    pub(crate) fn change(&self) -> ActionRecord {
        ActionRecord::erase(self.tenant, self.and_pause)
    }
}

pub(crate) async fn run(args: &EraseArgs, deployment: &Deployment<'_>) -> Result<EraseReport, CliError> {
    let place = args.project.clone().zip(args.branch.clone());
    let request = EraseRequest {
        tenancy: args.tenant,
        and_pause: args.and_pause,
        location: place.map(|(project_id, branch_id)| Location { project_id, branch_id }),
        limit: Duration::from_secs(args.timeout),
    };
    let progress = Progress::new();
    erase(deployment, &request, &mut |what| progress.say(what)).await
}

impl Report for EraseReport {
    fn print(&self, page: &mut Page) {
        let Some(receipt) = &self.receipt else {
            aside!(
                page,
                "Not erased yet. The erasure continues; run the same command again to wait for it. Is lockstep-worker running?"
            );
            return;
        };
        if self.outcome == EraseOutcome::ErasedBefore {
            aside!(page, "It was erased before; this is the receipt.");
        }
        say!(page, "Tenancy {}, erased from {} ({})", receipt.tenancy, receipt.destination, receipt.reason);
        let proven = receipt.proven_at.as_deref().unwrap_or("not proven");
        say!(page, "requested {}, nothing left {proven}", receipt.requested_at);
        let name = |key: &str| match key {
            "_cursors" => "cursors".to_owned(),
            "_quarantine" => "quarantine".to_owned(),
            "_tombstones" => "tombstones in the source".to_owned(),
            mapping => mapping.to_owned(),
        };
        let left = self.left.unwrap_or_default().to_string();
        let removed = receipt.removed.as_object().into_iter().flatten();
        let rows = removed.map(|(key, rows)| [name(key), rows.to_string(), left.clone()]);
        let mut table = table(["what", "removed rows", "left"], rows);
        align_right(&mut table, &[1, 2]);
        say!(page, "{table}");
        for own in self.own_databases.iter().flatten() {
            let state = own.finished_at.as_deref().map_or_else(
                || "could not be emptied yet, and is tried again; `lockstep destination show` tells why".to_owned(),
                |finished| format!("emptied {finished}"),
            );
            say!(page, "its own database {}: {state}", own.destination);
        }
    }

    fn exit_code(&self) -> u8 {
        if self.receipt.is_some() { exit::OK } else { exit::IN_FLIGHT }
    }
}
