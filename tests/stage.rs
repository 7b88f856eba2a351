//! The stage of a test: a Lockstep of its own, its programs as processes, and the judge.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lockstep_mappings::postgres::inbox;
use lockstep_oracle::Report;
use lockstep_testkit::data::{Shape, seed};
use lockstep_testkit::databases::{SOURCE_SCHEMA, eventually};
use lockstep_testkit::installation::{Finished, Installation, Program};
use tokio_postgres::Client;

/// Whatever is waited for takes seconds; with other tests beside it on two cores, tens of them at most.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// An installation, and a client for its source database.
pub(crate) struct Stage {
    pub(crate) installation: Installation,
    pub(crate) client: Client,
    started: Cell<u32>,
}

impl Stage {
    /// The standalone source schema with capture, the ClickHouse side, and no rows.
    pub(crate) async fn empty() -> Result<Self> {
        let stage = Self::of(Installation::create().await?).await?;
        stage.migrate(&["--standalone"]).await?;
        Ok(stage)
    }

    /// As [`Stage::empty`], with two projects of a few rows in every table, known by name: see `world.sql`.
    pub(crate) async fn small() -> Result<Self> {
        let stage = Self::empty().await?;
        stage.sql(include_str!("world.sql")).await?;
        Ok(stage)
    }

    /// As [`Stage::empty`], with made-up rows that wait to be numbered.
    pub(crate) async fn seeded(shape: Shape) -> Result<Self> {
        let stage = Self::empty().await?;
        seed(&stage.client, shape).await?;
        Ok(stage)
    }

    /// The source tables without anything of capture, and no rows: as before `lockstep migrate`.
    pub(crate) async fn before_capture() -> Result<Self> {
        let stage = Self::of(Installation::create().await?).await?;
        stage.sql(SOURCE_SCHEMA).await?;
        Ok(stage)
    }

    /// A database that is still empty, and nothing anywhere else.
    pub(crate) async fn of(installation: Installation) -> Result<Self> {
        let client = installation.database().connect().await?;
        Ok(Self { installation, client, started: Cell::new(0) })
    }

    /// Runs `lockstep migrate`, which has to succeed.
    pub(crate) async fn migrate(&self, arguments: &[&str]) -> Result<Finished> {
        self.installation.succeed("lockstep", &[&["migrate"], arguments].concat()).await
    }

    /// Starts a sequencer.
    pub(crate) fn sequencer(&self) -> Result<Program> {
        self.start_with("lockstep-sequencer", &[])
    }

    /// Starts a worker.
    pub(crate) fn worker(&self) -> Result<Program> {
        self.start_with("lockstep-worker", &[])
    }

    /// Starts a program with some settings replaced.
    pub(crate) fn start_with(&self, program: &str, changed: &[(&str, &str)]) -> Result<Program> {
        self.started.set(self.started.get() + 1);
        self.installation.start_with(program, &format!("{program}-{}", self.started.get()), changed)
    }

    /// Another client for the source database.
    pub(crate) async fn connect(&self) -> Result<Client> {
        self.installation.database().connect().await
    }

    /// Runs statements on the source; several of them are one transaction.
    pub(crate) async fn sql(&self, statements: &str) -> Result<()> {
        self.client.batch_execute(statements).await.with_context(|| format!("running {}", shortened(statements)))
    }

    /// The one number that a query on the source answers.
    pub(crate) async fn number(&self, query: &str) -> Result<i64> {
        let row = self.client.query_one(query, &[]).await;
        Ok(row.with_context(|| format!("asking {}", shortened(query)))?.try_get(0)?)
    }

    /// What ClickHouse answers, without the last line end. `{raw}` and `{views}` stand for the two databases.
    pub(crate) async fn seen(&self, query: &str) -> Result<String> {
        let query = self.placed(query);
        let text = self.installation.clickhouse()?.fetch_text(&query).await;
        Ok(text.with_context(|| format!("asking ClickHouse {query}"))?.trim_end().to_owned())
    }

    /// Runs a statement in ClickHouse, with the same places.
    pub(crate) async fn in_clickhouse(&self, statement: &str) -> Result<()> {
        let statement = self.placed(statement);
        let done = self.installation.clickhouse()?.execute(&statement).await;
        done.with_context(|| format!("running in ClickHouse {statement}"))
    }

    fn placed(&self, text: &str) -> String {
        text.replace("{raw}", &self.installation.raw_database()).replace("{views}", &self.installation.view_database())
    }

    /// `lockstep wait --all`: every destination holds what the source holds now.
    pub(crate) async fn in_step(&self) -> Result<()> {
        let waited = self.installation.succeed("lockstep", &["wait", "--all", "--timeout", "60"]).await;
        waited.map(drop).with_context(|| self.logs())
    }

    /// Waits with `lockstep wait`. After that all twelve views hold what the source holds, at once.
    pub(crate) async fn equal(&self) -> Result<Report> {
        self.in_step().await?;
        let report = lockstep_oracle::compare(&self.client, &self.installation.endpoint()).await?;
        ensure!(report.equal(), "`lockstep wait` returned, but {}\n{report}", self.logs());
        Ok(report)
    }

    /// Waits until a query on the source answers this number.
    pub(crate) async fn until(&self, what: &str, query: &str, number: i64) -> Result<()> {
        let reached = eventually(what, DEADLINE, async || Ok(self.number(query).await? == number)).await;
        reached.with_context(|| self.logs())
    }

    /// Waits until everything that was written has its numbers.
    pub(crate) async fn numbered(&self) -> Result<()> {
        let waiting = format!(
            "SELECT (SELECT count(*) FROM ({}) u) + (SELECT count(*) FROM lockstep.expansion)",
            inbox::unseen()
        );
        self.until("every change to be numbered", &waiting, 0).await
    }

    /// Waits until ClickHouse answers this.
    pub(crate) async fn until_seen(&self, what: &str, query: &str, answer: &str) -> Result<()> {
        let reached = eventually(what, DEADLINE, async || Ok(self.seen(query).await? == answer)).await;
        reached.with_context(|| self.logs())
    }

    /// Runs `lockstep-verifier`.
    pub(crate) async fn verifier(&self, arguments: &[&str]) -> Result<Finished> {
        self.installation.run("lockstep-verifier", arguments).await
    }

    /// The verifier finds both sides equal.
    pub(crate) async fn verified(&self) -> Result<()> {
        let verified = self.verifier(&[]).await?;
        ensure!(verified.code == Some(0), "the verifier ended with {:?}:\n{}", verified.code, verified.stdout);
        Ok(())
    }

    /// Stops programs, and removes everything that this test made.
    pub(crate) async fn end(self, programs: impl IntoIterator<Item = Program>) -> Result<()> {
        for program in programs {
            program.stop().await?;
        }
        self.installation.remove().await
    }

    fn logs(&self) -> String {
        let suffix = self.installation.queue_prefix();
        let suffix = suffix.rsplit('-').next().unwrap_or_default();
        format!("the programs' logs are .lockstep/logs/*-{}.log", &suffix[..8])
    }
}

/// Enough to recognise a statement by.
fn shortened(statement: &str) -> String {
    let words: Vec<_> = statement.split_whitespace().collect();
    let mut text = words.join(" ");
    if text.len() > 300 {
        text.truncate(text.floor_char_boundary(300));
        text.push('…');
    }
    text
}
