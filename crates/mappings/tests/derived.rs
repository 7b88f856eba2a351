//! Every statement that is derived from the definitions, as text: a change here is a change of what runs in production.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use lockstep_core::{Location, SequenceId, TenancyId};
use lockstep_mappings::clickhouse::{self, Databases};
use lockstep_mappings::postgres::compare::Key;
use lockstep_mappings::postgres::facts::{ColumnFacts, SourceFacts};
use lockstep_mappings::postgres::fetch::{self, PageLimits, ReadFrom};
use lockstep_mappings::postgres::fill::{self, BlockRange};
use lockstep_mappings::postgres::{Target, capture, erase as postgres_erase, expand, inbox, indexes, quarantine};
use lockstep_mappings::{Mapping, MappingSet};
use uuid::Uuid;

const UUID: &str = "00000000-0000-0000-0000-000000000001";

fn built_in() -> MappingSet {
    MappingSet::load(None).unwrap()
}

fn databases() -> Databases {
    Databases { raw: "analytics_internal".into(), views: "default".into(), cluster: None }
}

fn work() -> ReadFrom {
    ReadFrom { tenancy: TenancyId::new(Uuid::from_u128(1)), after: SequenceId::new(41) }
}

/// All statements that concern one mapping.
fn statements(set: &MappingSet, mapping: &Mapping) -> String {
    let limits = PageLimits { tenancy_rows: 1000, total_rows: 5000 };
    let mut text = String::new();
    let mut section = |title: &str, sql: &str| writeln!(text, "---- {title}\n{sql}\n").unwrap();
    section("fetch: a page of changes", &fetch::page(mapping, &[work()], limits));
    section("fetch: former locations", &fetch::former_locations(mapping, &[(work(), SequenceId::new(50))]));
    section("fetch: the next change", &fetch::next_change(mapping));
    section("fetch: what other systems read", &fetch::plain_select(mapping));
    section("fill: a range", &fill::range(mapping, BlockRange { first: 0, end: 2048 }, SequenceId::new(60)));
    section("expand: a range of a fill", &expand::block_range(mapping, 1, BlockRange { first: 7, end: 8 }));
    for expand in expand::statements(set, 0).iter().filter(|expand| expand.mapping.name == mapping.name) {
        let targets = Target::all(set);
        let target = targets.iter().find(|target| target.id() == expand.target).unwrap();
        section(&format!("expand: {target}"), &expand.sql);
    }
    section("quarantine: entries", &quarantine::entries(mapping));
    section("ClickHouse: table", &clickhouse::raw_table(mapping, &databases()).create().join(";\n"));
    section("ClickHouse: view", &clickhouse::view(mapping, &databases(), &clickhouse::Comments::default()));
    section("ClickHouse: insert", &clickhouse::raw_table(mapping, &databases()).insert());
    let places = [Location { project_id: "it's".into(), branch_id: "main".into() }];
    let floor = SequenceId::new(60);
    section("ClickHouse: stale rows", &clickhouse::count_stale(mapping, &databases(), floor, None));
    section("ClickHouse: remove stale rows", &clickhouse::remove_stale(mapping, &databases(), floor, Some(&places)));
    for (title, sql) in erasing(mapping, &databases()) {
        section(title, &sql);
    }
    text
}

/// What takes rows of one mapping away for good.
fn erasing(mapping: &Mapping, databases: &Databases) -> Vec<(&'static str, String)> {
    let place = Location { project_id: "p".into(), branch_id: "it's".into() };
    let places = std::slice::from_ref(&place);
    let values = mapping.key_columns().map(|column| if column.name.contains("id") { UUID } else { "k" }.to_owned());
    let key = Key { location: place.clone(), values: values.collect() };
    let (keys, up_to) = (std::slice::from_ref(&key), SequenceId::new(50));
    let tenancy = [TenancyId::new(Uuid::from_u128(1))];
    vec![
        ("erase: count at places", clickhouse::erase::count_at(mapping, databases, places, up_to)),
        ("erase: remove at places", clickhouse::erase::remove_at(mapping, databases, places, up_to)),
        ("erase: keys at a place", clickhouse::erase::keys_at(mapping, databases, &place, up_to, Some(&key), 500)),
        ("erase: which are dead", postgres_erase::dead_keys(mapping, keys, &tenancy)),
        ("erase: count keys", clickhouse::erase::count_keys(mapping, databases, keys, up_to)),
        ("erase: remove keys", clickhouse::erase::remove_keys(mapping, databases, keys, up_to)),
        ("clean up: tombstones", clickhouse::erase::count_tombstones(mapping, databases, 1_700_000_000_000)),
        ("clean up: parts", clickhouse::erase::parts(mapping, databases)),
        ("clean up: merge", clickhouse::erase::merge(mapping, databases)),
        ("clean up: remove tombstones", clickhouse::erase::remove_tombstones(mapping, databases, 1_700_000_000_000)),
    ]
}

