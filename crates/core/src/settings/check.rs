//! Checking settings one by one: what is wrong is gathered, and said as one list.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use hyper::Uri;

use super::ClickHouseSettings;
use crate::address::is_port;
use crate::authorities::certificates;
use crate::secret::SecretUrl;
use crate::small_file;
use crate::telemetry::LogFormat;

/// The broker's client logs every failed attempt as an error of its own; what matters is said once, by `lockstep-queue`.
pub(super) const DEFAULT_LOG: &str = "info,lapin=off";

/// Databases of ClickHouse in which nobody may create tables. Their names are told apart by case.
const OF_CLICKHOUSE: [&str; 4] =
    ["system", "information_schema", "INFORMATION_SCHEMA", "_temporary_and_external_tables"];

pub(super) fn given(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}

/// Whether what stands in the place of a port is none: the parser takes any characters there, and leaves out what it does not know.
pub(super) fn has_wrong_port(uri: &Uri) -> bool {
    uri.authority().is_some_and(|authority| {
        let place = authority.as_str().rsplit('@').next().unwrap_or_default();
        place != authority.host() && authority.port().is_none_or(|port| port.as_u16() == 0 || !is_port(port.as_str()))
    })
}

/// Checks settings one by one and keeps what was wrong.
#[derive(Default)]
pub(super) struct Check {
    problems: Vec<String>,
}

impl Check {
    /// Begins with what is known to be wrong already.
    pub(super) fn after(problems: &[String]) -> Self {
        Self { problems: problems.to_vec() }
    }

    /// All that was wrong.
    pub(super) fn into_problems(self) -> Vec<String> {
        self.problems
    }

    /// Notes what is wrong with a setting.
    pub(super) fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    #[cfg(test)]
    pub(super) fn problems(&self) -> &[String] {
        &self.problems
    }

    pub(super) fn secret(&mut self, name: &str, (value, file): (Option<&str>, Option<&Path>)) -> Option<String> {
        let file = file.filter(|file| !file.as_os_str().is_empty());
        match (given(value), file) {
            (Some(_), Some(_)) => {
                self.problems.push(format!("{name} and {name}_FILE are both set: keep one"));
                None
            }
            (Some(value), None) => Some(value.to_owned()),
            (None, Some(file)) => match small_file::read_text(file, small_file::SECRET_BYTES) {
                Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => {
                    self.problems.push(format!("{name}_FILE: cannot read {}: {error}", file.display()));
                    None
                }
            },
            (None, None) => None,
        }
    }

    pub(super) fn url(
        &mut self,
        name: &str,
        needed: bool,
        from: (Option<&str>, Option<&Path>),
        schemes: &[&str],
    ) -> SecretUrl {
        let before = self.problems.len();
        let value = self.secret(name, from);
        // What is wrong with a file is said of the file.
        let subject = match from {
            (text, Some(file)) if given(text).is_none() => format!("{name}_FILE: {}", file.display()),
            _ => name.to_owned(),
        };
        match value {
            Some(value) if value.trim().is_empty() => self.problems.push(format!("{subject} is empty")),
            Some(value) if value.trim().contains(['\r', '\n']) => {
                self.problems.push(format!("{subject} has more than one line, and is to hold one URL"));
            }
            Some(value) if schemes.iter().any(|scheme| value.starts_with(scheme)) => {
                return SecretUrl::new(value);
            }
            Some(_) => self.problems.push(format!("{subject} must start with {}", schemes.join(" or "))),
            None if needed && self.problems.len() == before => {
                self.problems.push(format!("{name} is missing: set it to {}…", schemes[0]));
            }
            None => {}
        }
        SecretUrl::new("")
    }

    /// The URL of an HTTP interface, whose user and password are settings of their own.
    pub(super) fn http_url(&mut self, name: &str, needed: bool, value: Option<&str>, user: &str) -> SecretUrl {
        let url = self.url(name, needed, (value, None), &["http://", "https://"]);
        let problem = match url.expose().parse::<Uri>() {
            _ if url.expose().is_empty() => return url,
            _ if url.has_user() || url.has_secret_parameter() => {
                format!("{name} must not hold a user or password: set {user}")
            }
            Ok(uri) if !has_wrong_port(&uri) => return url,
            Ok(_) => format!("{name}: its port must be a number from 1 to 65535"),
            Err(_) => format!("{name} is no URL"),
        };
        self.problems.push(problem);
        SecretUrl::new("")
    }

