//! What a session is for, and everything that it settles for itself.
//!
//! A role, a database, a pooler or the URL's `options` can give any setting another default. Whatever an answer, a plan
//! or a timeout of ours depends on is therefore set when a connection opens, and never inherited.

/// What a connection is used for; decides its session settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Session {
    /// Small statements on Lockstep's own tables.
    Control,
    /// The sequencer's passes. Plans stay with indexes and ranges of positions, however few rows the planner takes a table
    /// to have.
    Pass,
    /// Reading changes: a page is read in the order of an index, never sorted. To the planner pages cost nothing and rows
    /// cost much, so that it takes the index that yields the fewest of them: bloat and the number of levels of an index say
    /// nothing about that.
    Fetch,
    /// Reading whole tables: snapshot ranges and comparisons.
    Scan,
    /// Data definition. Locks are not waited for long: applications queue up behind whoever waits for a table lock.
    Migrate,
}

/// A setting's name, and its value as SQL.
type Setting = (&'static str, &'static str);

/// What is the same in every session. Postgres 14 and later know all of them, every role may set them, and a standby
/// takes them as well. `session_replication_role` is not among them: it needs a superuser.
const EVERY_SESSION: &[Setting] = &[
    // First: from here on a name or an operator is Postgres's own, whoever may create objects in `public`.
    ("search_path", "pg_catalog, pg_temp"),
    // A policy that would filter what we read is an error, and never a shorter answer (VER-1).
    ("row_security", "off"),
    ("default_transaction_isolation", "'read committed'"),
    // On a standby every transaction is read-only all the same.
    ("default_transaction_read_only", "off"),
    // A deferrable transaction waits for everybody else's.
    ("default_transaction_deferrable", "off"),
    // A transaction that hangs must not hold back vacuum for ever. Between transactions a session may be idle.
    ("idle_in_transaction_session_timeout", "'10min'"),
    ("idle_session_timeout", "0"),
    // How values, times and definitions are read and printed.
    ("client_encoding", "'UTF8'"),
    ("timezone", "'UTC'"),
    ("datestyle", "'ISO, YMD'"),
    ("intervalstyle", "'postgres'"),
    ("bytea_output", "'hex'"),
    ("extra_float_digits", "1"),
    ("standard_conforming_strings", "on"),
    ("quote_all_identifiers", "off"),
    // What statements mean: `= NULL`, NULL in an array's text, the rows that a GIN index gives.
    ("transform_null_equals", "off"),
    ("array_nulls", "on"),
    ("gin_fuzzy_search_limit", "0"),
    // What functions of the platform's tell may quote rows, and would come into logs.
    ("client_min_messages", "error"),
    // Compiling costs more than whole reads of ours take.
    ("jit", "off"),
];

/// Settings that only later versions know, and that stand at 0 in every session of ours: `transaction_timeout` is of 17.
const ZERO_WHERE_KNOWN: &[&str] = &["transaction_timeout"];

impl Session {
    /// What it sets beside [`EVERY_SESSION`]. Every kind has both timeouts.
    const fn settings(self) -> &'static [Setting] {
        match self {
            Self::Control => &[("statement_timeout", "'30s'"), ("lock_timeout", "'10s'")],
            Self::Pass => &[
                ("statement_timeout", "'60s'"),
                ("lock_timeout", "'30s'"),
                ("enable_seqscan", "off"),
                ("enable_hashjoin", "off"),
                ("enable_mergejoin", "off"),
            ],
            Self::Fetch => &[
                // A page's statement lasts as long as its destination takes to read it. What is older than the window for
                // late writes (5 minutes unless it was set) is not written, so a page that takes an hour is of no use,
                // while its snapshot holds back vacuum.
                ("statement_timeout", "'1h'"),
                // Somebody alters the table: the page is put off and asked for again.
                ("lock_timeout", "'30s'"),
                ("enable_seqscan", "off"),
                ("enable_bitmapscan", "off"),
                ("enable_sort", "off"),
                ("enable_hashjoin", "off"),
                ("enable_mergejoin", "off"),
                ("max_parallel_workers_per_gather", "0"),
                ("seq_page_cost", "0"),
                ("random_page_cost", "0"),
                ("cpu_tuple_cost", "1"),
                ("cpu_index_tuple_cost", "1"),
                ("cpu_operator_cost", "0.000001"),
            ],
            // A comparison reads a whole mapping in one statement: 1,000 million rows at a tenth of the usual rate take
            // a day. Beyond that it is stuck.
            Self::Scan => &[("statement_timeout", "'24h'"), ("lock_timeout", "'30s'")],
            // An index is built in one statement, as slowly as the largest table and its writers make it.
            Self::Migrate => &[("statement_timeout", "'24h'"), ("lock_timeout", "'3s'")],
        }
    }

    /// The statements that open it, to be sent together; the last makes it one in which Postgres refuses every write.
    pub(super) fn opening(self, read_only: bool) -> String {
        let mut sql = String::new();
        for (name, value) in EVERY_SESSION.iter().chain(self.settings()) {
            sql.push_str(&format!("SET {name} = {value}; "));
        }
        for name in ZERO_WHERE_KNOWN {
            sql.push_str(&format!(
                "SELECT set_config('{name}', '0', false) WHERE current_setting('{name}', true) IS NOT NULL; "
            ));
        }
        if read_only {
            sql.push_str("SET default_transaction_read_only = on; ");
        }
        sql
    }

    /// The name by which the server's `pg_stat_activity` shows it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Control => "lockstep control",
            Self::Pass => "lockstep sequencer",
            Self::Fetch => "lockstep fetch",
            Self::Scan => "lockstep scan",
            Self::Migrate => "lockstep migrate",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const KINDS: [Session; 5] = [Session::Control, Session::Pass, Session::Fetch, Session::Scan, Session::Migrate];

    #[test]
    fn every_session_sets_each_setting_once_and_has_both_timeouts() {
        for kind in KINDS {
            let names: Vec<_> = EVERY_SESSION.iter().chain(kind.settings()).map(|(name, _)| *name).collect();
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{kind:?} sets something twice");
            assert!(names.contains(&"statement_timeout") && names.contains(&"lock_timeout"), "{kind:?}");
        }
    }

    #[test]
    fn a_session_that_only_reads_says_so_after_everything_else() {
        for kind in KINDS {
            assert!(kind.opening(true).ends_with("SET default_transaction_read_only = on; "), "{kind:?}");
            assert!(!kind.opening(false).contains("read_only = on"), "{kind:?}");
        }
    }

    #[test]
    fn names_are_postgres_s_own_before_anything_else_is_run() {
        for kind in KINDS {
            assert!(kind.opening(false).starts_with("SET search_path = pg_catalog, pg_temp; "), "{kind:?}");
        }
    }
}
