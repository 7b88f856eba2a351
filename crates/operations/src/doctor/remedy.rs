//! What to do about an error that carries no remedy of its own.

use lockstep_core::output::code_in;
use lockstep_core::secret::SecretUrl;
use lockstep_core::settings::Settings;

/// By its code: of a service that does not answer, where it was looked for, and what mends that.
pub fn remedy(error: &str, settings: &Settings) -> String {
    by_code(error, [&settings.clickhouse.url, &settings.amqp_url, &settings.source_url])
}

fn by_code(error: &str, [clickhouse, broker, source]: [&SecretUrl; 3]) -> String {
    // What Postgres itself has said ends with its state: then it is there.
    let has_answered = error.contains("SQLSTATE");
    let (service, setting, url) = match code_in(error) {
        Some("LS-0201") if error.contains(": clickhouse ") => ("ClickHouse", "LOCKSTEP_CLICKHOUSE_URL", clickhouse),
        Some("LS-0101" | "LS-0108") => ("RabbitMQ", "LOCKSTEP_AMQP_URL", broker),
        Some("LS-0012" | "LS-0014") if !has_answered => ("Postgres", "LOCKSTEP_SOURCE_URL", source),
        _ => return "see docs/errors for the code".to_owned(),
    };
    format!(
        "start {service} at {url}, or correct {setting} or the network between; Lockstep goes on by itself once it answers"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_service_that_is_away_it_names_the_address_and_no_secret() {
        let url = |scheme: &str, host: &str| SecretUrl::new(format!("{scheme}://me:hunter2@{host}"));
        let urls = [url("http", "away:8123"), url("amqp", "broker:5672/%2f"), url("postgres", "db:5432/app")];
        let remedy = |error| by_code(error, urls.each_ref());
        let said = [
            "LS-0201: clickhouse is not available: connection refused",
            "LS-0101: no connection to RabbitMQ",
            "LS-0012: Postgres: error connecting to server",
        ]
        .map(remedy);
        assert!(
            said[0].starts_with("start ClickHouse at http://away:8123, or correct LOCKSTEP_CLICKHOUSE_URL "),
            "{said:?}"
        );
        assert!(
            said[1].starts_with("start RabbitMQ at amqp://broker:5672/%2f, or correct LOCKSTEP_AMQP_URL "),
            "{said:?}"
        );
        assert!(
            said[2].starts_with("start Postgres at postgres://db:5432/app, or correct LOCKSTEP_SOURCE_URL "),
            "{said:?}"
        );
        assert!(said.iter().all(|said| !said.contains("hunter2") && !said.contains("me:")), "{said:?}");
        for answered in ["LS-0012: Postgres: no such table (SQLSTATE 42P01)", "LS-0204: clickhouse does not let"] {
            assert_eq!(remedy(answered), "see docs/errors for the code");
        }
    }
}
