//! Every type arrives as it is, alone and in arrays, and is read back as the source shows it.

use std::sync::Arc;

use futures_util::TryStreamExt;
use lockstep_core::settings::MappingSources;
use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::compare::{Compare, Group, Totals};
use lockstep_destinations::postgres::Prepared;
use lockstep_destinations::{Destination, PageStart, PageWriter, WriteLimits};
use lockstep_mappings::clickhouse::Measure;
use lockstep_mappings::codec::{CodecError, CopyReader, Row};
use lockstep_mappings::postgres::compare::{Grouping, Key, Part, Scope, own_totals};
use lockstep_mappings::row_hash::HashSeed;
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_testkit::databases::TestDatabase;
use uuid::Uuid;

use crate::fixture::{Fixture, fresh};

const TYPES: &[(&str, &str, &str)] = &[
    ("uuid", "uuid", "'00000000-0000-0000-0000-00000000002a'"),
    ("text", "text", "E'a\\\\b ''c'' \u{1f980}'"),
    ("bool", "bool", "TRUE"),
    ("int16", "int2", "'-3'"),
    ("int32", "int4", "2147483647"),
    ("int64", "int8", "'-9223372036854775808'"),
    ("float32", "float4", "'NaN'"),
    ("float64", "float8", "'-0.1'"),
    ("numeric(20,4)", "numeric", "'-1234567.25'"),
    ("numeric", "numeric", "'1.500'"),
    ("timestamp", "timestamp", "'2024-02-29 12:34:56.789'"),
    ("timestamp_us", "timestamp", "'2024-02-29 12:34:56.789012'"),
    ("date", "date", "'infinity'"),
    ("time", "time", "'12:34:56.5'"),
    ("interval", "interval", "'1 year 2 mons -3 days 04:05:06'"),
    ("json", "jsonb", "'{\"a\": 1.0}'"),
    ("bytea", "bytea", "'\\x00ff'"),
    ("inet", "inet", "'10.0.0.1'"),
];

/// A mapping with every type: as it is, with a null, and in an array with one.
fn definition() -> String {
    let mut text = "name = \"things\"\ntable = \"Thing\"\ntenant = { column = \"tenancyId\" }\nkey = [\"id\", \"label\"]\n\n[[columns]]\nname = \"id\"\ntype = \"uuid\"\ncolumn = \"id\"\n\n[[columns]]\nname = \"label\"\ntype = \"text\"\ncolumn = \"label\"\n".to_owned();
    for (place, (name, _, _)) in TYPES.iter().enumerate() {
        for (kind, suffix) in [("v", ""), ("n", "?"), ("a", "?[]")] {
            text.push_str(&format!("\n[[columns]]\nname = \"{kind}{place}\"\ntype = \"{name}{suffix}\"\n"));
            if kind == "a" {
                text.push_str(&format!("sql = \"{{{kind}{place}}}\"\nwhen_null = \"'{{{{}}}}'\"\n"));
            } else if kind == "v" {
                text.push_str(&format!("sql = \"{{{kind}{place}}}\"\nwhen_null = \"{{{kind}{place}}}\"\n"));
            } else {
                text.push_str(&format!("column = \"{kind}{place}\"\n"));
            }
        }
    }
    text
}

fn things() -> Arc<Mapping> {
    let directory = std::env::temp_dir().join(format!("lockstep-things-{}", Uuid::new_v4().simple()));
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("things.toml"), definition()).unwrap();
    let set =
        MappingSet::load(&MappingSources { directory: Some(directory.clone()), ..MappingSources::default() }).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    Arc::new(set.get(&"things".parse().unwrap()).unwrap().clone())
}

