//! What is written is a definition that fits the table it was written from.

use super::*;
use crate::MappingSet;
use crate::postgres::facts::misfits_of;

const TABLE: &[(&str, &str)] = &[
    ("tenancyId", "uuid"),
    ("id", "uuid"),
    ("day", "date"),
    ("status", "enum"),
    ("amount", "numeric(20,4)"),
    ("tags", "text[]?"),
    ("ratio", "float4?"),
    ("shape", "polygon"),
    ("seen at", "timestamptz"),
    ("projectId", "text"),
];

fn facts(columns: &[(&str, &str)]) -> TableFacts {
    let mut table = TableFacts::default();
    for ((name, text), number) in columns.iter().zip(1..) {
        let (text, nullable) = text.strip_suffix('?').map_or((*text, false), |text| (text, true));
        let (text, is_array) = text.strip_suffix("[]").map_or((text, false), |text| (text, true));
        let (text, typmod) = if text == "numeric(20,4)" { ("numeric", (20 << 16) + 4 + 4) } else { (text, -1) };
        let (typname, is_enum) = (text.to_owned(), text == "enum");
        let facts = ColumnFacts { typname, typmod, is_array, is_enum, nullable, number, ..ColumnFacts::default() };
        table.columns.insert((*name).to_owned(), facts);
    }
    table
}

fn drafted(columns: &[(&str, &str)], keys: &[&[&str]], tenant: Option<&str>) -> Result<Draft, DraftError> {
    let table = SourceTable { schema: "billing".to_owned(), name: "Usage".to_owned() };
    let facts = facts(columns);
    let owned = |names: &&[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let keys: Vec<_> = keys.iter().map(owned).collect();
    let taken = BTreeSet::from(["usage".to_owned()]);
    let draft = draft(&DraftRequest { table: &table, facts: &facts, keys: &keys, tenant, taken: &taken })?;
    let set = MappingSet::from_texts(&[("usage.toml".to_owned(), draft.text.clone())]).unwrap();
    let mapping = set.iter().next().unwrap();
    // Tenancies are no concern of this.
    let misfits = misfits_of(mapping, &[(table, facts)].into());
    assert!(misfits.iter().all(|misfit| misfit.file != "usage.toml"), "{misfits:?}");
    Ok(draft)
}

#[test]
fn a_left_out_column_that_no_expression_can_name_gets_no_block() {
    for name in ["weird name", "b}race{", "{b}", "dot.geo", "q\"uote", "=a", "new\nline {"] {
        let draft = drafted(&[("tenancyId", "uuid"), ("id", "uuid"), (name, "polygon")], &[&["tenancyId", "id"]], None);
        let text = draft.unwrap().text;
        assert!(text.contains("no expression can name it") && !text.contains("sql = "), "{text}");
    }
    let draft =
        drafted(&[("tenancyId", "uuid"), ("id", "uuid"), ("new\nline", "polygon")], &[&["tenancyId", "id"]], None);
    assert!(draft.unwrap().text.contains("# new\\nline: "));
}

#[test]
fn a_table_becomes_a_definition_that_fits_it() {
    let draft = drafted(TABLE, &[&["tenancyId", "id", "day"]], None).unwrap();
    insta::assert_snapshot!(draft.text);
    assert_eq!(draft.name, "usage_2");
    assert_eq!(draft.left_out.iter().map(|left_out| left_out.column.as_str()).collect::<Vec<_>>(), ["shape"]);
    let uncommented = draft
        .text
        .replace("# [[", "[[")
        .replace("\n# name", "\nname")
        .replace("\n# type", "\ntype")
        .replace("\n# sql", "\nsql");
    let set = MappingSet::from_texts(&[("usage.toml".to_owned(), uncommented)]).unwrap();
    let table = SourceTable { schema: "billing".to_owned(), name: "Usage".to_owned() };
    let mapping = set.iter().next().unwrap();
    assert!(mapping.columns.iter().any(|column| column.name.as_str() == "shape"));
    let misfits = misfits_of(mapping, &[(table, facts(TABLE))].into());
    assert!(misfits.iter().all(|misfit| misfit.file != "usage.toml"), "{misfits:?}");
}

#[test]
fn keys_are_ones_that_can_be_told() {
    // A key of a type that cannot be one gives way to the next; the tenancy alone is a key where there is one row of each.
    let keys = |keys: &[&[&str]]| {
        let text = drafted(TABLE, keys, None)?.text;
        Ok(text.lines().find(|line| line.starts_with("key = ")).unwrap_or_default().to_owned())
    };
    assert_eq!(keys(&[&["amount", "id"], &["status", "day"]]), Ok("key = [\"status\", \"day\"]".to_owned()));
    assert_eq!(keys(&[&["tenancyId"]]), Ok("key = [\"tenancy_id\"]".to_owned()));
    assert_eq!(keys(&[&["amount"]]), Err(DraftError::NoKey));
    assert_eq!(keys(&[]), Err(DraftError::NoKey));
}

#[test]
fn tenants_are_told_by_a_column_that_was_said_or_has_a_usual_name() {
    let tenant = |columns: &[(&str, &str)], said| {
        let text = drafted(columns, &[&["id"]], said)?.text;
        Ok(text.lines().find(|line| line.starts_with("tenant = ")).unwrap_or_default().to_owned())
    };
    let own = [("id", "uuid"), ("owner", "uuid"), ("name", "text")];
    assert_eq!(tenant(&own, Some("owner")), Ok("tenant = { column = \"owner\" }".to_owned()));
    let candidates = DraftError::NoTenant(vec!["id".to_owned(), "owner".to_owned()]);
    assert_eq!(tenant(&own, None), Err(candidates.clone()));
    assert_eq!(tenant(&own, Some("nobody")), Err(candidates));
    let other = |column: &str, type_name: &str| {
        Err(DraftError::OtherType { column: column.to_owned(), type_name: type_name.to_owned() })
    };
    assert_eq!(tenant(&own, Some("name")), other("name", "text"));
    assert_eq!(tenant(&[("id", "uuid"), ("tenant_id", "int8")], None), other("tenant_id", "int8"));
    let placed = [("id", "uuid"), ("projectId", "text"), ("branchId", "varchar")];
    let by_place = "tenant = { project = \"projectId\", branch = \"branchId\" }";
    assert_eq!(tenant(&placed, None), Ok(by_place.to_owned()));
}
