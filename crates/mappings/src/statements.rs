//! Every statement that is derived from one mapping, for people who want to read it: with made-up tenancies, keys and numbers.

use std::collections::BTreeSet;

use lockstep_core::{DestinationId, Location, SequenceId, TenancyId};
use uuid::Uuid;

use crate::clickhouse::access::Access;
use crate::clickhouse::{self, Databases, StaleAt};
use crate::column_type::BaseType;
use crate::mapping::{Mapping, Value};
use crate::postgres::compare::{self, Grouping, Key, Part, Projects, Scope};
use crate::postgres::facts::{ColumnFacts, SourceFacts};
use crate::postgres::fetch::{self, PageLimits, ReadFrom};
use crate::postgres::fill::{self, BlockRange};
use crate::postgres::tenant_fill::{self, TenantPage};
use crate::postgres::{Target, capture, erase, expand, explain, indexes, mark, quarantine};
use crate::row_hash::HashSeed;
use crate::set::MappingSet;
use crate::tenant::compare::Rows;

/// A statement, or several that are run together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// Which system runs it, or what it is for, and what it does.
    pub title: String,
    /// The text; several statements are separated by `;`.
    pub sql: String,
}

/// All statements of a mapping of this set. `own_user` is the ClickHouse user that Lockstep logs in as.
///
/// What the live database says decides little, and is taken as it is as a rule: no trigger of somebody else's changes rows
/// before they are updated, and columns of type json are `jsonb`.
pub fn statements(set: &MappingSet, mapping: &Mapping, databases: &Databases, own_user: &str) -> Vec<Statement> {
    let mut all = of_capture(set, mapping);
    all.extend(of_stream(set, mapping));
    all.extend(of_comparison(mapping, databases));
    all.extend(of_explaining(mapping, databases));
    all.extend(of_clickhouse(set, mapping, databases, own_user));
    all.extend(of_erasure(mapping, databases));
    all.extend(of_tenants(mapping));
    all
}

/// What is read for tenants' own Postgres, and run there.
fn of_tenants(mapping: &Mapping) -> Vec<Statement> {
    use crate::tenant;
    let key = key(mapping);
    let limits = PageLimits { tenancy_rows: 1000, total_rows: 5000 };
    let page = TenantPage { tenancy: tenancy(), after: Some(&key.values), rows: 1000, version: SequenceId::new(60) };
    let range = tenant::Range { after: Some(&key.values), last: Some(&key.values) };
    let keys = [key.clone()];
    vec![
        statement("fetch: a page of a tenancy's own rows", fetch::own_page(mapping, &[work()], limits)),
        statement("tenant fill: a page", tenant_fill::page(mapping, page)),
        statement("tenant fill: how many rows", tenant_fill::count(mapping, tenancy(), 100_000)),
        statement("tenant: table", tenant::create(mapping).join(";\n")),
        statement("tenant: what stands in its place", tenant::find(mapping)),
        statement("tenant: may it be written", tenant::is_held(mapping, SequenceId::new(41))),
        statement("tenant: stage", [tenant::stage_rows(mapping), tenant::stage_keys(mapping)].join(";\n")),
        statement("tenant: copy", [tenant::copy_rows(mapping), tenant::copy_keys(mapping)].join(";\n")),
        statement("tenant: delete", tenant::delete(mapping)),
        statement("tenant: upsert", tenant::upsert(mapping)),
        statement("tenant: remove what a fill did not find", tenant::remove_absent(mapping, range)),
        statement("tenant: compare all rows", tenant::compare::rows(mapping, Rows::All)),
        statement("tenant: compare rows with a key", tenant::compare::rows(mapping, Rows::Keys(&keys))),
    ]
}

fn statement(title: impl Into<String>, sql: impl Into<String>) -> Statement {
    Statement { title: title.into(), sql: sql.into() }
}

fn tenancy() -> TenancyId {
    TenancyId::new(Uuid::from_u128(1))
}

fn work() -> ReadFrom {
    ReadFrom { tenancy: tenancy(), after: SequenceId::new(41) }
}

/// A quote shows how values are quoted.
fn place() -> Location {
    Location { project_id: "it's".to_owned(), branch_id: "main".to_owned() }
}

fn key(mapping: &Mapping) -> Key {
    let value = |base| match base {
        BaseType::Uuid => tenancy().to_string(),
        BaseType::Int16 | BaseType::Int32 | BaseType::Int64 => "7".to_owned(),
        BaseType::Date => "2024-02-29".to_owned(),
        _ => "k".to_owned(),
    };
    let values = mapping.key_columns().map(|column| value(column.column_type.base)).collect();
    Key { location: place(), values }
}

