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
    /// In definitions.
    name: &'static str,
    /// The cast that every exported expression ends in.
    postgres_cast: &'static str,
    /// `pg_type.typname` of source columns that may be exported as this without an expression of their own.
    accepts: &'static [&'static str],
    clickhouse: &'static str,
    /// A Postgres expression of this type that stands where a tombstone has no value.
    blank: &'static str,
}

const TEXTS: &[&str] = &["text", "varchar", "bpchar", "citext", "name"];

impl BaseType {
    const ALL: [Self; 9] = {
        use BaseType::{Bool, Float64, Int32, Int64, Json, LowCardinality, Text, Timestamp, Uuid};
        [Uuid, Text, LowCardinality, Timestamp, Bool, Json, Int32, Int64, Float64]
    };

    const fn facts(self) -> Facts {
        let (name, postgres_cast, accepts, clickhouse, blank): (_, _, &[_], _, _) = match self {
            Self::Uuid => ("uuid", "uuid", &["uuid"], "UUID", "'00000000-0000-0000-0000-000000000000'::uuid"),
            Self::Text => ("text", "text", TEXTS, "String", "''::text"),
            Self::LowCardinality => ("lc", "text", TEXTS, "LowCardinality(String)", "''::text"),
            Self::Timestamp => {
                let accepts = &["timestamp", "timestamptz"];
                ("timestamp", "timestamp", accepts, "DateTime64(3, 'UTC')", "'1970-01-01'::timestamp")
            }
            Self::Bool => ("bool", "bool", &["bool"], "UInt8", "FALSE"),
            Self::Json => ("json", "text", &["jsonb", "json"], "String", "''::text"),
            Self::Int32 => ("int32", "int4", &["int2", "int4"], "Int32", "0::int4"),
            Self::Int64 => ("int64", "int8", &["int2", "int4", "int8"], "Int64", "0::int8"),
            Self::Float64 => ("float64", "float8", &["float4", "float8"], "Float64", "0::float8"),
        };
        Facts { name, postgres_cast, accepts, clickhouse, blank }
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
}

impl FromStr for ColumnType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, nullable) = text.strip_suffix('?').map_or((text, false), |name| (name, true));
        let base = BaseType::ALL.into_iter().find(|base| base.facts().name == name).ok_or_else(|| {
            let known = BaseType::ALL.map(|base| base.facts().name);
            format!("type {text:?} is not known; use one of {} (with ? where it can be null)", known.join(", "))
        })?;
        Ok(Self { base, nullable })
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
    fn every_type_reads_back_as_itself() {
        for base in BaseType::ALL {
            for nullable in [false, true] {
                let column_type = ColumnType { base, nullable };
                assert_eq!(column_type.to_string().parse(), Ok(column_type));
            }
        }
        assert!("varchar".parse::<ColumnType>().unwrap_err().contains("use one of uuid, text"));
    }
}
