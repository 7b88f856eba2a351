//! `lockstep settings`: what holds for all programs together, kept in the source database.

use clap::{Args, Subcommand};
use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use lockstep_core::exit;
use lockstep_core::settings::Settings;
use lockstep_schema::{Session, Source};
use tokio_postgres::Client;

use crate::error::CliError;

#[derive(Args, Debug)]
pub(crate) struct SettingsCommand {
    #[command(subcommand)]
    action: Option<Action>,
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

/// What each is for.
const MEANINGS: [(&str, &str); 2] = [
    (
        "late_write_limit",
        "what was read is written within this time or never; erasing and cleaning up wait half as long again",
    ),
    ("change_retention", "how long changes are kept at the most for a destination that has not passed them"),
];

pub(crate) async fn run(args: &SettingsCommand, settings: &Settings) -> Result<u8, CliError> {
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let client = source.connect(Session::Control).await?;
    if let Some(Action::Set { name, value }) = &args.action {
        set(&client, name, value).await?;
    }
    let rows = client.query("SELECT name, value::text FROM lockstep.setting ORDER BY name", &[]).await;
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(["setting", "value", "what it is"]);
    for row in rows.map_err(not_migrated)? {
        let (name, value): (&str, &str) = (row.get(0), row.get(1));
        let meaning = MEANINGS.iter().find(|(of, _)| *of == name).map_or("", |(_, meaning)| meaning);
        table.add_row([name, value, meaning]);
    }
    println!("{table}");
    Ok(exit::OK)
}

async fn set(client: &Client, name: &str, value: &str) -> Result<(), CliError> {
    let sql = "UPDATE lockstep.setting SET value = $2::text::interval WHERE name = $1";
    let refused = || CliError::SettingRefused { name: name.to_owned(), value: value.to_owned() };
    match client.execute(sql, &[&name, &value]).await {
        Ok(1) => Ok(()),
        Ok(_) => Err(refused()),
        Err(error) if error.code().is_some_and(|code| ["22", "23"].contains(&&code.code()[..2])) => Err(refused()),
        Err(error) => Err(not_migrated(error)),
    }
}

fn not_migrated(error: tokio_postgres::Error) -> CliError {
    CliError::unless_migrated(error.into())
}
