//! What a server's error is, by its SQLSTATE. Its message is repeated nowhere: it may quote a row, or be made up.

use std::error::Error;

use tokio_postgres::error::DbError;

use crate::error::Failure;

/// What was being done when an error came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Doing {
    /// A connection was being opened.
    LoggingIn,
    /// Rows were being written: what refuses them may be the rows' own fault.
    WritingRows,
    /// Anything else.
    Other,
}

/// What an error says.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) failure: Failure,
    pub(super) reason: String,
}

fn verdict(failure: Failure, reason: impl Into<String>) -> Verdict {
    Verdict { failure, reason: reason.into() }
}

/// Judges an error of the client library.
pub(super) fn judge(error: &tokio_postgres::Error, doing: Doing, is_exceeded: bool) -> Verdict {
    if is_exceeded {
        return verdict(Failure::TooLarge, "it sent more than was asked for, and the connection was closed");
    }
    if let Some(error) = error.as_db_error() {
        return of_server(error, doing);
    }
    if let Some(tls) = cause::<rustls::Error>(error) {
        return verdict(Failure::Misconfigured, of_tls(tls));
    }
    if let Some(io) = cause::<std::io::Error>(error) {
        return verdict(Failure::Unavailable, format!("the connection broke: {}", io.kind()));
    }
    if doing == Doing::LoggingIn && !error.is_closed() {
        return verdict(
            Failure::Misconfigured,
            "it did not let Lockstep log in: it has no TLS, asks for a password that is not given, or is no PostgreSQL",
        );
    }
    verdict(Failure::Unavailable, "the connection broke")
}

/// The first error of this kind among the causes, an `io::Error`'s own included.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| inner.downcast_ref::<E>()) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn of_tls(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError as Certificate;
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "its certificate is of another name than its host's"
            }
            Certificate::Expired | Certificate::ExpiredContext { .. } => "its certificate has expired",
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => "its certificate is not valid yet",
            Certificate::UnknownIssuer => "its certificate is of no authority that is trusted here",
            Certificate::Revoked => "its certificate was revoked",
            _ => "its certificate is not valid",
        },
        _ => "it does not speak TLS as it should",
    }
}

fn of_server(error: &DbError, doing: Doing) -> Verdict {
    let code = error.code().code();
    let (failure, words) = of_code(code);
    let failure = match failure {
        Failure::Rejected if doing != Doing::WritingRows => Failure::Unexpected,
        // Not in a statement of ours, but in what a tenant has it run.
        Failure::Misconfigured | Failure::Unexpected if doing == Doing::WritingRows && is_of_a_trigger(error) => {
            return verdict(Failure::Rejected, format!("a trigger failed ({})", place(error, code)));
        }
        failure => failure,
    };
    // Before anybody is in, no table is told of: what says so is made up.
    let place = if doing == Doing::LoggingIn { format!("SQLSTATE {}", shown(code)) } else { place(error, code) };
    verdict(failure, format!("{words} ({place})"))
}

/// Statements of ours call no function that would be in an error's context; `COPY` names the line there.
fn is_of_a_trigger(error: &DbError) -> bool {
    error.where_().is_some_and(|context| !context.starts_with("COPY "))
}

/// The code, and which table and constraint it was about.
fn place(error: &DbError, code: &str) -> String {
    let mut place = format!("SQLSTATE {}", shown(code));
    if let Some(table) = error.table() {
        place.push_str(&format!(", table {}", shown(table)));
    }
    if let Some(constraint) = error.constraint() {
        place.push_str(&format!(", constraint {}", shown(constraint)));
    }
    place
}

/// A name that the server gave: short, and without what could change a terminal or a log.
fn shown(name: &str) -> String {
    const MAX_SHOWN: usize = 63;
    let plain = |letter: char| if letter.is_alphanumeric() || "_-.$ ".contains(letter) { letter } else { '?' };
    name.chars().map(plain).take(MAX_SHOWN).collect()
}

/// PostgreSQL documentation, appendix A.
fn of_code(code: &str) -> (Failure, &'static str) {
    match code {
        "23505" => (Failure::Rejected, "a unique index refused rows"),
        "23503" => (Failure::Rejected, "a foreign key refused rows"),
        "23502" => (Failure::Rejected, "a column that takes no null refused rows"),
        "23514" => (Failure::Rejected, "a check refused rows"),
        "25006" => (Failure::Unavailable, "it takes no writes"),
        "28P01" | "28000" => (Failure::Misconfigured, "it refused user, password or the address of Lockstep"),
        "3D000" => (Failure::Misconfigured, "the database is not there"),
        "3F000" => (Failure::Misconfigured, "the schema public is not there: CREATE SCHEMA public"),
        "42501" => (Failure::Misconfigured, "the role lacks a right"),
        "42P01" => (Failure::Misconfigured, "a table is not there"),
        "53100" => (Failure::Overloaded, "its disk is full"),
        "53300" => (Failure::Overloaded, "it has no connection left"),
        "55P03" => (Failure::Unavailable, "a lock was not released in time"),
        "57014" => (Failure::Unavailable, "a statement took too long, or was cancelled"),
        "40001" | "40P01" => (Failure::Unavailable, "it gave up a transaction in favour of another"),
        // A pooler that gave us another session.
        "26000" | "42P05" => (Failure::Unavailable, "a prepared statement was lost"),
        _ => match code.get(..2).unwrap_or_default() {
            "22" => (Failure::Rejected, "it cannot hold a value"),
            "23" | "44" => (Failure::Rejected, "a constraint refused rows"),
            "P0" | "09" | "27" | "38" | "39" => (Failure::Rejected, "a trigger refused rows"),
            "08" | "57" | "58" | "25" => (Failure::Unavailable, "it gave up"),
            "53" => (Failure::Overloaded, "it has no room"),
            "0A" | "28" | "2B" | "3D" | "3F" | "42" | "55" => (Failure::Misconfigured, "it does not allow a statement"),
            _ => (Failure::Unexpected, "it failed"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_failure() {
        for (code, failure) in [
            ("22P02", Failure::Rejected),
            ("23P01", Failure::Rejected),
            ("P0001", Failure::Rejected),
            ("53200", Failure::Overloaded),
            ("25006", Failure::Unavailable),
            ("57P01", Failure::Unavailable),
            ("08006", Failure::Unavailable),
            ("28P01", Failure::Misconfigured),
            ("42883", Failure::Misconfigured),
            ("XX000", Failure::Unexpected),
            ("", Failure::Unexpected),
        ] {
            assert_eq!(of_code(code).0, failure, "{code}");
        }
    }

    #[test]
    fn a_schema_that_is_not_there_is_named() {
        assert_eq!(of_code("3F000").1, "the schema public is not there: CREATE SCHEMA public");
    }

    #[test]
    fn a_name_is_short_and_plain() {
        assert_eq!(shown("users_email_key"), "users_email_key");
        assert_eq!(shown("a\u{1b}[31m\n\"b"), "a??31m??b");
        assert_eq!(shown(&"x".repeat(200)).len(), 63);
    }
}
