//! Rows that were written past the triggers, as far as the source can tell.

use super::names::capture_columns;
use super::quote::table;
use crate::mapping::SourceTable;

/// Transaction numbers are compared modulo 2^32, as rows hold them; half of that is the future.
const WRAP: i64 = 1 << 32;

/// How many rows of a table have no number, wait for none, and were written after transaction `$1` (`bigint`, modulo
/// 2^32), up to `$2 bigint` of them: they are neither of the base nor were they noticed. Reads the whole table where there
/// are none.
///
/// Every write of a row without a number flags it, so such a row was inserted or updated while its trigger did not fire.
/// Rows that have a number look the same whether an update was noticed or concerned no mapping; a row that was deleted
/// leaves nothing to look at.
pub fn rows(source: &SourceTable) -> String {
    let (sequence, flag) = capture_columns("s");
    format!(
        "SELECT count(*) FROM (SELECT 1 FROM {source} s WHERE {sequence} IS NULL AND NOT {flag}\n  AND (s.xmin::text::bigint - $1 + {WRAP}) % {WRAP} BETWEEN 1 AND {WRAP} / 2 - 1 LIMIT $2) r",
        source = table(source),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_of_a_table() {
        let source = SourceTable { schema: "public".to_owned(), name: "Team".to_owned() };
        insta::assert_snapshot!(rows(&source), @r#"
        SELECT count(*) FROM (SELECT 1 FROM "public"."Team" s WHERE s."sequenceId" IS NULL AND NOT s."shouldUpdateSequenceId"
          AND (s.xmin::text::bigint - $1 + 4294967296) % 4294967296 BETWEEN 1 AND 4294967296 / 2 - 1 LIMIT $2) r
        "#);
    }
}
