//! What a new installation begins with: a look at the three services, a configuration file, and a definition for each table of
//! tenants. No database is changed.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lockstep_core::settings::{Settings, WrittenSettings};
use lockstep_destinations::{ClickHouse, Destination};
use lockstep_mappings::{MappingSet, SourceTable};
use lockstep_queue::{QueueError, Topology, depths};
use lockstep_schema::attach::tables_with_tenants;
use lockstep_schema::{Session, Source, SourceError};
use secrecy::ExposeSecret;
use serde::Serialize;
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::doctor::{Check, Outcome};
use crate::error::OperationError;
use crate::mapping::{DefinitionFinding, check_mappings, draft_of, taken};

/// For each of the three services.
const PROBE_TIMEOUT: Duration = Duration::from_secs(15);
/// Further tables are not looked at.
const MAX_TABLES: usize = 2000;

/// What an installation begins with.
#[derive(Clone, Debug)]
pub struct InitRequest {
    /// Where the configuration file and the directory of definitions are written.
    pub to: PathBuf,
    /// The column that names a row's tenancy; none: the one that refers to `"Tenancy"`, or has a usual name.
    pub tenant_column: Option<String>,
    /// Files that are there are written anew.
    pub force: bool,
    /// What the configuration file holds.
    pub settings: WrittenSettings,
}

/// What was found and written.
#[derive(Serialize, Debug)]
pub struct InitReport {
    /// Whether all services answer, and every definition fits.
    pub ready: bool,
    /// Each service.
    pub services: Vec<Check>,
    /// Tables of mappings that are there already, the built-in ones among them.
    pub known: Vec<String>,
    /// Tables that a definition was written of.
    pub suggested: Vec<SuggestedMapping>,
    /// Tables that none was written of.
    pub unmapped: Vec<UnmappedTable>,
    /// What is wrong with the definitions all together.
    pub findings: Vec<DefinitionFinding>,
    /// Files that were written.
    pub written: Vec<PathBuf>,
    /// Files that were there, and stay.
    pub kept: Vec<PathBuf>,
    /// Settings with a password that no file can be named for: they stay in the environment.
    pub in_environment: Vec<String>,
    /// What to run now.
    pub next: Vec<String>,
}

/// A definition of a table.
#[derive(Serialize, Debug)]
pub struct SuggestedMapping {
    /// The mapping's name.
    pub name: String,
    /// The table, with its schema.
    pub table: String,
    /// Columns that stand in it as comments only.
    pub left_out: Vec<String>,
}

/// A table without a definition.
#[derive(Serialize, Debug)]
pub struct UnmappedTable {
    /// With its schema.
    pub table: String,
    /// Why there is none.
    pub reason: String,
}

/// Looks at the services, and writes what an installation begins with. Nothing is written where the source does not answer.
///
/// # Errors
/// When a file cannot be written, or the source ceases to answer.
pub async fn init(settings: &Settings, request: &InitRequest) -> Result<InitReport, OperationError> {
    let settings = &Settings { source_read_only: true, ..settings.clone() };
    let (client, source) = match timeout(PROBE_TIMEOUT, of_source(settings)).await {
        Ok(Ok((client, checks))) => (Some(client), checks),
        Ok(Err(error)) => (None, vec![Check::failed("Postgres", &error)]),
        Err(_) => (None, vec![too_late("Postgres")]),
    };
    let mut report = InitReport {
        ready: false,
        services: source,
        known: Vec::new(),
        suggested: Vec::new(),
        unmapped: Vec::new(),
        findings: Vec::new(),
        written: Vec::new(),
        kept: Vec::new(),
        in_environment: request.settings.left_out.clone(),
        next: Vec::new(),
    };
    report.services.push(timeout(PROBE_TIMEOUT, of_queue(settings)).await.unwrap_or_else(|_| too_late("RabbitMQ")));
    let clickhouse = timeout(PROBE_TIMEOUT, of_clickhouse(settings)).await;
    report.services.push(clickhouse.unwrap_or_else(|_| too_late("ClickHouse")));
    if let Some(client) = client {
        write_settings(request, &mut report)?;
        let mappings = request.to.join("mappings");
        suggest(&client, request, &mappings, &mut report).await?;
        let with_these = Settings { mappings_dir: Some(mappings), ..settings.clone() };
        report.findings = check_mappings(&with_these, None).await?.findings;
        report.next = next(&request.to);
    }
    report.ready = report.findings.is_empty() && report.services.iter().all(|check| check.outcome == Outcome::Ok);
    Ok(report)
}

