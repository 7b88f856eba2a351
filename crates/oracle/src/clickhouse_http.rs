//! The least of an HTTP client that a query to ClickHouse needs. The oracle does not use the client that it judges.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// For a whole query: the largest test reads a million rows.
const TIMEOUT: Duration = Duration::from_secs(300);
/// What is shown of an error.
const ERROR_BYTES: usize = 4_000;

/// Where the views are, and who reads them. It must be somebody who sees all tenants.
#[derive(Clone)]
pub struct Endpoint {
    /// The HTTP interface, `http://host:port`.
    pub url: String,
    /// The user.
    pub user: String,
    /// Its password, which may be empty.
    pub password: String,
    /// The database that holds the views.
    pub view_database: String,
}

/// Runs a query and hands over its result line by line.
///
/// # Errors
/// When ClickHouse is out of reach, refuses, or ends the result early, when `each` fails, or after 300 s.
pub(super) async fn lines(
    endpoint: &Endpoint,
    query: &str,
    each: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    tokio::time::timeout(TIMEOUT, run(endpoint, query, each)).await.context("ClickHouse took longer than 300 s")?
}

async fn run(
    endpoint: &Endpoint,
    query: &str,
    mut each: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut response = send(endpoint, query).await?;
    let mut pending = Vec::new();
    while let Some(piece) = response.body.piece().await? {
        pending.extend_from_slice(&piece);
        if response.status != 200 {
            continue;
        }
        let whole = pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in pending[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            each(line)?;
        }
        pending.drain(..whole);
    }
    if response.status != 200 {
        pending.truncate(ERROR_BYTES);
        bail!("ClickHouse answered {}: {}", response.status, String::from_utf8_lossy(&pending).trim());
    }
    if pending.is_empty() { Ok(()) } else { each(&pending) }
}

struct Response {
    status: u16,
    body: Body,
}

/// A body that says where it ends: one that breaks off early is an error, not a short result.
struct Body {
    stream: BufReader<TcpStream>,
    /// Bytes to come, or `None` for chunks.
    left: Option<usize>,
    ended: bool,
}

async fn send(endpoint: &Endpoint, query: &str) -> anyhow::Result<Response> {
    let address =
        endpoint.url.strip_prefix("http://").context("the oracle reads ClickHouse over plain http:// only")?;
    let address = address.split(['/', '?']).next().unwrap_or_default();
    let mut stream = TcpStream::connect(address).await.context("connecting to ClickHouse")?;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nX-ClickHouse-User: {}\r\nX-ClickHouse-Key: {}\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{query}",
        endpoint.user,
        endpoint.password,
        query.len(),
    );
    stream.write_all(request.as_bytes()).await?;
    let mut stream = BufReader::new(stream);
    let status = line(&mut stream).await?;
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.context("ClickHouse does not answer in HTTP")?;
    let mut left = None;
    let mut chunked = false;
    loop {
        let header = line(&mut stream).await?.to_ascii_lowercase();
        match header.split_once(':').map(|(name, value)| (name, value.trim())) {
            Some(("content-length", value)) => left = Some(value.parse()?),
            Some(("transfer-encoding", value)) => chunked = value == "chunked",
            Some(_) => {}
            None => break,
        }
    }
    ensure!(chunked || left.is_some(), "ClickHouse does not say where its answer ends");
    Ok(Response { status, body: Body { stream, left: left.filter(|_| !chunked), ended: false } })
}

/// A line of the head, without its end.
async fn line(stream: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    ensure!(line.ends_with("\r\n"), "ClickHouse broke off its answer");
    line.truncate(line.len() - 2);
    Ok(line)
}

impl Body {
    /// The next piece, or `None` at the end.
    async fn piece(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        if self.ended {
            return Ok(None);
        }
        let length = match self.left {
            Some(left) => left,
            None => usize::from_str_radix(&line(&mut self.stream).await?, 16).context("a chunk without a size")?,
        };
        let mut piece = vec![0; length];
        self.stream.read_exact(&mut piece).await.context("ClickHouse broke off its answer")?;
        if self.left.is_none() {
            ensure!(line(&mut self.stream).await?.is_empty(), "a chunk is longer than it said");
        }
        self.ended = self.left.is_some() || length == 0;
        Ok((length > 0).then_some(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judged::endpoint;

    #[tokio::test]
    async fn a_long_result_arrives_whole() {
        let (mut rows, mut sum) = (0_u64, 0_u64);
        let query = "SELECT toString(number), repeat('ü', 50) FROM numbers(100000) FORMAT JSONCompactEachRow";
        lines(&endpoint("default".to_owned()), query, |line| {
            let values: Vec<String> = serde_json::from_slice(line)?;
            rows += 1;
            sum += values[0].parse::<u64>()?;
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!((rows, sum), (100_000, 4_999_950_000));
    }

    #[tokio::test]
    async fn an_error_is_told_at_the_start_and_in_the_middle() {
        let error =
            lines(&endpoint("default".to_owned()), "SELECT nonsense", |_| Ok(())).await.unwrap_err().to_string();
        assert!(error.contains("nonsense"), "{error}");
        let query = "SELECT toString(throwIf(number = 3000000)) FROM numbers(4000000) \
                     SETTINGS max_block_size = 1000 FORMAT JSONCompactEachRow";
        let parse = |line: &[u8]| match serde_json::from_slice::<Vec<String>>(line) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        };
        assert!(lines(&endpoint("default".to_owned()), query, parse).await.is_err());
    }
}
