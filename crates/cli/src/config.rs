//! `lockstep config`: what the settings are, where each comes from, and whether they are right. Asks no service.

use clap::{Args, CommandFactory, Subcommand};
use lockstep_core::exit;
use lockstep_core::settings::{Needs, Origin, SettingsArgs, ShownSetting, unknown_variables};
use serde::Serialize;

use crate::Cli;
use crate::output::{Page, Report, Reporting, say, table};

#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Clone, Copy, Debug)]
enum Action {
    /// Print every setting with its value, secrets hidden, and where it comes from
    Show,
    /// Say everything that is wrong with the settings; exit 78 if anything is
    Check,
}

/// Every setting.
#[derive(Serialize, Debug)]
struct ConfigReport {
    settings: Vec<SettingReport>,
    warnings: Vec<String>,
}

#[derive(Serialize, Debug)]
struct SettingReport {
    name: String,
    /// Secrets are `set`, and URLs have neither user nor password.
    value: Option<String>,
    from: &'static str,
    /// The flag, the variable, or the file with its line.
    at: Option<String>,
}

impl From<&ShownSetting> for SettingReport {
    fn from(setting: &ShownSetting) -> Self {
        let from = match setting.origin {
            Origin::Flag(_) => "flag",
            Origin::Environment(_) => "environment",
            Origin::File { .. } => "file",
            Origin::Default => "default",
        };
        let at = (setting.origin != Origin::Default).then(|| setting.origin.to_string());
        Self { name: setting.name.clone(), value: setting.value.clone(), from, at }
    }
}

/// What is wrong.
#[derive(Serialize, Debug)]
struct ConfigCheckReport {
    clean: bool,
    problems: Vec<String>,
    /// Programs start, and what is named has no effect.
    warnings: Vec<String>,
}

/// Runs before settings are resolved: they may be wrong.
pub(crate) fn run(command: &Reporting<ConfigArgs>, settings: &SettingsArgs) -> u8 {
    let warnings = unknown_variables(&Cli::command());
    match command.args.action {
        Action::Show => {
            let settings = settings.shown().iter().map(SettingReport::from).collect();
            command.show(&ConfigReport { settings, warnings })
        }
        Action::Check => {
            let of_all = Needs { source: true, amqp: true, clickhouse: true };
            let problems = settings.problems(of_all, lockstep_operations::wrong_settings);
            command.show(&ConfigCheckReport { clean: problems.is_empty(), problems, warnings })
        }
    }
}

impl Report for ConfigReport {
    fn print(&self, page: &mut Page) {
        let rows = self.settings.iter().map(|setting| {
            let SettingReport { name, value, from, at } = setting;
            [name.clone(), value.clone().unwrap_or_default(), at.clone().unwrap_or_else(|| (*from).to_owned())]
        });
        say!(page, "{}", table(["setting", "value", "from"], rows));
        self.warnings.iter().for_each(|warning| say!(page, "{warning}"));
    }

    fn list(&self) -> Option<&'static str> {
        Some("settings")
    }
}

impl Report for ConfigCheckReport {
    fn print(&self, page: &mut Page) {
        self.problems.iter().for_each(|problem| say!(page, "{problem}"));
        self.warnings.iter().for_each(|warning| say!(page, "{warning}"));
        if self.clean {
            say!(page, "The settings are right for every program. Whether the services answer: `lockstep doctor`.");
        }
    }

    fn exit_code(&self) -> u8 {
        if self.clean { exit::OK } else { exit::CONFIGURATION }
    }

    fn list(&self) -> Option<&'static str> {
        Some("problems")
    }
}
