//! What to do about an error that carries no remedy of its own.

use crate::output::{code_in, page_of};
use crate::secret::SecretUrl;
use crate::settings::Settings;

/// By its code: of a service that does not answer or lets nobody in, where it was looked for, and what mends that; of any other
/// error its page.
pub fn remedy(error: &str, settings: &Settings) -> String {
    of_service(error, settings).unwrap_or_else(|| match code_in(error) {
        Some("LS-0510") => "`lockstep rewind`, once the settings name the right source and ClickHouse".to_owned(),
        Some(code) => format!("see {}", page_of(code)),
        None => "see docs/errors".to_owned(),
    })
}

/// The same of services alone; none for any other error.
pub fn of_service(error: &str, settings: &Settings) -> Option<String> {
    Services::from(settings).remedy(error)
}

/// An error, and behind it what to do about a service that does not answer.
pub fn told(error: &str, settings: &Settings) -> String {
    Services::from(settings).told(error)
}

/// Where the services are looked for.
#[derive(Clone, Debug)]
pub struct Services {
    clickhouse: SecretUrl,
    broker: SecretUrl,
    source: SecretUrl,
    /// Of the source, which workers may read from.
    replica: Option<SecretUrl>,
}

impl From<&Settings> for Services {
    fn from(settings: &Settings) -> Self {
        let [clickhouse, broker, source] =
            [&settings.clickhouse.url, &settings.amqp_url, &settings.source_url].map(Clone::clone);
        Self { clickhouse, broker, source, replica: settings.source_read_url.clone() }
    }
}

impl Services {
    /// As [`told`].
    pub fn told(&self, error: &str) -> String {
        self.remedy(error).map_or_else(|| error.to_owned(), |remedy| format!("{error}; {remedy}"))
    }

    /// By the first code that is a service's: an error may stand behind what follows from it.
    fn remedy(&self, error: &str) -> Option<String> {
        let code = code_in(error)?;
        self.by_code(code, error).or_else(|| self.remedy(error.split_once(code)?.1))
    }
}

/// What is said of an answer that no ClickHouse gives.
pub const NO_CLICKHOUSE: &str = "what answers there is no ClickHouse";
/// What its clients say where no answer of Postgres' has come.
const UNREACHED: [&str; 7] = [
    "error connecting to server",
    "error performing TLS handshake",
    "error communicating with the server",
    "connection closed",
    "timeout waiting for server",
    "a connection could not be opened",
    "(ClosedConnection)",
];
/// The states with which Postgres refuses whoever connects, and the one for a database that is not there.
const NOT_LET_IN: [&str; 3] = ["(SQLSTATE 28P01)", "(SQLSTATE 28000)", "(SQLSTATE 3D000)"];
/// The same of ClickHouse: user, password and address.
const NOT_LET_IN_BY_CLICKHOUSE: [&str; 5] = ["192", "193", "194", "195", "516"];

impl Services {
    fn by_code(&self, code: &str, error: &str) -> Option<String> {
        let Self { clickhouse, broker, source, replica } = self;
        let says = |one_of: &[&str]| one_of.iter().any(|said| error.contains(said));
        let (service, setting, url) = match code {
            "LS-0201" if error.contains(": clickhouse ") => ("ClickHouse", "LOCKSTEP_CLICKHOUSE_URL", clickhouse),
            "LS-0204" if error.contains(": clickhouse ") && NOT_LET_IN_BY_CLICKHOUSE.contains(&server_code(error)) => {
                return Some(format!(
                    "correct LOCKSTEP_CLICKHOUSE_USER and LOCKSTEP_CLICKHOUSE_PASSWORD for ClickHouse at {clickhouse}, or give \
                     it that user"
                ));
            }
            "LS-0204" if error.contains(": clickhouse ") && error.contains(NO_CLICKHOUSE) => {
                return Some(format!(
                    "correct LOCKSTEP_CLICKHOUSE_URL: {clickhouse} leads to another program, or has a path that ClickHouse does \
                     not serve"
                ));
            }
            "LS-0101" | "LS-0108" => ("RabbitMQ", "LOCKSTEP_AMQP_URL", broker),
            "LS-0012" if says(&NOT_LET_IN) => {
                return Some(format!(
                    "correct user, password and database in LOCKSTEP_SOURCE_URL for Postgres at {source}, or have it let them in"
                ));
            }
            "LS-0012" if says(&UNREACHED) => ("Postgres", "LOCKSTEP_SOURCE_URL", source),
            "LS-0014" => ("Postgres", "LOCKSTEP_SOURCE_URL", source),
            _ => return None,
        };
        // An error does not tell which of both it is of.
        let (also, and_its) = match replica.as_ref().filter(|_| service == "Postgres") {
            Some(replica) => (format!(" and its replica at {replica}"), ", LOCKSTEP_SOURCE_READ_URL"),
            None => Default::default(),
        };
        Some(format!(
            "start {service} at {url}{also}, or correct {setting}{and_its} or the network between; programs that run go on by \
             themselves once it answers"
        ))
    }
}

