//! What is missing, as steps. Pure.

use std::collections::BTreeMap;

use lockstep_mappings::postgres::capture::{self, CaptureObject};
use lockstep_mappings::postgres::facts::{Misfit, misfits, missing_capture_columns};
use lockstep_mappings::postgres::indexes::{self, IndexSpec};
use lockstep_mappings::postgres::{
    FLAG_COLUMN, SEQUENCE, SEQUENCE_COLUMN, deleted_row_table, identifier, literal, stamp, table, tenancy_table,
};
use lockstep_mappings::{MappingSet, SourceTable};

use super::flaws::flaw_of;
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

/// What a step is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Part {
    /// Lockstep's own tables, and what is written in them.
    Control,
    /// The two columns of capture.
    Columns,
    /// Functions and triggers.
    Triggers,
    /// Indexes.
    Indexes,
    /// Base snapshots.
    Snapshots,
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
    /// What they are about.
    pub part: Part,
}

fn step(part: Part, what: impl Into<String>, mode: Mode, statements: Vec<String>) -> Step {
    Step { what: what.into(), statements, mode, part }
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
        let what = "create Lockstep's own tables in schema lockstep";
        steps.push(step(Part::Control, what, Mode::ControlMigrations, statements));
    }
    if !live.sequence {
        steps.push(step(
            Part::Control,
            "create the sequence global_seq_id",
            Mode::Transaction,
            vec![format!("CREATE SEQUENCE {SEQUENCE} AS bigint")],
        ));
    }
    steps.extend(columns(set, live));
    steps.extend(objects(set, live));
    steps.extend(captured_tables(set, live));
    if live.numbers_to_take_over {
        steps.push(take_over_numbers());
    }
    if !live.tenancies_known {
        steps.push(known_tenancies());
    }
    steps.extend(index_steps(set, live));
    for mapping in set.iter().filter(|mapping| !live.snapshots.contains(mapping.name.as_str())) {
        let statements = snapshot::begin(mapping);
        let what = format!("plan the base snapshot of {}", mapping.name);
        steps.push(step(Part::Snapshots, what, Mode::Transaction, statements));
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
            let what = "create the table of tombstones";
            steps.push(step(Part::Columns, what, Mode::Transaction, vec![tombstone_table()]));
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
            steps.push(step(Part::Columns, what, Mode::Transaction, statements));
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
    let stale = |object: &&CaptureObject| flaw_of(object, live).is_some();
    let functions: Vec<_> = expected.iter().filter(|object| object.table.is_none()).filter(stale).collect();
    if !functions.is_empty() {
        let statements = functions.iter().flat_map(|object| object.install()).collect();
        let what = format!("install {} capture functions", functions.len());
        steps.push(step(Part::Triggers, what, Mode::Transaction, statements));
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
        let what = format!("install {installed} capture triggers on {}{dropping}", on.name);
        steps.push(step(Part::Triggers, what, Mode::Transaction, statements));
    }
    steps
}

/// Written down once, after the triggers are there: in a transaction of its own, so that everything that was written before
/// they were there has an older number.
fn captured_tables(set: &MappingSet, live: &Live) -> Option<Step> {
    let new: Vec<_> = stamp::stamped_tables(set).into_iter().filter(|table| !live.captured.contains(table)).collect();
    let statement = |table: &SourceTable| {
        let (schema, name) = (literal(&table.schema), literal(&table.name));
        format!(
            "INSERT INTO lockstep.captured_table (schema_name, table_name) VALUES ({schema}, {name}) ON CONFLICT DO NOTHING"
        )
    };
    let statements: Vec<_> = new.iter().map(statement).collect();
    let what = format!("write down since when {} tables are captured", new.len());
    (!new.is_empty()).then(|| step(Part::Control, what, Mode::Transaction, statements))
}

/// Rows that an earlier system stamped are shipped by the stream, which reads up to the head. With the triggers in place
/// nobody else stamps any more, so under the ordering lock every number up to the last one is committed or gone (SEQ-1).
fn take_over_numbers() -> Step {
    let [lock, _] = stamp::open();
    let update = format!(
        "UPDATE lockstep.sequence_head SET last_sequence = greatest(last_sequence, (SELECT last_value FROM {SEQUENCE})), stamped_at = now()"
    );
    let what = "go on from the numbers that were handed out before";
    step(Part::Control, what, Mode::Transaction, vec![lock, update])
}

fn known_tenancies() -> Step {
    let insert = format!(
        "INSERT INTO lockstep.tenancy_location (tenancy_id, project_id, branch_id) SELECT t.\"id\", t.\"projectId\", t.\"branchId\" FROM {} t ON CONFLICT (tenancy_id, project_id, branch_id) DO UPDATE SET gone_at = NULL",
        table(&tenancy_table())
    );
    step(Part::Control, "write down where every tenancy is", Mode::Transaction, vec![insert])
}

fn index_steps(set: &MappingSet, live: &Live) -> Vec<Step> {
    let mut steps = Vec::new();
    for spec in indexes::needed(set) {
        let ours = live.indexes.iter().find(|index| index.table == spec.table && index.name == spec.name);
        match ours {
            Some(index) if index.valid => continue,
            Some(_) => {
                let what = format!("rebuild index {}, which an earlier run left unfinished", spec.name);
                steps.push(step(Part::Indexes, what, Mode::Alone, vec![spec.drop(), spec.create()]));
            }
            None if is_served(&spec, live) => {}
            None => {
                let what = format!("build index {} on {} ({})", spec.name, spec.table.name, spec.purpose);
                steps.push(step(Part::Indexes, what, Mode::Alone, vec![spec.create()]));
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
