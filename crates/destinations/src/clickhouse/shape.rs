//! What a table looks like, and in what two of them differ. Pure.

use std::fmt;

use lockstep_mappings::clickhouse::TableDefinition;
#[cfg(doc)]
use lockstep_mappings::clickhouse::{IN_TIME, MARK_OF_REPLACED};

/// What a table looks like, in the words of `system.tables` and `system.columns`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableShape {
    /// Engine with arguments; what follows them (keys, settings) may stand there too.
    pub engine_full: String,
    /// Empty where there are no partitions.
    pub partition_key: String,
    /// Columns, separated by commas.
    pub sorting_key: String,
    /// Name, type as ClickHouse prints it, and what stands where an insert leaves it out, in the table's order. That is empty
    /// where there is none, and other kinds are named before it: `MATERIALIZED now()`.
    pub columns: Vec<(String, String, String)>,
    /// Whether it has the constraint [`IN_TIME`]. It can be added at any time, and is no difference.
    pub is_in_time: bool,
    /// Whether it lets nothing in, because its place was, or was to be, taken: [`MARK_OF_REPLACED`]. That is no difference either.
    pub is_replaced: bool,
}

impl From<&TableDefinition> for TableShape {
    fn from(definition: &TableDefinition) -> Self {
        Self {
            engine_full: definition.engine.clone(),
            partition_key: String::new(),
            sorting_key: definition.sorting_key.clone(),
            columns: definition.columns.clone(),
            is_in_time: true,
            is_replaced: false,
        }
    }
}

/// In what a table differs from its definition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Difference {
    /// A column that it lacks: name, and type.
    Missing(String, String),
    /// A column that it has and no definition: name, and type.
    Extra(String, String),
    /// What only another table can have, in a sentence.
    Other(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name, column_type) => write!(f, "column {name} is missing, must be {column_type}"),
            Self::Extra(name, column_type) => write!(f, "column {name} is {column_type}, must be none"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// In what `found` differs from `expected`; empty when rows can be written to it.
///
/// The order of columns does not count (inserts name them), nor whether the engine is replicated, nor how the server
/// spaces and quotes what it prints.
pub fn differences(expected: &TableShape, found: &TableShape) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut differ = |what: &str, expected: &str, found: &str| {
        if plain(expected) != plain(found) {
            differences.push(Difference::Other(match (expected.is_empty(), found.is_empty()) {
                (true, _) => format!("{what} is {found}, must be none"),
                (_, true) => format!("{what} is missing, must be {expected}"),
                _ => format!("{what} is {found}, must be {expected}"),
            }));
        }
    };
    differ("engine", &engine(&expected.engine_full), &engine(&found.engine_full));
    differ("partition key", &expected.partition_key, &found.partition_key);
    differ("sorting key", &expected.sorting_key, &found.sorting_key);
    differ("TTL", time_to_live(&expected.engine_full), time_to_live(&found.engine_full));
    for (name, column_type, default) in &expected.columns {
        // On a cluster a column is there as often as servers have it in another form.
        for (_, other_type, other_default) in found.columns.iter().filter(|(other, ..)| other == name) {
            differ(&format!("column {name}"), column_type, other_type);
            differ(&format!("default of column {name}"), default, other_default);
        }
    }
    let lacks = |of: &TableShape, name: &String| !of.columns.iter().any(|(other, ..)| other == name);
    let missing = expected.columns.iter().filter(|(name, ..)| lacks(found, name));
    differences.extend(missing.map(|(name, kind, _)| Difference::Missing(name.clone(), kind.clone())));
    let extra = found.columns.iter().filter(|(name, ..)| lacks(expected, name));
    differences.extend(extra.map(|(name, kind, _)| Difference::Extra(name.clone(), kind.clone())));
    differences
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '`').collect()
}

