//! What holds back vacuum: old transactions, prepared transactions and replication slots, and what that costs.
//!
//! Row versions that came since stay, in the application's tables and in Lockstep's, and an inbox cannot be emptied.

use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::facts::tables_needed;
use tokio_postgres::{Client, Row};

use super::{Check, or_ok};
use crate::error::OperationError;

/// The name of the check.
pub(super) const CHECK: &str = "open transactions";
/// What is told one by one.
const TOLD: i64 = 20;
/// A slot that keeps fewer transactions than this from being cleaned up costs nothing that counts.
const SLOT_TRANSACTIONS: i64 = 1_000_000;
/// A slot that keeps less of the log than this, in bytes, fills no disk.
const SLOT_BYTES: i64 = 1 << 28;

/// Transactions of this database that are open for longer than `$1` seconds, and prepared ones, which have no process: what they
/// are called is their owner's affair. Each with the age of what it keeps, in transactions.
const OPEN: &str = "
SELECT pid, application_name, state, extract(epoch FROM now() - xact_start)::bigint AS age_s, age(COALESCE(backend_xmin, backend_xid))::bigint
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
  AND xact_start <= now() - make_interval(secs => $1)
UNION ALL
SELECT NULL, '', 'prepared', extract(epoch FROM now() - prepared)::bigint, age(transaction)::bigint FROM pg_prepared_xacts
WHERE database = current_database() AND prepared <= now() - make_interval(secs => $1)
ORDER BY age_s DESC LIMIT $2";

/// Replication slots that keep row versions or the log: name, whether somebody reads it, transactions, bytes.
const SLOTS: &str = "
SELECT s.slot_name::text, s.active, COALESCE(age(s.xmin), 0)::bigint, COALESCE(k.bytes, 0)::bigint
FROM pg_replication_slots s, LATERAL (SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn) END AS bytes) k
WHERE COALESCE(age(s.xmin), 0) >= $1::bigint OR COALESCE(k.bytes, 0) >= $2::bigint
ORDER BY 4 DESC LIMIT $3";

/// Dead row versions of the tables that are captured and of Lockstep's own, and the bytes of both inboxes.
const COST: &str = "
SELECT (SELECT COALESCE(sum(t.n_dead_tup), 0)::bigint FROM pg_stat_user_tables t
    WHERE t.schemaname = 'lockstep' OR (t.schemaname, t.relname) IN (SELECT * FROM unnest($1::text[], $2::text[]))),
  pg_total_relation_size('lockstep.inbox_0') + pg_total_relation_size('lockstep.inbox_1')";

pub(super) async fn look(
    client: &Client,
    mappings: &MappingSet,
    open_for_s: u32,
) -> Result<Vec<Check>, OperationError> {
    let open = client.query(OPEN, &[&f64::from(open_for_s), &TOLD]).await?;
    let slots = client.query(SLOTS, &[&SLOT_TRANSACTIONS, &SLOT_BYTES, &TOLD]).await?;
    let cost = if open.is_empty() && slots.is_empty() { String::new() } else { cost(client, mappings).await? };
    let found = open.iter().map(|row| open_transaction(row, &cost)).collect();
    let mut checks = or_ok(CHECK, &format!("none for longer than {open_for_s} s"), found);
    let found = slots.iter().map(|row| slot(row, &cost)).collect();
    checks.extend(or_ok("replication slots", "none keeps much", found));
    Ok(checks)
}

async fn cost(client: &Client, mappings: &MappingSet) -> Result<String, OperationError> {
    let tables = tables_needed(mappings);
    let (schemas, names): (Vec<_>, Vec<_>) =
        tables.iter().map(|table| (table.schema.as_str(), table.name.as_str())).unzip();
    let row = client.query_one(COST, &[&schemas, &names]).await?;
    let (dead, inbox): (i64, i64) = (row.get(0), row.get(1));
    let mib = inbox / (1 << 20);
    Ok(format!("behind it are {dead} dead rows in captured tables and Lockstep's own, and an inbox of {mib} MiB"))
}

fn open_transaction(row: &Row, cost: &str) -> Check {
    let (pid, application): (Option<i32>, &str) = (row.get(0), row.get(1));
    let (state, age_s): (Option<&str>, i64) = (row.get(2), row.get(3));
    let state = state.unwrap_or("of a state that only its owner may see");
    let age = match row.get::<_, Option<i64>>(4) {
        Some(transactions) => format!("{age_s} s and {transactions} transactions"),
        None => format!("{age_s} s"),
    };
    match pid {
        Some(pid) => Check::finding(
            CHECK,
            format!(
                "process {pid} ({application:?}), {state}, for {age}: no row version since is cleaned up, and an inbox cannot be emptied; {cost}"
            ),
            format!("have it end, or SELECT pg_terminate_backend({pid})"),
        ),
        None => Check::finding(
            CHECK,
            format!("a prepared transaction for {age}: no row version since is cleaned up; {cost}"),
            "COMMIT PREPARED or ROLLBACK PREPARED it: see pg_prepared_xacts",
        ),
    }
}

fn slot(row: &Row, cost: &str) -> Check {
    let (name, is_active): (&str, bool) = (row.get(0), row.get(1));
    let (transactions, bytes): (i64, i64) = (row.get(2), row.get(3));
    let read = if is_active { "is read, but slowly" } else { "is read by nobody" };
    Check::finding(
        "replication slots",
        format!(
            "slot {name:?} {read}: it keeps {} MiB of the log, and row versions of {transactions} transactions; {cost}",
            bytes / (1 << 20)
        ),
        "have its reader catch up, or SELECT pg_drop_replication_slot of that name",
    )
}