fn too_late(service: &'static str) -> Check {
    let what = format!("no answer within {} s", PROBE_TIMEOUT.as_secs());
    Check::unknown(service, what, "check host, port and what is between")
}

async fn of_source(settings: &Settings) -> Result<(Client, Vec<Check>), OperationError> {
    const SERVER: &str = r#"SELECT current_setting('server_version'), current_setting('server_version_num')::int >= 140000, pg_is_in_recovery(),
  has_database_privilege(current_database(), 'CREATE') OR to_regnamespace('lockstep') IS NOT NULL,
  to_regclass('public."Tenancy"') IS NOT NULL,
  ARRAY(SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('lockstep', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
      AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1 LIMIT 5)"#;
    const NAME: &str = "Postgres";
    let client = Source::of(settings)?.connect(Session::Control).await?;
    let server = client.query_one(SERVER, &[]).await.map_err(SourceError::from)?;
    let foreign: Vec<String> = server.get(5);
    let wanting = [
        (server.get(1), "it is older than 14".to_owned(), "use PostgreSQL 14 or later"),
        (
            !server.get::<_, bool>(2),
            "it is a stand-by".to_owned(),
            "give the primary; a replica is LOCKSTEP_SOURCE_READ_URL",
        ),
        (server.get(3), "the role may not create schema lockstep".to_owned(), "GRANT CREATE ON DATABASE … TO the role"),
        (
            server.get(4),
            "there is no table public.\"Tenancy\"".to_owned(),
            "Lockstep needs it: docs/guides/own-tables.md",
        ),
        (
            foreign.is_empty(),
            format!("the role is no member of the owner of {}", foreign.join(", ")),
            "needed for tables that are captured: GRANT the owner TO the role",
        ),
    ];
    let findings = wanting.into_iter().filter(|(holds, ..)| !holds);
    let findings = findings.map(|(_, what, remedy)| Check::finding(NAME, what, remedy)).collect();
    let version: String = server.get(0);
    Ok((client, crate::doctor::or_ok(NAME, &format!("{version}, with all rights that are needed"), findings)))
}

async fn of_queue(settings: &Settings) -> Check {
    const NAME: &str = "RabbitMQ";
    if settings.amqp_url.expose().is_empty() {
        return Check::unknown(NAME, "no URL was given", "set LOCKSTEP_AMQP_URL");
    }
    let topology = Topology::new(&settings.queue_prefix);
    match depths(&settings.amqp_url, settings.tls_ca_file.as_deref(), &topology).await {
        Ok(_) => Check::ok(NAME, "answers; queues of this prefix are there already"),
        Err(QueueError::NoQueue { .. }) => Check::ok(NAME, "answers; programs declare their queues when they start"),
        Err(error) => Check::unknown(NAME, error.to_string(), "see docs/errors for the code"),
    }
}

async fn of_clickhouse(settings: &Settings) -> Check {
    const NAME: &str = "ClickHouse";
    if settings.clickhouse.url.expose().is_empty() {
        return Check::unknown(NAME, "no URL was given", "set LOCKSTEP_CLICKHOUSE_URL");
    }
    let looking = async {
        let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
        clickhouse.check_version().await?;
        clickhouse.fetch_text("SELECT version()").await
    };
    match looking.await {
        // A session that only reads is told of no right to write, so `migrate` is the first to know.
        Ok(version) => Check::ok(
            NAME,
            format!("{} answers; whether it may be written `lockstep migrate` says", version.trim_end()),
        ),
        Err(error) => Check::failed(NAME, &OperationError::Destination(error)),
    }
}

fn write_settings(request: &InitRequest, report: &mut InitReport) -> Result<(), OperationError> {
    let secrets = request.to.join(WrittenSettings::directory());
    for (name, secret) in &request.settings.secrets {
        make_directory(&secrets, 0o700)?;
        write(&secrets.join(name), &format!("{}\n", secret.expose_secret()), 0o600, request.force, report)?;
    }
    let text = format!(
        "# The names are those of the flags and variables: `lockstep config show`.\nmappings_dir = \"mappings\"\n{}",
        request.settings.text
    );
    make_directory(&request.to, 0o755)?;
    write(&request.to.join("lockstep.toml"), &text, 0o644, request.force, report).map(drop)
}

/// Writes a definition for each table that has none.
async fn suggest(
    client: &Client,
    request: &InitRequest,
    mappings: &Path,
    report: &mut InitReport,
) -> Result<(), OperationError> {
    make_directory(mappings, 0o755)?;
    let set = MappingSet::load_right(Some(mappings), None).0;
    let mut taken = taken(&set);
    let shown = |table: &SourceTable| format!("{}.{}", table.schema, table.name);
    let tables = tables_with_tenants(client).await?;
    for (table, references) in tables.into_iter().take(MAX_TABLES) {
        let is_known = set.iter().any(|mapping| mapping.source == table);
        if is_known || (table.schema == "public" && table.name == "Tenancy") {
            report.known.push(shown(&table));
            continue;
        }
        let tenant = request.tenant_column.as_deref().or(references.first().map(String::as_str));
        match draft_of(client, &table, tenant, &taken).await {
            Ok(draft) => {
                let left_out =
                    draft.left_out.into_iter().map(|left| format!("{}: {}", left.column, left.reason)).collect();
                taken.extend([format!("{}_truncated", draft.name), draft.name.clone()]);
                write(&mappings.join(format!("{}.toml", draft.name)), &draft.text, 0o644, request.force, report)?;
                report.suggested.push(SuggestedMapping { name: draft.name, table: shown(&table), left_out });
            }
            Err(OperationError::NoDraft { why, .. }) => {
                report.unmapped.push(UnmappedTable { table: shown(&table), reason: why.to_string() });
            }
            Err(OperationError::NoSuchTable { why, .. }) => {
                report.unmapped.push(UnmappedTable { table: shown(&table), reason: why });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn next(to: &Path) -> Vec<String> {
    let is_here = to == Path::new(".");
    let config = if is_here { String::new() } else { format!(" --config {}", to.join("lockstep.toml").display()) };
    vec![
        format!("lockstep mapping check{config}"),
        format!("lockstep migrate{config}"),
        format!("lockstep-sequencer{config} & lockstep-worker{config} &"),
        format!("lockstep wait --all{config}"),
    ]
}

fn make_directory(directory: &Path, mode: u32) -> Result<(), OperationError> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(directory);
    made.map_err(|why| OperationError::File { file: directory.to_owned(), why })
}

/// Writes a file, unless it is there and may not be replaced.
fn write(file: &Path, text: &str, mode: u32, force: bool, report: &mut InitReport) -> Result<(), OperationError> {
    if force {
        // Another that stands there may be readable by more than may read this.
        let _ = std::fs::remove_file(file);
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    match made.and_then(|mut made| made.write_all(text.as_bytes())) {
        Ok(()) => report.written.push(file.to_owned()),
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => report.kept.push(file.to_owned()),
        Err(why) => return Err(OperationError::File { file: file.to_owned(), why }),
    }
    Ok(())
}
