//! `lockstep explain`: one row's whole story.

use clap::Args;
use lockstep_core::{TenancyId, exit};
use lockstep_operations::{Deployment, ExplainReport, ExplainRequest, Verdict, explain};

use crate::error::CliError;
use crate::output::{Page, Report, say};

#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// Of which mapping
    #[arg(long, value_name = "NAME")]
    mapping: String,
    /// The row's key: values in the mapping's order, or COLUMN=VALUE pairs, separated by commas; a text with a comma is a JSON string
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    key: String,
    /// Whose row it is ("Tenancy"."id"); without it all that have or had the key are told of
    #[arg(long, value_name = "ID")]
    tenant: Option<TenancyId>,
}

pub(crate) async fn run(args: &ExplainArgs, deployment: &Deployment<'_>) -> Result<ExplainReport, CliError> {
    let ExplainArgs { mapping, key, tenant } = args;
    let request = ExplainRequest { mapping: mapping.clone(), key: key.clone(), tenancy: *tenant };
    explain(deployment, &request).await
}

impl Report for ExplainReport {
    fn print(&self, page: &mut Page) {
        self.sentences().iter().for_each(|line| say!(page, "{line}"));
    }

    fn exit_code(&self) -> u8 {
        match self.judgement.verdict {
            Verdict::InStep => exit::OK,
            Verdict::Wrong => exit::DIFFERENT,
            Verdict::OnItsWay => exit::IN_FLIGHT,
            Verdict::NeverSeen | Verdict::NotLookedAt => exit::UNFINISHED,
        }
    }
}
