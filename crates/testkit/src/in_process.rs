//! What the tests of one crate need of an installation: settings, capture and tables, without programs.

use anyhow::Context;
use lockstep_core::secret::SecretUrl;
use lockstep_core::settings::{
    ClickHouseSettings, DEFAULT_MAX_VALUE_BYTES, DestinationSettings, EventSettings, MappingSources, Settings,
};
use lockstep_core::telemetry::LogFormat;
use lockstep_destinations::ClickHouse;
use lockstep_mappings::MappingSet;
use lockstep_mappings::clickhouse::{Comments, create_databases, cursor_table, raw_table, view};
use lockstep_schema::{Source, attach};
use secrecy::SecretString;

use crate::databases::{Services, TestDatabase};

/// Settings whose names in ClickHouse and RabbitMQ end in `suffix`.
pub fn settings(database: &TestDatabase, services: &Services, suffix: &str, mappings: MappingSources) -> Settings {
    Settings {
        source_url: SecretUrl::new(database.url()),
        source_read_only: false,
        source_read_url: None,
        amqp_url: SecretUrl::new(&services.amqp_url),
        clickhouse: ClickHouseSettings {
            url: SecretUrl::new(&services.clickhouse_url),
            user: services.clickhouse_user.clone(),
            password: SecretString::from(services.clickhouse_password.clone()),
            raw_database: format!("lockstep_raw_{suffix}"),
            view_database: format!("lockstep_views_{suffix}"),
            cluster: None,
            fsync: false,
        },
        queue_prefix: format!("lockstep-{suffix}"),
        mappings,
        tls_ca_file: None,
        max_value_bytes: DEFAULT_MAX_VALUE_BYTES,
        destinations: DestinationSettings::default(),
        events: EventSettings::default(),
        log: "info,lapin=off".to_owned(),
        log_format: LogFormat::Pretty,
        listen: None,
    }
}

/// Attaches capture, and makes the tables and views in ClickHouse.
///
/// # Errors
/// When the definitions do not fit, or one side refuses.
pub async fn install(settings: &Settings, set: &MappingSet) -> anyhow::Result<ClickHouse> {
    let source = Source::new(&settings.source_url, None)?;
    let steps = attach::plan(set, &attach::inspect(&source, set).await?, &attach::Wishes::default());
    let steps = steps.ok().context("the definitions do not fit")?;
    attach::apply(&source, &steps, |_| {}).await?;
    let clickhouse = ClickHouse::connect(&settings.clickhouse, None)?;
    let databases = clickhouse.databases();
    let mut statements = create_databases(databases);
    statements.extend(cursor_table(databases).create());
    for mapping in set.iter() {
        statements.extend(raw_table(mapping, databases).create());
        statements.push(view(mapping, databases, &Comments::default()));
    }
    for statement in statements {
        clickhouse.execute(&statement).await?;
    }
    Ok(clickhouse)
}
