//! The type table: what a type in a definition means on every side. The only one there is.

use std::fmt;

/// What a column, or an element of an array, holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BaseType {
    /// 16 bytes.
    Uuid,
    /// UTF-8. Of a `char(n)` without trailing blanks, of an enum the label.
    Text,
    /// UTF-8 with few distinct values: `lc` in a definition.
    LowCardinality,
    /// Milliseconds, UTC, clamped to what `DateTime64(3)` holds.
    Timestamp,
    /// Microseconds, UTC, clamped to the same days.
    TimestampMicros,
    /// A day, clamped to what `Date32` holds. In a key it is refused beyond that.
    Date,
    /// A time of day, as Postgres prints it.
    Time,
    /// A span of time, as Postgres prints it in the style `postgres`.
    Interval,
    /// True or false.
    Bool,
    /// JSON text, exactly as Postgres prints it.
    Json,
    /// 16-bit signed.
    Int16,
    /// 32-bit signed.
    Int32,
    /// 64-bit signed.
    Int64,
    /// 32-bit IEEE 754.
    Float32,
    /// 64-bit IEEE 754.
    Float64,
    /// Up to `precision` decimal digits, `scale` of them behind the point; what has more is refused.
    Decimal {
        /// All digits: 1 to [`MAX_PRECISION`].
        precision: u8,
        /// Digits behind the point: 0 to `precision`.
        scale: u8,
    },
    /// A number with any digits, NaN and the infinities included, as Postgres prints it.
    Numeric,
    /// Bytes, as they are.
    Bytes,
    /// A network address, as Postgres prints it.
    Inet,
}

/// Decimal digits that ClickHouse's widest `Decimal` holds.
pub const MAX_PRECISION: u8 = 76;

/// One row of the type table.
struct Facts {
    /// In definitions.
    name: &'static str,
    /// The Postgres type of every exported expression.
    postgres_cast: &'static str,
    /// `pg_type.typname` of source columns that may be exported as this without an expression of their own.
    accepts: &'static [&'static str],
    clickhouse: &'static str,
    /// In a tenant's own Postgres.
    postgres: &'static str,
    /// A Postgres expression that stands where a tombstone has no value.
    blank: &'static str,
}

const TEXTS: &[&str] = &["text", "varchar", "bpchar", "citext", "name", "macaddr", "macaddr8"];
const TIMESTAMPS: &[&str] = &["timestamp", "timestamptz"];

impl BaseType {
    /// One of each, in the order of the documentation; [`BaseType::Decimal`] stands for all of its kind.
    pub const ALL: [Self; 19] = [
        Self::Uuid,
        Self::Text,
        Self::LowCardinality,
        Self::Bool,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Float32,
        Self::Float64,
        Self::Decimal { precision: 20, scale: 4 },
        Self::Numeric,
        Self::Timestamp,
        Self::TimestampMicros,
        Self::Date,
        Self::Time,
        Self::Interval,
        Self::Json,
        Self::Bytes,
        Self::Inet,
    ];

    #[rustfmt::skip] // a table is read by its columns
    const fn facts(self) -> Facts {
        let (name, postgres_cast, accepts, clickhouse, postgres, blank): (_, _, &[_], _, _, _) = match self {
            Self::Uuid => ("uuid", "uuid", &["uuid"], "UUID", "uuid", "'00000000-0000-0000-0000-000000000000'::uuid"),
            Self::Text => ("text", "text", TEXTS, "String", "text", "''::text"),
            Self::LowCardinality => ("lc", "text", TEXTS, "LowCardinality(String)", "text", "''::text"),
            Self::Timestamp => ("timestamp", "timestamp", TIMESTAMPS, "DateTime64(3, 'UTC')", "timestamp without time zone", "'1970-01-01'::timestamp"),
            Self::TimestampMicros => ("timestamp_us", "timestamp", TIMESTAMPS, "DateTime64(6, 'UTC')", "timestamp without time zone", "'1970-01-01'::timestamp"),
            Self::Date => ("date", "date", &["date"], "Date32", "date", "'1970-01-01'::date"),
            Self::Time => ("time", "text", &["time"], "String", "time without time zone", "''::text"),
            Self::Interval => ("interval", "text", &["interval"], "String", "interval", "''::text"),
            Self::Bool => ("bool", "bool", &["bool"], "UInt8", "boolean", "FALSE"),
            Self::Json => ("json", "text", &["jsonb", "json"], "String", "jsonb", "''::text"),
            Self::Int16 => ("int16", "int2", &["int2"], "Int16", "smallint", "0::int2"),
            Self::Int32 => ("int32", "int4", &["int2", "int4"], "Int32", "integer", "0::int4"),
            Self::Int64 => ("int64", "int8", &["int2", "int4", "int8"], "Int64", "bigint", "0::int8"),
            Self::Float32 => ("float32", "float4", &["float4"], "Float32", "real", "0::float4"),
            Self::Float64 => ("float64", "float8", &["float4", "float8"], "Float64", "double precision", "0::float8"),
            Self::Decimal { .. } => ("numeric(p,s)", "numeric", &["numeric", "int2", "int4", "int8"], "Decimal(p, s)", "numeric(p,s)", "0::numeric"),
            Self::Numeric => ("numeric", "text", &["numeric"], "String", "numeric", "''::text"),
            Self::Bytes => ("bytea", "bytea", &["bytea"], "String", "bytea", "''::bytea"),
            Self::Inet => ("inet", "text", &["inet", "cidr"], "String", "inet", "''::text"),
        };
        Facts { name, postgres_cast, accepts, clickhouse, postgres, blank }
    }

