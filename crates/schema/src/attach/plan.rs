//! What is missing, as steps. Pure.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_core::MappingName;
use lockstep_mappings::postgres::capture::{self, CaptureObject};
use lockstep_mappings::postgres::facts::{self, Misfit};
use lockstep_mappings::postgres::indexes;
use lockstep_mappings::postgres::{Target, identifier, literal, table, tenancy_table};
use lockstep_mappings::{MappingSet, SourceTable};

use super::fill_steps::{Replaced, fill_steps};
use super::flaws::{ALWAYS, FlawKind, flaw_of, flaws};
use super::inspect::{Captured, Live};
use super::shape::{note_shape, shape};

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
    /// Functions and triggers.
    Triggers,
    /// Event triggers.
    EventTriggers,
    /// Indexes.
    Indexes,
    /// Fills of destinations.
    Fills,
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

pub(super) fn step(part: Part, what: impl Into<String>, mode: Mode, statements: Vec<String>) -> Step {
    Step { what: what.into(), statements, mode, part }
}

/// What is asked for beside what the definitions say.
#[derive(Clone, Default, Debug)]
pub struct Wishes {
    /// Tables whose triggers are to name no column.
    pub relaxed: BTreeSet<SourceTable>,
    /// Mappings whose table in ClickHouse is built anew beside the one that is there, and what becomes of that one.
    pub rebuilt: BTreeMap<MappingName, Replaced>,
}

impl Wishes {
    /// That these tables are relaxed, and nothing else.
    pub fn relaxed(relaxed: BTreeSet<SourceTable>) -> Self {
        Self { relaxed, ..Self::default() }
    }
}

/// Everything because of which these definitions cannot be captured or read in the live database.
pub fn misfits(set: &MappingSet, live: &Live) -> Vec<Misfit> {
    let mut found = facts::misfits(set, &live.facts);
    found.extend(live.refused.values().cloned());
    if live.server_version < MINIMUM_SERVER_VERSION {
        let (file, subject) = ("Lockstep itself".to_owned(), "PostgreSQL".to_owned());
        let problem = format!("has version {}", live.server_version / 10_000);
        found.insert(0, Misfit { file, subject, problem, remedy: "upgrade to 14 or later".to_owned() });
    }
    found
}

/// The steps that make the live database fit the definitions; none where it does.
///
/// # Errors
/// Everything about the source that does not fit, as one list. Nothing is to be done then.
pub fn plan(set: &MappingSet, live: &Live, wishes: &Wishes) -> Result<Vec<Step>, Vec<Misfit>> {
    let relaxed = &wishes.relaxed;
    let found = misfits(set, live);
    if !found.is_empty() {
        return Err(found);
    }
    let mut steps = Vec::new();
    if !live.pending_migrations.is_empty() {
        let statements = live.pending_migrations.iter().map(|name| crate::migrations::text(name)).collect();
        let what = "create Lockstep's own tables in schema lockstep";
        steps.push(step(Part::Control, what, Mode::ControlMigrations, statements));
    }
    steps.extend(targets(set, live));
    steps.extend(index_steps(set, live, relaxed));
    steps.extend(objects(set, live, relaxed));
    steps.extend(event_triggers(set, live));
    steps.extend(captured_tables(set, live, relaxed));
    if live.tenancies_known == Some(false) {
        let what = "write down where every tenancy is";
        steps.push(step(Part::Control, what, Mode::Transaction, vec![note_tenancies()]));
    }
    steps.extend(fill_steps(set, live, &wishes.rebuilt));
    Ok(steps)
}

fn targets(set: &MappingSet, live: &Live) -> Option<Step> {
    let new: Vec<_> = Target::all(set).into_iter().filter(|target| !live.targets.contains(&target.id())).collect();
    let values: Vec<_> =
        new.iter().map(|target| format!("({}, {})", target.id(), literal(&target.to_string()))).collect();
    let statement =
        format!("INSERT INTO lockstep.target (id, name) VALUES {} ON CONFLICT DO NOTHING", values.join(", "));
    let what = format!("write down what {} targets are called", new.len());
    (!new.is_empty()).then(|| step(Part::Control, what, Mode::Transaction, vec![statement]))
}

