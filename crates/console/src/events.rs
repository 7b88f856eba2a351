//! What has changed, sent to browsers that watch: one event a region (server-sent events of the HTML standard).

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::watch;

use crate::extract::Query;
use crate::page::{Region, View};
use crate::sample::Sample;
use crate::state::{Console, Viewer};
use crate::views::live_regions;

/// Proxies close what is silent for longer.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// After which time browsers come back when the connection has ended.
const RETRY: Duration = Duration::from_millis(2000);

#[derive(Deserialize)]
pub(crate) struct Asked {
    view: String,
}

/// What one browser has been sent.
struct Sent {
    samples: watch::Receiver<Arc<Sample>>,
    view: View,
    actions: bool,
    regions: HashMap<&'static str, String>,
    waiting: Vec<Event>,
    _viewer: Viewer,
}

/// Sends the regions of a view whenever they change.
pub(crate) async fn events(State(console): State<Arc<Console>>, Query(asked): Query<Asked>) -> Response {
    let Some(view) = View::live(&asked.view) else { return StatusCode::NOT_FOUND.into_response() };
    let Some(viewer) = Viewer::enter(&console) else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let mut samples = console.samples.clone();
    // What there is already is sent at once: the page may be older.
    samples.mark_changed();
    let waiting = vec![Event::default().retry(RETRY).comment("changes of regions follow")];
    let actions = console.options.actions;
    let sent = Sent { samples, view, actions, regions: HashMap::new(), waiting, _viewer: viewer };
    let events = stream::unfold(sent, |mut sent| async move {
        let event = sent.next().await?;
        Some((Ok::<_, Infallible>(event), sent))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

impl Sent {
    /// Returns `None` when the console ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop() {
                return Some(event);
            }
            self.samples.changed().await.ok()?;
            let sample = self.samples.borrow_and_update().clone();
            for Region { id, html } in live_regions(self.view, &sample, self.actions) {
                if self.regions.get(id) != Some(&html) {
                    let data = serde_json::json!({ "id": id, "html": html }).to_string();
                    self.waiting.push(Event::default().event("region").data(data));
                    self.regions.insert(id, html);
                }
            }
            self.waiting.reverse();
        }
    }
}
