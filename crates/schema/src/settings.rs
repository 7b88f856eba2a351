//! What operators have set for all programs together (`lockstep.setting`).
//!
//! Each question fails where Postgres cannot be asked.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::connect::Control;
use crate::error::SourceError;
use crate::tables::{interval_text, setting};

/// All settings in order of their names, each with its value as Postgres prints a duration.
pub async fn settings(control: &Control) -> Result<Vec<(String, String)>, SourceError> {
    let all = setting::table.select((setting::name, interval_text(setting::value))).order(setting::name);
    Ok(all.load(&mut &*control).await?)
}
