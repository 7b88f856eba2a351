//! What is wrong with settings that only those can tell who use them. Asks no service.

use lockstep_core::settings::Settings;
use lockstep_destinations::ClickHouse;
use lockstep_mappings::MappingSet;
use lockstep_schema::Source;

/// Why programs would not start with these settings: an address that the library that connects does not take, certificates that cannot be
/// read, a mapping that is none. A setting that is empty is passed over.
pub fn wrong_settings(settings: &Settings) -> Vec<String> {
    let ca = settings.tls_ca_file.as_deref();
    let of_source = [
        ("LOCKSTEP_SOURCE_URL", Some(&settings.source_url)),
        ("LOCKSTEP_SOURCE_READ_URL", settings.source_read_url.as_ref()),
    ];
    let mut wrong = Vec::new();
    for (name, url) in of_source {
        let source = url.filter(|url| !url.expose().is_empty()).map(|url| Source::new(url, ca));
        wrong.extend(source.and_then(Result::err).map(|error| format!("{name}: {error}")));
    }
    if !settings.amqp_url.expose().is_empty() {
        wrong.extend(lockstep_queue::check(&settings.amqp_url, ca).err().map(|error| error.to_string()));
    }
    if !settings.clickhouse.url.expose().is_empty() {
        let clickhouse = ClickHouse::connect(&settings.clickhouse, ca);
        wrong.extend(clickhouse.err().map(|error| format!("LOCKSTEP_CLICKHOUSE_URL: {error}")));
    }
    let (_, of_definitions) = MappingSet::load_right(&settings.mappings, None);
    wrong.extend(of_definitions.iter().map(|error| format!("LS-0002: {error}")));
    wrong
}
