//! `lockstep settings`: what holds for all programs together, stored in the source database.

use clap::{Args, Subcommand};
use lockstep_operations::{ActionRecord, Deployment, SettingsReport, set_setting, settings};

use crate::error::CliError;
use crate::output::{Page, Report, say, table};

#[derive(Args, Debug)]
pub(crate) struct SettingsCommand {
    #[command(subcommand)]
    action: Option<Action>,
}

impl SettingsCommand {
    /// As it is written down.
    pub(crate) fn change(&self) -> Option<ActionRecord> {
        let Some(Action::Set { name, value }) = &self.action else { return None };
        Some(ActionRecord::setting(name, value))
    }
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Change one; every program follows by itself
    Set {
        /// Its name
        name: String,
        /// A duration, such as '10 minutes'
        value: String,
    },
}

pub(crate) async fn run(args: &SettingsCommand, deployment: &Deployment<'_>) -> Result<SettingsReport, CliError> {
    if let Some(Action::Set { name, value }) = &args.action {
        set_setting(deployment, name, value).await?;
    }
    settings(deployment).await
}

impl Report for SettingsReport {
    fn print(&self, page: &mut Page) {
        let row = |setting: &lockstep_operations::Setting| {
            [setting.name.clone(), setting.value.clone(), setting.meaning.to_owned()]
        };
        say!(page, "{}", table(["setting", "value", "what it is"], self.settings.iter().map(row)));
    }

    fn list(&self) -> Option<&'static str> {
        Some("settings")
    }
}