fn of_capture(set: &MappingSet, mapping: &Mapping) -> Vec<Statement> {
    let mut facts = SourceFacts::new();
    let table = facts.entry(mapping.source.clone()).or_default();
    for column in mapping.columns.iter().filter(|column| column.column_type.base == BaseType::Json) {
        let name = match &column.value {
            Value::Column(name) => Some(name),
            Value::Expression { sql, .. } => sql.as_column(),
        };
        let jsonb = ColumnFacts { typname: "jsonb".to_owned(), ..ColumnFacts::default() };
        table.columns.extend(name.map(|name| (name.clone(), jsonb)));
    }
    let objects = capture::objects_of(mapping, &facts, &BTreeSet::new());
    let mut all: Vec<_> = objects
        .iter()
        .map(|object| statement(format!("capture: {}", object.name), object.install().join(";\n")))
        .collect();
    let needed = indexes::needed(set);
    let needed = needed.iter().filter(|index| index.table == mapping.source);
    all.extend(needed.map(|index| statement(format!("index: {}", index.name), index.create())));
    all
}

fn of_stream(set: &MappingSet, mapping: &Mapping) -> Vec<Statement> {
    let limits = PageLimits { tenancy_rows: 1000, total_rows: 5000 };
    let blocks = BlockRange { first: 0, end: 2048 };
    let mut all = vec![
        statement("fetch: a page of changes", fetch::page(mapping, &[work()], limits)),
        statement("fetch: former locations", fetch::former_locations(mapping, &[(work(), SequenceId::new(50))])),
        statement("fetch: the next change", fetch::next_change(mapping)),
        statement("fetch: what other systems read", fetch::plain_select(mapping)),
        statement("fill: a range", fill::range(mapping, blocks, SequenceId::new(60))),
        statement("expand: a range of a fill", expand::block_range(mapping, 1, BlockRange { first: 7, end: 8 })),
    ];
    let targets = Target::all(set);
    for search in expand::statements(set, 0).into_iter().filter(|search| search.mapping.name == mapping.name) {
        let target = targets.iter().find(|target| target.id() == search.target);
        let title = target.map_or_else(|| search.target.to_string(), ToString::to_string);
        all.push(statement(format!("expand: {title}"), search.sql));
    }
    all.push(statement("quarantine: entries", quarantine::entries(mapping)));
    all.push(statement("mark: keys", mark::mark(mapping, 0)));
    all
}

fn of_comparison(mapping: &Mapping, databases: &Databases) -> Vec<Statement> {
    let (keys, owner, to) = ([key(mapping)], work().tenancy, DestinationId::clickhouse());
    let (scope, part) = (Scope::Keys(&keys), Part::Without(&[]));
    let projects = Projects { first: "a".to_owned(), end: Some("b".to_owned()) };
    let (places, range) = ([place()], Scope::Projects(&projects));
    let buckets = Scope::Buckets(&places[0], &[0, 255]);
    let seed = HashSeed(1);
    vec![
        statement("compare: hashes of a range", compare::content(mapping, range, part, seed, Grouping::Location)),
        statement("compare: hashes of buckets", compare::content(mapping, buckets, part, seed, Grouping::Bucket)),
        statement("compare: counts", compare::counts(mapping, range)),
        statement("compare: numbers", compare::numbers(mapping, Scope::All)),
        statement(
            "compare: a tenancy's own totals",
            compare::own_totals(mapping, owner, Scope::All, part, seed, Grouping::Bucket),
        ),
        statement("compare: a tenancy's own count", compare::own_count(mapping, owner)),
        statement("compare: who wrote rows last", compare::written(mapping, &keys)),
        statement("compare: who wrote a tenancy's own rows last", compare::own_written(mapping, owner, &keys)),
        statement("compare: owners of keys", compare::owners(mapping, &keys)),
        statement(
            "compare: rows of ClickHouse to hash",
            clickhouse::content(mapping, databases, range, Grouping::Location),
        ),
        statement(
            "compare: rows of buckets of ClickHouse to hash",
            clickhouse::content(mapping, databases, buckets, Grouping::Bucket),
        ),
        statement(
            "compare: numbers of ClickHouse",
            clickhouse::numbers(mapping, databases, Scope::All, SequenceId::new(50), SequenceId::new(60)),
        ),
        statement("compare: versions of ClickHouse", clickhouse::versions(mapping, databases, &keys)),
        statement(
            "compare: rows of ClickHouse ahead",
            clickhouse::ahead(mapping, databases, range, SequenceId::new(60), 10),
        ),
        statement(
            "compare: totals of a tenant's table",
            crate::tenant::compare::totals(mapping, Rows::Buckets(&[0, 255]), seed, Grouping::Bucket),
        ),
        statement("compare: count of a tenant's table", crate::tenant::compare::count(mapping)),
        statement("compare: all rows of Postgres", compare::rows(mapping, Scope::All)),
        statement("compare: rows of Postgres with a key", compare::rows(mapping, scope)),
        statement("compare: claims on a key", compare::claims(mapping, &to, &keys, &[work()])),
        statement("compare: a tenancy's own rows", compare::own_rows(mapping, owner, Scope::All, part)),
        statement("compare: a tenancy's own claims", compare::own_claims(mapping, &to, &keys, work())),
        statement("compare: all rows of ClickHouse", clickhouse::compare_rows(mapping, databases, Scope::All, None)),
        statement("compare: rows of ClickHouse with a key", clickhouse::compare_rows(mapping, databases, scope, None)),
    ]
}

