//! What an error code of Postgres says: the one place that sorts them.
//!
//! Codes and classes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

/// What an error of Postgres speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SqlStateKind {
    /// The connection, resources, an operator, the system: it passes, and everything waits until then.
    Server,
    /// The session's own state: everything waits.
    Session,
    /// The server's insides, such as an allocation that is too large, or a damaged page: everything waits, unless a row can be
    /// told from the others.
    Internal,
    /// Another transaction was in the way: it passes.
    Conflict,
    /// The statement was cancelled, because it took too long.
    Cancelled,
    /// A schema, table or column is not there.
    Missing,
    /// The role may not do it.
    Forbidden,
    /// A value is none for its type or constraint.
    Value,
    /// What a function, a subquery or a limit made of a row: an error that was raised, two rows where there may be one, a text of
    /// more than a gigabyte.
    Outcome,
    /// Anything else that is wrong with the statement.
    Statement,
}

impl SqlStateKind {
    /// Sorts a code.
    pub fn of(state: &str) -> Self {
        match state {
            "57014" => Self::Cancelled,
            // A session that was ended because its transaction was idle; a server that has become a standby.
            "25P03" | "25006" => Self::Server,
            // Memory and temporary files of one statement: perhaps of one row.
            "53200" | "53400" => Self::Internal,
            // A lock that was not there in time.
            "55P03" => Self::Conflict,
            "42P01" | "42703" | "3F000" => Self::Missing,
            "42501" => Self::Forbidden,
            _ => match state.get(..2) {
                Some("08" | "53" | "57" | "58") => Self::Server,
                Some("25") => Self::Session,
                Some("XX") => Self::Internal,
                // Deadlocks and serialization.
                Some("40") => Self::Conflict,
                Some("22" | "23") => Self::Value,
                // Features, cases, cardinality, external routines (two classes), program limits, errors that functions raise.
                Some("0A" | "20" | "21" | "38" | "39" | "54" | "P0") => Self::Outcome,
                _ => Self::Statement,
            },
        }
    }

    /// Whether the same may go through later, without anybody doing anything.
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::Server | Self::Conflict | Self::Cancelled)
    }

    /// Whether it speaks of the statement, or of the tables that it names: other statements go through.
    pub const fn is_of_statement(self) -> bool {
        !matches!(self, Self::Server | Self::Session | Self::Internal)
    }

    /// Whether a row may be at fault: the same statement may well read the others.
    pub const fn is_of_row(self) -> bool {
        matches!(self, Self::Value | Self::Outcome | Self::Internal)
    }

    /// Whether a row may be at fault where the statement can be planned: a value may name a table, a type, a function or a
    /// query text (`'x'::regclass`, `'a b'::tsquery`), and what it names is looked for when the row is read.
    pub const fn may_be_of_row(self) -> bool {
        self.is_of_row() || matches!(self, Self::Missing | Self::Forbidden | Self::Statement)
    }
}

/// What to do about it, where that is known, and the code of Lockstep's own: states of the server in which everything waits have one each.
pub(crate) fn remedy_of(sqlstate: &str) -> Option<(&'static str, &'static str)> {
    Some(match sqlstate {
        "53300" => (
            "LS-0032",
            "everything waits until there is a connection again: raise max_connections, or have others use fewer",
        ),
        "53100" => ("LS-0033", "everything waits until there is room on its disk again"),
        "25006" => (
            "LS-0034",
            "everything waits until it takes writes again: it is a standby, so let the URL name the primary",
        ),
        "57P03" => ("LS-0035", "everything waits until it has started or recovered"),
        "3F000" => ("LS-0012", "create that schema, or let the URL name the database that has it"),
        _ => return None,
    })
}

/// Classes whose messages are the server's own and name objects and limits, never values of rows.
const PLAIN_CLASSES: &[&str] = &[
    "08", "0A", "21", "23", "25", "26", "28", "2B", "34", "3B", "3D", "3F", "40", "42", "53", "54", "55", "57", "58",
    "F0", "XX",
];

