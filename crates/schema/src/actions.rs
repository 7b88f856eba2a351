//! Commands that change something, each with who ran it (`lockstep.action`).
//!
//! Each question fails where Postgres cannot be asked, or the role may not write there.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::connect::Control;
use crate::error::SourceError;
use crate::tables::action;

/// Writes down that a command begins; returns the entry's id. `user`: who it is on the machine that it runs on, where that is
/// known. `arguments` holds no secret, and no tenant's values.
pub async fn begin(control: &Control, user: Option<&str>, what: &str, arguments: &Value) -> Result<i64, SourceError> {
    let who =
        sql::<Text>("session_user || ").bind::<Text, _>(user.map_or_else(String::new, |user| format!(" ({user})")));
    let entry = (action::who.eq(who), action::what.eq(what), action::arguments.eq(arguments));
    let insert = diesel::insert_into(action::table).values(entry).returning(action::id);
    Ok(insert.get_result(&mut &*control).await?)
}

/// Writes down what came of it.
pub async fn end(control: &Control, id: i64, outcome: &str) -> Result<(), SourceError> {
    diesel::update(action::table.find(id)).set(action::outcome.eq(outcome)).execute(&mut &*control).await?;
    Ok(())
}
