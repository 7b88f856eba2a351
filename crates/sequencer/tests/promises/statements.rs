//! Every statement for the source that is derived from definitions is one that PostgreSQL takes.

use std::collections::BTreeSet;

use lockstep_core::{DestinationId, Location, SequenceId, TenancyId};
use lockstep_mappings::postgres::compare::{self, Key, Part, Scope};
use lockstep_mappings::postgres::fetch::{self, PageLimits, ReadFrom};
use lockstep_mappings::postgres::fill::{self, BlockRange};
use lockstep_mappings::postgres::{erase, expand, inbox, quarantine};
use lockstep_mappings::{Mapping, MappingSet};
use uuid::Uuid;

use super::fixture::Fixture;

/// What `COPY` takes.
fn copied(statement: &str) -> String {
    let query = statement.strip_prefix("COPY (").and_then(|rest| rest.strip_suffix(") TO STDOUT (FORMAT binary)"));
    query.unwrap().to_owned()
}

fn of_mapping(mapping: &Mapping) -> Vec<String> {
    let tenancy = TenancyId::new(Uuid::from_u128(1));
    let work = [ReadFrom { tenancy, after: SequenceId::new(1) }];
    let range = BlockRange { first: 0, end: 2 };
    let location = Location { project_id: "it's".into(), branch_id: "main".into() };
    let values = mapping.key_columns().map(|column| match column.column_type.to_string().as_str() {
        "uuid" => Uuid::nil().to_string(),
        "int32" | "int64" => "7".to_owned(),
        _ => "k".to_owned(),
    });
    let keys = [Key { location: location.clone(), values: values.collect() }];
    let (to, all) = (DestinationId::clickhouse(), Part::Without(&[]));
    vec![
        copied(&fetch::page(mapping, &work, PageLimits { tenancy_rows: 3, total_rows: 5 })),
        copied(&fetch::former_locations(mapping, &[(work[0], SequenceId::new(2))])),
        fetch::plain_select(mapping),
        copied(&fill::range(mapping, range, SequenceId::new(3))),
        expand::block_range(mapping, 1, range),
        quarantine::entries(mapping),
        compare::rows(mapping, Scope::All),
        compare::rows(mapping, Scope::Locations(&[location])),
        compare::rows(mapping, Scope::Keys(&keys)),
        compare::claims(mapping, &to, &keys, &work),
        compare::own_rows(mapping, tenancy, Scope::All, all),
        compare::own_rows(mapping, tenancy, Scope::Keys(&keys), all),
        compare::own_claims(mapping, &to, &keys, work[0]),
        erase::dead_keys(mapping, &keys, &[tenancy]),
    ]
}

fn of_all(set: &MappingSet) -> Vec<String> {
    let mut statements = vec![
        inbox::look("FALSE", false),
        inbox::look("FALSE", true),
        inbox::number_new(set),
        inbox::unseen(),
        inbox::count_unseen(10_000),
        format!(
            "SELECT t.* FROM (SELECT gen_random_uuid() AS tenancy_id) w CROSS JOIN LATERAL {}",
            fetch::tenancy_lookup()
        ),
        format!("SELECT {}, {}", erase::late_write_limit(), erase::erasure_wait()),
        quarantine::record(),
        quarantine::forget_superseded(),
    ];
    statements.extend(inbox::note_tenancies());
    for index in [0, 1] {
        statements.extend(inbox::note_tenancies_of_transaction(index));
        statements.extend(expand::statements(set, index).into_iter().map(|expand| expand.sql));
        statements.extend([
            inbox::number_share(set, index),
            inbox::bounds_of_transaction(index),
            inbox::keep_file(index),
            inbox::file_of(index),
            inbox::has_unseen(index),
            quarantine::retry(index),
        ]);
    }
    statements
}

async fn are_taken(fixture: &Fixture, set: &MappingSet) {
    let client = fixture.database.connect().await.unwrap();
    // As every session of ours has it.
    client.batch_execute("SET search_path = pg_catalog, pg_temp").await.unwrap();
    let statements: BTreeSet<_> = set.iter().flat_map(of_mapping).chain(of_all(set)).collect();
    for statement in statements {
        if let Err(error) = client.prepare(&statement).await {
            panic!("{error:?}\n{statement}");
        }
    }
}

#[tokio::test]
async fn every_derived_statement_is_one_that_postgres_takes() {
    let fixture = Fixture::new().await;
    are_taken(&fixture, &MappingSet::built_in()).await;
    fixture.remove().await;
}

#[tokio::test]
async fn keys_of_every_type_are_held_by_lines_and_changes() {
    let columns = [
        ("u1", "uuid"),
        ("u2", "uuid"),
        ("u3", "uuid"),
        ("u4", "uuid"),
        ("t1", "text"),
        ("t2", "int32"),
        ("t3", "int64"),
        ("t4", "text"),
    ];
    let mut definition = "name = \"wide_keys\"\ntable = \"Wide\"\ntenant = { column = \"tenancyId\" }\nkey = [\"u1\", \"u2\", \"u3\", \"u4\", \"t1\", \"t2\", \"t3\", \"t4\"]\n".to_owned();
    let mut table = "CREATE TABLE \"Wide\" (\"tenancyId\" uuid NOT NULL".to_owned();
    for (name, kind) in columns {
        definition.push_str(&format!("[[columns]]\nname = \"{name}\"\ntype = \"{kind}\"\ncolumn = \"{name}\"\n"));
        let kind = kind.replace("int32", "int4").replace("int64", "int8");
        table.push_str(&format!(", {name} {kind} NOT NULL"));
    }
    let set = MappingSet::from_texts(&[("wide.toml".into(), definition)]).unwrap();
    let fixture = Fixture::with(set.clone(), &format!("{table})")).await;
    are_taken(&fixture, &set).await;
    let tenancy = fixture.tenancy(1).await;
    let zero = Uuid::nil();
    fixture
        .execute(&format!(
            "INSERT INTO \"Wide\" VALUES ('{tenancy}', '{zero}', '{zero}', '{zero}', '{zero}', 'it''s', 5, -6, '')"
        ))
        .await;
    super::fixture::drain(&mut fixture.numbering()).await;
    let key = format!("{zero} {zero} {zero} {zero} it's 5 -6 ");
    assert_eq!(fixture.changes_after(0).await, [("wide_keys".to_owned(), key)]);
    fixture.remove().await;
}