#[test]
fn erasing_of_all_mappings_together() {
    let tenancies = [TenancyId::new(Uuid::from_u128(1)), TenancyId::new(Uuid::from_u128(2))];
    let up_to = SequenceId::new(50);
    let cluster = Databases { cluster: Some("main".into()), ..databases() };
    let set = built_in();
    let on_cluster = erasing(set.iter().next().unwrap(), &cluster).into_iter().map(|(_, sql)| sql);
    let text: Vec<_> = [
        postgres_erase::late_write_limit(),
        postgres_erase::erasure_wait(),
        clickhouse::erase::count_cursors(&databases(), &tenancies, up_to),
        clickhouse::erase::remove_cursors(&databases(), &tenancies, up_to),
        clickhouse::erase::remove_cursors(&cluster, &[], up_to),
    ]
    .into_iter()
    .chain(on_cluster.filter(|sql| sql.contains("main") || sql.contains("_local")))
    .collect();
    insta::assert_snapshot!(text.join("\n\n"));
}

#[test]
fn statements_of_every_mapping() {
    let set = built_in();
    assert_eq!(set.iter().count(), 12);
    for mapping in set.iter() {
        insta::assert_snapshot!(mapping.name.as_str(), statements(&set, mapping));
    }
}

#[test]
fn statements_of_all_mappings_together() {
    let set = built_in();
    let mut text = String::new();
    let mut section = |title: &str, sql: &str| writeln!(text, "---- {title}\n{sql}\n").unwrap();
    section("inbox: a look", &inbox::look("FALSE"));
    section("inbox: number what is new", &inbox::number_new(&set));
    section("inbox: number a share", &inbox::number_share(&set, 1));
    section("inbox: bounds of a transaction", &inbox::bounds_of_transaction(1));
    section("inbox: its file", &inbox::file_of(1));
    section("inbox: note tenancies", &inbox::note_tenancies().join(";\n"));
    section("inbox: note tenancies of a large transaction", &inbox::note_tenancies_of_transaction(1).join(";\n"));
    section("inbox: is all of it numbered", &inbox::has_unseen(1));
    section("inbox: what has no number", &inbox::unseen());
    section("fetch: a tenancy, or where it was", &fetch::tenancy_lookup());
    section("quarantine: record", &quarantine::record());
    section("quarantine: forget what was superseded", &quarantine::forget_superseded());
    section("quarantine: retry", &quarantine::retry(1));
    insta::assert_snapshot!(text);
}

/// What the live database says of some columns, as it would be with the standalone schema: the rest is compared by image.
fn facts(set: &MappingSet) -> SourceFacts {
    let mut facts = SourceFacts::new();
    for mapping in set.iter() {
        let table = facts.entry(mapping.source.clone()).or_default();
        for name in mapping.source_columns() {
            let typname = if name.ends_with("etadata") { "jsonb" } else { "text" };
            let column = ColumnFacts { typname: typname.to_owned(), ..ColumnFacts::default() };
            table.columns.insert(name, column);
        }
        // A trigger of the platform's may change what a statement did not name.
        table.has_before_update = mapping.source.name == "Team";
    }
    facts
}

fn installing(objects: &[capture::CaptureObject]) -> String {
    objects.iter().map(|object| object.install().join(";\n")).collect::<Vec<_>>().join(";\n\n")
}

