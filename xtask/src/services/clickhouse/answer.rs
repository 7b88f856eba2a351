//! Whether a ClickHouse server answers, told by its version over HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const ANSWER_LIMIT_BYTES: u64 = 65_536;

/// Runs `SELECT version()` as the user `default`.
pub(super) fn version(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).ok()?;
    stream.write_all(b"GET /?query=SELECT%20version() HTTP/1.0\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.take(ANSWER_LIMIT_BYTES).read_to_string(&mut answer).ok()?;
    version_in(&answer)
}

fn version_in(answer: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let version = body.trim();
    let plain = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (plain && head.split_whitespace().nth(1) == Some("200")).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_counts_as_an_answer() {
        assert_eq!(version_in("HTTP/1.0 200 OK\r\nA: b\r\n\r\n26.7.2.1\n").as_deref(), Some("26.7.2.1"));
        assert_eq!(version_in("HTTP/1.0 200 OK\r\n\r\n<html>"), None);
        assert_eq!(version_in("HTTP/1.0 403 Forbidden\r\n\r\n26.7.2.1"), None);
    }
}
