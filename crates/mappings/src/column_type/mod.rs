//! Types as definitions write them.

mod base;

use std::fmt;
use std::str::FromStr;

pub use base::{BaseType, MAX_PRECISION};

/// A type as definitions write it: a base type, `?` behind it where it can be null, `[]` at the end of an array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ColumnType {
    /// What it holds, or what its elements hold.
    pub base: BaseType,
    /// Whether the column can hold nothing. Never of an array: ClickHouse has no array that is null.
    pub nullable: bool,
    /// Of an array of one dimension: what is said of its elements.
    pub array: Option<Elements>,
}

/// The elements of an array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Elements {
    /// Whether one can be null.
    pub nullable: bool,
}

impl ColumnType {
    /// In ClickHouse tables.
    pub fn clickhouse(self) -> String {
        let one = |nullable: bool| match (self.base, nullable) {
            (base, false) => base.clickhouse(),
            // ClickHouse wants the null inside the dictionary type.
            (BaseType::LowCardinality, true) => "LowCardinality(Nullable(String))".to_owned(),
            (base, true) => format!("Nullable({})", base.clickhouse()),
        };
        self.array.map_or_else(|| one(self.nullable), |elements| format!("Array({})", one(elements.nullable)))
    }

    /// In tables of a tenant's own Postgres, apart from NOT NULL.
    pub fn postgres(self) -> String {
        format!("{}{}", self.base.postgres(), self.brackets())
    }

    /// The type in which tenants' own Postgres is given values, before they are cast to that of the table.
    pub(crate) fn staged(self) -> String {
        let base = if self.base.is_cast_there() { "text".to_owned() } else { self.base.postgres() };
        format!("{base}{}", self.brackets())
    }

    /// The Postgres type of what is exported.
    pub(crate) fn exported_type(self) -> String {
        format!("{}{}", self.base.postgres_cast(), self.brackets())
    }

    /// A Postgres expression of that type which stands where a tombstone has no value.
    pub(crate) fn blank(self) -> String {
        match self {
            Self { array: Some(_), .. } => format!("'{{}}'::{}", self.exported_type()),
            Self { nullable: true, .. } => format!("NULL::{}", self.exported_type()),
            Self { base, .. } => base.blank().to_owned(),
        }
    }

    /// What is exported of a Postgres expression.
    pub(crate) fn export(self, expression: &str) -> String {
        match self {
            // A cast to text would add a mask to every single address.
            Self { base: BaseType::Inet, array: None, .. } => format!("abbrev(({expression})::inet)"),
            Self { base: BaseType::Inet, .. } => format!("(({expression})::inet[])::text::text[]"),
            _ => format!("({expression})::{}", self.exported_type()),
        }
    }

    /// Whether this can be part of a key.
    pub const fn can_be_key(self) -> bool {
        self.base.can_be_key() && !self.nullable && self.array.is_none()
    }

    const fn brackets(self) -> &'static str {
        if self.array.is_some() { "[]" } else { "" }
    }
}

impl FromStr for ColumnType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.ends_with("[]?") {
            return Err(format!(
                "type {text:?}: ClickHouse has no array that is null; leave out the last ? and add when_null = \"'{{{{}}}}'\""
            ));
        }
        let (one, is_array) = text.strip_suffix("[]").map_or((text, false), |one| (one, true));
        if one.ends_with("[]") {
            return Err(format!("type {text:?}: arrays have one dimension; add one pair of brackets only"));
        }
        let (name, nullable) = one.strip_suffix('?').map_or((one, false), |name| (name, true));
        let base = BaseType::named(name)?;
        Ok(if is_array {
            Self { base, nullable: false, array: Some(Elements { nullable }) }
        } else {
            Self { base, nullable, array: None }
        })
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nullable = self.nullable || self.array.is_some_and(|elements| elements.nullable);
        write!(f, "{}{}{}", self.base, if nullable { "?" } else { "" }, self.brackets())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_reads_back_as_itself() {
        for base in BaseType::ALL {
            for suffix in ["", "?", "[]", "?[]"] {
                let text = format!("{base}{suffix}");
                let column_type: ColumnType = text.parse().unwrap();
                assert_eq!((column_type.base, column_type.to_string()), (base, text));
            }
        }
    }

    #[test]
    fn types_that_are_not_known_are_refused_with_a_remedy() {
        for (text, said) in [
            ("money", "use one of uuid, text"),
            ("varchar", "columns of it are exported as text or lc"),
            ("numeric(77,0)", "p from 1 to 76"),
            ("numeric(3,4)", "s from 0 to p"),
            ("numeric(p,s)", "p from 1 to 76"),
            ("text[]?", "when_null = \"'{{}}'\""),
            ("text[][]", "one dimension"),
        ] {
            let error = text.parse::<ColumnType>().unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn clickhouse_takes_nulls_inside_arrays_and_dictionaries() {
        for (text, clickhouse, postgres) in [
            ("lc?", "LowCardinality(Nullable(String))", "text"),
            ("lc?[]", "Array(LowCardinality(Nullable(String)))", "text[]"),
            ("numeric(20)", "Decimal(20, 0)", "numeric(20,0)"),
            ("numeric(76, 38)?[]", "Array(Nullable(Decimal(76, 38)))", "numeric(76,38)[]"),
            ("int16[]", "Array(Int16)", "smallint[]"),
        ] {
            let column_type: ColumnType = text.parse().unwrap();
            assert_eq!((column_type.clickhouse(), column_type.postgres()), (clickhouse.into(), postgres.into()));
        }
    }
}
