//! Where the services are that tests run against.

use std::path::Path;

use anyhow::Context;
use lockstep_oracle::Endpoint;

/// The URLs of PostgreSQL, RabbitMQ and ClickHouse, and who to be at ClickHouse.
#[derive(Clone)]
pub struct Services {
    /// A database of a server on which databases may be created (`LOCKSTEP_SOURCE_URL`).
    pub source_url: String,
    /// `LOCKSTEP_AMQP_URL`.
    pub amqp_url: String,
    /// The HTTP interface (`LOCKSTEP_CLICKHOUSE_URL`).
    pub clickhouse_url: String,
    /// `LOCKSTEP_CLICKHOUSE_USER`, else `default`.
    pub clickhouse_user: String,
    /// `LOCKSTEP_CLICKHOUSE_PASSWORD`, else empty.
    pub clickhouse_password: String,
}

impl Services {
    /// The views in this database, for the oracle.
    pub fn views(&self, view_database: impl Into<String>) -> Endpoint {
        Endpoint {
            url: self.clickhouse_url.clone(),
            user: self.clickhouse_user.clone(),
            password: self.clickhouse_password.clone(),
            view_database: view_database.into(),
        }
    }
}

/// The root of this checkout.
pub fn checkout() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package)
}

/// The services that the environment names, else those that `cargo xtask up` wrote to `.lockstep/env`.
///
/// # Errors
/// When a URL is in neither: run `cargo xtask test`, which brings the services up first.
pub fn services() -> anyhow::Result<Services> {
    let written = std::fs::read_to_string(checkout().join(".lockstep/env")).unwrap_or_default();
    find(|name| std::env::var(name).ok().filter(|value| !value.is_empty()), &written)
}

fn find(environment: impl Fn(&str) -> Option<String>, written: &str) -> anyhow::Result<Services> {
    let optional = |name| environment(name).or_else(|| assigned(written, name));
    let needed = |name| optional(name).with_context(|| format!("{name} is not set: run `cargo xtask test`"));
    Ok(Services {
        source_url: needed("LOCKSTEP_SOURCE_URL")?,
        amqp_url: needed("LOCKSTEP_AMQP_URL")?,
        clickhouse_url: needed("LOCKSTEP_CLICKHOUSE_URL")?,
        clickhouse_user: optional("LOCKSTEP_CLICKHOUSE_USER").unwrap_or_else(|| "default".to_owned()),
        clickhouse_password: optional("LOCKSTEP_CLICKHOUSE_PASSWORD").unwrap_or_default(),
    })
}

/// The value of the last `NAME=value` line, with or without `export` before it and quotes around the value.
fn assigned(written: &str, name: &str) -> Option<String> {
    let mut values = written.lines().rev().filter_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (left, value) = line.split_once('=')?;
        (left.trim() == name).then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    });
    values.find(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = "# services\nexport LOCKSTEP_SOURCE_URL='postgres://a'\nLOCKSTEP_AMQP_URL=amqp://b/%2f\n\
                           LOCKSTEP_CLICKHOUSE_URL=\"http://c/?x=y\"\nLOCKSTEP_CLICKHOUSE_PASSWORD=\n";

    #[test]
    fn the_written_file_is_read() {
        let found = find(|_| None, WRITTEN).unwrap();
        assert_eq!(found.source_url, "postgres://a");
        assert_eq!(found.amqp_url, "amqp://b/%2f");
        assert_eq!(found.clickhouse_url, "http://c/?x=y");
        assert_eq!((found.clickhouse_user.as_str(), found.clickhouse_password.as_str()), ("default", ""));
    }

    #[test]
    fn the_environment_comes_first_and_what_is_missing_is_named() {
        let found = find(|name| (name == "LOCKSTEP_SOURCE_URL").then(|| "postgres://mine".to_owned()), WRITTEN);
        assert_eq!(found.unwrap().source_url, "postgres://mine");
        let error = find(|_| None, "").err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("LOCKSTEP_SOURCE_URL is not set: run `cargo xtask test`"));
    }
}
