//! ClickHouse's exceptions: what number means what, and how much of the text may be shown.

use lockstep_core::remedy::NO_CLICKHOUSE;
use lockstep_mappings::clickhouse::{IN_TIME, MARK_OF_REPLACED};

use crate::error::{DestinationError, Failure};

/// Of a table: also of an operator's own.
const VIOLATED_CONSTRAINT: u32 = 469;

/// Texts longer than this are cut: an operator needs the beginning.
const MAX_REASON_CHARS: usize = 300;

/// What the server answered instead of a result, as an error without row values.
pub(super) fn from_answer(answer: &str) -> DestinationError {
    let Some(exception) = Exception::find(answer) else {
        return match http_status(answer) {
            Some(status @ ("404" | "405" | "501")) => {
                super::error(Failure::Misconfigured, format!("HTTP status {status}: {NO_CLICKHOUSE}"))
            }
            Some(status @ ("401" | "403")) => {
                super::error(Failure::Misconfigured, format!("HTTP status {status} and no ClickHouse exception"))
            }
            Some(status) => {
                super::error(Failure::Unavailable, format!("HTTP status {status} and no ClickHouse exception"))
            }
            // Whatever stands between us and the server said something. It is not repeated: nobody knows what it holds.
            None => super::error(Failure::Unavailable, "the answer is not one that ClickHouse gives"),
        };
    };
    // A server that hands an insert on to a shard says first which shard it is that refuses.
    let handed_on = exception.text.strip_prefix("Received from ").and_then(|text| text.split_once(" DB::Exception: "));
    let said = handed_on.map_or(exception.text, |(_, said)| said);
    let violates =
        |name: &str| exception.code == VIOLATED_CONSTRAINT && said.starts_with(&format!("Constraint `{name}`"));
    if violates(IN_TIME) {
        let reason = "by its clock they were read too long ago: is it right, and that of this machine?";
        return super::error(Failure::Late, reason).with_server_code(exception.code);
    }
    // A table that lets nothing in because another has taken its place says nothing about the rows.
    let failure = if violates(MARK_OF_REPLACED) { Failure::Unavailable } else { classify(exception.code) };
    let mut reason = format!("Code: {}", exception.code);
    if let Some(name) = exception.name {
        reason += &format!(" ({name})");
    }
    let text = without_values(&exception, failure);
    if !text.is_empty() {
        reason += &format!(": {text}");
    }
    super::error(failure, reason).with_server_code(exception.code)
}

/// The same for an answer with a status that says it failed: the status counts where there is no exception.
pub(super) fn from_status(status: u16, answer: &str) -> DestinationError {
    if Exception::find(answer).is_some() { from_answer(answer) } else { from_answer(&format!("{status} failed")) }
}

