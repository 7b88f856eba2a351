//! Spans. Where no collector is named, or a span is not sampled, they cost next to nothing.
//!
//! They hold counts, names of tables and queues, and how things ended: never a value of a row, a tenant's id or a query.

use opentelemetry::trace::{FutureExt, Link, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, Value};

use super::origin::{MAX_LINKS, Origin};
use super::traces::{self, Server};

/// Which side of an exchange a span is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Neither.
    Internal,
    /// It asks a server.
    Client,
    /// It creates messages.
    Producer,
    /// It works on messages.
    Consumer,
}

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Internal => Self::Internal,
            Kind::Client => Self::Client,
            Kind::Producer => Self::Producer,
            Kind::Consumer => Self::Consumer,
        }
    }
}

/// Something that takes time. It ends when it is dropped.
#[must_use = "a span ends when it is dropped"]
#[derive(Debug, Default)]
pub struct Span(Option<Context>);

impl Span {
    /// Begins a span inside of the one that [`Span::around`] has made current, if any. The name is asked for only where
    /// there are traces.
    pub fn begin(kind: Kind, name: impl FnOnce() -> String) -> Self {
        Self::start(kind, name, || (Context::current(), Vec::new()))
    }

    /// The same, but only inside of another: on its own it says nothing.
    pub fn part(kind: Kind, name: impl FnOnce() -> String) -> Self {
        if Self::current().is_some() { Self::begin(kind, name) } else { Self(None) }
    }

    /// Begins a span of its own that is linked to these, [`MAX_LINKS`] of them at most.
    pub fn linked<'a>(origins: impl Iterator<Item = &'a Origin>, kind: Kind, name: impl FnOnce() -> String) -> Self {
        Self::start(kind, name, || {
            let links = origins.take(MAX_LINKS).map(|Origin(at)| Link::new(at.clone(), Vec::new(), 0));
            (Context::new(), links.collect())
        })
    }

    fn start(kind: Kind, name: impl FnOnce() -> String, place: impl FnOnce() -> (Context, Vec<Link>)) -> Self {
        let Some(tracer) = traces::tracer() else { return Self(None) };
        let (parent, links) = place();
        let builder = tracer.span_builder(name()).with_kind(kind.into()).with_links(links);
        let span = tracer.build_with_context(builder, &parent);
        Self(Some(parent.with_span(span)))
    }

    /// Says something of it: counts and names, never a tenant's value.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// Says a name of it.
    pub fn set_text(&self, key: &'static str, text: &str) {
        if self.0.is_some() {
            self.set(key, text.to_owned());
        }
    }

    /// The same, where the text has to be made first.
    pub fn set_with(&self, key: &'static str, text: impl FnOnce() -> String) {
        if self.0.is_some() {
            self.set(key, text());
        }
    }

    /// Says which service it asks, and where that is.
    pub fn asks(&self, server: Server) {
        if self.0.is_none() {
            return;
        }
        match server {
            Server::Postgres => self.set("db.system.name", "postgresql"),
            Server::ClickHouse => self.set("db.system.name", "clickhouse"),
            Server::RabbitMq => self.set("messaging.system", "rabbitmq"),
        }
        if let Some((host, port)) = traces::place(server) {
            self.set_text("server.address", host);
            self.count("server.port", *port);
        }
    }

    /// Says how many.
    pub fn count(&self, key: &'static str, count: impl TryInto<i64>) {
        if self.0.is_some() {
            self.set(key, count.try_into().unwrap_or(i64::MAX));
        }
    }

    /// It failed. `kind`: a word for what kind of failure it was, since a message may hold more.
    pub fn failed(&self, kind: &'static str) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new("error.type", kind));
            context.span().set_status(Status::error(kind));
        }
    }

    /// What others refer to it by.
    pub fn origin(&self) -> Option<Origin> {
        let context = self.0.as_ref()?.span().span_context().clone();
        context.is_valid().then_some(Origin(context))
    }

    /// The span that is current, if any: for another task or program to go on with.
    pub fn current() -> Option<Origin> {
        traces::tracer()?;
        let context = Context::current().span().span_context().clone();
        context.is_valid().then_some(Origin(context))
    }

    /// Makes it current while `future` runs, but not in tasks that this spawns: see [`in_current`].
    pub fn around<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        future.with_context(self.0.clone().unwrap_or_default())
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }
}

/// What goes on with a span that began elsewhere: that one is current while `future` runs.
pub fn going_on<F: Future>(origin: Option<Origin>, future: F) -> impl Future<Output = F::Output> + use<F> {
    let context = origin.map(|Origin(at)| Context::new().with_remote_span_context(at));
    future.with_context(context.unwrap_or_default())
}

/// For a task that is spawned: the span that is current here is current there.
pub fn in_current<F: Future>(future: F) -> impl Future<Output = F::Output> + use<F> {
    future.with_current_context()
}
