//! Logs: a message and fields, to stderr, for people or for machines. Traces: spans to a collector, where one is named.

mod export;
mod origin;
mod span;
mod traces;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use self::export::describe;
pub use self::origin::{MAX_LINKS, Origin, TRACEPARENT, TRACESTATE};
pub use self::span::{Kind, Span, going_on, in_current};
pub use self::traces::{Server, Telemetry};
use crate::settings::Settings;

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// One line for people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Starts logging to stderr, stdout belongs to results; and traces, where the environment names a collector. A second call
/// changes nothing. `program`: as traces call it, such as `lockstep-worker`.
pub fn start(program: &'static str, settings: &Settings) -> Telemetry {
    let filter = EnvFilter::new(&settings.log);
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // Fails only when a subscriber is set already, as in tests that run several programs in one process.
    let _ = match settings.log_format {
        LogFormat::Pretty => registry.with(layer.with_ansi(crate::output::stderr_has_colors())).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    traces::start(program, settings)
}
