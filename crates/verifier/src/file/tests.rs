//! Whole files.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use lockstep_mappings::MappingSet;

use super::*;

/// A file that is gone with it.
struct Written(PathBuf);

impl Written {
    fn new(text: &[u8]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("lockstep-{}-{}.ndjson", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn mapping(name: &str) -> Mapping {
    MappingSet::built_in().get(&name.parse().unwrap()).unwrap().clone()
}

fn permission(user: u8, name: &str) -> String {
    format!(r#"{{"user_id":"00000000-0000-4000-8000-0000000000{user:02}","permission_id":"{name}"}}"#)
}

fn refused(text: &[u8], max_rows: u64) -> String {
    let written = Written::new(text);
    let error = FileRows::open(&written.0, &mapping("project_permissions"), max_rows).err().unwrap();
    error.to_string().replace(&written.0.display().to_string(), "FILE")
}

#[test]
fn rows_come_in_the_order_of_their_keys_whatever_the_order_of_lines() {
    let mapping = mapping("project_permissions");
    let lines = [(2, "b"), (1, "é"), (2, "B"), (1, ""), (1, "a b"), (1, "a"), (2, "\u{ff5e}"), (2, "😀")];
    let lines: Vec<_> = lines.iter().map(|(user, name)| permission(*user, name)).collect();
    let written = Written::new((lines.join("\r\n\n \n")).as_bytes());
    let (mut rows, contents) = FileRows::open(&written.0, &mapping, 8).unwrap();
    assert_eq!((contents.rows, contents.ignored, contents.is_ragged()), (8, 0, false));
    let mut last: Option<Row> = None;
    let mut count = 0;
    while let Some(row) = rows.next().unwrap() {
        count += 1;
        let shape = Shape::of(&mapping);
        assert!(last.is_none_or(|last| shape.order(&last, &row).is_lt()));
        last = Some(row);
    }
    assert_eq!(count, 8);
}

#[test]
fn what_is_wrong_is_named_by_its_line_and_never_by_its_value() {
    let right = permission(1, "a");
    let after = |line: &str| refused(format!("{right}\n\n{line}\n").as_bytes(), 10);
    let wrong = |problem: &str| format!("LS-0330: line 3 of FILE cannot be read: {problem}; nothing was compared");
    for line in ["hunter2", "[]", "{\"hunter2\":", "null", "{}{}"] {
        assert_eq!(after(line), wrong("it is no object of JSON"), "{line}");
    }
    assert!(refused(b"{\"a\": \"\xff\"}", 10).contains("it is no object of JSON"));
    assert_eq!(after(r#"{"user_id": "hunter2"}"#), wrong("user_id is not a uuid"));
    assert_eq!(after(r#"{"permission_id": "hunter2"}"#), wrong("user_id is missing, which is part of the key"));
    assert_eq!(after(&permission(1, "a\\u0000")), wrong("permission_id is not a text without NUL"));
    assert_eq!(after(&permission(1, "\\u0061")), wrong("it has the key of line 1"));
}

#[test]
fn a_file_with_too_many_rows_is_refused_before_they_take_memory() {
    let lines = format!("{}\n{}\n", permission(1, "a"), permission(1, "b"));
    let said = "LS-0332: FILE has more than 1 rows, whose keys are kept in memory; allow more with --max-rows, or compare a part";
    assert_eq!(refused(lines.as_bytes(), 1), said);
}

#[test]
fn a_file_that_is_changed_meanwhile_is_noticed() {
    let written = Written::new(permission(1, "a").as_bytes());
    let mapping = mapping("project_permissions");
    let (mut rows, _) = FileRows::open(&written.0, &mapping, 1).unwrap();
    std::fs::write(&written.0, permission(1, "b")).unwrap();
    // What was read ahead is gone, as it is in a file of some size.
    rows.reader = BufReader::new(File::open(&written.0).unwrap());
    rows.at = 0;
    assert!(rows.next().unwrap_err().to_string().contains("the file was changed while it was compared"));
}

#[test]
fn a_file_that_is_not_there_is_a_wrong_setting() {
    let error = FileRows::open(Path::new("/nonexistent/file"), &mapping("users"), 1).err().unwrap();
    assert!(error.to_string().starts_with("LS-0331: /nonexistent/file cannot be read: "), "{error}");
    assert_eq!(error.exit_code(), lockstep_core::exit::CONFIGURATION);
}

#[test]
fn what_a_file_lacks_and_what_it_has_besides_is_counted() {
    let id = |n: u8| format!("00000000-0000-4000-8000-0000000000{n:02}");
    let lines = format!(
        r#"{{"id":"{}","display_name":null,"last_login":1,"a b":2}}
{{"id":"{}","last_login":3}}
"#,
        id(1),
        id(2)
    );
    let (written, mapping) = (Written::new(lines.as_bytes()), mapping("users"));
    let (mut rows, contents) = FileRows::open(&written.0, &mapping, 10).unwrap();
    assert_eq!((contents.rows, contents.ignored), (2, 3));
    assert_eq!(
        contents.ignored_names.iter().collect::<Vec<_>>(),
        ["last_login"],
        "what is hardly a name is only counted"
    );
    assert_eq!((contents.absent["display_name"], contents.absent["is_anonymous"]), (1, 2));
    assert!(!contents.absent.contains_key("id") && contents.is_ragged());
    let row = rows.next().unwrap().unwrap();
    assert_eq!((is_absent(&row, 3), is_absent(&row, 4), row.field(3)), (false, true, None));
}
