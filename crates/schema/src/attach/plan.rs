//! What is missing, as steps. Pure.

use std::collections::BTreeMap;

use lockstep_mappings::postgres::capture::{self, CaptureObject};
use lockstep_mappings::postgres::facts::{Misfit, misfits, missing_capture_columns};
use lockstep_mappings::postgres::indexes::{self, IndexSpec};
use lockstep_mappings::postgres::{
    FLAG_COLUMN, SEQUENCE, SEQUENCE_COLUMN, deleted_row_table, identifier, stamp, table, tenancy_table,
};
use lockstep_mappings::{MappingSet, SourceTable};

use super::inspect::Live;
use super::snapshot;

/// Block ranges are read by TID range scans, which came with this version.
const MINIMUM_SERVER_VERSION: i32 = 140_000;

/// How the statements of a step are run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Together in one transaction, tried again while a lock cannot be had.
    Transaction,
    /// One by one outside transactions, as CONCURRENTLY demands.
    Alone,
    /// Embedded migrations of the control schema; the statements are only for people.
    ControlMigrations,
}

/// One thing that `lockstep migrate` does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// For people.
    pub what: String,
    /// In order.
    pub statements: Vec<String>,
    /// How they are run.
    pub mode: Mode,
}

fn step(what: impl Into<String>, mode: Mode, statements: Vec<String>) -> Step {
    Step { what: what.into(), statements, mode }
}

/// The steps that make the live database fit the definitions; none where it does.
///
/// # Errors
/// Everything about the source that does not fit, as one list. Nothing is to be done then.
pub fn plan(set: &MappingSet, live: &Live) -> Result<Vec<Step>, Vec<Misfit>> {
    let mut found = misfits(set, &live.facts);
    if live.server_version < MINIMUM_SERVER_VERSION {
        found.insert(
            0,
            Misfit {
                file: "Lockstep itself".to_owned(),
                subject: "PostgreSQL".to_owned(),
                problem: format!("has version {}", live.server_version / 10_000),
                remedy: "upgrade to 14 or later".to_owned(),
            },
        );
    }
    if !found.is_empty() {
        return Err(found);
    }
    let mut steps = Vec::new();
    if !live.pending_migrations.is_empty() {
        let statements = live.pending_migrations.iter().map(|name| format!("-- migration {name}")).collect();
        steps.push(step("create Lockstep's own tables in schema lockstep", Mode::ControlMigrations, statements));
    }
    if !live.sequence {
        steps.push(step(
            "create the sequence global_seq_id",
            Mode::Transaction,
            vec![format!("CREATE SEQUENCE {SEQUENCE} AS bigint")],
        ));
    }
    steps.extend(columns(set, live));
    steps.extend(objects(set, live));
    if live.numbers_to_take_over {
        steps.push(take_over_numbers());
    }
    if !live.tenancies_known {
        steps.push(known_tenancies());
    }
    steps.extend(index_steps(set, live));
    for mapping in set.iter().filter(|mapping| !live.snapshots.contains(mapping.name.as_str())) {
        let statements = snapshot::begin(mapping);
        steps.push(step(format!("plan the base snapshot of {}", mapping.name), Mode::Transaction, statements));
    }
    Ok(steps)
}

/// Adding a column with a constant default rewrites nothing (since PostgreSQL 11). Rows that are there already are the
/// base: no flag, no sequence; new rows come flagged.
fn columns(set: &MappingSet, live: &Live) -> Vec<Step> {
    let mut steps = Vec::new();
    for source in stamp::stamped_tables(set) {
        let name = table(&source);
        if source == deleted_row_table() && !live.facts.contains_key(&source) {
            steps.push(step("create the table of tombstones", Mode::Transaction, vec![tombstone_table()]));
            continue;
        }
        let missing = missing_capture_columns(&live.facts, &source);
        let mut statements = Vec::new();
        for column in &missing {
            if *column == SEQUENCE_COLUMN {
                statements.push(format!("ALTER TABLE {name} ADD COLUMN \"{SEQUENCE_COLUMN}\" bigint"));
            } else {
                statements
                    .push(format!("ALTER TABLE {name} ADD COLUMN \"{FLAG_COLUMN}\" boolean NOT NULL DEFAULT FALSE"));
                statements.push(format!("ALTER TABLE {name} ALTER COLUMN \"{FLAG_COLUMN}\" SET DEFAULT TRUE"));
            }
        }
        if !statements.is_empty() {
            let what = format!("add {} to {}", missing.join(" and "), source.name);
            steps.push(step(what, Mode::Transaction, statements));
        }
    }
    steps
}

