//! The table of types in the guide is the one that the program has.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::path::Path;

use lockstep_mappings::BaseType;

fn type_table() -> String {
    let mut table =
        "| type | takes columns of type | in ClickHouse | in a tenant's Postgres | in a key |\n|---|---|---|---|---|\n"
            .to_owned();
    for base in BaseType::ALL {
        // Digits are those of the definition.
        let (clickhouse, postgres) = match base {
            BaseType::Decimal { .. } => ("Decimal(p, s)".to_owned(), "numeric(p,s)".to_owned()),
            _ => (base.clickhouse(), base.postgres()),
        };
        let enums = if base.takes_enums() { ", enums" } else { "" };
        let key = if base.can_be_key() { "yes" } else { "" };
        let takes = base.source_types().join(", ");
        let row = format!("| `{}` | {takes}{enums} | {clickhouse} | {postgres} | {key} |\n", base.name());
        table.push_str(&row.replace("|  |", "| |"));
    }
    table
}

#[test]
fn the_guide_has_the_table_of_types() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/own-tables.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let table = type_table();
    assert!(guide.contains(&table), "docs/guides/own-tables.md has another table than this:\n{table}");
}
