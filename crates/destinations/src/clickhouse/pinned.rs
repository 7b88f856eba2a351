//! Sending the settings that the meaning of statements depends on, as far as the profile of Lockstep's user lets them be set.
//!
//! Usually all of them may be, which one question tells, at the beginning and now and then. Where the server refuses, it is asked which it
//! refuses: those that only keep a limit are left out from then on, and any other is an error that names all of them.

use std::collections::HashMap;

use clickhouse::Client;
use futures_util::TryStreamExt;
use lockstep_mappings::clickhouse::literal;
use lockstep_mappings::clickhouse::settings::{Need, READING, Setting, WRITING};

use super::connection::Connection;
use super::{error, version};
use crate::error::{DestinationError, Failure};

/// For what is read as a stream. 2: reads only, but may change other settings. Only such queries are cancelled when their
/// reader goes away.
const STREAMING: [Setting; 2] = [
    Setting { name: "readonly", value: "2", need: Need::Meaning },
    Setting { name: "cancel_http_readonly_queries_on_client_close", value: "1", need: Need::Limit },
];

/// What an insert must be able to set, as for instance: a deadline of so many seconds at most, and until when it may begin.
const OF_INSERTS: [Setting; 2] = [
    Setting { name: "max_execution_time", value: "300", need: Need::Meaning },
    Setting { name: "log_comment", value: "lockstep", need: Need::Meaning },
];

/// `READONLY`, `SETTING_CONSTRAINT_VIOLATION` and `UNKNOWN_SETTING`.
const REFUSED: [u32; 3] = [164, 452, 115];

/// What statements are sent with.
#[derive(Clone, Debug)]
pub(super) struct Pinned {
    /// Of a stream: parameters of its URL.
    pub(super) reading: String,
    /// For everything else.
    pub(super) writing: Client,
    /// Limits that the profile does not let go of: a name and its value each.
    pub(super) kept_limits: Vec<(String, String)>,
}

/// A setting as `system.settings` tells it, with the bounds that a profile sets.
struct Found {
    value: String,
    is_fixed: bool,
    min: Option<f64>,
    max: Option<f64>,
}

impl Pinned {
    fn new(client: &Client, left_out: &[(String, String)]) -> Self {
        let sent = |setting: &&Setting| !left_out.iter().any(|(name, _)| name == setting.name);
        let mut writing = client.clone();
        for Setting { name, value, .. } in READING.iter().chain(WRITING).filter(sent) {
            writing = writing.with_setting(*name, *value);
        }
        let reading = STREAMING.iter().chain(READING).filter(sent).map(parameter).collect();
        Self { reading, writing, kept_limits: left_out.to_vec() }
    }

    /// Finds out what may be set.
    pub(super) async fn find(connection: &Connection) -> Result<Self, DestinationError> {
        let all: String = everything().map(parameter).collect();
        match connection.ask(&all, "SELECT 1").try_fold((), |(), _| async { Ok(()) }).await {
            Ok(()) => Ok(Self::new(&connection.client, &[])),
            Err(error) if is_refused(&error) => {
                version::judge(text(connection, "SELECT version()").await?.trim())?;
                Ok(Self::new(&connection.client, &left_out(&found(connection).await?)?))
            }
            Err(error) => Err(error),
        }
    }

    /// Says which limits are kept, if any are.
    pub(super) fn tell(&self) {
        if !self.kept_limits.is_empty() {
            let limits: Vec<_> = self.kept_limits.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            tracing::warn!(
                limits = limits.join(", "),
                "ClickHouse keeps limits, and a statement that reaches one fails"
            );
        }
    }
}

/// Whether the server does not let a setting be set.
pub(super) fn is_refused(error: &DestinationError) -> bool {
    error.server_code().is_some_and(|code| REFUSED.contains(&code))
}

fn everything() -> impl Iterator<Item = &'static Setting> {
    // The last of a name counts.
    STREAMING.iter().chain(READING).chain(WRITING).chain(&OF_INSERTS)
}

fn parameter(Setting { name, value, .. }: &Setting) -> String {
    format!("&{name}={}", value.replace('{', "%7B").replace('}', "%7D"))
}

