//! Plans for databases that are described, not there.

use lockstep_mappings::postgres::facts::{ColumnFacts, SourceFacts, TableFacts, tables_needed};

use super::super::detach::detach;
use super::super::inspect::LiveObject;
use super::*;
use crate::definitions::Recorded;

const DEFINITION: &str = r#"
name = "things"
table = "Thing"
tenant = { column = "tenancyId" }
key = ["id"]
columns = [
  { name = "id", type = "uuid", column = "id" },
  { name = "owner", type = "text?", sql = "{owner.name}" },
]
[joins.owner]
table = "Owner"
match = { here = "{ownerId}", there = "id", type = "uuid", index = true }
"#;

fn definitions() -> MappingSet {
    MappingSet::from_texts(&[("things.toml".into(), DEFINITION.into())]).unwrap()
}

fn facts(set: &MappingSet) -> SourceFacts {
    let columns = [
        ("tenancyId", "uuid"),
        ("id", "uuid"),
        ("ownerId", "uuid"),
        ("name", "text"),
        ("projectId", "text"),
        ("branchId", "text"),
        ("hasNoOrganization", "text"),
    ];
    let column = |(number, (name, typname)): (i16, (&str, &str))| {
        let facts = ColumnFacts { typname: typname.to_owned(), number, ..ColumnFacts::default() };
        (name.to_owned(), facts)
    };
    let table = TableFacts { columns: (1..).zip(columns).map(column).collect(), filenode: 7, ..TableFacts::default() };
    tables_needed(set).into_iter().map(|name| (name, table.clone())).collect()
}

/// A database to which nothing was done yet.
fn untouched(set: &MappingSet) -> Live {
    let pending_migrations = vec!["first".to_owned()];
    let tenancies_known = Some(false);
    Live {
        server_version: 160_000,
        facts: facts(set),
        pending_migrations,
        may_watch_ddl: true,
        tenancies_known,
        ..Live::default()
    }
}

/// A database to which everything was done that a plan for it says.
fn attached(set: &MappingSet, relaxed: &BTreeSet<SourceTable>) -> Live {
    let mut live =
        Live { pending_migrations: Vec::new(), tenancies_known: Some(true), is_controlled: true, ..untouched(set) };
    let mut objects = capture::objects(set, &live.facts, relaxed);
    objects.push(capture::ddl_function(set));
    for object in objects {
        let found = LiveObject {
            fingerprint: object.fingerprint(),
            untouched: true,
            enabled: object.table.is_some().then_some('A'),
        };
        match object.table {
            Some(on) => drop(live.triggers.insert((on, object.name), found)),
            None => drop(live.functions.insert(object.name, found)),
        }
    }
    live.event_triggers = capture::DDL_TRIGGERS.iter().map(|(name, _)| ((*name).to_owned(), ALWAYS)).collect();
    live.targets = Target::all(set).iter().map(Target::id).collect();
    live.fills = set.iter().map(|mapping| mapping.name.to_string()).collect();
    live.definitions = set.iter().map(|mapping| (mapping.name.to_string(), Recorded::of(mapping))).collect();
    live.indexes = indexes::needed(set).into_iter().map(|spec| ((spec.table, spec.name), true)).collect();
    live.captured = capture::tables(set)
        .into_iter()
        .map(|table| {
            let captured =
                Captured { shape: shape(set, &table, &live.facts[&table]), relaxed: relaxed.contains(&table) };
            (table, captured)
        })
        .collect();
    live
}

fn whats(steps: &[Step]) -> Vec<&str> {
    steps.iter().map(|step| step.what.as_str()).collect()
}

fn plan_for(set: &MappingSet, live: &Live) -> Vec<Step> {
    plan(set, live, &Wishes::relaxed(live.relaxed())).unwrap()
}