/// The table of tombstones as `contract.md` §1 has it.
fn tombstone_table() -> String {
    format!(
        "CREATE TABLE {} (\"id\" uuid PRIMARY KEY, \"tenancyId\" uuid NOT NULL, \"tableName\" text NOT NULL, \"primaryKey\" jsonb NOT NULL, \"data\" jsonb, \"deletedAt\" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, \"startedFulfillingAt\" timestamp(3), \"{SEQUENCE_COLUMN}\" bigint, \"{FLAG_COLUMN}\" boolean NOT NULL DEFAULT TRUE)",
        table(&deleted_row_table())
    )
}

/// Functions together, then triggers a table at a time: each table is locked once, and for a moment.
fn objects(set: &MappingSet, live: &Live) -> Vec<Step> {
    let expected = capture::objects(set, &live.facts);
    let mut steps = Vec::new();
    let stale = |object: &&CaptureObject| match &object.table {
        Some(on) => live.triggers.get(&(on.clone(), object.name.clone())) != Some(&(object.fingerprint(), true)),
        None => live.functions.get(&object.name) != Some(&object.fingerprint()),
    };
    let functions: Vec<_> = expected.iter().filter(|object| object.table.is_none()).filter(stale).collect();
    if !functions.is_empty() {
        let statements = functions.iter().flat_map(|object| object.install()).collect();
        steps.push(step(format!("install {} capture functions", functions.len()), Mode::Transaction, statements));
    }
    let mut by_table: BTreeMap<&SourceTable, (usize, usize, Vec<String>)> = BTreeMap::new();
    for object in expected.iter().filter(stale) {
        let Some(on) = &object.table else { continue };
        let (installed, _, statements) = by_table.entry(on).or_default();
        *installed += 1;
        statements.extend(object.install());
    }
    for (on, name) in live.triggers.keys() {
        let wanted = expected.iter().any(|object| object.table.as_ref() == Some(on) && object.name == *name);
        if !wanted {
            let (_, dropped, statements) = by_table.entry(on).or_default();
            *dropped += 1;
            statements.push(format!("DROP TRIGGER IF EXISTS {} ON {}", identifier(name), table(on)));
        }
    }
    for (on, (installed, dropped, statements)) in by_table {
        let dropping = if dropped == 0 { String::new() } else { format!(", drop {dropped}") };
        steps.push(step(
            format!("install {installed} capture triggers on {}{dropping}", on.name),
            Mode::Transaction,
            statements,
        ));
    }
    steps
}

/// Rows that an earlier system stamped are shipped by the stream, which reads up to the head. With the triggers in place
/// nobody else stamps any more, so under the ordering lock every number up to the last one is committed or gone (SEQ-1).
fn take_over_numbers() -> Step {
    let [lock, _] = stamp::open();
    let update = format!(
        "UPDATE lockstep.sequence_head SET last_sequence = greatest(last_sequence, (SELECT last_value FROM {SEQUENCE})), stamped_at = now()"
    );
    step("go on from the numbers that were handed out before", Mode::Transaction, vec![lock, update])
}

fn known_tenancies() -> Step {
    let insert = format!(
        "INSERT INTO lockstep.tenancy_location (tenancy_id, project_id, branch_id) SELECT t.\"id\", t.\"projectId\", t.\"branchId\" FROM {} t ON CONFLICT (tenancy_id, project_id, branch_id) DO UPDATE SET gone_at = NULL",
        table(&tenancy_table())
    );
    step("write down where every tenancy is", Mode::Transaction, vec![insert])
}

fn index_steps(set: &MappingSet, live: &Live) -> Vec<Step> {
    let mut steps = Vec::new();
    for spec in indexes::needed(set) {
        let ours = live.indexes.iter().find(|index| index.table == spec.table && index.name == spec.name);
        match ours {
            Some(index) if index.valid => continue,
            Some(_) => {
                let what = format!("rebuild index {}, which an earlier run left unfinished", spec.name);
                steps.push(step(what, Mode::Alone, vec![spec.drop(), spec.create()]));
            }
            None if is_served(&spec, live) => {}
            None => {
                let what = format!("build index {} on {} ({})", spec.name, spec.table.name, spec.purpose);
                steps.push(step(what, Mode::Alone, vec![spec.create()]));
            }
        }
    }
    steps
}

fn is_served(spec: &IndexSpec, live: &Live) -> bool {
    live.indexes.iter().any(|index| {
        index.table == spec.table && index.valid && spec.is_served_by(&index.keys, index.predicate.as_deref())
    })
}
