//! How much of Lockstep's own the source database holds, for whoever takes it out again.

use std::collections::BTreeMap;

use lockstep_mappings::postgres::KEEPER;
use tokio_postgres::Client;

use crate::connect::{Session, Source};
use crate::error::SourceError;
use crate::instances;

/// What schema `lockstep` holds. Nothing where there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Tables, with their partitions.
    pub tables: i64,
    /// Of all tables and indexes, as Postgres writes it: `14 MB`.
    pub size: String,
    /// Receipts of erasures.
    pub receipts: i64,
    /// Tenants' own databases, which are named there alone.
    pub tenant_databases: i64,
    /// Mappings that were set up, in order, each with whether its table is built beside another, which it takes the place of.
    pub mappings: Vec<(String, bool)>,
    /// Of each kind of program, how many say that they run.
    pub running: BTreeMap<String, usize>,
    /// What keeps a table of tenancies, which the operator has made.
    pub keeper: Option<Keeper>,
}

/// The function that keeps the table of tenancies, as the file that `lockstep init` writes makes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keeper {
    /// Its triggers.
    pub triggers: i64,
    /// The tables that these are on, with their schemas.
    pub tables: Vec<String>,
}

const TABLES: &str = "SELECT count(*), pg_size_pretty(coalesce(sum(pg_total_relation_size(oid)), 0)) FROM pg_catalog.pg_class \
     WHERE relnamespace = to_regnamespace('lockstep') AND relkind IN ('r', 'p')";

/// The function by its name `$1`, which no application's has.
const KEPT: &str = "SELECT count(g.oid), coalesce(array_agg(DISTINCT n.nspname || '.' || c.relname) FILTER (WHERE g.oid IS NOT NULL), '{}') \
     FROM pg_catalog.pg_proc p LEFT JOIN (pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace) ON g.tgfoid = p.oid \
     WHERE p.proname = $1 AND p.pronamespace = to_regnamespace('public') GROUP BY p.oid";

const SET_UP: &str = "SELECT d.mapping_name, EXISTS (SELECT FROM lockstep.fill f WHERE f.mapping_name = d.mapping_name AND f.is_beside) \
     FROM lockstep.definition d ORDER BY 1";

/// Counts it.
///
/// # Errors
/// When the database cannot be asked.
pub async fn extent(source: &Source) -> Result<Extent, SourceError> {
    let client = source.connect(Session::Control).await?;
    let tables = client.query_one(TABLES, &[]).await?;
    let keeper = client.query_opt(KEPT, &[&KEEPER]).await?;
    Ok(Extent {
        tables: tables.get(0),
        size: tables.get(1),
        receipts: rows(&client, "lockstep.erasure").await?,
        tenant_databases: rows(&client, "lockstep.tenant_destination").await?,
        mappings: set_up(&client).await?,
        running: running(source, &client).await?,
        keeper: keeper.map(|row| Keeper { triggers: row.get(0), tables: row.get(1) }),
    })
}

async fn set_up(client: &Client) -> Result<Vec<(String, bool)>, SourceError> {
    if !is_there(client, "lockstep.definition").await? || !is_there(client, "lockstep.fill").await? {
        return Ok(Vec::new());
    }
    Ok(client.query(SET_UP, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn running(source: &Source, client: &Client) -> Result<BTreeMap<String, usize>, SourceError> {
    let mut running = BTreeMap::new();
    if is_there(client, "lockstep.instance").await? {
        let seen = instances::seen(&source.connect_diesel(Session::Control).await?).await?;
        for instance in seen.instances.into_iter().filter(|instance| instance.is_alive) {
            *running.entry(instance.role).or_default() += 1;
        }
    }
    Ok(running)
}

async fn is_there(client: &Client, table: &str) -> Result<bool, SourceError> {
    Ok(client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await?.get(0))
}

/// The rows of a table, which may not be there yet.
async fn rows(client: &Client, table: &str) -> Result<i64, SourceError> {
    if !is_there(client, table).await? {
        return Ok(0);
    }
    Ok(client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?.get(0))
}