/// The one table from exception code to failure. Codes that are not listed are [`Failure::Unexpected`].
/// The names are those of `errorCodeToName`.
fn classify(code: u32) -> Failure {
    match code {
        159 | 160 // TIMEOUT_EXCEEDED, TOO_SLOW
        | 198 | 209 | 210 | 279 // DNS_ERROR, SOCKET_TIMEOUT, NETWORK_ERROR, ALL_CONNECTION_TRIES_FAILED
        | 225 | 242 | 999 // NO_ZOOKEEPER, TABLE_IS_READ_ONLY, KEEPER_EXCEPTION
        | 285 | 286 | 289 | 319 // TOO_FEW_LIVE_REPLICAS, UNSATISFIED_QUORUM_…, REPLICA_IS_NOT_IN_QUORUM, UNKNOWN_STATUS_OF_INSERT
        | 236 | 394 | 473 | 667 | 735 // ABORTED, QUERY_WAS_CANCELLED, DEADLOCK_AVOIDED, NOT_INITIALIZED, …_BY_CLIENT
            => Failure::Unavailable,
        252 | 241 | 202 // TOO_MANY_PARTS, MEMORY_LIMIT_EXCEEDED, TOO_MANY_SIMULTANEOUS_QUERIES
        | 203 | 439 | 745 // NO_FREE_CONNECTION, CANNOT_SCHEDULE_TASK, SERVER_OVERLOADED
        | 173 | 201 | 243 // CANNOT_ALLOCATE_MEMORY, QUOTA_EXCEEDED, NOT_ENOUGH_SPACE
        | 574 | 692 // DISTRIBUTED_TOO_MANY_PENDING_BYTES, TOO_MANY_MUTATIONS
            => Failure::Overloaded,
        6 | 25 | 26 | 27 | 38 | 41 | 72 | 376 | 467 | 675 // CANNOT_PARSE_…
        | 32 | 33 // ATTEMPT_TO_READ_AFTER_EOF, CANNOT_READ_ALL_DATA
        | 53 | 70 // TYPE_MISMATCH, CANNOT_CONVERT_TYPE
        | 69 | 321 | 407 | 691 // ARGUMENT_OUT_OF_BOUND, VALUE_IS_OUT_OF_RANGE_…, DECIMAL_OVERFLOW, UNKNOWN_ELEMENT_OF_ENUM
        | 117 | 131 | 349 | VIOLATED_CONSTRAINT // INCORRECT_DATA, TOO_LARGE_STRING_SIZE, CANNOT_INSERT_NULL_…
            => Failure::Rejected,
        192 | 193 | 194 | 195 | 516 // UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, IP_ADDRESS_NOT_ALLOWED, AUTHENTICATION_FAILED
        | 164 | 452 | 497 | 115 // READONLY, SETTING_CONSTRAINT_VIOLATION, ACCESS_DENIED, UNKNOWN_SETTING
        | 495 | 514 // ACCESS_STORAGE_READONLY, ACCESS_STORAGE_FOR_INSERTION_NOT_FOUND
        | 57 | 60 | 81 | 82 | 218 // TABLE_ALREADY_EXISTS, UNKNOWN_TABLE, UNKNOWN_DATABASE, DATABASE_ALREADY_EXISTS, TABLE_IS_DROPPED
        | 8 | 10 | 16 | 20 | 47 // THERE_IS_NO_COLUMN, NOT_FOUND_COLUMN_…, NO_SUCH_COLUMN_…, NUMBER_OF_COLUMNS_…, UNKNOWN_IDENTIFIER
        | 36 | 43 | 44 | 48 | 62 | 524 // BAD_ARGUMENTS, ILLEGAL_…, NOT_IMPLEMENTED, SYNTAX_ERROR, ALTER_OF_COLUMN_IS_FORBIDDEN
            => Failure::Misconfigured,
        _ => Failure::Unexpected,
    }
}

/// `Code: 252. DB::Exception: Too many parts (…). (TOO_MANY_PARTS) (version 26.7.2.1 (official build))`
struct Exception<'a> {
    code: u32,
    name: Option<&'a str>,
    text: &'a str,
}

