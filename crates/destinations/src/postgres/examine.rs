//! What is looked at before a tenant's database is written to, and told in words.

use lockstep_mappings::Mapping;
use lockstep_mappings::tenant::{self, Shape};

use super::Postgres;
use super::connection::Trouble;
use super::connection_string::SslMode;
use super::tables::parse;
use crate::error::{DestinationError, Failure};

/// One thing that was checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What it is and how it stands, in words.
    pub what: String,
    /// Whether it is well.
    pub ok: bool,
}

fn finding(ok: bool, what: impl Into<String>) -> Finding {
    Finding { what: what.into(), ok }
}

/// The oldest that has every function which statements of ours call (`trim_scale`).
const OLDEST: u64 = 130_000;
/// Fewer free connections than this are told.
const FEW_CONNECTIONS: i64 = 3;

pub(super) async fn check_version(to: &Postgres) -> Result<(), DestinationError> {
    let number = facts(to).await?.version;
    if number < OLDEST {
        let reason = format!("it is PostgreSQL {}, and has to be {} or later", number / 10_000, OLDEST / 10_000);
        return Err(to.error(Failure::Outdated, reason));
    }
    Ok(())
}

/// What the server says of itself and of us.
struct Facts {
    version: u64,
    takes_writes: bool,
    has_tls: bool,
    /// None where there is no schema `public`.
    may_create: Option<bool>,
    may_stage: bool,
    free_connections: i64,
}

async fn facts(to: &Postgres) -> Result<Facts, Trouble> {
    let answers = to.transaction(&[tenant::facts()]).await?;
    let row = answers.first().and_then(|answer| answer.rows.first()).ok_or_else(|| to.odd_answer())?;
    let text = |place: usize| row.get(place).and_then(Option::as_deref).unwrap_or_default();
    Ok(Facts {
        version: text(0).parse().map_err(|_| to.odd_answer())?,
        takes_writes: text(1) == "t",
        has_tls: text(2) == "t",
        may_create: row.get(3).and_then(Option::as_deref).map(|may| may == "t"),
        may_stage: text(4) == "t",
        free_connections: text(5).parse().map_err(|_| to.odd_answer())?,
    })
}

pub(super) async fn all(to: &Postgres, mappings: &[&Mapping]) -> Vec<Finding> {
    let facts = match facts(to).await {
        Ok(facts) => facts,
        Err(trouble) => return vec![finding(false, format!("no connection: {}", trouble.error))],
    };
    // Its connection string asks for TLS where there is any, and the operator lets it.
    let needs_tls = to.inner.connection.ssl_mode() != SslMode::Prefer;
    let mut findings = of_server(&facts, needs_tls);
    for mapping in mappings {
        findings.push(of_table(to, mapping).await);
    }
    findings
}

fn of_server(facts: &Facts, needs_tls: bool) -> Vec<Finding> {
    let Facts { version, free_connections: free, .. } = *facts;
    let is_new = version >= OLDEST;
    let age = if is_new { String::new() } else { format!(", which is older than {}", OLDEST / 10_000) };
    vec![
        finding(true, "the connection can be opened"),
        finding(is_new, format!("it is PostgreSQL {}{age}", version / 10_000)),
        finding(
            facts.has_tls || !needs_tls,
            if facts.has_tls { "the connection is encrypted" } else { "the connection is not encrypted" },
        ),
        finding(
            facts.takes_writes,
            if facts.takes_writes { "it takes writes" } else { "it takes no writes: a standby, or read-only" },
        ),
        finding(
            facts.may_create == Some(true),
            match facts.may_create {
                Some(true) => "the role may create tables in schema public",
                Some(false) => "the role may not create tables in schema public: GRANT CREATE, USAGE ON SCHEMA public",
                None => "there is no schema public: CREATE SCHEMA public, and GRANT CREATE, USAGE ON SCHEMA public",
            },
        ),
        finding(
            facts.may_stage,
            if facts.may_stage {
                "the role may create temporary tables"
            } else {
                "the role may not create temporary tables: GRANT TEMPORARY ON DATABASE"
            },
        ),
        finding(free >= FEW_CONNECTIONS, format!("about {free} connections are free")),
    ]
}

async fn of_table(to: &Postgres, mapping: &Mapping) -> Finding {
    let name = &mapping.name;
    let found = match to.transaction(&[tenant::find(mapping)]).await {
        Ok(answers) => parse(answers.first()),
        Err(trouble) => return finding(false, format!("table {name}: {}", trouble.error)),
    };
    match found.as_ref().map(|found| tenant::judge(mapping, found)) {
        None => finding(true, format!("table {name} will be created")),
        Some(Shape::Fits) => finding(true, format!("table {name} fits")),
        Some(Shape::Lacks(gained)) => {
            let gained: Vec<_> = gained.iter().map(|column| column.name.as_str()).collect();
            finding(true, format!("table {name} will be given {}", gained.join(", ")))
        }
        Some(Shape::Misfit(words)) => finding(false, format!("table {name}: {}", words.join("; "))),
    }
}
