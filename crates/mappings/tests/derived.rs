//! Every statement that is derived from the definitions, as text: a change here is a change of what runs in production.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::fmt::Write as _;

use lockstep_core::{Location, SequenceId, TenancyId};
use lockstep_mappings::clickhouse::{self, Databases};
use lockstep_mappings::postgres::compare::Key;
use lockstep_mappings::postgres::facts::{ColumnFacts, SourceFacts};
use lockstep_mappings::postgres::fetch::{self, PageLimits, Work};
use lockstep_mappings::postgres::snapshot::{self, BlockRange};
use lockstep_mappings::postgres::stamp::{self, Pick, RowLock};
use lockstep_mappings::postgres::{backlog, capture, erase as postgres_erase, indexes, quarantine, touch};
use lockstep_mappings::{Mapping, MappingSet};
use uuid::Uuid;

const UUID: &str = "00000000-0000-0000-0000-000000000001";

fn built_in() -> MappingSet {
    MappingSet::load(None).unwrap()
}

fn databases() -> Databases {
    Databases { raw: "analytics_internal".into(), views: "default".into(), cluster: None }
}

fn work() -> Work {
    Work { tenancy: TenancyId::new(Uuid::from_u128(1)), after: SequenceId::new(41) }
}

/// All statements that concern one mapping.
fn statements(set: &MappingSet, mapping: &Mapping) -> String {
    let of_table = set.by_source().remove(&mapping.source).unwrap();
    let limits = PageLimits { tenancy_rows: 1000, total_rows: 5000 };
    let mut text = String::new();
    let mut section = |title: &str, sql: &str| writeln!(text, "---- {title}\n{sql}\n").unwrap();
    section("fetch: a page of news", &fetch::page(mapping, &[work()], limits));
    section("fetch: former locations", &fetch::former_locations(mapping, &[(work(), SequenceId::new(50))]));
    section("snapshot: a range", &snapshot::range(mapping, BlockRange { first: 0, end: 2048 }));
    section("snapshot: hand over", &snapshot::hand_over(mapping, BlockRange { first: 7, end: 8 }));
    section("backlog: who is behind", &backlog::behind(mapping));
    section("quarantine: what is carried", &quarantine::carried(mapping));
    section("quarantine: flag", &quarantine::flag(mapping).join(";\n"));
    section("stamp: any", &stamp::rows(&of_table, Pick::Any, RowLock::NoKeyUpdate));
    section("stamp: fair", &stamp::rows(&of_table, Pick::Fair, RowLock::Update));
    section("stamp: flagged tenants", &stamp::flagged_tenants(&of_table));
    section("touch: a whole tenancy", &touch::stamp_tenancy(&of_table, RowLock::NoKeyUpdate));
    section("touch: the mapping alone", &touch::stamp_mapping(&of_table, mapping, RowLock::NoKeyUpdate));
    section("touch: who has rows that were not stamped since", &touch::not_stamped_since(mapping));
    for join in &mapping.joins {
        section("touch: dependents", &touch::stamp_dependents(&of_table, mapping, join, RowLock::NoKeyUpdate));
        section("touch: finish dependents", &touch::finish_dependents(mapping, join));
    }
    section("ClickHouse: table", &clickhouse::raw_table(mapping, &databases()).create().join(";\n"));
    section("ClickHouse: view", &clickhouse::view(mapping, &databases()));
    section("ClickHouse: insert", &clickhouse::insert(mapping, &databases()));
    let places = [Location { project_id: "it's".into(), branch_id: "main".into() }];
    let floor = SequenceId::new(60);
    section("ClickHouse: stale rows", &clickhouse::count_stale(mapping, &databases(), floor, None));
    section("ClickHouse: hide", &clickhouse::hide(mapping, &databases(), floor, &places));
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
fn erasing_and_pruning_of_all_mappings_together() {
    let tenancies = [TenancyId::new(Uuid::from_u128(1)), TenancyId::new(Uuid::from_u128(2))];
    let up_to = SequenceId::new(50);
    let cluster = Databases { cluster: Some("main".into()), ..databases() };
    let set = built_in();
    let on_cluster = erasing(set.iter().next().unwrap(), &cluster).into_iter().map(|(_, sql)| sql);
    let text: Vec<_> = [
        postgres_erase::erasure_wait(),
        postgres_erase::tenancies_with_tombstones(),
        postgres_erase::prune_tombstones(),
        postgres_erase::delete_tombstones(&set),
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
    let sources: Vec<_> = set.by_source().into_values().collect();
    let text = [
        stamp::open().join(";\n"),
        stamp::pending(&set),
        stamp::tombstones(Pick::Any, RowLock::NoKeyUpdate),
        stamp::tombstones(Pick::Fair, RowLock::NoKeyUpdate),
        stamp::flagged_tombstone_tenants(),
        touch::finish_tenancy(&sources),
    ];
    insta::assert_snapshot!(text.join("\n\n"));
}

#[test]
fn capture_of_all_mappings() {
    let set = built_in();
    let mut facts = SourceFacts::new();
    // A generated column stands for what it is generated from.
    let generated =
        ColumnFacts { generated_from: vec!["isPaused".into(), "isQueued".into()], ..ColumnFacts::default() };
    let outbox = set.iter().find(|mapping| mapping.source.name == "EmailOutbox").unwrap().source.clone();
    facts.entry(outbox).or_default().insert("status".into(), generated);
    let text: Vec<_> = capture::objects(&set, &facts).iter().map(|object| object.install().join(";\n")).collect();
    insta::assert_snapshot!(text.join(";\n\n"));
}

#[test]
fn indexes_of_all_mappings() {
    let text: Vec<_> = indexes::needed(&built_in()).iter().map(indexes::IndexSpec::create).collect();
    insta::assert_snapshot!(text.join(";\n"));
}

#[test]
fn access_in_both_renderings() {
    let set = built_in();
    let location = Location { project_id: "p<1>".into(), branch_id: "it's".into() };
    let user = clickhouse::TenantUser { name: "tenant_1".into(), password_sha256_hex: "00".repeat(32), location };
    let sql = clickhouse::access_sql(&set, &databases(), "tenants").statements.join(";\n");
    let xml = clickhouse::users_xml(&set, &databases(), &[user]);
    insta::assert_snapshot!(format!("{sql}\n\n{xml}"));
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
        vec![clickhouse::view(mapping, &databases)],
    ];
    insta::assert_snapshot!(statements.concat().join(";\n\n"));
}

#[test]
fn an_index_of_another_name_serves_when_it_does_the_same() {
    let set = built_in();
    let specs = indexes::needed(&set);
    let spec = |name: &str| specs.iter().find(|spec| spec.name == name).unwrap();
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    let sequence = spec("lockstep_ProjectUser_sequence");
    assert!(sequence.is_served_by(&keys(&["\"tenancyId\"", "\"sequenceId\""]), None));
    assert!(!sequence.is_served_by(&keys(&["\"sequenceId\"", "\"tenancyId\""]), None));
    assert!(!sequence.is_served_by(&keys(&["\"tenancyId\"", "\"sequenceId\""]), Some("\"isAnonymous\"")));
    let flagged = spec("lockstep_ProjectUser_flagged");
    for predicate in ["\"shouldUpdateSequenceId\"", "(\"shouldUpdateSequenceId\" = true)"] {
        assert!(flagged.is_served_by(&keys(&["\"tenancyId\""]), Some(predicate)));
        assert!(flagged.is_served_by(&keys(&["\"shouldUpdateSequenceId\"", "\"tenancyId\""]), Some(predicate)));
    }
    assert!(!flagged.is_served_by(&keys(&["\"tenancyId\""]), None));
}
