//! The type table: what a type in a definition means on every side. The only one there is.

use std::fmt;
use std::str::FromStr;

/// What a column holds, apart from whether it can be null.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BaseType {
    /// 16 bytes.
    Uuid,
    /// UTF-8.
    Text,
    /// UTF-8 with few distinct values: `lc` in a definition.
    LowCardinality,
    /// Milliseconds, UTC, clamped to what `DateTime64(3)` holds.
    Timestamp,
    /// True or false.
    Bool,
    /// JSON text, exactly as Postgres prints `jsonb`.
    Json,
    /// 32-bit signed.
    Int32,
    /// 64-bit signed.
    Int64,
    /// 64-bit IEEE 754.
    Float64,
}

/// One row of the type table.
struct Facts {
    base: BaseType,
    /// In definitions.
    name: &'static str,
    /// The cast that every exported expression ends in.
    postgres_cast: &'static str,
    /// `pg_type.typname` of source columns that may be exported as this without an expression of their own.
    accepts: &'static [&'static str],
    /// In a tenant's own Postgres.
    postgres_target: &'static str,
    clickhouse: &'static str,
    /// A Postgres expression of this type that stands where a tombstone has no value.
    blank: &'static str,
}

const TYPES: &[Facts] = &[
    Facts {
        base: BaseType::Uuid,
        name: "uuid",
        postgres_cast: "uuid",
        accepts: &["uuid"],
        postgres_target: "uuid",
        clickhouse: "UUID",
        blank: "'00000000-0000-0000-0000-000000000000'::uuid",
    },
    Facts {
        base: BaseType::Text,
        name: "text",
        postgres_cast: "text",
        accepts: &["text", "varchar", "bpchar", "citext", "name"],
        postgres_target: "text",
        clickhouse: "String",
        blank: "''::text",
    },
    Facts {
        base: BaseType::LowCardinality,
        name: "lc",
        postgres_cast: "text",
        accepts: &["text", "varchar", "bpchar", "citext", "name"],
        postgres_target: "text",
        clickhouse: "LowCardinality(String)",
        blank: "''::text",
    },
    Facts {
        base: BaseType::Timestamp,
        name: "timestamp",
        postgres_cast: "timestamp",
        accepts: &["timestamp", "timestamptz"],
        postgres_target: "timestamp without time zone",
        clickhouse: "DateTime64(3, 'UTC')",
        blank: "'1970-01-01'::timestamp",
    },
    Facts {
        base: BaseType::Bool,
        name: "bool",
        postgres_cast: "bool",
        accepts: &["bool"],
        postgres_target: "boolean",
        clickhouse: "UInt8",
        blank: "FALSE",
    },
    Facts {
        base: BaseType::Json,
        name: "json",
        postgres_cast: "text",
        accepts: &["jsonb", "json"],
        postgres_target: "jsonb",
        clickhouse: "String",
        blank: "''::text",
    },
    Facts {
        base: BaseType::Int32,
        name: "int32",
        postgres_cast: "int4",
        accepts: &["int2", "int4"],
        postgres_target: "integer",
        clickhouse: "Int32",
        blank: "0::int4",
    },
    Facts {
        base: BaseType::Int64,
        name: "int64",
        postgres_cast: "int8",
        accepts: &["int2", "int4", "int8"],
        postgres_target: "bigint",
        clickhouse: "Int64",
        blank: "0::int8",
    },
    Facts {
        base: BaseType::Float64,
        name: "float64",
        postgres_cast: "float8",
        accepts: &["float4", "float8"],
        postgres_target: "double precision",
        clickhouse: "Float64",
        blank: "0::float8",
    },
];

impl BaseType {
    fn facts(self) -> &'static Facts {
        // Every variant has its row: the test below walks them all.
        TYPES.iter().find(|facts| facts.base == self).unwrap_or(&TYPES[0])
    }

    /// The cast that every exported expression of this type ends in.
    pub fn postgres_cast(self) -> &'static str {
        self.facts().postgres_cast
    }

    /// Whether a source column of type `typname` can be exported as this. Enums can be where text can.
    pub fn accepts(self, typname: &str, is_enum: bool) -> bool {
        self.facts().accepts.contains(&typname) || (is_enum && self.facts().accepts.contains(&"text"))
    }

    /// The source types that [`BaseType::accepts`], for error messages.
    pub fn accepted(self) -> String {
        self.facts().accepts.join(", ")
    }

    /// A Postgres expression that stands where a tombstone has no value.
    pub fn blank(self) -> &'static str {
        self.facts().blank
    }

    /// Whether this can be part of a key: its text form is canonical and can be read back from a tombstone.
    pub fn can_be_key(self) -> bool {
        matches!(self, Self::Uuid | Self::Text | Self::LowCardinality | Self::Int32 | Self::Int64)
    }
}

/// A type as definitions write it: a base type, `?` when the column can be null.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ColumnType {
    /// What it holds.
    pub base: BaseType,
    /// Whether it can hold nothing.
    pub nullable: bool,
}

impl ColumnType {
    /// In ClickHouse tables.
    pub fn clickhouse(self) -> String {
        match (self.base, self.nullable) {
            (base, false) => base.facts().clickhouse.to_owned(),
            // ClickHouse wants the null inside the dictionary type.
            (BaseType::LowCardinality, true) => "LowCardinality(Nullable(String))".to_owned(),
            (base, true) => format!("Nullable({})", base.facts().clickhouse),
        }
    }

    /// In a tenant's own Postgres.
    pub fn postgres_target(self) -> String {
        let null = if self.nullable { "" } else { " NOT NULL" };
        format!("{}{null}", self.base.facts().postgres_target)
    }
}

impl FromStr for ColumnType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, nullable) = text.strip_suffix('?').map_or((text, false), |name| (name, true));
        let facts = TYPES.iter().find(|facts| facts.name == name).ok_or_else(|| {
            let known: Vec<_> = TYPES.iter().map(|facts| facts.name).collect();
            format!("type {text:?} is not known; use one of {} (with ? where it can be null)", known.join(", "))
        })?;
        Ok(Self { base: facts.base, nullable })
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.base.facts().name, if self.nullable { "?" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_row_and_reads_back_as_itself() {
        use BaseType::{Bool, Float64, Int32, Int64, Json, LowCardinality, Text, Timestamp, Uuid};
        for base in [Uuid, Text, LowCardinality, Timestamp, Bool, Json, Int32, Int64, Float64] {
            assert_eq!(base.facts().base, base);
            for nullable in [false, true] {
                let column_type = ColumnType { base, nullable };
                assert_eq!(column_type.to_string().parse(), Ok(column_type));
            }
        }
        assert!("varchar".parse::<ColumnType>().unwrap_err().contains("use one of uuid, text"));
    }
}
