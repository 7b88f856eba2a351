//! Requests as ClickHouse's clients send them: whole, and sent on as they are.

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Requests of tests are small; a page of rows is the largest.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// A request: its head without the empty line, and its body.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Up to the body's length, which is said anew.
    head: Vec<String>,
    body: Vec<u8>,
}

impl Request {
    pub(super) async fn read(client: &mut TcpStream) -> anyhow::Result<Self> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = find(&bytes, b"\r\n\r\n") {
                break at;
            }
            more(client, &mut bytes).await?;
        };
        let text = String::from_utf8(bytes[..end].to_vec()).context("a head that is not UTF-8")?;
        let lines: Vec<_> = text.split("\r\n").map(str::to_owned).collect();
        let header = |name: &str| {
            lines.iter().find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        if header("expect").is_some() {
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let mut rest = bytes.split_off(end + 4);
        let body = if header("transfer-encoding").is_some() {
            chunked(client, &mut rest).await?
        } else {
            let length = header("content-length").map_or(Ok(0), |length| length.parse())?;
            exactly(client, &mut rest, length).await?
        };
        let own = ["content-length", "transfer-encoding", "connection", "expect"];
        let is_kept = |line: &String| {
            line.split_once(':').is_none_or(|(name, _)| !own.iter().any(|own| name.eq_ignore_ascii_case(own)))
        };
        Ok(Self { head: lines.into_iter().filter(is_kept).collect(), body })
    }

    /// What a server answers, whole.
    pub(super) async fn ask(&self, server: &str) -> anyhow::Result<Vec<u8>> {
        let mut connection = TcpStream::connect(server).await?;
        let head = self.head.join("\r\n");
        let length = self.body.len();
        let head = format!("{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        connection.write_all(head.as_bytes()).await?;
        connection.write_all(&self.body).await?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await?;
        ensure!(!answer.is_empty(), "no answer");
        Ok(answer)
    }

    /// Where its statement is: in the body, unless that holds the rows of an insert.
    fn statement(&self) -> String {
        let line = self.head.first().map(String::as_str).unwrap_or_default();
        match line.split(['?', '&', ' ']).find_map(|parameter| parameter.strip_prefix("query=")) {
            Some(query) => query.replace('+', " ").replace("%20", " "),
            None => String::from_utf8_lossy(&self.body).into_owned(),
        }
    }

    pub(super) fn is_write(&self) -> bool {
        let statement = self.statement();
        ["INSERT", "DELETE", "ALTER", "CREATE", "DROP", "OPTIMIZE", "TRUNCATE"]
            .iter()
            .any(|word| statement.starts_with(word))
    }

    /// Replicas know nothing of what is no table.
    pub(super) fn reads_a_table(&self) -> bool {
        self.statement().contains("FROM ")
    }

    pub(super) fn is_sequential(&self) -> bool {
        self.head.first().is_some_and(|line| line.contains("select_sequential_consistency=1"))
    }

    pub(super) fn is_on_cluster(&self) -> bool {
        self.statement().contains(" ON CLUSTER ")
    }

    /// The same for a server that knows no cluster's task queue and no Keeper.
    pub(super) fn without_cluster(&self) -> Self {
        let mut text = String::from_utf8_lossy(&self.body).into_owned();
        while let Some(at) = text.find(" ON CLUSTER `") {
            let name = at + " ON CLUSTER `".len();
            let end = text[name..].find('`').map_or(text.len(), |length| name + length + 1);
            text.replace_range(at..end, "");
        }
        while let Some(at) = text.find("Replicated") {
            let end = text[at..].find("'{replica}', ").map_or(text.len(), |length| at + length + "'{replica}', ".len());
            text.replace_range(at..end, "ReplacingMergeTree(");
        }
        Self { head: self.head.clone(), body: text.into_bytes() }
    }
}

/// Whether an answer says that all was well.
pub(super) fn is_success(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.1 200")
}

pub(super) async fn answer(client: &mut TcpStream, answer: &[u8]) -> anyhow::Result<()> {
    client.write_all(answer).await?;
    Ok(client.shutdown().await?)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

async fn more(client: &mut TcpStream, bytes: &mut Vec<u8>) -> anyhow::Result<()> {
    ensure!(bytes.len() < MAX_BYTES, "a request of more than {MAX_BYTES} bytes");
    ensure!(client.read_buf(bytes).await? > 0, "the client has gone");
    Ok(())
}

async fn exactly(client: &mut TcpStream, rest: &mut Vec<u8>, length: usize) -> anyhow::Result<Vec<u8>> {
    while rest.len() < length {
        more(client, rest).await?;
    }
    Ok(rest.drain(..length).collect())
}

async fn chunked(client: &mut TcpStream, rest: &mut Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = find(rest, b"\r\n") {
                break at;
            }
            more(client, rest).await?;
        };
        let line: Vec<u8> = rest.drain(..end + 2).collect();
        let size = std::str::from_utf8(&line)?.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(size, 16) else { bail!("a chunk without a size") };
        body.extend(exactly(client, rest, size).await?);
        exactly(client, rest, 2).await?;
        if size == 0 {
            return Ok(body);
        }
        ensure!(body.len() < MAX_BYTES, "a request of more than {MAX_BYTES} bytes");
    }
}