/// What the server says of these settings. Nothing is set for this question: what a profile makes of it is seen by what is
/// missing.
async fn found(connection: &Connection) -> Result<HashMap<String, Found>, DestinationError> {
    let names: Vec<_> = everything().map(|setting| literal(setting.name)).collect();
    // One row: a limit of rows is what a profile may well have.
    let sql = format!(
        "SELECT arrayStringConcat(groupArray(concat(name, '\\t', value, '\\t', toString(readonly), '\\t', ifNull(min, ''), '\\t', ifNull(max, ''))), '\\n') FROM system.settings WHERE name IN ({}) FORMAT TSVRaw",
        names.join(", ")
    );
    let text = text(connection, &sql).await?;
    let one = |line: &str| {
        let mut fields = line.split('\t');
        let (name, value, fixed) = (fields.next()?, fields.next()?, fields.next()?);
        let mut bound = || fields.next()?.parse().ok();
        Some((name.to_owned(), Found { value: value.to_owned(), is_fixed: fixed != "0", min: bound(), max: bound() }))
    };
    Ok(text.lines().filter_map(one).collect())
}

/// A short answer, with no setting set.
pub(super) async fn text(connection: &Connection, sql: &str) -> Result<String, DestinationError> {
    let chunks: Vec<_> = connection.ask("", sql).try_collect().await?;
    String::from_utf8(chunks.concat()).map_err(|_| error(Failure::Unexpected, "the answer is not UTF-8"))
}

/// The limits that cannot be lifted, with the value that the profile gives them.
fn left_out(found: &HashMap<String, Found>) -> Result<Vec<(String, String)>, DestinationError> {
    let (mut limits, mut refused) = (Vec::new(), Vec::new());
    for setting in everything() {
        let Some(live) = found.get(setting.name) else {
            refused.push(format!("{} (not told)", setting.name));
            continue;
        };
        if live.takes(setting.value) {
            continue;
        }
        match setting.need {
            Need::Limit => limits.push((setting.name.to_owned(), live.value.clone())),
            Need::Meaning => {
                refused.push(format!("{} (is {}, has to be {})", setting.name, live.value, shown(setting)))
            }
        }
    }
    if refused.is_empty() {
        return Ok(limits);
    }
    let reason = format!("its user's profile does not let these settings be changed: {}", refused.join(", "));
    Err(error(Failure::Constrained, reason))
}

fn shown(setting: &Setting) -> &str {
    if setting.value.is_empty() { "empty" } else { setting.value }
}

impl Found {
    /// Whether it has that value, or may be given it.
    fn takes(&self, value: &str) -> bool {
        if self.value == value {
            return true;
        }
        let within = |number: f64| self.min.is_none_or(|min| number >= min) && self.max.is_none_or(|max| number <= max);
        !self.is_fixed && value.parse().map_or(true, within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(changes: &[(&str, &str, bool, Option<f64>)]) -> HashMap<String, Found> {
        let mut found: HashMap<_, _> =
            everything().map(|setting| (setting.name.to_owned(), (setting.value.to_owned(), false, None))).collect();
        for (name, value, fixed, max) in changes {
            found.insert((*name).to_owned(), ((*value).to_owned(), *fixed, *max));
        }
        let live = |(name, (value, is_fixed, max))| (name, Found { value, is_fixed, min: None, max });
        found.into_iter().map(live).collect()
    }

    #[test]
    fn a_limit_that_is_fixed_is_left_out_and_anything_else_is_refused_by_name() {
        let kept = left_out(&profile(&[("max_result_rows", "100", true, None), ("final", "1", false, None)]));
        assert_eq!(kept, Ok(vec![("max_result_rows".to_owned(), "100".to_owned())]));
        let refused = left_out(&profile(&[
            ("final", "1", true, None),
            ("additional_result_filter", "a = 1", true, None),
            ("max_execution_time", "10", false, Some(60.0)),
        ]));
        let refused = refused.unwrap_err();
        assert_eq!((refused.failure(), refused.code()), (Failure::Constrained, "LS-0210"));
        for said in
            ["final (is 1, has to be 0)", "additional_result_filter (is a = 1, has to be empty)", "max_execution_time"]
        {
            assert!(refused.to_string().contains(said), "{refused}");
        }
    }

    #[test]
    fn an_answer_that_is_cut_short_is_not_taken_for_leave() {
        let mut cut = profile(&[]);
        cut.remove("read_overflow_mode");
        assert!(left_out(&cut).unwrap_err().to_string().contains("read_overflow_mode (not told)"));
    }
}