/// What to say in place of Postgres's own message, where that may quote a value of a row. A function may raise whatever it likes,
/// with any code that it likes: `is_raised`.
/// What has no position in the statement (`has_position`) was found while a value was read: as a name, a query, a path.
pub(crate) fn without_values(sqlstate: &str, is_raised: bool, has_position: bool) -> Option<&'static str> {
    Some(match sqlstate {
        _ if is_raised => "a function failed",
        "42601" | "42602" | "42704" | "42P01" | "42883" | "54000" if !has_position => {
            "what something names is not there, or a text is not of the form that its type has"
        }
        "22003" => "a number is out of range",
        "22007" | "22008" => "a text is no date or time, or it is out of range",
        "22012" => "division by zero",
        "22021" | "22P05" => "a character cannot be held or converted",
        "22P02" => "a text is not of the form that its type has",
        _ => match sqlstate.get(..2).unwrap_or_default() {
            "22" => "a value cannot be used",
            "38" | "39" | "P0" => "a function failed",
            class if PLAIN_CLASSES.contains(&class) => return None,
            _ => "it failed with a code that is none of Postgres's own",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_somebody_has_to_mend() {
        for state in
            ["08006", "53100", "53300", "57P01", "57P03", "58030", "25P03", "25006", "40001", "40P01", "55P03", "57014"]
        {
            assert!(SqlStateKind::of(state).is_passing(), "{state}");
        }
        // A column that is missing does not come back by itself.
        for state in ["42703", "42P01", "42501", "22P02", "23505", "0A000", "25001", "53200", "53400", "XX000", ""] {
            assert!(!SqlStateKind::of(state).is_passing(), "{state}");
        }
    }

    #[test]
    fn values_are_a_row_s_fault_and_missing_columns_are_not() {
        for row in ["22003", "22P02", "53200", "54000", "XX000", "XX001", "0A000", "21000", "23514", "P0001"] {
            assert!(SqlStateKind::of(row).is_of_row(), "{row}");
        }
        for other in ["42703", "42P01", "42501", "3F000", "25006", "55006", "08006", "40001", "55P03", "57014"] {
            assert!(!SqlStateKind::of(other).is_of_row(), "{other}");
        }
        for planned in ["42P01", "42601", "42883", "42704", "42501", "22003"] {
            assert!(SqlStateKind::of(planned).may_be_of_row(), "{planned}");
        }
        for other in ["25006", "25P02", "08006", "40001", "55P03", "57014"] {
            assert!(!SqlStateKind::of(other).may_be_of_row(), "{other}");
        }
    }

    #[test]
    fn what_concerns_one_statement_stops_no_other() {
        for state in ["42703", "22003", "40P01", "55P03", "57014", "P0001"] {
            assert!(SqlStateKind::of(state).is_of_statement(), "{state}");
        }
        for state in ["08006", "25P02", "25P03", "53100", "57P03", "58030", "XX001"] {
            assert!(!SqlStateKind::of(state).is_of_statement(), "{state}");
        }
    }

    #[test]
    fn states_of_the_server_that_everything_waits_for_have_codes_of_their_own() {
        for state in ["53300", "53100", "25006", "57P03"] {
            assert!(remedy_of(state).is_some() && SqlStateKind::of(state) == SqlStateKind::Server, "{state}");
        }
        assert_eq!(remedy_of("42P01"), None);
    }

    #[test]
    fn messages_that_quote_values_are_replaced() {
        assert_eq!(without_values("22P02", false, true), Some("a text is not of the form that its type has"));
        assert_eq!(without_values("22023", false, true), Some("a value cannot be used"));
        assert_eq!(without_values("P0001", false, true), Some("a function failed"));
        assert_eq!(without_values("42703", true, true), Some("a function failed"));
        assert!(without_values("42P01", false, true).is_none() && without_values("42P01", false, false).is_some());
        for of_nobody in ["UQ001", "45000", "F", ""] {
            assert!(without_values(of_nobody, false, true).is_some(), "{of_nobody}");
        }
        for plain in ["42703", "54000", "53300", "23505"] {
            assert_eq!(without_values(plain, false, true), None, "{plain}");
        }
    }
}
