//! Whether Postgres and ClickHouse answer, and give the rights that are needed.

use lockstep_core::settings::Settings;
use lockstep_destinations::{ClickHouse, Destination, DestinationError};
use lockstep_schema::attach::{OF_APPLICATION, ORDINARY};
use lockstep_schema::{Session, Source, SourceError};
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::doctor::{self, Check, PROBE_TIMEOUT, or_ok, too_late};
use crate::error::OperationError;

const POSTGRES: &str = "Postgres";

/// Looks at Postgres. Returns a session where it answers.
pub(super) async fn of_source(settings: &Settings) -> (Option<Client>, Vec<Check>) {
    match timeout(PROBE_TIMEOUT, look_at_source(settings)).await {
        Ok(Ok((client, checks))) => (Some(client), checks),
        Ok(Err(error)) => (None, vec![Check::failed(POSTGRES, &error, settings)]),
        Err(_) => (None, vec![too_late(POSTGRES)]),
    }
}

async fn look_at_source(settings: &Settings) -> Result<(Client, Vec<Check>), OperationError> {
    let sql = format!(
        r"SELECT current_setting('server_version'), current_setting('server_version_num')::int >= 140000, pg_is_in_recovery(),
  has_database_privilege(current_database(), 'CREATE') OR to_regnamespace('lockstep') IS NOT NULL,
  ARRAY(SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {OF_APPLICATION} AND {ORDINARY} AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1 LIMIT 5)"
    );
    let client = Source::of(settings)?.connect(Session::Control).await?;
    let server = client.query_one(&sql, &[]).await.map_err(SourceError::from)?;
    let foreign: Vec<String> = server.get(4);
    let wanting = [
        (server.get(1), "it is older than 14".to_owned(), "use PostgreSQL 14 or later"),
        (
            !server.get::<_, bool>(2),
            "it is a stand-by".to_owned(),
            "give the primary; a replica is LOCKSTEP_SOURCE_READ_URL",
        ),
        (server.get(3), "the role may not create schema lockstep".to_owned(), "GRANT CREATE ON DATABASE … TO the role"),
        (
            foreign.is_empty(),
            format!("the role is no member of the owner of {}", foreign.join(", ")),
            "needed for tables that are captured: GRANT the owner TO the role",
        ),
    ];
    let findings = wanting.into_iter().filter(|(holds, ..)| !holds);
    let findings = findings.map(|(_, what, remedy)| Check::finding(POSTGRES, what, remedy)).collect();
    let version: String = server.get(0);
    Ok((client, or_ok(POSTGRES, &format!("{version}, with all rights that are needed"), findings)))
}

/// Looks at ClickHouse.
pub(super) async fn of_clickhouse(settings: &Settings) -> Vec<Check> {
    const NAME: &str = "ClickHouse";
    timeout(PROBE_TIMEOUT, look_at_clickhouse(NAME, settings)).await.unwrap_or_else(|_| vec![too_late(NAME)])
}

async fn look_at_clickhouse(name: &'static str, settings: &Settings) -> Vec<Check> {
    let looking = async {
        let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
        clickhouse.check_version().await?;
        let version = clickhouse.fetch_text("SELECT version()").await?;
        Ok::<_, DestinationError>((version, doctor::missing_rights(name, &clickhouse).await?))
    };
    match looking.await {
        Ok((version, lacking)) => {
            or_ok(name, &format!("{}, with all rights that are needed", version.trim_end()), lacking)
        }
        Err(error) => vec![Check::failed(name, &error, settings)],
    }
}
