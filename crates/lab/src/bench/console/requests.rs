//! Asking the console as a browser does.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(60);

async fn ask(host: &str, page: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(host).await.context("connecting to the console")?;
    let request = format!("GET {page} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// How long a page takes, in milliseconds, on a connection of its own.
pub(super) async fn get(host: &str, page: &str) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut answer = Vec::new();
    let asked = async { ask(host, page).await?.read_to_end(&mut answer).await.context("reading an answer") };
    timeout(DEADLINE, asked).await.with_context(|| format!("no answer for {page}"))??;
    let took = began.elapsed();
    let head = String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
    ensure!(head.starts_with("HTTP/1.1 200"), "{page}: {head}");
    Ok(took.as_secs_f64() * 1000.0)
}

/// The changes of a view, as they are sent.
pub(super) struct Changes(Lines<BufReader<TcpStream>>);

impl Changes {
    pub(super) async fn open(host: &str, view: &str) -> anyhow::Result<Self> {
        Ok(Self(BufReader::new(ask(host, &format!("/events?view={view}")).await?).lines()))
    }

    /// Waits for the next sample; returns how long it took, in milliseconds.
    pub(super) async fn sample(&mut self) -> anyhow::Result<f64> {
        loop {
            let line = self.0.next_line().await?.context("the console sends no more changes")?;
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let region: serde_json::Value = serde_json::from_str(data).context("a region is sent as JSON")?;
            if region["id"] == "taken" {
                let html = region["html"].as_str().unwrap_or_default();
                let took = html.split_once("which took ").and_then(|(_, rest)| rest.split_once(" ms."));
                return took.context("a sample took no second")?.0.parse().context("milliseconds are a number");
            }
        }
    }
}
