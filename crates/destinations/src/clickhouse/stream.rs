//! Answers as they arrive: whole, or an error; never a part that looks whole.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::connection::Connection;
use super::reader::{EXCEPTION_BYTES, silent};
use super::{exception, failure, quorum};
use crate::error::DestinationError;

pub(super) fn read(
    connection: &Arc<Connection>,
    sql: &str,
    default_format: &'static str,
    idle: Duration,
) -> impl Stream<Item = Result<Bytes, DestinationError>> + Send + use<> {
    let (connection, sql) = (Arc::clone(connection), sql.to_owned());
    flatten(async move {
        let pinned = connection.pinned(idle).await?;
        let asked = quorum::reached(|| connection.reader.ask(&pinned.reading, sql.clone(), default_format, idle)).await;
        asked.map_err(|error| connection.noted(error))
    })
}

/// The chunks of an answer that is being asked for.
pub(super) fn flatten(
    asked: impl Future<Output = Result<Answer, DestinationError>> + Send,
) -> impl Stream<Item = Result<Bytes, DestinationError>> + Send {
    stream::once(asked)
        .map_ok(|answer| {
            stream::try_unfold(
                answer,
                |mut answer| async move { Ok(answer.next().await?.map(|chunk| (chunk, answer))) },
            )
        })
        .try_flatten()
}

/// An answer that began well.
///
/// ClickHouse puts an exception that comes later behind the rows, and breaks the connection off. So the last bytes are
/// held back until it is known what they are: no reader takes an exception for rows.
pub(super) struct Answer {
    body: Incoming,
    /// What marks the exception: random, and told in the header, so no row can hold it. Servers before 25.11 have none.
    tag: Option<Bytes>,
    idle: Duration,
    held: VecDeque<Bytes>,
    held_bytes: usize,
    ended: bool,
}

impl Answer {
    pub(super) fn new(body: Incoming, tag: Option<Bytes>, idle: Duration) -> Self {
        Self { body, tag, idle, held: VecDeque::new(), held_bytes: 0, ended: false }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, DestinationError> {
        loop {
            let first = self.held.front().map_or(0, Bytes::len);
            if self.ended || self.held_bytes - first >= EXCEPTION_BYTES {
                self.held_bytes -= first;
                return Ok(self.held.pop_front());
            }
            match tokio::time::timeout(self.idle, self.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    if let Some(chunk) = frame.into_data().ok().filter(|chunk| !chunk.is_empty()) {
                        self.held_bytes += chunk.len();
                        self.held.push_back(chunk);
                    }
                }
                Ok(Some(Err(broken))) => {
                    return Err(self.exception().unwrap_or_else(|| failure::from_network(&broken)));
                }
                Ok(None) => match self.exception() {
                    Some(error) => return Err(error),
                    None => self.ended = true,
                },
                Err(_) => return Err(silent(self.idle)),
            }
        }
    }

    /// The exception that the held bytes end in, if they do.
    fn exception(&self) -> Option<DestinationError> {
        let held: Vec<u8> = self.held.iter().flatten().copied().collect();
        let last = &held[held.len().saturating_sub(EXCEPTION_BYTES)..];
        let text = match &self.tag {
            Some(tag) => {
                let at = last.windows(tag.len()).position(|window| window == tag)?;
                String::from_utf8_lossy(&last[at + tag.len()..])
            }
            // At the very end only, where our own queries have a number.
            None if last.ends_with(b")\n") => {
                let at = last.windows(6).rposition(|window| window == b"Code: ")?;
                String::from_utf8_lossy(&last[at..])
            }
            None => return None,
        };
        text.contains("DB::Exception").then(|| exception::from_answer(text.trim_start()))
    }
}
