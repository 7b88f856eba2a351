//! Every statement that is derived from the definitions, as text: a change here is a change of what runs in production.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use lockstep_core::{SequenceId, TenancyId};
use lockstep_mappings::clickhouse::{self, Databases};
use lockstep_mappings::postgres::facts::{ColumnFacts, SourceFacts};
use lockstep_mappings::postgres::{capture, erase as postgres_erase, fetch, inbox, indexes, quarantine};
use lockstep_mappings::{Mapping, MappingSet, Statement, statements};
use uuid::Uuid;

fn built_in() -> MappingSet {
    MappingSet::built_in()
}

fn databases() -> Databases {
    Databases { raw: "analytics_internal".into(), views: "default".into(), cluster: None, fsync: false }
}

/// All statements that concern one mapping.
fn text_of(set: &MappingSet, mapping: &Mapping, databases: &Databases) -> String {
    let mut text = String::new();
    for Statement { title, sql } in statements(set, mapping, databases, "lockstep") {
        writeln!(text, "---- {title}\n{sql}\n").unwrap();
    }
    text
}

#[test]
fn erasing_of_all_mappings_together() {
    let tenancies = [TenancyId::new(Uuid::from_u128(1)), TenancyId::new(Uuid::from_u128(2))];
    let up_to = SequenceId::new(50);
    let cluster = Databases { cluster: Some("main".into()), ..databases() };
    let set = built_in();
    let first = set.iter().next().unwrap();
    let of_rows = statements(&set, first, &cluster, "lockstep")
        .into_iter()
        .filter(|statement| statement.title.starts_with("erase: ") || statement.title.starts_with("clean up: "));
    let on_cluster = of_rows.map(|statement| statement.sql);
    let text: Vec<_> = [
        postgres_erase::late_write_limit(),
        postgres_erase::erasure_wait(),
        clickhouse::erase::count_cursors(&databases(), &tenancies, up_to),
        clickhouse::erase::remove_cursors(&databases(), &tenancies, up_to),
        clickhouse::erase::remove_cursors(&cluster, &[], up_to),
    ]
    .into_iter()
    .chain(on_cluster.filter(|sql| sql.contains("`main`") || sql.contains("_local")))
    .collect();
    insta::assert_snapshot!(text.join("\n\n"));
}

#[test]
fn statements_of_every_mapping() {
    let set = built_in();
    assert_eq!(set.iter().count(), 12);
    for mapping in set.iter() {
        insta::assert_snapshot!(mapping.name.as_str(), text_of(&set, mapping, &databases()));
    }
}

#[test]
fn statements_of_all_mappings_together() {
    let set = built_in();
    let mut text = String::new();
    let mut section = |title: &str, sql: &str| writeln!(text, "---- {title}\n{sql}\n").unwrap();
    section("inbox: a look", &inbox::look("FALSE", false));
    section("inbox: a look, where Postgres keeps commit timestamps", &inbox::look("FALSE", true));
    section("inbox: number what is new", &inbox::number_new(&set));
    section("inbox: number a share", &inbox::number_share(&set, 1));
    section("inbox: bounds of a transaction", &inbox::bounds_of_transaction(1));
    section("inbox: its file", &inbox::file_of(1));
    section("inbox: note tenancies", &inbox::note_tenancies().join(";\n"));
    section("inbox: note tenancies of a large transaction", &inbox::note_tenancies_of_transaction(1).join(";\n"));
    section("inbox: is all of it numbered", &inbox::has_unseen(1));
    section("inbox: what has no number", &inbox::unseen());
    section("inbox: how many lines have no number", &inbox::count_unseen(10_000));
    section("inbox: another change of what has changed", &inbox::change_again().join(";\n"));
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

/// What each mapping needs for itself stands among its statements.
#[test]
fn capture_that_is_of_no_single_mapping() {
    let set = built_in();
    let of_mappings: Vec<_> =
        set.iter().flat_map(|mapping| capture::objects_of(mapping, &SourceFacts::new(), &BTreeSet::new())).collect();
    let mut objects = capture::objects(&set, &SourceFacts::new(), &BTreeSet::new());
    objects.retain(|object| !of_mappings.contains(object));
    objects.push(capture::ddl_function(&set));
    insta::assert_snapshot!(installing(&objects));
}

#[test]
fn capture_where_others_change_rows_before_an_update() {
    let set = built_in();
    let teams = set.get(&"teams".parse().unwrap()).unwrap();
    let objects = capture::objects_of(teams, &facts(&set), &BTreeSet::new());
    let triggers: Vec<_> = objects.into_iter().filter(|object| object.table.is_some()).collect();
    insta::assert_snapshot!(installing(&triggers));
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
        vec![clickhouse::raw_table(mapping, &databases).insert()],
        vec![format!("SELECT version() FROM {}", clickhouse::each_server("one", &databases))],
    ];
    insta::assert_snapshot!(statements.concat().join(";\n\n"));
}

