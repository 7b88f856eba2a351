//! Traces: set up from the environment by OpenTelemetry's own names, off unless an endpoint is named.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use opentelemetry_sdk::trace::{Sampler, SamplingResult, SdkTracer, SdkTracerProvider, ShouldSample};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::export::{Export, Http};
use super::origin::MAX_LINKS;
use crate::http::HttpClient;
use crate::instance;
use crate::settings::Settings;
use crate::shutdown::Shutdown;

/// How long a program that ends waits for its last spans to be taken.
const END_WITHIN: Duration = Duration::from_secs(2);

/// The part of all traces that is kept where nothing else is said.
const RATIO: f64 = 0.01;

static TRACER: OnceLock<SdkTracer> = OnceLock::new();
static PLACES: OnceLock<Places> = OnceLock::new();

/// A service that spans are about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Server {
    /// The Postgres that rows are read from: the source, or a replica of it.
    Postgres,
    /// The message broker.
    RabbitMq,
    /// The destination that all tenants share.
    ClickHouse,
}

/// Where these services are: the first host and port of each.
struct Places([Option<(String, u16)>; 3]);

impl Places {
    fn of(settings: &Settings) -> Self {
        let postgres = settings.source_read_url.as_ref().unwrap_or(&settings.source_url);
        Self([postgres, &settings.amqp_url, &settings.clickhouse.url].map(|url| url.places().into_iter().next()))
    }
}

/// The host and port of a service, where there are traces and it has such.
pub(super) fn place(server: Server) -> Option<&'static (String, u16)> {
    let Places([postgres, rabbitmq, clickhouse]) = PLACES.get()?;
    match server {
        Server::Postgres => postgres.as_ref(),
        Server::RabbitMq => rabbitmq.as_ref(),
        Server::ClickHouse => clickhouse.as_ref(),
    }
}

/// Makes spans, where traces are on.
pub(super) fn tracer() -> Option<&'static SdkTracer> {
    TRACER.get()
}

/// What runs beside a program to tell of it.
#[must_use = "the last spans are sent when it is ended"]
#[derive(Debug, Default)]
pub struct Telemetry(Option<(Shutdown, JoinHandle<()>)>);

impl Telemetry {
    /// Sends the last spans, in two seconds at most. Spans that end later are lost.
    pub async fn end(self) {
        if let Some((stop, exporting)) = self.0 {
            stop.cancel();
            let abort = exporting.abort_handle();
            if timeout(END_WITHIN, exporting).await.is_err() {
                abort.abort();
            }
        }
    }
}

/// Starts sending spans, where the environment names a collector. What is wrong with that is said, and stops nothing.
pub(super) fn start(program: &'static str, settings: &Settings) -> Telemetry {
    let named = |name: &str| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
    let is_disabled = std::env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.trim().eq_ignore_ascii_case("true"));
    let is_named = named("OTEL_EXPORTER_OTLP_ENDPOINT") || named("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    if is_disabled || !is_named || TRACER.get().is_some() {
        return Telemetry::default();
    }
    match exporter(settings.tls_ca_file.as_deref()) {
        Ok(exporter) => {
            let _ = PLACES.set(Places::of(settings));
            begin(program, exporter)
        }
        Err(reason) => {
            tracing::warn!(reason, "there are no traces");
            Telemetry::default()
        }
    }
}

fn begin(program: &'static str, mut exporter: SpanExporter) -> Telemetry {
    let resource = resource(program);
    exporter.set_resource(&resource);
    let (queue, export) = Export::new(exporter);
    let provider = SdkTracerProvider::builder()
        .with_sampler(sampler())
        .with_max_links_per_span(u32::try_from(MAX_LINKS).unwrap_or(u32::MAX))
        .with_resource(resource)
        .with_span_processor(queue)
        .build();
    let _ = TRACER.set(provider.tracer("lockstep"));
    let stop = Shutdown::new();
    let exporting = tokio::spawn(export.run(stop.clone()));
    Telemetry(Some((stop, exporting)))
}