    /// The type of this name in definitions.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        if let Some(digits) = name.strip_prefix("numeric(").and_then(|rest| rest.strip_suffix(')')) {
            return Self::decimal(digits).ok_or_else(|| {
                format!(
                    "type {name:?} has to be numeric(p,s) with p from 1 to {MAX_PRECISION} and s from 0 to p; numeric \
                     alone holds every number, as text"
                )
            });
        }
        let found =
            Self::ALL.into_iter().find(|base| base.facts().name == name && !matches!(base, Self::Decimal { .. }));
        found.ok_or_else(|| {
            let export = Self::ALL.into_iter().filter(|base| base.facts().accepts.contains(&name)).map(Self::name);
            let export: Vec<_> = export.collect();
            if export.is_empty() {
                let known = Self::ALL.map(Self::name).join(", ");
                format!("type {name:?} is not known; use one of {known} (? behind it: can be null; []: an array)")
            } else {
                format!("type {name:?} is not known; columns of it are exported as {}", export.join(" or "))
            }
        })
    }

    fn decimal(digits: &str) -> Option<Self> {
        let (precision, scale) = digits.split_once(',').unwrap_or((digits, "0"));
        let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
        ((1..=MAX_PRECISION).contains(&precision) && scale <= precision).then_some(Self::Decimal { precision, scale })
    }

    /// In the type table: with `p` and `s` where digits are counted.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The cast that every exported expression of this type ends in. A decimal's says no digits: Postgres would round.
    pub const fn postgres_cast(self) -> &'static str {
        self.facts().postgres_cast
    }

    /// In ClickHouse tables.
    pub fn clickhouse(self) -> String {
        match self {
            Self::Decimal { precision, scale } => format!("Decimal({precision}, {scale})"),
            _ => self.facts().clickhouse.to_owned(),
        }
    }

    /// In tables of a tenant's own Postgres.
    pub fn postgres(self) -> String {
        match self {
            Self::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
            _ => self.facts().postgres.to_owned(),
        }
    }

    /// Whether what is exported is the text of a value of the type in tenants' own Postgres, and has to be cast there: the
    /// wire forms of the two differ by more than bytes in front.
    pub const fn is_cast_there(self) -> bool {
        matches!(self, Self::Time | Self::Interval | Self::Numeric | Self::Inet)
    }

    /// The object id of the type of elements, in arrays that tenants' own Postgres is given (`pg_type.dat`; the same in every
    /// version).
    pub(crate) const fn element_oid(self) -> u32 {
        match self {
            Self::Bool => 16,
            Self::Bytes => 17,
            Self::Int64 => 20,
            Self::Int16 => 21,
            Self::Int32 => 23,
            Self::Text | Self::LowCardinality | Self::Time | Self::Interval | Self::Numeric | Self::Inet => 25,
            Self::Float32 => 700,
            Self::Float64 => 701,
            Self::Date => 1082,
            Self::Timestamp | Self::TimestampMicros => 1114,
            Self::Decimal { .. } => 1700,
            Self::Uuid => 2950,
            Self::Json => 3802,
        }
    }

    /// The `pg_type.typname` of source columns that may be exported as this without an expression of their own.
    pub const fn source_types(self) -> &'static [&'static str] {
        self.facts().accepts
    }

    /// Whether enums may be exported as this: by their labels.
    pub const fn takes_enums(self) -> bool {
        matches!(self, Self::Text | Self::LowCardinality)
    }

    /// A Postgres expression that stands where a tombstone has no value.
    pub(crate) const fn blank(self) -> &'static str {
        self.facts().blank
    }

    /// Whether this can be part of a key: its text form is canonical and can be read back from a tombstone, and two values
    /// are never shown as one.
    pub const fn can_be_key(self) -> bool {
        matches!(
            self,
            Self::Uuid | Self::Text | Self::LowCardinality | Self::Int16 | Self::Int32 | Self::Int64 | Self::Date
        )
    }
}

impl fmt::Display for BaseType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal { precision, scale } => write!(f, "numeric({precision},{scale})"),
            _ => f.write_str(self.name()),
        }
    }
}