#[test]
fn everything_is_planned_once_in_an_order_in_which_nothing_is_missed() {
    let set = definitions();
    let steps = plan_for(&set, &untouched(&set));
    assert_eq!(
        whats(&steps),
        [
            "create Lockstep's own tables in schema lockstep",
            "write down what 6 targets are called",
            "build index lockstep_things_owner on Thing, by which dependent rows are found",
            "install 7 capture functions",
            "install 4 capture triggers on Owner",
            "install 4 capture triggers on Tenancy",
            "install 4 capture triggers on Thing",
            "watch for migrations of captured tables",
            "write down the shape of 3 captured tables",
            "write down where every tenancy is",
            "begin to fill things: first fill",
        ]
    );
    assert_eq!(plan_for(&set, &attached(&set, &BTreeSet::new())), []);
}

#[test]
fn a_trigger_that_was_away_is_put_back_and_its_mappings_are_filled_again() {
    let set = definitions();
    let mut live = attached(&set, &BTreeSet::new());
    let key = live.triggers.keys().find(|(on, name)| on.name == "Owner" && name.ends_with("updated")).unwrap().clone();
    live.triggers.remove(&key);
    let expected = ["install 1 capture triggers on Owner", "begin to fill things: changes may have gone unnoticed"];
    assert_eq!(whats(&plan_for(&set, &live)), expected);
}

#[test]
fn a_function_that_was_replaced_is_put_back_and_every_mapping_is_filled_again() {
    let set = definitions();
    let mut live = attached(&set, &BTreeSet::new());
    live.functions.get_mut("\"capture_things_owner\"()").unwrap().untouched = false;
    let expected = ["install 1 capture functions", "begin to fill things: changes may have gone unnoticed"];
    assert_eq!(whats(&plan_for(&set, &live)), expected);
}

#[test]
fn an_event_trigger_that_is_gone_or_disabled_is_put_back() {
    let set = definitions();
    let mut live = attached(&set, &BTreeSet::new());
    for (name, found) in [("lockstep_ddl_end", None), ("lockstep_ddl_drop", Some('D'))] {
        live.event_triggers.remove(name);
        live.event_triggers.extend(found.map(|found| (name.to_owned(), found)));
        assert_eq!(whats(&plan_for(&set, &live)), ["watch for migrations of captured tables"], "{name}");
    }
}

#[test]
fn a_table_that_was_rewritten_meanwhile_is_filled_again() {
    let set = definitions();
    let mut live = attached(&set, &BTreeSet::new());
    let thing = live.facts.keys().find(|table| table.name == "Thing").unwrap().clone();
    live.facts.get_mut(&thing).unwrap().filenode = 8;
    let expected =
        ["write down the shape of 1 captured tables", "begin to fill things: changes may have gone unnoticed"];
    assert_eq!(whats(&plan_for(&set, &live)), expected);
}

#[test]
fn a_table_is_relaxed_and_tightened_without_a_fill() {
    let set = definitions();
    let live = attached(&set, &BTreeSet::new());
    let thing = live.facts.keys().find(|table| table.name == "Thing").unwrap().clone();
    let relaxed = BTreeSet::from([thing]);
    // Our index goes with the conditions: Postgres would have to build its predicate anew.
    let dropped = "drop index lockstep_things_owner until `lockstep migrate` tightens capture again";
    let function = "install 1 capture functions";
    let noted = "write down the shape of 1 captured tables";
    let expected = [dropped, function, "install 1 capture triggers on Thing, drop 3", noted];
    assert_eq!(whats(&plan(&set, &live, &Wishes::relaxed(relaxed.clone())).unwrap()), expected);
    let live = Live { indexes: BTreeMap::new(), ..attached(&set, &relaxed) };
    assert_eq!(plan(&set, &live, &Wishes::relaxed(relaxed.clone())).unwrap(), []);
    let built = "build index lockstep_things_owner on Thing, by which dependent rows are found";
    let expected = [built, function, "install 3 capture triggers on Thing, drop 1", noted];
    assert_eq!(whats(&plan(&set, &live, &Wishes::default()).unwrap()), expected);
}

#[test]
fn without_the_right_to_event_triggers_everything_else_is_done() {
    let set = definitions();
    let live = Live { may_watch_ddl: false, ..untouched(&set) };
    let steps = plan_for(&set, &live);
    assert_eq!(steps.len(), 10);
    assert!(steps.iter().all(|step| !step.statements.iter().any(|statement| statement.contains("EVENT TRIGGER"))));
}