#[test]
fn inserts_that_are_on_the_disk_before_they_are_acknowledged() {
    let on = Databases { fsync: true, ..databases() };
    let off = Databases { cluster: Some("main".into()), ..databases() };
    let [on, off] = [on, off].map(|databases| clickhouse::cursor_table(&databases));
    let is_on =
        "ReplacingMergeTree(a) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 8192";
    assert_eq!((on.set_fsync(is_on), off.set_fsync("ReplacingMergeTree(a) ORDER BY b")), (None, None));
    let statements =
        [on.create().concat(), on.set_fsync("ReplacingMergeTree(a)").unwrap(), off.set_fsync(is_on).unwrap()];
    insta::assert_snapshot!(statements.join(";\n\n"));
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
        section(
            "drop what was replaced",
            &clickhouse::drop_table(&clickhouse::table_name(&mapping.beside()), &databases),
        );
        if databases.cluster.is_some() {
            // No table takes another's place there.
            continue;
        }
        section("which have taken a place", &[clickhouse::places_taken(mapping, &databases)]);
        let bridge = clickhouse::bridge_view(mapping, &databases, &before, &comments);
        section("a view over both", bridge.as_slice());
        section("let nothing in", &[clickhouse::forbid_inserts(mapping, &databases)]);
        section("exchange", &[clickhouse::exchange(mapping, &databases)]);
        section("take a free place", &[clickhouse::take_place(mapping, &databases)]);
        section("view", &[clickhouse::view(mapping, &databases, &comments)]);
        section("keep what was replaced", &[clickhouse::keep_replaced(mapping, &databases)]);
    }
    insta::assert_snapshot!(text);
    assert_eq!(clickhouse::bridge_view(mapping, &databases(), &before[..6], &comments), None, "it holds no versions");
}

#[test]
fn statements_of_a_tenants_database_that_are_of_no_single_mapping() {
    use lockstep_mappings::tenant;
    use std::time::Duration;
    let set = built_in();
    let first = set.iter().next().unwrap();
    let tenancy = TenancyId::new(Uuid::from_u128(1));
    let key = ["it's".to_owned(), "back\\slash".to_owned()];
    let limits = tenant::Limits {
        statement: Duration::from_secs(30),
        lock: Duration::from_secs(10),
        idle: Duration::from_secs(60),
    };
    let mut text = String::new();
    let mut section = |title: &str, sql: &str| writeln!(text, "---- {title}\n{sql}\n").unwrap();
    section("begin", &tenant::begin(limits));
    section("lock", &tenant::lock());
    section("which of our tables there are", &tenant::found_ours());
    section("our tables", &tenant::create_ours(tenancy, false, false).join(";\n"));
    section("states", &tenant::states(std::slice::from_ref(&first.name)));
    section("begin a fill", &tenant::begin_fill(first, Uuid::from_u128(2), SequenceId::new(60)));
    section("move a fill", &tenant::move_fill(first, Uuid::from_u128(2), (0, None), (5, Some(&key))));
    section("end a fill", &[tenant::write_cursor(first, SequenceId::new(60)), tenant::end_fill(first)].join(";\n"));
    section("fill again", &tenant::refill(first));
    section("move a cursor", &tenant::move_cursor(&first.name, SequenceId::new(60)));
    section("move a cursor of a mapping that streams", &tenant::raise_cursor(&first.name, SequenceId::new(60)));
    section("forget", &tenant::forget(first).join(";\n"));
    section("take away", &[tenant::delete_some(first, 1000), tenant::drop_ours().join(";\n")].join(";\n"));
    section("what the server says", &tenant::facts());
    insta::assert_snapshot!(text);
}
