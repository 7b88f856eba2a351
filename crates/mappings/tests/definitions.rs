//! A wrong definition is refused with file, line, column name and remedy.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use lockstep_core::settings::{BuiltInMappings, MappingSources};
use lockstep_mappings::MappingSet;

const GOOD: &str = r#"name = "invoices"
table = "Invoice"
tenant = { column = "tenancyId" }
key = ["id"]

[[columns]]
name = "id"
type = "uuid"
column = "id"

[[columns]]
name = "total"
type = "int64"
sql = "{cents} + {tax}"
when_null = "0"
"#;

fn refused(text: &str) -> String {
    MappingSet::from_texts(&[("own/invoices.toml".into(), text.into())]).unwrap_err().to_string()
}

#[test]
fn a_good_definition_is_accepted() {
    let set = MappingSet::from_texts(&[("invoices.toml".into(), GOOD.into())]).unwrap();
    let mapping = set.iter().next().unwrap();
    assert_eq!(mapping.source_columns().into_iter().collect::<Vec<_>>(), ["cents", "id", "tax", "tenancyId"]);
}

#[test]
fn each_mistake_is_said_with_its_place_and_a_remedy() {
    let cases = [
        (
            GOOD.replace("\"int64\"", "\"money\""),
            "own/invoices.toml:11: column total: type \"money\" is not known; use one of",
        ),
        (
            GOOD.replace("when_null = \"0\"\n", ""),
            "own/invoices.toml:11: column total: the expression can be null, the type int64 cannot; add `when_null`",
        ),
        (
            GOOD.replace("key = [\"id\"]", "key = [\"number\"]"),
            "own/invoices.toml:4: column number: the key names a column that does not exist; add it under [[columns]]",
        ),
        (
            GOOD.replace("key = [\"id\"]", "key = [\"total\"]"),
            "own/invoices.toml:4: column total: a key cannot be an expression",
        ),
        (
            GOOD.replace("name = \"total\"", "name = \"id\""),
            "own/invoices.toml:11: column id: the name is used twice; rename one of them",
        ),
        (
            GOOD.replace("name = \"total\"", "name = \"sync_total\""),
            "own/invoices.toml:11: column sync_total: the name is reserved",
        ),
        (
            GOOD.replace("name = \"invoices\"", "name = \"tenancy\""),
            "own/invoices.toml:1: this name is Lockstep's own; choose another name",
        ),
        (
            GOOD.replace("key = [\"id\"]", "key = [\"id\", \"a\", \"b\", \"c\", \"d\"]") + &more_ids(),
            "own/invoices.toml:1: the key has more than 4 columns of type uuid",
        ),
        (GOOD.replace("{tax}", "{tax"), "own/invoices.toml:11: column total: `{` is not closed"),
        (GOOD.replace("{tax}", "{owner.tax}"), "own/invoices.toml:11: column total: there is no join owner"),
        (
            GOOD.replace("tenant = { column = \"tenancyId\" }", "tenant = { project = \"p\" }"),
            "own/invoices.toml:3: the tenant of a row is not said clearly; give either `column` or both",
        ),
        (GOOD.replace("table = ", "tabel = "), "own/invoices.toml:2: unknown field `tabel`"),
        (
            GOOD.replace("name = \"invoices\"", "name = \"In voices\""),
            "own/invoices.toml:1: \"In voices\" is no mapping name",
        ),
    ];
    for (text, expected) in cases {
        let said = refused(&text);
        assert!(said.contains(expected), "expected {expected:?} in:\n{said}");
    }
}

/// Columns a to d.
fn more_ids() -> String {
    ["a", "b", "c", "d"]
        .map(|name| format!("[[columns]]\nname = \"{name}\"\ntype = \"uuid\"\ncolumn = \"{name}\"\n"))
        .concat()
}

#[test]
fn a_name_that_another_mapping_has_together_with_its_join_is_refused() {
    let join =
        "\n[joins.owner]\ntable = \"Owner\"\nmatch = { here = \"{ownerId}\", there = \"id\", type = \"uuid\" }\n";
    let with_join = GOOD.replace("\n[[columns]]\nname = \"id\"", &format!("{join}\n[[columns]]\nname = \"id\""));
    for name in ["invoices_owner", "invoices_truncated"] {
        let other = GOOD.replace("name = \"invoices\"", &format!("name = \"{name}\""));
        let files = [("a.toml".into(), with_join.clone()), ("b.toml".into(), other)];
        let said = MappingSet::from_texts(&files).unwrap_err().to_string();
        assert!(said.contains(&format!("b.toml:1: the name {name}, alone or with a join's, is one that")), "{said}");
    }
}

#[test]
fn mistakes_of_all_files_are_said_at_once() {
    let broken = GOOD.replace("\"int64\"", "\"money\"");
    let files = [("a.toml".into(), GOOD.into()), ("b.toml".into(), GOOD.into()), ("c.toml".into(), broken)];
    let said = MappingSet::from_texts(&files).unwrap_err().to_string();
    assert!(said.contains("b.toml:1: the name invoices is taken by a.toml"), "{said}");
    assert!(said.contains("c.toml:11"), "{said}");
}

#[test]
fn a_directory_is_loaded_beside_the_built_in_definitions() {
    let directory = std::env::temp_dir().join(format!("lockstep-definitions-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("invoices.toml"), GOOD).unwrap();
    std::fs::write(directory.join("notes.txt"), "not a definition").unwrap();
    let with = |built_in: BuiltInMappings| MappingSources { built_in, directory: Some(directory.clone()) };
    let only = |names: &[&str]| BuiltInMappings::Only(names.iter().map(|name| name.parse().unwrap()).collect());
    let all = MappingSet::load(&with(BuiltInMappings::All)).unwrap();
    let two = MappingSet::load(&with(only(&["teams", "users"]))).unwrap();
    let own = MappingSet::load(&with(only(&[]))).unwrap();
    let unknown = MappingSet::load(&with(only(&["users", "user"]))).unwrap_err().to_string();
    std::fs::remove_dir_all(&directory).unwrap();
    let names = |set: &MappingSet| set.iter().map(|mapping| mapping.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&all).len(), 13);
    assert_eq!(names(&two), ["users", "teams", "invoices"]);
    assert_eq!(names(&own), ["invoices"]);
    assert!(
        unknown.contains("LOCKSTEP_BUILT_IN_MAPPINGS: no built-in mapping is called user; choose of users, contact_"),
        "{unknown}"
    );
}
