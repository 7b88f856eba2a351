//! A tenant with a client of its own: it sends what it likes, settings included, which Lockstep's client does not.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::DEADLINE;

/// A user of a ClickHouse.
pub(super) struct Tenant<'a> {
    /// Where.
    pub(super) url: &'a str,
    /// Its name.
    pub(super) user: &'a str,
    /// Its password.
    pub(super) password: &'a str,
}

/// Codes of ClickHouse's exceptions.
pub(super) const DENIED: u32 = 497;
pub(super) const READONLY: u32 = 164;
pub(super) const OUT_OF_BOUNDS: u32 = 452;
pub(super) const TOO_MANY_ROWS: u32 = 396;
pub(super) const WRONG_PASSWORD: u32 = 516;

impl Tenant<'_> {
    /// What a query answers.
    pub(super) async fn ask(&self, query: &str) -> Result<String> {
        let (code, body) = self.send("", query).await?;
        ensure!(code.is_none(), "{query}: {body}");
        Ok(body)
    }

    /// A query is refused with one of these codes.
    pub(super) async fn refused(&self, query: &str, codes: &[u32]) -> Result<()> {
        self.refused_with("", query, codes).await
    }

    /// The same with parameters of the address, which are settings too.
    pub(super) async fn refused_with(&self, parameters: &str, query: &str, codes: &[u32]) -> Result<()> {
        let (code, body) = self.send(parameters, query).await?;
        let code = code.with_context(|| format!("a tenant may: {query} ({parameters})"))?;
        ensure!(codes.contains(&code), "{query} ({parameters}) is refused for another reason: {body}");
        Ok(())
    }

    async fn send(&self, parameters: &str, query: &str) -> Result<(Option<u32>, String)> {
        tokio::time::timeout(DEADLINE, self.exchange(parameters, query)).await.context("ClickHouse did not answer")?
    }

    async fn exchange(&self, parameters: &str, query: &str) -> Result<(Option<u32>, String)> {
        let host = self.url.strip_prefix("http://").context("a URL")?;
        let mut request = format!("POST /?wait_end_of_query=1&{parameters} HTTP/1.0\r\n");
        let _ = write!(
            request,
            "X-ClickHouse-User: {}\r\nX-ClickHouse-Key: {}\r\nContent-Length: {}\r\n\r\n{query}",
            self.user,
            self.password,
            query.len()
        );
        let mut connection = TcpStream::connect(host).await?;
        connection.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer of HTTP")?;
        let code = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("x-clickhouse-exception-code: ")?.parse().ok());
        Ok((code, body.to_owned()))
    }
}
