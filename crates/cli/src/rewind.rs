//! `lockstep rewind`: mends what a source that was restored to an earlier state has forgotten (SRC-1).

use std::time::Duration;

use clap::Args;
use lockstep_core::exit;
use lockstep_operations::{ActionRecord, Deployment, RewindReport, rewind};
use serde_json::json;

use crate::error::CliError;
use crate::output::{Page, Report, say, table};
use crate::progress::Progress;

#[derive(Args, Debug)]
pub(crate) struct RewindArgs {
    /// Only say what is ahead of the source
    #[arg(long)]
    dry_run: bool,
    /// Give up waiting after this many seconds. Run the same command again to continue
    #[arg(long, default_value_t = 3_600, value_name = "SECONDS")]
    timeout: u64,
}

impl RewindArgs {
    /// As it is written down.
    pub(crate) fn change(&self) -> Option<ActionRecord> {
        (!self.dry_run).then(|| ActionRecord::new("rewind", json!({})))
    }
}

pub(crate) async fn run(args: &RewindArgs, deployment: &mut Deployment<'_>) -> Result<RewindReport, CliError> {
    let progress = Progress::new();
    let limit = Duration::from_secs(args.timeout);
    rewind(deployment, args.dry_run, limit, &mut |what| progress.say(what)).await
}

impl Report for RewindReport {
    fn print(&self, page: &mut Page) {
        let (source_at, destination_at) = (self.source_at, self.destination_at);
        if !self.ahead.is_empty() {
            let row = |ahead: &lockstep_operations::Ahead| {
                [ahead.mapping.clone(), ahead.cursor.to_string(), ahead.version.to_string()]
            };
            say!(
                page,
                "{}",
                table(["ahead of the source", "highest cursor", "highest version"], self.ahead.iter().map(row))
            );
            say!(page, "The source is at sequence {source_at}, ClickHouse has come to {destination_at}.");
        }
        match &self.export {
            Some(export) => export.print(page),
            None if !self.refused.is_empty() && self.ahead.is_empty() => say!(
                page,
                "Rows of {} were refused when this was done before. Without --dry-run these mappings are filled again.",
                self.refused.join(", ")
            ),
            None if self.under_way && self.ahead.is_empty() => say!(
                page,
                "Filling again has begun and has not ended. Without --dry-run it is continued, and waited for."
            ),
            None if self.ahead.is_empty() => say!(
                page,
                "Nothing to mend: the source is at sequence {source_at}, and nothing in ClickHouse is above that."
            ),
            None => say!(page, "Without --dry-run the sequence is moved past that, and all mappings are filled again."),
        }
    }

    fn exit_code(&self) -> u8 {
        self.export.as_ref().map_or(exit::OK, Report::exit_code)
    }
}
