//! What an SQLSTATE says about the work that met it (PostgreSQL documentation, appendix "PostgreSQL Error Codes"): one list
//! for whoever reads the source.

/// What has to change before the same work can succeed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Nothing: the server will answer differently by itself.
    Passing,
    /// The values of a row, as it seems: the same statement may well read the others.
    Row,
    /// The statement, the tables that it names, or a setting.
    Statement,
}

/// Classes: connection, rollback (deadlock, serialization), resources, operator intervention, system.
const PASSING_CLASSES: [&str; 5] = ["08", "40", "53", "57", "58"];
/// Lock timeout, and a session that was ended because its transaction was idle.
const PASSING: [&str; 2] = ["55P03", "25P03"];
/// Classes: a feature not supported (a NaN as a bigint), no case found, cardinality (a subquery that finds two rows), data
/// exceptions, constraints (of domains: nothing is written), external routines (two classes), program limits (a text of more
/// than a gigabyte), functions that raise an error, internal errors (an allocation that large, damaged pages and indexes).
const ROW_CLASSES: [&str; 10] = ["0A", "20", "21", "22", "23", "38", "39", "54", "P0", "XX"];

impl Fault {
    /// What this SQLSTATE says.
    pub fn of(sqlstate: &str) -> Self {
        let is_of = |classes: &[&str]| classes.iter().any(|class| sqlstate.starts_with(class));
        if is_of(&PASSING_CLASSES) || PASSING.contains(&sqlstate) {
            Self::Passing
        } else if is_of(&ROW_CLASSES) {
            Self::Row
        } else {
            Self::Statement
        }
    }
}

/// What to say in place of Postgres's own message, where that may quote a value of a row.
pub(crate) fn without_values(sqlstate: &str) -> Option<&'static str> {
    Some(match sqlstate {
        "22003" => "a number is out of range",
        "22007" | "22008" => "a text is no date or time, or it is out of range",
        "22012" => "division by zero",
        "22021" | "22P05" => "a character cannot be held or converted",
        "22P02" => "a text is not of the form that its type has",
        _ => match sqlstate.get(..2)? {
            "22" => "a value cannot be used",
            "38" | "39" | "P0" => "a function failed",
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_a_row_s_fault_and_missing_columns_are_not() {
        for row in ["22003", "22012", "22P02", "22P05", "54000", "XX000", "XX001", "0A000", "21000", "23514", "P0001"] {
            assert_eq!(Fault::of(row), Fault::Row, "{row}");
        }
        for statement in ["42703", "42P01", "42501", "3F000", "25006", "55006"] {
            assert_eq!(Fault::of(statement), Fault::Statement, "{statement}");
        }
        for passing in ["08006", "40001", "53200", "55P03", "25P03", "57014", "57P01", "58030"] {
            assert_eq!(Fault::of(passing), Fault::Passing, "{passing}");
        }
    }

    #[test]
    fn messages_that_quote_values_are_replaced() {
        assert_eq!(without_values("22P02"), Some("a text is not of the form that its type has"));
        assert_eq!(without_values("22023"), Some("a value cannot be used"));
        assert_eq!(without_values("P0001"), Some("a function failed"));
        assert_eq!((without_values("42703"), without_values("54000"), without_values("")), (None, None, None));
    }
}