/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say more, or something else.
fn resource(program: &'static str) -> Resource {
    let set = Resource::builder().build();
    let is_set =
        |key: &str| set.get(&key.to_owned().into()).is_some_and(|value| !value.as_str().starts_with("unknown_"));
    let instance = instance::id().to_string();
    let ours = [
        ("service.name", program),
        ("service.namespace", "lockstep"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", &instance),
    ];
    let missing = ours.iter().filter(|(key, _)| !is_set(key));
    Resource::builder().with_attributes(missing.map(|(key, value)| KeyValue::new(*key, (*value).to_owned()))).build()
}

fn exporter(ca_file: Option<&Path>) -> Result<SpanExporter, String> {
    let is_encrypted = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
        .iter()
        .any(|name| std::env::var(name).is_ok_and(|url| url.trim().starts_with("https:")));
    let client = HttpClient::new(is_encrypted, ca_file)?;
    SpanExporter::builder()
        .with_http()
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_http_client(Http(client))
        // What is not taken is lost: later spans tell more than earlier ones.
        .with_retry_policy(RetryPolicy::disabled())
        .build()
        .map_err(|why| why.to_string())
}

fn sampler() -> Box<dyn ShouldSample> {
    let ratio = std::env::var("OTEL_TRACES_SAMPLER_ARG").ok().and_then(|ratio| ratio.trim().parse().ok());
    let name = std::env::var("OTEL_TRACES_SAMPLER").unwrap_or_default();
    choose(name.trim(), ratio).unwrap_or_else(|| {
        tracing::warn!("OTEL_TRACES_SAMPLER names no sampler that is known: one of a hundred traces is kept");
        Box::new(FollowsLinks(Sampler::TraceIdRatioBased(RATIO)))
    })
}

/// By the names of OpenTelemetry's specification.
fn choose(name: &str, ratio: Option<f64>) -> Option<Box<dyn ShouldSample>> {
    let by_ratio = |default| Sampler::TraceIdRatioBased(ratio.unwrap_or(default));
    Some(match name {
        "always_on" => Box::new(Sampler::AlwaysOn),
        "always_off" => Box::new(Sampler::AlwaysOff),
        "traceidratio" => Box::new(by_ratio(1.0)),
        "parentbased_always_on" => Box::new(FollowsLinks(Sampler::AlwaysOn)),
        "parentbased_always_off" => Box::new(FollowsLinks(Sampler::AlwaysOff)),
        "parentbased_traceidratio" => Box::new(FollowsLinks(by_ratio(1.0))),
        "" => Box::new(FollowsLinks(by_ratio(RATIO))),
        _ => return None,
    })
}

/// Keeps what belongs to something that is kept: its parent, or one of its links. Without the second a flush would be kept
/// once in a hundred times for each message that is.
#[derive(Clone, Debug)]
struct FollowsLinks(Sampler);

impl ShouldSample for FollowsLinks {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let has_parent = parent.is_some_and(|parent| parent.span().span_context().is_valid());
        let sampler = if !has_parent && links.iter().any(|link| link.span_context.is_sampled()) {
            Sampler::AlwaysOn
        } else {
            Sampler::ParentBased(Box::new(self.0.clone()))
        };
        sampler.should_sample(parent, trace_id, name, kind, attributes, links)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::SamplingDecision;

    use super::*;
    use crate::telemetry::Origin;

    fn is_kept(sampler: &dyn ShouldSample, links: &[Link]) -> bool {
        let trace = TraceId::from_bytes([0xff; 16]);
        let result = sampler.should_sample(None, trace, "flush", &SpanKind::Consumer, &[], links);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn a_flush_is_kept_where_a_message_of_it_is() {
        let link = |flags| {
            let header = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
            let Origin(context) = Origin::from_headers(header.as_bytes(), None).unwrap();
            Link::new(context, Vec::new(), 0)
        };
        let usual = choose("", None).unwrap();
        assert!(!is_kept(&*usual, &[]) && !is_kept(&*usual, &[link("00")]));
        assert!(is_kept(&*usual, &[link("00"), link("01")]));
        assert!(!is_kept(&*choose("always_off", None).unwrap(), &[link("01")]));
    }

    #[test]
    fn samplers_have_the_names_of_the_specification() {
        let by_name = |name, ratio| choose(name, ratio).map(|sampler| is_kept(&*sampler, &[]));
        assert_eq!(by_name("always_on", None), Some(true));
        assert_eq!(by_name("traceidratio", Some(0.5)), Some(false));
        assert_eq!(by_name("parentbased_traceidratio", None), Some(true));
        assert_eq!(by_name("parentbased_always_on", None), Some(true));
        assert_eq!(by_name("parentbased_always_off", None), Some(false));
        assert_eq!(by_name("jaeger_remote", None), None);
    }
}