async fn source(tenancy: TenancyId) -> TestDatabase {
    let source = TestDatabase::standalone().await.unwrap();
    let client = source.connect().await.unwrap();
    let columns: Vec<_> = (TYPES.iter().enumerate())
        .map(|(place, (_, sql, _))| format!("v{place} {sql} NOT NULL, n{place} {sql}, a{place} {sql}[] NOT NULL"))
        .collect();
    let values: Vec<_> =
        (TYPES.iter().map(|(_, sql, value)| format!("{value}::{sql}, NULL, ARRAY[{value}::{sql}, NULL]"))).collect();
    let empty: Vec<_> =
        (TYPES.iter().map(|(_, sql, value)| format!("{value}::{sql}, {value}::{sql}, '{{}}'"))).collect();
    client
        .batch_execute(&format!(
            "INSERT INTO \"Project\" (id, \"updatedAt\", \"displayName\", description, \"isProductionMode\") VALUES ('p', now(), '', '', false);
             INSERT INTO \"Tenancy\" (id, \"updatedAt\", \"projectId\", \"branchId\", \"hasNoOrganization\") VALUES ('{tenancy}', now(), 'p', 'main', 'TRUE');
             CREATE TABLE \"Thing\" (\"tenancyId\" uuid, id uuid, label text, {});
             INSERT INTO \"Thing\" VALUES ('{tenancy}', '{a}', 'B', {v}), ('{tenancy}', '{a}', 'a', {e}), ('{tenancy}', '{a}', 'ä', {e}), ('{tenancy}', '{b}', '', {v})",
            columns.join(", "),
            a = Uuid::from_u128(1),
            b = Uuid::from_u128(2),
            v = values.join(", "),
            e = empty.join(", "),
        ))
        .await
        .unwrap();
    source
}

/// Every message of a COPY, one after the other.
async fn messages(source: &TestDatabase, sql: &str) -> Vec<bytes::Bytes> {
    let client = source.connect().await.unwrap();
    client
        .batch_execute("SET search_path = pg_catalog; SET timezone = 'UTC'; SET intervalstyle = postgres")
        .await
        .unwrap();
    client.copy_out(sql).await.unwrap().try_collect().await.unwrap()
}

#[tokio::test]
async fn every_type_arrives_and_is_read_back_as_the_source_shows_it() {
    use lockstep_mappings::postgres::tenant_fill::{self, TenantPage};
    let fixture = Fixture::empty().await;
    let (mapping, tenancy) = (things(), fixture.tenancy);
    let source = source(tenancy).await;
    assert_eq!(fixture.postgres.prepare(&mapping).await.unwrap(), Prepared::Created);
    assert_eq!(fixture.postgres.prepare(&mapping).await.unwrap(), Prepared::Fits);
    let position = fixture.postgres.begin_fill(&mapping, SequenceId::new(5)).await.unwrap();
    let start = PageStart { mapping: &mapping, from: &[], window: fresh(), limits: WriteLimits::default() };
    // In pages of two rows, so that each page begins behind a key that another order would place elsewhere.
    let mut position = position;
    loop {
        let read = TenantPage { tenancy, after: position.after.as_deref(), rows: 2, version: position.version };
        let mut page = fixture.postgres.open_fill_page(start, &position);
        let (mut reader, mut rows) = (CopyReader::default(), 0);
        for message in messages(&source, &tenant_fill::page(&mapping, read)).await {
            let pushed = reader.rows::<CodecError>(&message, |fields| {
                rows += 1;
                page.push(&Row::read(fields, &mapping)?)
            });
            pushed.unwrap();
        }
        if rows < 2 {
            page.is_last();
        }
        position = page.position();
        let _ = page.end(&[]).await.unwrap();
        if rows < 2 {
            break;
        }
    }
    assert_eq!(position.rows, 4);
    let expected = expected(&source, &mapping).await;
    assert_eq!(shown(&fixture, &mapping, Scope::All).await, expected);
    sums_agree(&fixture, &mapping, &source).await;
    // A key is found by its text.
    let key = Key { location: place(), values: vec![Uuid::from_u128(1).to_string(), "ä".to_owned()] };
    assert_eq!(shown(&fixture, &mapping, Scope::Keys(&[key])).await.len(), 1);
    // Read again, nothing of it is another row.
    let again = fixture.number("SELECT sum(xmin::text::bigint)::bigint FROM public.things").await;
    refill(&fixture, &mapping, &source).await;
    assert_eq!(fixture.number("SELECT sum(xmin::text::bigint)::bigint FROM public.things").await, again);
    source.remove().await.unwrap();
    fixture.end().await;
}

