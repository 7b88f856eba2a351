//! The way of spans to the collector: a queue with a limit, and one task that empties it. A collector that is away, slow or
//! wrong costs spans and nothing else.

use std::pin::Pin;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Limited};
use opentelemetry::Context;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::http;
use crate::shutdown::Shutdown;

/// Spans that wait for the collector. What comes when so many do is lost.
const QUEUE: usize = 4_096;
/// Spans in one request.
const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// For one request, its answer included.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// A collector's answer says next to nothing.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Failures are logged this often at most.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Spans that did not reach a collector.
const LOST: &str = "lockstep_spans_lost_total";

/// Describes the metrics of this module.
pub fn describe() {
    metrics::describe_counter!(LOST, "Spans that were lost: the queue was full, or the collector did not take them");
}

fn lost(spans: usize) {
    metrics::counter!(LOST).increment(spans as u64);
}

/// Takes spans that have ended, without ever waiting.
#[derive(Debug)]
pub(super) struct Queue(mpsc::Sender<SpanData>);

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.0.try_send(span).is_err() {
            lost(1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Empties the queue.
pub(super) struct Export<E> {
    exporter: E,
    waiting: mpsc::Receiver<SpanData>,
    warned_at: Option<Instant>,
}

impl<E: SpanExporter> Export<E> {
    pub(super) fn new(exporter: E) -> (Queue, Self) {
        let (sender, waiting) = mpsc::channel(QUEUE);
        (Queue(sender), Self { exporter, waiting, warned_at: None })
    }

    /// Works until `stop`, and then until nothing is left.
    pub(super) async fn run(mut self, stop: Shutdown) {
        loop {
            let mut batch = Vec::new();
            if stop.run_until_cancelled(gather(&mut self.waiting, &mut batch)).await.is_none() {
                self.waiting.close();
                self.waiting.recv_many(&mut batch, BATCH).await;
            }
            if batch.is_empty() {
                return;
            }
            self.export(batch).await;
        }
    }

    async fn export(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len();
        let reason = match timeout(EXPORT_TIMEOUT, self.exporter.export(batch)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", EXPORT_TIMEOUT.as_secs()),
        };
        lost(spans);
        if self.warned_at.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            self.warned_at = Some(Instant::now());
            tracing::warn!(spans, reason, "traces do not reach the collector: they are lost, and nothing else is");
        }
    }
}

/// Waits for spans, and a little for more. May be dropped: what was taken is in `batch`.
async fn gather(waiting: &mut mpsc::Receiver<SpanData>, batch: &mut Vec<SpanData>) {
    waiting.recv_many(batch, BATCH).await;
    let more = async { while batch.len() < BATCH && waiting.recv_many(batch, BATCH - batch.len()).await > 0 {} };
    let _ = timeout(GATHER, more).await;
}

/// The HTTP client of the exporter.
#[derive(Clone, Debug)]
pub(super) struct Http(pub(super) http::HttpClient);

impl HttpClient for Http {
    // What `async_trait` makes of the method.
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let client = self.0.clone();
        Box::pin(async move {
            let (parts, body) = client.send(request).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?.to_bytes();
            Ok(Response::from_parts(parts, body))
        })
    }
}
