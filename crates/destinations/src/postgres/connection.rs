//! One connection: opened step by step, each within its time, and asked in plain text.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, future::poll_fn, pin_mut};
use lockstep_core::DestinationId;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, SimpleQueryMessage, Statement};

use super::connection_string::ConnectionString;
use super::failure::{Doing, judge};
use super::limited::{Allowance, Limited};
use super::network::Network;
use crate::error::{DestinationError, Failure};

/// How long each step may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// Finding the addresses of a host.
    pub resolve: Duration,
    /// Until one of them accepts.
    pub connect: Duration,
    /// TLS and logging in.
    pub login: Duration,
    /// One statement.
    pub statement: Duration,
    /// A whole page, or anything else that is asked, opening the connection included.
    pub whole: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(5),
            connect: Duration::from_secs(5),
            login: Duration::from_secs(5),
            statement: Duration::from_secs(30),
            whole: Duration::from_secs(60),
        }
    }
}

/// What a server may send between two statements of ours, notices included. Answers are a few rows.
const ANSWER_BYTES: u64 = 1024 * 1024;
/// What a server may send while a statement is prepared: `COPY` has neither columns nor parameters.
const PREPARE_BYTES: u64 = 16 * 1024;
/// What is handed to the connection at once.
const COPY_CHUNK_BYTES: usize = 64 * 1024;
/// The server has its own limit of time for a statement, and says so; ours comes after it.
const GRACE: Duration = Duration::from_secs(2);

/// Why something was not done, with the code that the server gave it.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) error: DestinationError,
    pub(super) sql_state: Option<String>,
    /// The connection can be used after a ROLLBACK.
    pub(super) is_of_statement: bool,
}

impl From<Trouble> for DestinationError {
    fn from(trouble: Trouble) -> Self {
        trouble.error
    }
}

impl From<DestinationError> for Trouble {
    fn from(error: DestinationError) -> Self {
        Self { error, sql_state: None, is_of_statement: true }
    }
}

/// What one statement answered.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Answer {
    pub(super) rows: Vec<Vec<Option<String>>>,
    /// Rows that it returned or changed.
    pub(super) count: u64,
}

/// A connection. It ends with its last clone.
#[derive(Clone, Debug)]
pub(super) struct Session {
    client: Arc<Client>,
    pub(super) allowance: Allowance,
    id: DestinationId,
    limit: Duration,
    _task: Arc<EndsWithSession>,
}

/// The task that drives the connection would otherwise end only when the server answers.
#[derive(Debug)]
struct EndsWithSession(AbortHandle);

impl Drop for EndsWithSession {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Opens a connection.
pub(super) async fn open(
    id: &DestinationId,
    string: &ConnectionString,
    network: &Network,
    timeouts: Timeouts,
) -> Result<Session, DestinationError> {
    let error = |failure, reason: String| DestinationError::new(failure, id.clone(), reason);
    let stream = network
        .connect(string.host(), string.port(), timeouts.resolve, timeouts.connect)
        .await
        .map_err(|no_way| error(no_way.failure, no_way.reason))?;
    let allowance = Allowance::new(ANSWER_BYTES);
    let stream = Limited::new(stream, allowance.clone());
    let mut tls = network.tls(string.ssl_mode());
    let tls = MakeTlsConnect::<Limited<TcpStream>>::make_tls_connect(&mut tls, string.host())
        .map_err(|_| error(Failure::Misconfigured, "its host is no name that a certificate can have".to_owned()))?;
    let config = string.config();
    let logging_in = config.connect_raw(stream, tls);
    let (client, mut connection) = match timeout(timeouts.login, logging_in).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(failed)) => {
            let verdict = judge(&failed, Doing::LoggingIn, allowance.is_exceeded());
            return Err(error(verdict.failure, verdict.reason));
        }
        Err(_) => return Err(error(Failure::Unavailable, "it did not let Lockstep log in in time".to_owned())),
    };
    // What the server has to say beside answers is let go: the library's own driver would log it.
    let task = tokio::spawn(async move {
        while let Some(Ok(AsyncMessage::Notice(_) | AsyncMessage::Notification(_))) =
            poll_fn(|cx| connection.poll_message(cx)).await
        {}
    });
    Ok(Session {
        client: Arc::new(client),
        allowance,
        id: id.clone(),
        limit: timeouts.statement + GRACE,
        _task: Arc::new(EndsWithSession(task.abort_handle())),
    })
}