#[test]
fn capture_of_all_mappings() {
    let set = built_in();
    let mut objects = capture::objects(&set, &facts(&set), &BTreeSet::new());
    objects.push(capture::ddl_function(&set));
    insta::assert_snapshot!(installing(&objects));
}

#[test]
fn capture_of_a_relaxed_table_names_no_column() {
    let set = built_in();
    let relaxed = BTreeSet::from([set.get(&"users".parse().unwrap()).unwrap().source.clone()]);
    let objects = capture::objects(&set, &facts(&set), &relaxed);
    let triggers: Vec<_> =
        objects.into_iter().filter(|object| object.table.as_ref().is_some_and(|on| relaxed.contains(on))).collect();
    insta::assert_snapshot!(installing(&triggers));
}

#[test]
fn indexes_of_all_mappings() {
    let text: Vec<_> = indexes::needed(&built_in()).iter().map(indexes::IndexSpec::create).collect();
    insta::assert_snapshot!(text.join(";\n"));
}

#[test]
fn a_cluster_is_a_matter_of_configuration() {
    let set = built_in();
    let databases = Databases { cluster: Some("main".into()), ..databases() };
    let mapping = set.iter().next().unwrap();
    let statements = [
        clickhouse::create_databases(&databases),
        clickhouse::raw_table(mapping, &databases).create(),
        clickhouse::cursor_table(&databases).create(),
        clickhouse::source_table(&databases).create(),
        vec![clickhouse::view(mapping, &databases, &clickhouse::Comments::default())],
    ];
    insta::assert_snapshot!(statements.concat().join(";\n\n"));
}

#[test]
fn a_table_changes_in_place_or_another_takes_its_place() {
    let text = include_str!("../definitions/connected_accounts.toml")
        .replace("name = \"email\"", "name = \"email\"\nalias = \"address\"");
    let set = MappingSet::from_texts(&[("connected_accounts.toml".to_owned(), text)]).unwrap();
    let mapping = set.iter().next().unwrap();
    let comments = clickhouse::Comments {
        view: "accounts elsewhere".to_owned(),
        columns: [("address".to_owned(), "it's where mail goes".to_owned())].into(),
    };
    let columns = [
        ("project_id", "String"),
        ("branch_id", "String"),
        ("user_id", "String"),
        ("provider", "String"),
        ("email", "Nullable(String)"),
        ("created_at", "DateTime64(3,'UTC')"),
        ("sync_sequence_id", "Int64"),
        ("sync_is_deleted", "UInt8"),
    ];
    let before: Vec<_> = columns.map(|(name, column_type)| (name.to_owned(), column_type.to_owned())).into();
    let mut text = String::new();
    for databases in [databases(), Databases { cluster: Some("main".into()), ..databases() }] {
        let table = clickhouse::raw_table(mapping, &databases);
        let mut section = |title: &str, sql: &[String]| writeln!(text, "---- {title}\n{}\n", sql.join(";\n")).unwrap();
        section("add a column", &clickhouse::add_column(&table, "email"));
        section("drop a column", &clickhouse::drop_column(&table, "phone"));
        section("build beside", &clickhouse::raw_table(&mapping.beside(), &databases).create());
        section("insert beside", &[clickhouse::raw_table(&mapping.beside(), &databases).insert()]);
        section("which have taken a place", &[clickhouse::places_taken(mapping, &databases)]);
        let bridge = clickhouse::bridge_view(mapping, &databases, &before, &comments);
        section("a view over both", bridge.as_slice());
        section("let nothing in", &[clickhouse::forbid_inserts(mapping, &databases)]);
        section("exchange", &clickhouse::exchange(mapping, &databases));
        section("take a free place", &clickhouse::take_place(mapping, &databases));
        section("view", &[clickhouse::view(mapping, &databases, &comments)]);
        section("keep what was replaced", &clickhouse::keep_replaced(mapping, &databases));
        section(
            "drop what was replaced",
            &clickhouse::drop_table(&clickhouse::table_name(&mapping.beside()), &databases),
        );
    }
    insta::assert_snapshot!(text);
    assert_eq!(clickhouse::bridge_view(mapping, &databases(), &before[..6], &comments), None, "it holds no versions");
}
