//! What holds for all programs together, stored in the source database.

use lockstep_schema::{SourceError, SqlStateKind};
use serde::Serialize;

use crate::deployment::Deployment;
use crate::error::OperationError;

/// What each is for.
const MEANINGS: [(&str, &str); 2] = [
    (
        "late_write_limit",
        "what was read is written within this time or never; erasing and cleaning up wait half as long again",
    ),
    ("change_retention", "how long changes are retained at the most for a destination that has not passed them"),
];

/// A setting of the whole deployment.
#[derive(Serialize, Debug)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// A duration, as Postgres prints it.
    pub value: String,
    /// What it is for.
    pub meaning: &'static str,
}

/// All of them.
#[derive(Serialize, Debug)]
pub struct SettingsReport {
    /// In order of their names.
    pub settings: Vec<Setting>,
}

/// Reads all settings.
///
/// # Errors
/// When Postgres cannot be asked.
pub async fn settings(deployment: &Deployment<'_>) -> Result<SettingsReport, OperationError> {
    let setting = |(name, value): (String, String)| {
        let meaning = MEANINGS.iter().find(|(of, _)| *of == name).map_or("", |(_, meaning)| meaning);
        Setting { name, value, meaning }
    };
    let all = lockstep_schema::settings::settings(deployment.control()?).await?;
    Ok(SettingsReport { settings: all.into_iter().map(setting).collect() })
}

/// Changes a setting; every program follows by itself.
///
/// # Errors
/// When there is no such setting, the value is none for it, or Postgres cannot be asked.
pub async fn set_setting(deployment: &Deployment<'_>, name: &str, value: &str) -> Result<(), OperationError> {
    const SET: &str = "UPDATE lockstep.setting SET value = $2::text::interval WHERE name = $1";
    let refused = || OperationError::SettingRefused { name: name.to_owned(), value: value.to_owned() };
    match deployment.client.execute(SET, &[&name, &value]).await.map_err(SourceError::from) {
        Ok(1) => Ok(()),
        Ok(_) => Err(refused()),
        Err(error) if error.kind() == Some(SqlStateKind::Value) => Err(refused()),
        Err(error) => Err(OperationError::unless_migrated(error)),
    }
}
