//! A console in this process, before a database and a ClickHouse of its own, in which nothing else runs.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use lockstep_console::{ConsoleArgs, PasswordFile, bind};
use lockstep_core::settings::{MappingSources, Settings};
use lockstep_core::shutdown::Shutdown;
use lockstep_mappings::MappingSet;
use lockstep_testkit::databases::{SOURCE_SCHEMA, TestDatabase, services, unique_suffix};
use lockstep_testkit::in_process;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

/// Whatever is waited for takes seconds at most.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// What the console is told.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options {
    pub(crate) actions: bool,
    pub(crate) password: bool,
    /// The networks of proxies that may name a user in the header `X-User`.
    pub(crate) proxies: Option<&'static str>,
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    console: ConsoleArgs,
}

/// A console, and what it looks at.
pub(crate) struct Fixture {
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    pub(crate) reading: &'static Settings,
    pub(crate) mappings: &'static MappingSet,
    database: TestDatabase,
    stop: Shutdown,
    serving: JoinHandle<std::io::Result<()>>,
    /// Removes what was made in ClickHouse, once it is awaited.
    without_clickhouse: Pin<Box<dyn Future<Output = Result<()>> + Send>>,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Fixture {
    pub(crate) async fn start(options: Options) -> Result<Self> {
        let database = TestDatabase::create().await?;
        let client = database.connect().await?;
        client.batch_execute(SOURCE_SCHEMA).await?;
        let settings = in_process::settings(&database, &services()?, &unique_suffix(), MappingSources::default());
        let mappings: &'static MappingSet = Box::leak(Box::new(MappingSet::built_in()));
        let clickhouse = in_process::install(&settings, mappings).await?;
        let names = [settings.clickhouse.raw_database.clone(), settings.clickhouse.view_database.clone()];
        let without_clickhouse = Box::pin(async move {
            for name in names {
                clickhouse.execute(&format!("DROP DATABASE IF EXISTS {name} SYNC")).await?;
            }
            anyhow::Ok(())
        });
        let settings: &'static Settings = Box::leak(Box::new(settings));
        let reading: &'static Settings = Box::leak(Box::new(Settings { source_read_only: true, ..settings.clone() }));
        let password = std::env::temp_dir().join(unique_suffix());
        std::fs::write(&password, PasswordFile::of(b"correct horse battery staple")?.hash + "\n")?;
        let mut line = vec!["console".to_owned(), "--console-listen".to_owned(), "127.0.0.1:0".to_owned()];
        if options.actions {
            line.push("--actions".to_owned());
        }
        if options.password {
            line.extend(["--password-file".to_owned(), password.display().to_string()]);
        }
        if let Some(proxies) = options.proxies {
            line.extend(["--trusted-user-header", "X-User", "--trusted-proxy", proxies].map(str::to_owned));
        }
        let console = Line::try_parse_from(line)?.console.resolve()?;
        std::fs::remove_file(password)?;
        let server = bind(console, settings, mappings, Box::new(|| Box::pin(async { Vec::new() }))).await?;
        let (address, stop) = (server.address()?, Shutdown::new());
        let serving = tokio::spawn(server.run(stop.clone()));
        Ok(Self { address, client, reading, mappings, database, stop, serving, without_clickhouse })
    }

    pub(crate) async fn get(&self, page: &str) -> Result<Answer> {
        self.send("GET", page, &self.address.to_string(), "", "").await
    }

    pub(crate) async fn post(&self, page: &str, headers: &str, body: &str) -> Result<Answer> {
        let form = format!("{headers}Content-Type: application/x-www-form-urlencoded\r\n");
        self.send("POST", page, &self.address.to_string(), &form, body).await
    }

    /// Sends a request as it is, header by header.
    pub(crate) async fn send(&self, method: &str, page: &str, host: &str, headers: &str, body: &str) -> Result<Answer> {
        let mut stream = TcpStream::connect(self.address).await?;
        let length = body.len();
        let request = format!(
            "{method} {page} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.context("no answer")??;
        let answer = String::from_utf8(bytes)?;
        let (head, text) = answer.split_once("\r\n\r\n").context("an answer has a head")?;
        let status = head.split(' ').nth(1).context("an answer has a status")?.parse()?;
        Ok(Answer { status, head: head.to_owned(), text: text.to_owned() })
    }

    pub(crate) async fn end(self) -> Result<()> {
        self.stop.cancel();
        self.serving.await??;
        self.without_clickhouse.await?;
        drop(self.client);
        self.database.remove().await
    }
}
