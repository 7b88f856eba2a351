//! Capture: functions and triggers that notice every write (CAP-1, CAP-2, CAP-3), derived from all definitions at once.
//!
//! A trigger writes one narrow line into `lockstep.inbox`: what changed, whose it is, its key. It reads no other table, takes
//! no lock, and cannot fail for a reason that its statement would not have failed for. Triggers are row-level, so that a
//! logical replication's apply worker fires them like anybody else, AFTER, so that they see the row as every BEFORE
//! trigger left it, and ENABLE ALWAYS, so that `session_replication_role = replica` does not silence them.

mod ddl;
mod function;
mod subject;
mod touch;

use std::collections::BTreeSet;

use self::subject::{Subject, subjects};
use super::facts::SourceFacts;
use super::names::{CONTROL_SCHEMA, identifier, literal, object_name, stable_hash, table};
use super::target::Target;
use crate::mapping::{Mapping, SourceTable};
use crate::set::MappingSet;

pub use ddl::{DDL_TRIGGERS, ddl_function};

/// A function of the control schema, or a trigger on a source table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaptureObject {
    /// The table of a trigger; none for a function.
    pub table: Option<SourceTable>,
    /// A trigger's name, or a function's name with its argument types.
    pub name: String,
    /// The statement that creates it.
    pub definition: String,
}

impl CaptureObject {
    /// A function: its name with argument types, what its head says from the name on, and its body.
    fn function(name: String, head: &str, body: &str) -> Self {
        let definition =
            format!("CREATE OR REPLACE FUNCTION {CONTROL_SCHEMA}.{head} AS $lockstep$\n{body}\n$lockstep$");
        Self { table: None, name, definition }
    }

    /// What is stored as the object's comment, to tell whether it is up to date: a hash of its definition.
    pub fn fingerprint(&self) -> String {
        format!("lockstep {:016x}", stable_hash(&self.definition))
    }

    /// Statements that create or replace it, to be run in one transaction.
    pub fn install(&self) -> Vec<String> {
        let comment = literal(&self.fingerprint());
        match &self.table {
            Some(on) => {
                let (name, on) = (identifier(&self.name), table(on));
                vec![
                    format!("DROP TRIGGER IF EXISTS {name} ON {on}"),
                    self.definition.clone(),
                    format!("ALTER TABLE {on} ENABLE ALWAYS TRIGGER {name}"),
                    format!("COMMENT ON TRIGGER {name} ON {on} IS {comment}"),
                ]
            }
            None => vec![
                self.definition.clone(),
                format!("REVOKE ALL ON FUNCTION {CONTROL_SCHEMA}.{} FROM PUBLIC", self.name),
                format!("COMMENT ON FUNCTION {CONTROL_SCHEMA}.{} IS {comment}", self.name),
            ],
        }
    }
}

/// Everything that capture installs, functions before the triggers that call them. The triggers of `relaxed` tables name no
/// column: they write down every update, and stand in the way of no migration.
pub fn objects(set: &MappingSet, facts: &SourceFacts, relaxed: &BTreeSet<SourceTable>) -> Vec<CaptureObject> {
    [vec![touch::function(set)], objects_for(subjects(set), facts, relaxed)].concat()
}

/// Of [`objects`] those that one mapping needs for itself, in the same order.
pub fn objects_of(mapping: &Mapping, facts: &SourceFacts, relaxed: &BTreeSet<SourceTable>) -> Vec<CaptureObject> {
    objects_for(subject::of_mapping(mapping), facts, relaxed)
}

fn objects_for<'a>(
    subjects: impl IntoIterator<Item = Subject<'a>>,
    facts: &SourceFacts,
    relaxed: &BTreeSet<SourceTable>,
) -> Vec<CaptureObject> {
    let mut objects = Vec::new();
    for subject in subjects {
        let is_relaxed = relaxed.contains(&subject.on);
        objects.extend(function::functions(&subject, facts.get(&subject.on), is_relaxed));
        objects.extend(triggers(&subject, facts, is_relaxed));
    }
    // Stable: functions stay in order, before all triggers.
    objects.sort_by_key(|object| object.table.is_some());
    objects
}

/// Mappings with a function or a target that one before them has: names are put together, and targets are hashes of names.
pub(crate) fn clashes(set: &MappingSet) -> Vec<&Mapping> {
    let names = |subject: Subject<'_>| [subject.row_function(), subject.truncate_function()];
    let mut functions = BTreeSet::from(names(subject::of_tenancies(set)));
    let mut targets = BTreeSet::from([Target::tenancy().id(), Target::catalog().id()]);
    let mut is_taken = |mapping: &Mapping| {
        let taken_names = subject::of_mapping(mapping).flat_map(names).filter(|name| !functions.insert(name.clone()));
        let taken_targets = Target::of_mapping(mapping).into_iter().filter(|target| !targets.insert(target.id()));
        taken_names.count() + taken_targets.count() > 0
    };
    set.iter().filter(|mapping| is_taken(mapping)).collect()
}

/// The tables on which capture installs triggers.
pub fn tables(set: &MappingSet) -> BTreeSet<SourceTable> {
    subjects(set).into_iter().map(|subject| subject.on).collect()
}

/// The columns of a table whose change is a change of anything.
pub fn watched(set: &MappingSet, table: &SourceTable) -> BTreeSet<String> {
    subjects(set).into_iter().filter(|subject| subject.on == *table).flat_map(|subject| subject.watched).collect()
}

/// An update counts where its statement names a watched column; the function looks whether one changed. Where a trigger of
/// somebody else's may change columns on the way, every update counts. Postgres parses a trigger's condition anew for every
/// statement: so it holds only what keeps rows of no mapping away.
fn triggers(subject: &Subject<'_>, facts: &SourceFacts, relaxed: bool) -> Vec<CaptureObject> {
    let trigger = |what: &str, event: &str, each: &str, when: Option<String>, function: &str| {
        let name = object_name(&["lockstep", &subject.name, what]);
        let when = when.map_or_else(String::new, |when| format!(" WHEN ({when})"));
        let definition = format!(
            "CREATE TRIGGER {} {event} ON {} FOR EACH {each}{when} EXECUTE FUNCTION {CONTROL_SCHEMA}.{}()",
            identifier(&name),
            table(&subject.on),
            identifier(function)
        );
        CaptureObject { table: Some(subject.on.clone()), name, definition }
    };
    let (row, emptied) = (subject.row_function(), subject.truncate_function());
    let truncated = trigger("truncated", "BEFORE TRUNCATE", "STATEMENT", None, &emptied);
    if relaxed {
        return vec![trigger("changed", "AFTER INSERT OR UPDATE OR DELETE", "ROW", None, &row), truncated];
    }
    let counted = |alias: &str| subject.counted(alias);
    let either = counted("OLD").zip(counted("NEW")).map(|(old, new)| format!("({old}) OR ({new})"));
    let updated = if facts.get(&subject.on).is_some_and(|live| live.has_before_update) {
        "AFTER UPDATE".to_owned()
    } else {
        let columns: Vec<_> = subject.watched.iter().map(|column| identifier(column)).collect();
        format!("AFTER UPDATE OF {}", columns.join(", "))
    };
    vec![
        trigger("inserted", "AFTER INSERT", "ROW", counted("NEW"), &row),
        trigger("updated", &updated, "ROW", either, &row),
        trigger("deleted", "AFTER DELETE", "ROW", counted("OLD"), &row),
        truncated,
    ]
}