#[test]
fn an_old_server_or_a_table_that_does_not_fit_is_refused_before_anything_is_done() {
    let set = definitions();
    let mut live = Live { server_version: 130_004, ..untouched(&set) };
    live.facts.retain(|table, _| table.name != "Owner");
    let said = plan(&set, &live, &Wishes::default()).unwrap_err();
    assert!(said[0].to_string().contains("PostgreSQL: has version 13; upgrade to 14 or later"), "{}", said[0]);
    assert!(said[1].to_string().contains("table public.\"Owner\": does not exist as an ordinary table"), "{}", said[1]);
    let mut live = untouched(&set);
    live.facts.values_mut().for_each(|table| table.is_inherited = true);
    assert!(plan(&set, &live, &Wishes::default()).is_err(), "rows come and go past its triggers");
}

#[test]
fn app_1_detaching_takes_away_whatever_there_is() {
    let set = definitions();
    assert_eq!(detach(&set, &untouched(&set)), []);
    let steps = detach(&set, &attached(&set, &BTreeSet::new()));
    assert_eq!(
        whats(&steps),
        [
            "drop the event triggers",
            "drop 4 capture triggers of Owner",
            "drop 4 capture triggers of Tenancy",
            "drop 4 capture triggers of Thing",
            "drop index lockstep_things_owner",
            "drop schema lockstep with everything in it",
        ]
    );
}

/// The one step of a plan, and its statements.
fn the_fill(set: &MappingSet, live: &Live, wishes: &Wishes) -> (String, Vec<String>) {
    let mut steps = plan(set, live, wishes).unwrap();
    assert_eq!(steps.len(), 1, "{:?}", whats(&steps));
    let step = steps.remove(0);
    assert_eq!(step.part, Part::Fills);
    (step.what, step.statements)
}

#[test]
fn a_definition_that_has_changed_is_written_down_with_the_fill_that_it_needs() {
    let set = definitions();
    let name = "things".to_owned();
    let mut live = attached(&set, &BTreeSet::new());
    live.definitions.get_mut(&name).unwrap().exported = "before".to_owned();
    let (what, statements) = the_fill(&set, &live, &Wishes::default());
    assert_eq!(what, "begin to fill things: its definition has changed");
    // Under the ordering lock, before the number is drawn; its rows go into its own table.
    let begins = |at: usize, with: &str| assert!(statements[at].starts_with(with), "{statements:?}");
    begins(0, "DELETE FROM lockstep.quarantine");
    begins(1, "SELECT pg_advisory_xact_lock");
    begins(2, "INSERT INTO lockstep.definition");
    begins(3, "INSERT INTO lockstep.fill");
    assert!(statements.last().unwrap().contains("is_beside = false, keep_replaced = NULL"), "{statements:?}");

    // Of another key, transactions that wrote lines of the former one end first.
    live.definitions.get_mut(&name).unwrap().captured = "before".to_owned();
    let (_, statements) = the_fill(&set, &live, &Wishes::default());
    assert_eq!(statements[0], "LOCK TABLE \"public\".\"Owner\", \"public\".\"Thing\" IN SHARE ROW EXCLUSIVE MODE");
    assert!(statements[1].starts_with("DELETE FROM lockstep.quarantine"), "{statements:?}");

    live = attached(&set, &BTreeSet::new());
    let rebuilt = BTreeMap::from([(name.parse().unwrap(), Replaced::Kept)]);
    let (what, statements) = the_fill(&set, &live, &Wishes { rebuilt, ..Wishes::default() });
    assert_eq!(what, "begin to fill things: its table in ClickHouse is built anew");
    assert!(statements.last().unwrap().contains("is_beside = true, keep_replaced = true"), "{statements:?}");
    // One that is under way is not begun again, and a mapping that is gone is forgotten.
    let recorded = live.definitions.get_mut(&name).unwrap();
    (recorded.is_beside, recorded.replaces) = (true, true);
    assert_eq!(plan_for(&set, &live), []);
    live.definitions.insert("gone".to_owned(), live.definitions[&name].clone());
    assert_eq!(whats(&plan_for(&set, &live)), ["forget the definitions of gone, which are gone"]);
}