impl Session {
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs statements together, in one round trip. Returns what each has answered.
    pub(super) async fn run(&self, statements: &[String], doing: Doing) -> Result<Vec<Answer>, Trouble> {
        self.allowance.renew(ANSWER_BYTES);
        let text = statements.join(";\n");
        let messages = self.within(doing, self.client.simple_query(&text)).await?;
        let mut answers = Vec::with_capacity(statements.len());
        let mut rows = Vec::new();
        for message in &messages {
            match message {
                SimpleQueryMessage::Row(row) => {
                    let values = (0..row.len()).map(|place| row.try_get(place).ok().flatten().map(str::to_owned));
                    rows.push(values.collect());
                }
                SimpleQueryMessage::CommandComplete(count) => {
                    answers.push(Answer { rows: std::mem::take(&mut rows), count: *count });
                }
                _ => {}
            }
        }
        Ok(answers)
    }

    /// Prepares a statement, perhaps while the one before it is run.
    ///
    /// Types that the client library does not know it looks up, one after the other and one within the other, as deep as the server
    /// likes: what may come for that is little.
    pub(super) async fn prepare(&self, sql: &str) -> Result<Statement, Trouble> {
        self.allowance.renew(PREPARE_BYTES);
        self.within(Doing::Other, self.client.prepare(sql)).await
    }

    /// Copies bytes in. Returns how many rows arrived.
    pub(super) async fn copy_in(&self, copy: &Statement, bytes: Bytes) -> Result<u64, Trouble> {
        self.allowance.renew(ANSWER_BYTES);
        self.within(Doing::WritingRows, async {
            let sink = self.client.copy_in::<_, Bytes>(copy).await?;
            pin_mut!(sink);
            let mut rest = bytes;
            while !rest.is_empty() {
                let chunk = rest.split_to(rest.len().min(COPY_CHUNK_BYTES));
                if let Err(broken) = sink.send(chunk).await {
                    // Why it is broken, the end says.
                    return sink.finish().await.and(Err(broken));
                }
            }
            sink.finish().await
        })
        .await
    }

    /// Copies rows out: a stream of messages. So many bytes may come at first; whoever reads them renews that.
    pub(super) async fn copy_out(&self, sql: &str, bytes: u64) -> Result<tokio_postgres::CopyOutStream, Trouble> {
        let copy = self.prepare(sql).await?;
        self.allowance.renew(bytes);
        self.within(Doing::Other, self.client.copy_out(&copy)).await
    }

    /// What an error of the stream of [`Session::copy_out`] is.
    pub(super) fn trouble(&self, error: &tokio_postgres::Error, doing: Doing) -> Trouble {
        let verdict = judge(error, doing, self.allowance.is_exceeded());
        Trouble {
            error: DestinationError::new(verdict.failure, self.id.clone(), verdict.reason),
            sql_state: error.code().map(|code| code.code().to_owned()),
            is_of_statement: error.as_db_error().is_some() && !self.client.is_closed(),
        }
    }

    async fn within<T>(
        &self,
        doing: Doing,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Trouble> {
        match timeout(self.limit, work).await {
            Ok(done) => done.map_err(|error| self.trouble(&error, doing)),
            Err(_) => Err(Trouble {
                error: DestinationError::unanswered(self.id.clone()),
                sql_state: None,
                is_of_statement: false,
            }),
        }
    }
}