/// ClickHouse's own number for what it says; empty where it said none.
fn server_code(error: &str) -> &str {
    let (_, behind) = error.split_once("Code: ").unwrap_or_default();
    behind.split(|digit: char| !digit.is_ascii_digit()).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services() -> Services {
        let url = |scheme: &str, host: &str| SecretUrl::new(format!("{scheme}://me:hunter2@{host}"));
        Services {
            clickhouse: url("http", "away:8123"),
            broker: url("amqp", "broker:5672/%2f"),
            source: url("postgres", "db:5432/app"),
            replica: None,
        }
    }

    fn said_of(error: &str) -> Option<String> {
        services().remedy(error)
    }

    #[test]
    fn where_workers_read_from_a_replica_it_may_be_that_one() {
        let replica = Some(SecretUrl::new("postgres://me:hunter2@standby:5432/app".to_owned()));
        let services = Services { replica, ..services() };
        let said = services.remedy("LS-0012: Postgres: error connecting to server").unwrap();
        let begins = "start Postgres at postgres://db:5432/app and its replica at postgres://standby:5432/app, or correct \
                      LOCKSTEP_SOURCE_URL, LOCKSTEP_SOURCE_READ_URL or the network between";
        assert!(said.starts_with(begins), "{said}");
        assert!(!services.remedy("LS-0101: no connection to RabbitMQ").unwrap().contains("standby"));
    }

    #[test]
    fn of_a_service_that_is_away_or_lets_nobody_in_it_names_the_address_and_no_secret() {
        for (error, begins) in [
            (
                "LS-0201: clickhouse is not available: connection refused",
                "start ClickHouse at http://away:8123, or correct LOCKSTEP_CLICKHOUSE_URL ",
            ),
            (
                "LS-0101: no connection to RabbitMQ",
                "start RabbitMQ at amqp://broker:5672/%2f, or correct LOCKSTEP_AMQP_URL ",
            ),
            (
                "LS-0012: Postgres: error connecting to server",
                "start Postgres at postgres://db:5432/app, or correct LOCKSTEP_SOURCE_URL ",
            ),
            (
                "LS-0012: Postgres: password authentication failed (SQLSTATE 28P01)",
                "correct user, password and database in LOCKSTEP_SOURCE_URL for Postgres at postgres://db:5432/app",
            ),
            (
                "LS-0204: clickhouse does not let Lockstep do its work: Code: 516: me: Authentication failed",
                "correct LOCKSTEP_CLICKHOUSE_USER and LOCKSTEP_CLICKHOUSE_PASSWORD for ClickHouse at http://away:8123",
            ),
            (
                "LS-0204: clickhouse does not let Lockstep do its work: HTTP status 404: what answers there is no ClickHouse",
                "correct LOCKSTEP_CLICKHOUSE_URL: http://away:8123 leads to another program",
            ),
            (
                "LS-0511: nothing is numbered: LS-0201: clickhouse is not available: connection refused",
                "start ClickHouse at http://away:8123, or correct LOCKSTEP_CLICKHOUSE_URL ",
            ),
        ] {
            let said = said_of(error).unwrap_or_default();
            assert!(said.starts_with(begins), "{error}: {said}");
            assert!(!said.contains("hunter2") && !said.contains("me:"), "{said}");
        }
    }

    #[test]
    fn of_any_other_error_it_names_nobody() {
        for error in [
            "LS-0012: Postgres: no such table (SQLSTATE 42P01)",
            "LS-0012: Postgres: canceling statement due to lock timeout (Unknown)",
            "LS-0204: clickhouse does not let Lockstep do its work: Code: 497 (ACCESS_DENIED): …",
            "LS-0201: 5f0c5d4e-0000-4000-8000-000000000000 is not available: connection refused",
            "no code",
        ] {
            assert_eq!(said_of(error), None, "{error}");
        }
    }
}
