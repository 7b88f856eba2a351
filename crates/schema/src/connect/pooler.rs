//! Whether something stands between us and Postgres that gives each transaction another session.
//!
//! Behind such a pooler a session lock stays with nobody, and what we set is set for the application's statements. It
//! does not say that it is there, so it is found by looking: two connections, open at the same time, ask in turn which
//! session they have. Postgres itself gives each of them one of its own for good, and so does a pooler that lends a
//! server connection for as long as a client's lasts (which is allowed).

/// The session that answered: its process, and when its server was started. Changes nothing in a session which may be
/// lent to the application next, and looks no operator up.
pub(super) const ASK: &str = "SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_postmaster_start_time()";

/// Which of the two connections asks. One after the other finds the pooler that hands out the connection used last; one
/// twice in a row the one that hands them out in turn; and one that draws them is found in all but a thousandth of cases.
pub(super) const ORDER: [Asker; 12] = {
    use Asker::{First, Second};
    [First, Second, Second, First, First, Second, Second, First, First, Second, Second, First]
};

/// One of the two connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asker {
    First,
    Second,
}

/// What gave a pooler away. It speaks to whoever reads an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PoolerSign {
    /// The URL has `pgbouncer=true`.
    Announced,
    /// One connection's statements were run by several sessions.
    SessionChanged,
    /// Two connections that were open at the same time had one session.
    SessionShared,
}

impl std::fmt::Display for PoolerSign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Announced => "pgbouncer=true in the URL says so",
            Self::SessionChanged => "two statements of one connection were run by two sessions",
            Self::SessionShared => "two connections have the same session",
        })
    }
}

/// Judges what was answered, in the order of [`ORDER`]. Returns `None` when both connections have a session of their own.
pub(super) fn sign_in<T: PartialEq>(answers: &[(Asker, T)]) -> Option<PoolerSign> {
    let of = |wanted| answers.iter().filter(move |(asker, _)| *asker == wanted).map(|(_, session)| session);
    let changed = |asker| of(asker).next().is_some_and(|first| of(asker).any(|session| session != first));
    if changed(Asker::First) || changed(Asker::Second) {
        return Some(PoolerSign::SessionChanged);
    }
    let shared = of(Asker::First).next().is_some_and(|session| of(Asker::Second).next() == Some(session));
    shared.then_some(PoolerSign::SessionShared)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of a pooler that gives the statement at this place, by this asker, this session.
    fn answers(session: impl Fn(usize, Asker) -> usize) -> Vec<(Asker, usize)> {
        ORDER.iter().enumerate().map(|(at, asker)| (*asker, session(at, *asker))).collect()
    }

    #[test]
    fn two_sessions_of_postgres_itself_are_no_pooler() {
        assert_eq!(sign_in(&answers(|_, asker| asker as usize)), None);
    }

    #[test]
    fn a_pooler_that_hands_out_the_last_used_connection_is_found() {
        assert_eq!(sign_in(&answers(|_, _| 7)), Some(PoolerSign::SessionShared));
    }

    #[test]
    fn a_pooler_that_hands_out_its_connections_in_turn_is_found_whatever_their_number() {
        for connections in 2..=20 {
            let sign = sign_in(&answers(|at, _| at % connections));
            assert_eq!(sign, Some(PoolerSign::SessionChanged), "{connections} connections");
        }
    }
}