/// Expects the same sums of hashes on both sides, in each bucket of keys.
async fn sums_agree(fixture: &Fixture, mapping: &Mapping, source: &TestDatabase) {
    let (seed, grouping) =
        (HashSeed(i64::from_le_bytes(*Uuid::new_v4().as_bytes().first_chunk().unwrap())), Grouping::Bucket);
    let sql = own_totals(mapping, fixture.tenancy, Scope::All, Part::Without(&[]), seed, grouping);
    let rows = source.connect().await.unwrap().query(&sql, &[]).await.unwrap();
    let totals = |row: &tokio_postgres::Row| {
        let location = lockstep_core::Location { project_id: String::new(), branch_id: String::new() };
        let group = Group { location, bucket: row.get::<_, i32>(0).try_into().unwrap() };
        let rows = row.get::<_, i64>(1).try_into().unwrap();
        (group, Totals { rows, sum: row.get::<_, String>(2).parse().unwrap() })
    };
    let here = rows.iter().map(totals).collect();
    let there = fixture.postgres.totals(mapping, Scope::All, Measure::Content(seed), grouping).await.unwrap();
    assert_eq!(there, here);
    assert!(there.len() > 1, "one bucket");
}

async fn refill(fixture: &Fixture, mapping: &Arc<Mapping>, source: &TestDatabase) {
    use lockstep_mappings::postgres::tenant_fill::{self, TenantPage};
    let position = fixture.postgres.begin_fill(mapping, SequenceId::new(9)).await.unwrap();
    let start = PageStart { mapping, from: &[], window: fresh(), limits: WriteLimits::default() };
    let mut page = fixture.postgres.open_fill_page(start, &position);
    let read = TenantPage { tenancy: fixture.tenancy, after: None, rows: 100, version: position.version };
    let mut reader = CopyReader::default();
    for message in messages(source, &tenant_fill::page(mapping, read)).await {
        reader.rows::<CodecError>(&message, |fields| page.push(&Row::read(fields, mapping)?)).unwrap();
    }
    page.is_last();
    let _ = page.end(&[]).await.unwrap();
    assert_eq!(
        fixture
            .postgres
            .cursors(lockstep_destinations::Selection::All, lockstep_destinations::Selection::All)
            .await
            .unwrap()
            .len(),
        1
    );
}

fn place() -> lockstep_core::Location {
    lockstep_core::Location { project_id: "p".to_owned(), branch_id: "main".to_owned() }
}

type Texts = Vec<Option<String>>;

async fn shown(fixture: &Fixture, mapping: &Mapping, scope: Scope<'_>) -> Vec<Texts> {
    let rows: Vec<_> = fixture.postgres.rows(mapping, scope).try_collect().await.unwrap();
    let fields = mapping.columns.len() + 2;
    let text = |row: &lockstep_destinations::compare::Row, field| {
        row.field(field).map(|bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap())
    };
    rows.iter().map(|row| (2..fields).map(|field| text(row, field)).collect()).collect()
}

/// What the verifier reads of the source, in its order.
async fn expected(source: &TestDatabase, mapping: &Mapping) -> Vec<Texts> {
    let mut rows: Vec<Texts> = Vec::new();
    let mut reader = CopyReader::default();
    for message in messages(source, &lockstep_mappings::postgres::compare::rows(mapping, Scope::All)).await {
        let read = reader.rows::<CodecError>(&message, |mut fields| {
            let mut row = Texts::new();
            while fields.left() > 0 {
                row.push(fields.next_field()?.map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
            }
            // Project, branch, and the tenancy at the end.
            rows.push(row[2..row.len() - 1].to_vec());
            Ok(())
        });
        read.unwrap();
    }
    rows
}
