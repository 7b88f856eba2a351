//! A key as an operator writes it: its values in the mapping's order, or `column=value` pairs, separated by commas. A text with a
//! comma in it is written as a JSON string.

use std::fmt;

use lockstep_mappings::{BaseType, Column, Mapping};
use uuid::Uuid;

/// Why a text is no key of the mapping. No value of it is repeated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyProblem {
    /// A JSON string that does not end, or is none.
    Quotes,
    /// So many values, and the key has so many columns.
    Count {
        /// What was given.
        found: usize,
        /// What the key has.
        expected: usize,
    },
    /// A pair that names no column of the key.
    NoColumn,
    /// A column that is named twice.
    Twice(String),
    /// A column that is not named.
    Lacks(String),
    /// A value of another type.
    NoValue {
        /// Of which column.
        column: String,
        /// What it has to be.
        what: &'static str,
    },
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quotes => f.write_str("a value that begins with \" has to be a JSON string"),
            Self::Count { found, expected } => write!(f, "it has {found} values, and the key {expected}"),
            Self::NoColumn => {
                f.write_str("a part names no column of the key; name the column of every value, or of none")
            }
            Self::Twice(column) => write!(f, "{column} is there twice"),
            Self::Lacks(column) => write!(f, "{column} is missing"),
            Self::NoValue { column, what } => write!(f, "the value of {column} is not {what}"),
        }
    }
}

/// The values of the key columns, in order, as Postgres writes them.
pub(super) fn parse(mapping: &Mapping, text: &str) -> Result<Vec<String>, KeyProblem> {
    let columns: Vec<&Column> = mapping.key_columns().collect();
    let parts = split(text)?;
    let is_pair = |part: &&str| column_of(&columns, part).is_some();
    let values = if parts.first().is_some_and(is_pair) { by_name(&columns, &parts)? } else { parts };
    if values.len() != columns.len() {
        return Err(KeyProblem::Count { found: values.len(), expected: columns.len() });
    }
    columns.iter().zip(values).map(|(column, value)| canonical(column, &unquoted(value)?)).collect()
}

/// How the key is written, for an error that says so.
pub(super) fn syntax(mapping: &Mapping) -> String {
    let columns: Vec<_> =
        mapping.key_columns().map(|column| format!("{}={}", column.name, column.column_type)).collect();
    columns.join(",")
}

/// Cuts at commas that are in no JSON string.
fn split(text: &str) -> Result<Vec<&str>, KeyProblem> {
    let (mut parts, mut start, mut in_string, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if in_string => is_escaped = true,
            '"' if in_string => in_string = false,
            '"' if begins_value(&text[start..at]) => in_string = true,
            ',' if !in_string => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if in_string {
        return Err(KeyProblem::Quotes);
    }
    parts.push(text[start..].trim());
    Ok(parts)
}

/// Whether nothing of the value has come yet.
fn begins_value(before: &str) -> bool {
    let before = before.trim();
    before.is_empty() || before.ends_with('=')
}

/// The column that a pair names, and its value.
fn column_of<'t>(columns: &[&Column], part: &'t str) -> Option<(usize, &'t str)> {
    let (name, value) = part.split_once('=')?;
    let at = columns.iter().position(|column| column.name == name.trim())?;
    Some((at, value.trim()))
}

fn by_name<'t>(columns: &[&Column], parts: &[&'t str]) -> Result<Vec<&'t str>, KeyProblem> {
    let mut found = vec![None; columns.len()];
    for part in parts {
        let (at, value) = column_of(columns, part).ok_or(KeyProblem::NoColumn)?;
        if found[at].replace(value).is_some() {
            return Err(KeyProblem::Twice(columns[at].name.clone()));
        }
    }
    let named = columns.iter().zip(found);
    named.map(|(column, value)| value.ok_or_else(|| KeyProblem::Lacks(column.name.clone()))).collect()
}

fn unquoted(value: &str) -> Result<String, KeyProblem> {
    if value.starts_with('"') {
        serde_json::from_str(value).map_err(|_| KeyProblem::Quotes)
    } else {
        Ok(value.to_owned())
    }
}

fn canonical(column: &Column, value: &str) -> Result<String, KeyProblem> {
    let none = |what| KeyProblem::NoValue { column: column.name.clone(), what };
    let whole = |min: i64, max: i64, what| {
        let number = value.parse::<i64>().ok().filter(|number| (min..=max).contains(number));
        number.map(|number| number.to_string()).ok_or_else(|| none(what))
    };
    match column.column_type.base {
        BaseType::Uuid => Uuid::parse_str(value).map(|id| id.to_string()).map_err(|_| none("a uuid")),
        BaseType::Int16 => whole(i16::MIN.into(), i16::MAX.into(), "a whole number of 16 bits"),
        BaseType::Int32 => whole(i32::MIN.into(), i32::MAX.into(), "a whole number of 32 bits"),
        BaseType::Int64 => whole(i64::MIN, i64::MAX, "a whole number of 64 bits"),
        BaseType::Date => day(value).ok_or_else(|| none("a day such as 2026-11-26, 0044-03-15 BC or infinity")),
        // No text of Postgres holds one, and no statement does.
        _ if value.contains('\0') => Err(none("a text without NUL")),
        _ => Ok(value.to_owned()),
    }
}