/// What `lockstep explain` asks of a key, beside what comparisons ask.
fn of_explaining(mapping: &Mapping, databases: &Databases) -> Vec<Statement> {
    let (key, owner, at_most) = (key(mapping), tenancy(), 20);
    let keys = std::slice::from_ref(&key);
    let places = clickhouse::places_of_key(mapping, databases, &key.values, at_most);
    vec![
        statement("explain: who has the key", explain::owners(mapping, &key.values, at_most)),
        statement("explain: who is named with it", explain::named(mapping, &key.values, at_most)),
        statement("explain: where ClickHouse has it", places),
        statement("explain: is the row there", explain::is_there(mapping, owner, &key.values)),
        statement("explain: what waits", explain::waiting(mapping, owner, &key.values)),
        statement("explain: changes", explain::changes(mapping, owner, &key.values)),
        statement("explain: quarantine", explain::refused(mapping, owner, &key.values)),
        statement("explain: versions in ClickHouse", clickhouse::versions_of_keys(mapping, databases, keys)),
    ]
}

fn of_clickhouse(set: &MappingSet, mapping: &Mapping, databases: &Databases, own_user: &str) -> Vec<Statement> {
    let access = Access { mappings: set, databases, own_user };
    let table = clickhouse::raw_table(mapping, databases);
    let floor = SequenceId::new(60);
    vec![
        statement("ClickHouse: table", table.create().join(";\n")),
        statement("ClickHouse: row policies", access.replace_policies(mapping.name.as_str()).join(";\n")),
        statement("ClickHouse: view", clickhouse::view(mapping, databases, &clickhouse::Comments::default())),
        statement("ClickHouse: insert", table.insert()),
        statement("ClickHouse: stale rows", clickhouse::count_stale(mapping, databases, floor, StaleAt::AllBut(&[]))),
        statement(
            "ClickHouse: remove stale rows",
            clickhouse::remove_stale(mapping, databases, floor, StaleAt::These(&[place()])),
        ),
        statement(
            "ClickHouse: remove stale rows but of those who had rows refused",
            clickhouse::remove_stale(mapping, databases, floor, StaleAt::AllBut(&[place()])),
        ),
    ]
}

/// What takes rows away for good.
fn of_erasure(mapping: &Mapping, databases: &Databases) -> Vec<Statement> {
    use crate::clickhouse::erase as erasing;
    const BEFORE_MS: i64 = 1_700_000_000_000;
    let (places, key, up_to) = ([place()], key(mapping), SequenceId::new(50));
    let keys = std::slice::from_ref(&key);
    vec![
        statement("erase: count at places", erasing::count_at(mapping, databases, &places, up_to)),
        statement("erase: remove at places", erasing::remove_at(mapping, databases, &places, up_to)),
        statement("erase: keys at a place", erasing::keys_at(mapping, databases, &places[0], up_to, Some(&key), 500)),
        statement("erase: which are dead", erase::dead_keys(mapping, keys, &[tenancy()])),
        statement("erase: count keys", erasing::count_keys(mapping, databases, keys, up_to)),
        statement("erase: remove keys", erasing::remove_keys(mapping, databases, keys, up_to)),
        statement("clean up: tombstones", erasing::count_tombstones(mapping, databases, BEFORE_MS)),
        statement("clean up: parts", erasing::parts(mapping, databases)),
        statement("clean up: merge", erasing::merge(mapping, databases)),
        statement("clean up: remove tombstones", erasing::remove_tombstones(mapping, databases, BEFORE_MS)),
    ]
}