/// The engine with its arguments; of a replicated one (`Shared…` in ClickHouse Cloud) as if it were not.
fn engine(full: &str) -> String {
    let Some(open) = full.find(['(', ' ']).filter(|&at| full[at..].starts_with('(')) else {
        return full.split(' ').next().unwrap_or_default().to_owned();
    };
    let (name, rest) = full.split_at(open);
    let arguments = within_parentheses(rest);
    let single = name.strip_prefix("Replicated").or_else(|| name.strip_prefix("Shared"));
    let Some(single) = single.filter(|single| single.ends_with("MergeTree")) else {
        return format!("{name}({arguments})");
    };
    // Path and replica, both quoted, come first.
    let own: Vec<_> = arguments.split(", ").map(str::trim).filter(|argument| !argument.starts_with('\'')).collect();
    format!("{single}({})", own.join(", "))
}

/// `(a, f(b)) ORDER BY …` → `a, f(b)`.
fn within_parentheses(text: &str) -> &str {
    let mut depth = 0_u32;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return text.get(1..at).unwrap_or_default();
        }
    }
    text.trim_start_matches('(')
}

fn time_to_live(engine_full: &str) -> &str {
    let Some((_, rule)) = engine_full.split_once(" TTL ") else { return "" };
    rule.split(" SETTINGS ").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(engine_full: &str, partition_key: &str, sorting_key: &str, columns: &[(&str, &str, &str)]) -> TableShape {
        let columns =
            columns.iter().map(|&(name, column_type, default)| (name.into(), column_type.into(), default.into()));
        TableShape {
            engine_full: engine_full.to_owned(),
            partition_key: partition_key.to_owned(),
            sorting_key: sorting_key.to_owned(),
            columns: columns.collect(),
            is_in_time: false,
            is_replaced: false,
        }
    }

    #[test]
    fn the_table_of_a_former_system_is_described_in_words() {
        let columns: &[_] =
            &[("id", "UUID", ""), ("name", "Nullable(String)", ""), ("at", "DateTime64(3)", "now64(3)")];
        let expected = shape("ReplacingMergeTree(sync_sequence_id, sync_is_deleted)", "", "project_id, id", columns);
        let found = shape(
            "ReplacingMergeTree(sync_sequence_id) PARTITION BY toYYYYMM(at) ORDER BY id TTL at + toIntervalDay(9) \
             SETTINGS index_granularity = 8192",
            "toYYYYMM(at)",
            "id",
            &[("id", "String", ""), ("at", "DateTime64(3)", ""), ("extra", "UInt8", "")],
        );
        let said: Vec<_> = differences(&expected, &found).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "engine is ReplacingMergeTree(sync_sequence_id), must be ReplacingMergeTree(sync_sequence_id, \
                 sync_is_deleted)",
                "partition key is toYYYYMM(at), must be none",
                "sorting key is id, must be project_id, id",
                "TTL is at + toIntervalDay(9), must be none",
                "column id is String, must be UUID",
                "default of column at is missing, must be now64(3)",
                "column name is missing, must be Nullable(String)",
                "column extra is UInt8, must be none",
            ]
        );
    }

    #[test]
    fn replication_and_spacing_make_no_difference() {
        let columns = [("at", "DateTime64(3, 'UTC')", "")];
        let expected = shape("ReplacingMergeTree(a, b)", "", "`x`, y", &columns);
        for engine in [
            "ReplacingMergeTree(a,b) ORDER BY (x, y) SETTINGS index_granularity = 8192",
            "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/raw/t', '{replica}', a, b) ORDER BY (x, y)",
            "SharedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', a, b) ORDER BY (x, y)",
        ] {
            let found = shape(engine, "", "x, y", &[("at", "DateTime64(3,'UTC')", "")]);
            assert_eq!(differences(&expected, &found), []);
        }
        assert_eq!(
            engine("Distributed('c', 'raw', 't', cityHash64(a, b))"),
            "Distributed('c', 'raw', 't', cityHash64(a, b))"
        );
        assert_eq!(engine("MergeTree ORDER BY (a, b)"), "MergeTree");
    }
}