fn event_triggers(set: &MappingSet, live: &Live) -> Option<Step> {
    if !live.may_watch_ddl {
        return None;
    }
    let function = capture::ddl_function(set);
    let mut statements = Vec::new();
    if flaw_of(&function, live).is_some() {
        statements.extend(function.install());
    }
    for (name, event) in capture::DDL_TRIGGERS {
        if live.event_triggers.get(name) != Some(&ALWAYS) {
            let name = identifier(name);
            statements.push(format!("DROP EVENT TRIGGER IF EXISTS {name}"));
            statements.push(format!("CREATE EVENT TRIGGER {name} ON {event} EXECUTE FUNCTION lockstep.ddl()"));
            statements.push(format!("ALTER EVENT TRIGGER {name} ENABLE ALWAYS"));
        }
    }
    let what = "watch for migrations of captured tables";
    (!statements.is_empty()).then(|| step(Part::EventTriggers, what, Mode::Transaction, statements))
}

/// Functions together, then triggers a table at a time: each table is locked once, and for a moment.
fn objects(set: &MappingSet, live: &Live, relaxed: &BTreeSet<SourceTable>) -> Vec<Step> {
    let expected = capture::objects(set, &live.facts, relaxed);
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

/// The steps that install anew what [`FlawKind::Outflanked`] was found of, and the tables that they are about.
pub fn outflanked(set: &MappingSet, live: &Live) -> (Vec<Step>, BTreeSet<SourceTable>) {
    let found = flaws(set, live).into_iter().filter(|flaw| flaw.kind == FlawKind::Outflanked);
    let found: BTreeSet<_> = found.filter_map(|flaw| Some((flaw.table?, flaw.name))).collect();
    let expected = capture::objects(set, &live.facts, &live.relaxed());
    let install = |(on, name): &(SourceTable, String)| {
        let object = expected.iter().find(|object| object.table.as_ref() == Some(on) && object.name == *name)?;
        Some(step(Part::Triggers, format!("install {name} anew"), Mode::Transaction, object.install()))
    };
    let steps = found.iter().filter_map(install).collect();
    (steps, found.into_iter().map(|(table, _)| table).collect())
}

/// What the captured tables are now, for whoever looks whether rows may have changed since.
fn captured_tables(set: &MappingSet, live: &Live, relaxed: &BTreeSet<SourceTable>) -> Option<Step> {
    let note = |table: &SourceTable| {
        let shape = shape(set, table, live.facts.get(table)?);
        let now = Captured { shape, relaxed: relaxed.contains(table) };
        (live.captured.get(table) != Some(&now)).then(|| note_shape(table, &now.shape, now.relaxed))
    };
    let statements: Vec<_> = capture::tables(set).iter().filter_map(note).collect();
    let what = format!("write down the shape of {} captured tables", statements.len());
    (!statements.is_empty()).then(|| step(Part::Control, what, Mode::Transaction, statements))
}

/// The statement that writes down where tenancies are, of those of which it is not known: they came before capture, or while
/// their table could not be read.
pub fn note_tenancies() -> String {
    format!(
        "INSERT INTO lockstep.tenancy_location (tenancy_id, project_id, branch_id) SELECT t.\"id\", t.\"projectId\", t.\"branchId\" FROM {} t
WHERE NOT EXISTS (SELECT 1 FROM lockstep.tenancy_location l WHERE l.tenancy_id = t.\"id\" AND l.project_id = t.\"projectId\" AND l.branch_id = t.\"branchId\" AND l.gone_at IS NULL)
ON CONFLICT (tenancy_id, project_id, branch_id) DO UPDATE SET gone_at = NULL",
        table(&tenancy_table())
    )
}

/// Those of relaxed tables are away meanwhile: Postgres would have to build a predicate anew that no longer fits.
fn index_steps(set: &MappingSet, live: &Live, relaxed: &BTreeSet<SourceTable>) -> Vec<Step> {
    let mut steps = Vec::new();
    for spec in indexes::needed(set) {
        match live.indexes.get(&(spec.table.clone(), spec.name.clone())) {
            None if relaxed.contains(&spec.table) => continue,
            Some(_) if relaxed.contains(&spec.table) => {
                let what = format!("drop index {} until `lockstep migrate` tightens capture again", spec.name);
                steps.push(step(Part::Indexes, what, Mode::Alone, vec![spec.drop()]));
            }
            Some(true) => continue,
            Some(false) => {
                let what = format!("rebuild index {}, which an earlier run left unfinished", spec.name);
                steps.push(step(Part::Indexes, what, Mode::Alone, vec![spec.drop(), spec.create()]));
            }
            None => {
                let what =
                    format!("build index {} on {}, by which dependent rows are found", spec.name, spec.table.name);
                steps.push(step(Part::Indexes, what, Mode::Alone, vec![spec.create()]));
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests;