impl<'a> Exception<'a> {
    /// An answer can begin with rows that were buffered when the exception came, so the last exception counts, unless
    /// the answer begins with one (which may then quote others).
    fn find(answer: &'a str) -> Option<Self> {
        const BEGINNING: &str = "Code: ";
        let start = if answer.starts_with(BEGINNING) { 0 } else { answer.rfind(BEGINNING)? };
        let rest = &answer[start + BEGINNING.len()..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let code = rest[..digits].parse().ok()?;
        let rest = rest[digits..].split_once("Exception: ").map_or("", |(_, rest)| rest);
        let before_version = rest.rfind(" (version ").map_or(rest, |at| &rest[..at]);
        let (text, name) = match before_version.rsplit_once(" (") {
            Some((text, name)) if is_symbolic_name(name) => (text, name.strip_suffix(')')),
            _ => (before_version, None),
        };
        Some(Self { code, name, text })
    }
}

fn is_symbolic_name(text: &str) -> bool {
    text.strip_suffix(')').is_some_and(|name| {
        name.len() > 1 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    })
}

/// The text up to where it may begin to quote a row or a statement.
fn without_values(exception: &Exception<'_>, failure: Failure) -> String {
    /// After these come input, other columns, or the statement with its literals.
    const QUOTES: [&str; 10] = [
        "before:",
        "(at row",
        ": while ",
        ": While ",
        " in scope ",
        "In scope ",
        "(line ",
        "Row 1:",
        "parsed text",
        "\n",
    ];
    let mut shown = exception.text;
    for marker in QUOTES {
        shown = shown.split(marker).next().unwrap_or_default();
    }
    shown = match (failure, exception.code) {
        // BAD_ARGUMENTS, ILLEGAL_TYPE_OF_ARGUMENT, ILLEGAL_COLUMN, NOT_IMPLEMENTED, SYNTAX_ERROR quote literals.
        (Failure::Misconfigured, 36 | 43 | 44 | 48 | 62) => before_any(shown, is_quote),
        // The others quote names of users, databases, tables and columns: what an operator needs.
        (Failure::Misconfigured, _) => shown,
        // Values stand between quotes, after colons, or are bare numbers.
        (Failure::Rejected, _) => before_any(shown, |c| is_quote(c) || c == ':' || c.is_ascii_digit()),
        _ => before_any(shown, is_quote),
    };
    let mut shown: String = shown.chars().take(MAX_REASON_CHARS).collect();
    shown.truncate(shown.trim_end_matches([' ', '.', ',', ':', '(']).len());
    shown
}

fn is_quote(c: char) -> bool {
    matches!(c, '\'' | '"' | '`' | '‘' | '“' | '«')
}

fn before_any(text: &str, stop: impl Fn(char) -> bool) -> &str {
    text.find(stop).map_or(text, |at| &text[..at])
}

/// The status of an answer without a body, which the `clickhouse` crate words as `502 Bad Gateway`.
fn http_status(answer: &str) -> Option<&str> {
    let (status, rest) = answer.split_at_checked(3)?;
    (status.bytes().all(|byte| byte.is_ascii_digit()) && rest.starts_with(' ') && rest.len() < 40).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Retry;

    fn shown(answer: &str) -> String {
        from_answer(answer).to_string()
    }

    #[test]
    fn the_code_decides_what_is_done() {
        for (code, failure, retry) in [
            (159, Failure::Unavailable, Retry::Later),
            (252, Failure::Overloaded, Retry::Later),
            (27, Failure::Rejected, Retry::Bisect),
            (60, Failure::Misconfigured, Retry::Operator),
            (516, Failure::Misconfigured, Retry::Operator),
            (4242, Failure::Unexpected, Retry::Limited),
        ] {
            let error = from_answer(&format!("Code: {code}. DB::Exception: x. (SOME_NAME) (version 26.7.2.1)"));
            assert_eq!((error.failure(), error.retry(), error.server_code()), (failure, retry, Some(code)));
        }
    }

    #[test]
    fn a_table_whose_place_was_taken_says_nothing_about_rows() {
        for (name, failure) in [(MARK_OF_REPLACED, Failure::Unavailable), ("positive", Failure::Rejected)] {
            let text = format!("Constraint `{name}` for table a.users is violated at row 1. Expression: (0)");
            let error = from_answer(&format!("Code: 469. DB::Exception: {text}. (VIOLATED_CONSTRAINT) (version 26.7)"));
            assert_eq!(error.failure(), failure, "{name}");
        }
    }

    #[test]
    fn an_operator_reads_code_name_and_text() {
        assert_eq!(
            shown(
                "Code: 252. DB::Exception: Too many parts (300 with average size of 1.00 KiB). Merges are processing \
                 significantly slower than inserts. (TOO_MANY_PARTS) (version 26.7.2.1 (official build))"
            ),
            "LS-0202: clickhouse has no room at the moment: Code: 252 (TOO_MANY_PARTS): Too many parts (300 with \
             average size of 1.00 KiB). Merges are processing significantly slower than inserts"
        );
        assert_eq!(
            shown(
                "Code: 60. DB::Exception: Unknown table expression identifier 'a.users' in scope SELECT * FROM a.users \
                 WHERE email = 'sam@example.com'. (UNKNOWN_TABLE) (version 26.7.2.1)"
            ),
            "LS-0204: clickhouse does not let Lockstep do its work: Code: 60 (UNKNOWN_TABLE): Unknown table expression \
             identifier 'a.users'"
        );
        assert_eq!(shown("Code: 159"), "LS-0201: clickhouse is not available: Code: 159");
    }

    #[test]
    fn row_values_are_cut_off_in_every_shape_that_quotes_them() {
        for answer in [
            "Code: 27. DB::Exception: Cannot parse input: expected '\\t' before: 'hunter2\\n': (at row 1)\n\nRow 1:\n\
             Column 0,   name: a, type: UInt8, parsed text: \"hunter2\"\n. (CANNOT_PARSE_INPUT_ASSERTION_FAILED) \
             (version 26.7.2.1)",
            "Code: 6. DB::Exception: Cannot parse string 'hunter2' as UInt8: syntax error at begin of string. \
             (CANNOT_PARSE_TEXT) (version 26.7.2.1)",
            "Code: 469. DB::Exception: Constraint `c` for table a.b (c1) is violated at row 1. Expression: (x > 1). \
             Column values: x = hunter2. (VIOLATED_CONSTRAINT) (version 26.7.2.1)",
            "Code: 41. DB::Exception: Cannot read DateTime: unexpected date: hunter2: Cannot parse DateTime64(3) from \
             String: In scope SELECT hunter2. (CANNOT_PARSE_DATETIME) (version 26.7.2.1)",
            "Code: 691. DB::Exception: Unknown element \"hunter2\" for enum. (UNKNOWN_ELEMENT_OF_ENUM) (version 26.7)",
            "Code: 62. DB::Exception: Syntax error: failed at position 8 (SELEC) (line 1, col 8): SELEC 'hunter2'. \n\
             Expected one of: hunter2. (SYNTAX_ERROR) (version 26.7.2.1)",
            "hunter2\u{1}hunter2Code: 395. DB::Exception: Value passed to 'throwIf' function is non-zero: while \
             executing 'FUNCTION throwIf('hunter2')'. (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO) (version 26.7.2.1)",
            "<html>hunter2</html>",
        ] {
            let error = from_answer(answer);
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn a_constraint_of_ours_is_told_from_one_of_the_rows_on_a_shard_too() {
        let constraint = "Constraint `lockstep_in_time` for table a.b (c1) is violated at row 1. (VIOLATED_CONSTRAINT)";
        for text in [constraint.to_owned(), format!("Received from host:9000. DB::Exception: {constraint}")] {
            assert_eq!(from_answer(&format!("Code: 469. DB::Exception: {text}")).failure(), Failure::Late);
        }
        let quoted = format!("Constraint `c` for table a.b. Column values: x = 'DB::Exception: {constraint}'");
        assert_eq!(from_answer(&format!("Code: 469. DB::Exception: {quoted}")).failure(), Failure::Rejected);
    }

    #[test]
    fn answers_that_are_not_clickhouse_s_are_told_apart() {
        assert_eq!(
            shown("502 Bad Gateway"),
            "LS-0201: clickhouse is not available: HTTP status 502 and no ClickHouse exception"
        );
        assert_eq!(from_answer("403 Forbidden").retry(), Retry::Operator);
        assert_eq!(
            from_status(404, "There is no handle /nowhere").to_string(),
            "LS-0204: clickhouse does not let Lockstep do its work: HTTP status 404: what answers there is no ClickHouse"
        );
        assert_eq!(from_answer("").retry(), Retry::Later);
    }
}