    pub(super) fn identifier(&mut self, name: &str, value: Option<&str>, default: &str) -> String {
        let value = given(value).unwrap_or(default);
        let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !plain || value.starts_with(|first: char| first.is_ascii_digit()) {
            self.problems.push(format!("{name} must be letters, digits and _, not starting with a digit: {value:?}"));
        }
        value.to_owned()
    }

    /// An identifier that is none of the databases that every ClickHouse has for itself.
    pub(super) fn database(&mut self, name: &str, value: Option<&str>, default: &str) -> String {
        let value = self.identifier(name, value, default);
        if OF_CLICKHOUSE.contains(&value.as_str()) {
            self.problems.push(format!("{name} must not be {value}: that is ClickHouse's own"));
        }
        value
    }

    pub(super) fn databases_differ(&mut self, clickhouse: &ClickHouseSettings) {
        if clickhouse.raw_database == clickhouse.view_database {
            self.problems.push(
                "LOCKSTEP_CLICKHOUSE_RAW_DATABASE and LOCKSTEP_CLICKHOUSE_VIEW_DATABASE must differ: \
                 raw tables and views have the same names"
                    .to_owned(),
            );
        }
    }

    pub(super) fn queue_prefix(&mut self, value: Option<&str>) -> String {
        let value = given(value).unwrap_or("lockstep");
        let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        // RabbitMQ's names hold 255 bytes; ours add at most 40.
        if !plain || value.len() > 200 {
            self.problems.push("LOCKSTEP_QUEUE_PREFIX must be at most 200 letters, digits, `.`, `_` or `-`".to_owned());
        } else if value.starts_with("amq.") || value.starts_with('-') {
            self.problems.push(
                "LOCKSTEP_QUEUE_PREFIX must begin with neither `amq.`, which RabbitMQ keeps for itself, nor `-`, \
                 which rabbitmqctl takes for an option"
                    .to_owned(),
            );
        }
        value.to_owned()
    }

    pub(super) fn on_or_off(&mut self, name: &str, value: Option<&str>) -> bool {
        match given(value) {
            None | Some("off") => false,
            Some("on") => true,
            Some(other) => {
                self.problems.push(format!("{name} must be on or off, not {other:?}"));
                false
            }
        }
    }

    pub(super) fn bytes(&mut self, name: &str, value: Option<&str>, default: usize) -> usize {
        let Some(value) = given(value) else { return default };
        value.parse().ok().filter(|bytes| *bytes > 0).unwrap_or_else(|| {
            self.problems.push(format!("{name} must be a number of bytes, 1 at least, not {value:?}"));
            default
        })
    }

    pub(super) fn directory(&mut self, name: &str, value: Option<&Path>) -> Option<PathBuf> {
        let value = value.filter(|value| !value.as_os_str().is_empty())?;
        if !value.is_dir() {
            self.problems.push(format!("{name}: {} is no directory", value.display()));
            return None;
        }
        Some(value.to_owned())
    }

    pub(super) fn file(&mut self, name: &str, value: Option<&Path>) -> Option<PathBuf> {
        let value = value.filter(|value| !value.as_os_str().is_empty())?;
        if !value.is_file() {
            self.problems.push(format!("{name}: {} is no file", value.display()));
            return None;
        }
        Some(value.to_owned())
    }

    /// A file of certificates, at least one.
    pub(super) fn certificates(&mut self, name: &str, value: Option<&Path>) -> Option<PathBuf> {
        let file = self.file(name, value)?;
        if let Err(why) = certificates(&file) {
            self.problems.push(format!("{name}: {why}"));
        }
        Some(file)
    }

    pub(super) fn log_filter(&mut self, value: Option<&str>) -> String {
        let value = given(value).unwrap_or(DEFAULT_LOG);
        if let Err(error) = value.parse::<tracing_subscriber::EnvFilter>() {
            self.problems.push(format!("LOCKSTEP_LOG is no tracing filter: {error}"));
        }
        value.to_owned()
    }

    pub(super) fn log_format(&mut self, value: Option<&str>) -> LogFormat {
        match given(value) {
            None | Some("pretty") => LogFormat::Pretty,
            Some("json") => LogFormat::Json,
            Some(other) => {
                self.problems.push(format!("LOCKSTEP_LOG_FORMAT must be pretty or json, not {other:?}"));
                LogFormat::Pretty
            }
        }
    }

    pub(super) fn listen(&mut self, value: Option<&str>) -> Option<SocketAddr> {
        let value = given(value)?;
        value
            .parse()
            .map_err(|_| self.problems.push(format!("LOCKSTEP_LISTEN must be ADDRESS:PORT, not {value:?}")))
            .ok()
    }
}
