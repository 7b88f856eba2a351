//! A collector of traces: takes what programs send, and keeps it.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
pub use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
pub use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

type Requests = Arc<Mutex<Vec<Bytes>>>;

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Collector {
    url: String,
    requests: Requests,
    serving: JoinHandle<()>,
}

impl Collector {
    /// One that answers everything with this status.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(status: StatusCode) -> anyhow::Result<Self> {
        Self::that(Some(status)).await
    }

    /// One that takes everything and never answers.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn hanging() -> anyhow::Result<Self> {
        Self::that(None).await
    }

    async fn that(answers: Option<StatusCode>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for the collector")?;
        let url = format!("http://{}", listener.local_addr()?);
        let requests = Requests::default();
        let take = move |State(requests): State<Requests>, body: Bytes| async move {
            requests.lock().unwrap_or_else(PoisonError::into_inner).push(body);
            match answers {
                Some(status) => status,
                None => pending().await,
            }
        };
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&requests));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, requests, serving })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The bodies of all requests.
    pub fn requests(&self) -> Vec<Bytes> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether anything that was sent holds these bytes.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        self.requests().iter().any(|request| request.windows(bytes.len()).any(|window| window == bytes))
    }

    /// All spans, each with the name of the program that made it.
    ///
    /// # Errors
    /// When a program sent something else.
    pub fn spans(&self) -> anyhow::Result<Vec<(String, Span)>> {
        self.spans_by("service.name")
    }

    /// The ids of the programs that made spans.
    ///
    /// # Errors
    /// When a program sent something else.
    pub fn instances(&self) -> anyhow::Result<BTreeSet<String>> {
        Ok(self.spans_by("service.instance.id")?.into_iter().map(|(instance, _)| instance).collect())
    }

    fn spans_by(&self, attribute: &str) -> anyhow::Result<Vec<(String, Span)>> {
        let mut spans = Vec::new();
        for body in self.requests() {
            for of in ExportTraceServiceRequest::decode(body)?.resource_spans {
                let resource = of.resource.unwrap_or_default();
                let by = text(&resource.attributes, attribute).unwrap_or_default();
                let own = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
                spans.extend(own.map(|span| (by.clone(), span)));
            }
        }
        Ok(spans)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}
