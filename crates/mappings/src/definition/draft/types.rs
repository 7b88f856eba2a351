//! The type as which a column of the source is exported without loss.

use crate::column_type::{BaseType, ColumnType, Elements, MAX_PRECISION};
use crate::postgres::facts::ColumnFacts;

/// How a column is exported.
pub(super) struct Exported {
    pub(super) column_type: ColumnType,
    /// What stands where it is null: of an array alone.
    pub(super) when_null: Option<&'static str>,
}

/// # Errors
/// Why it cannot be, in a sentence.
pub(super) fn exported_as(column: &ColumnFacts) -> Result<Exported, String> {
    if column.is_virtual {
        return Err("it is generated and not stored: triggers do not see its value; make it STORED, or export the \
                    expression behind it with `sql`"
            .to_owned());
    }
    let base = base(column).ok_or_else(|| {
        format!("no type of a definition takes {}; export it with `sql` and a cast, say to text", column.type_name())
    })?;
    Ok(if column.is_array {
        // Postgres cannot say that no element is null.
        let column_type = ColumnType { base, nullable: false, array: Some(Elements { nullable: true }) };
        Exported { column_type, when_null: column.nullable.then_some("'{{}}'") }
    } else {
        Exported { column_type: ColumnType { base, nullable: column.nullable, array: None }, when_null: None }
    })
}

fn base(column: &ColumnFacts) -> Option<BaseType> {
    if column.is_enum {
        return Some(BaseType::LowCardinality);
    }
    match column.typname.as_str() {
        "numeric" => Some(number(column.typmod)),
        // Microseconds, unless the column holds none.
        "timestamp" | "timestamptz" if !(0..=3).contains(&column.typmod) => Some(BaseType::TimestampMicros),
        typname => BaseType::ALL.into_iter().find(|base| base.source_types().contains(&typname)),
    }
}

/// The decimal that a `numeric` is declared to be: precision in the upper 16 bits, scale as 11 bits with a sign, four more
/// than both (`numeric_typmod_scale` in PostgreSQL's `numeric.c`). Where ClickHouse has none such, text.
fn number(typmod: i32) -> BaseType {
    let digits = typmod - 4;
    let (precision, scale) = ((digits >> 16) & 0xffff, ((digits & 0x7ff) ^ 0x400) - 0x400);
    match (u8::try_from(precision), u8::try_from(scale)) {
        (Ok(precision @ 1..=MAX_PRECISION), Ok(scale)) if typmod >= 4 && scale <= precision => {
            BaseType::Decimal { precision, scale }
        }
        _ => BaseType::Numeric,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_decimal_that_it_is_declared_to_be() {
        let typmod = |precision: i32, scale: i32| ((precision << 16) | (scale & 0x7ff)) + 4;
        let decimal = |precision, scale| BaseType::Decimal { precision, scale };
        assert_eq!(number(typmod(20, 4)), decimal(20, 4));
        assert_eq!(number(typmod(76, 76)), decimal(76, 76));
        for text in [-1, typmod(77, 0), typmod(5, -2), typmod(2, 5), typmod(1000, 1000)] {
            assert_eq!(number(text), BaseType::Numeric);
        }
    }

    #[test]
    fn every_source_type_has_a_type_that_takes_it_without_an_expression() {
        for typname in BaseType::ALL.into_iter().flat_map(BaseType::source_types) {
            for is_array in [false, true] {
                let facts = ColumnFacts { typname: (*typname).to_owned(), typmod: -1, is_array, ..Default::default() };
                assert!(facts.exports_as(exported_as(&facts).unwrap().column_type), "{typname}");
            }
        }
    }
}