/// The last year of `date` in Postgres, whatever destinations hold: a row that they refuse has a story too.
const LAST_YEAR: u32 = 5_874_897;
/// The year before Christ, month and day with which it begins: those of the Julian period.
const FIRST_DAY: (u32, (u32, u32)) = (4714, (11, 24));

/// A day as Postgres writes it, if it is one that `date` holds.
fn day(value: &str) -> Option<String> {
    if ["infinity", "-infinity"].contains(&value) {
        return Some(value.to_owned());
    }
    let (date, before_christ) = value.strip_suffix(" BC").map_or((value, false), |date| (date, true));
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| {
        let is_number = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|_| is_number)
    };
    let parts: Vec<_> = date.split('-').collect();
    let [year, month, day] = parts[..] else { return None };
    let (year, month, day) = (number(year, 4..=7)?, number(month, 2..=2)?, number(day, 2..=2)?);
    // There is no year 0: 1 BC, which was a leap year, is the one before 1.
    let leaps = if before_christ { year.checked_sub(1)? } else { year };
    let longest = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leaps % 4 == 0 && (leaps % 100 != 0 || leaps % 400 == 0) => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    let is_held = match (before_christ, year) {
        (false, year) => (1..=LAST_YEAR).contains(&year),
        (true, year) => year < FIRST_DAY.0 || (year == FIRST_DAY.0 && (month, day) >= FIRST_DAY.1),
    };
    let era = if before_christ { " BC" } else { "" };
    (is_held && (1..=longest).contains(&day)).then(|| format!("{year:04}-{month:02}-{day:02}{era}"))
}

#[cfg(test)]
mod tests {
    use lockstep_mappings::MappingSet;

    use super::*;

    const ID: &str = "0b7d3f5e-0000-4000-8000-000000000007";

    fn read(mapping: &str, text: &str) -> Result<Vec<String>, KeyProblem> {
        let set = MappingSet::built_in();
        parse(set.get(&mapping.parse().unwrap()).unwrap(), text)
    }

    #[test]
    fn a_key_is_values_in_order_or_pairs_in_any() {
        assert_eq!(read("users", &ID.to_uppercase()).unwrap(), [ID]);
        assert_eq!(read("users", &format!("id={ID}")).unwrap(), [ID]);
        let permission = ["0b7d3f5e-0000-4000-8000-000000000007", "publish"];
        assert_eq!(read("project_permissions", &format!("{ID}, publish")).unwrap(), permission);
        assert_eq!(read("project_permissions", &format!("permission_id=publish,user_id={ID}")).unwrap(), permission);
    }

    #[test]
    fn a_text_with_a_comma_is_a_json_string() {
        let said = ["a, b", "say \"x=1\"", "=", ""];
        for text in said {
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(read("project_permissions", &format!("{ID},{json}")).unwrap()[1], text);
            assert_eq!(read("project_permissions", &format!("permission_id={json},user_id={ID}")).unwrap()[1], text);
        }
        assert_eq!(read("project_permissions", &format!("{ID},a\"b")).unwrap()[1], "a\"b");
        assert_eq!(read("project_permissions", &format!("{ID},\"a")), Err(KeyProblem::Quotes));
        assert_eq!(read("project_permissions", &format!("{ID},\"a\"b")), Err(KeyProblem::Quotes));
    }

    #[test]
    fn what_is_wrong_is_said_without_a_value() {
        for (text, said) in [
            ("hunter2", "the value of id is not a uuid"),
            ("hunter2,hunter2", "it has 2 values, and the key 1"),
            (
                "id=hunter2,name=hunter2",
                "a part names no column of the key; name the column of every value, or of none",
            ),
            (&format!("id={ID},id={ID}")[..], "id is there twice"),
        ] {
            assert_eq!(read("users", text).unwrap_err().to_string(), said);
        }
        let lacks = read("project_permissions", &format!("user_id={ID}")).unwrap_err();
        assert_eq!(lacks.to_string(), "permission_id is missing");
    }

    #[test]
    fn days_are_those_that_postgres_holds_as_it_writes_them() {
        for held in [
            "2024-02-29",
            "0001-01-01",
            "9999-12-31",
            "1899-12-31",
            "2300-01-01",
            "10000-02-29",
            "5874897-12-31",
            "0001-02-29 BC",
            "0044-03-15 BC",
            "4714-11-24 BC",
            "infinity",
            "-infinity",
        ] {
            assert_eq!(day(held).as_deref(), Some(held));
        }
        assert_eq!(day("0010000-01-01").as_deref(), Some("10000-01-01"));
        for none in [
            "2023-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-01-00",
            "2024-1-1",
            "24-01-01",
            "+2024-01-01",
            "2024-01-01-01",
            "0000-01-01",
            "0000-01-01 BC",
            "0044-02-29 BC",
            "4714-11-23 BC",
            "5874898-01-01",
            "J2451545",
            "today",
            "",
        ] {
            assert_eq!(day(none), None, "{none}");
        }
    }
}
