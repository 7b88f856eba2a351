//! The frame of every page, and the regions that it is made of.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};

use crate::figures::duration;
use crate::sample::Sample;
use crate::state::Console;

/// The views that the navigation has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum View {
    /// How all is.
    Overview,
    /// Tables.
    Mappings,
    /// Whose rows.
    Tenants,
    /// What was refused, and given up.
    Quarantine,
    /// What is proven.
    Proof,
    /// What runs, and what stands still.
    Operations,
    /// None of them.
    Nothing,
    /// A tenant's own page, which leads nowhere else.
    Own,
}

impl View {
    const ALL: [Self; 6] =
        [Self::Overview, Self::Mappings, Self::Tenants, Self::Quarantine, Self::Proof, Self::Operations];

    /// As the navigation has it.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Mappings => "Mappings",
            Self::Tenants => "Tenants",
            Self::Quarantine => "Quarantine",
            Self::Proof => "Proof",
            Self::Operations => "Operations",
            Self::Nothing => "Lockstep",
            Self::Own => "Your data",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Mappings => "/mappings",
            Self::Tenants => "/tenants",
            Self::Quarantine => "/quarantine",
            Self::Proof => "/proof",
            Self::Operations => "/operations",
            Self::Overview | Self::Nothing | Self::Own => "/",
        }
    }

    /// What a browser asks for to be sent its changes.
    pub(crate) const fn live_name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Mappings => "mappings",
            Self::Operations => "operations",
            _ => "",
        }
    }

    /// The view of that name, if it is one that changes are sent of.
    pub(crate) fn live(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|view| !name.is_empty() && view.live_name() == name)
    }
}

/// A part of a page that is replaced as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Region {
    /// Its id in the page.
    pub(crate) id: &'static str,
    /// What is in it; made by a template, which escapes.
    pub(crate) html: String,
}

impl Region {
    pub(crate) fn of(id: &'static str, template: &impl Template) -> Self {
        let html = template.render().unwrap_or_else(|error| {
            tracing::error!(%error, region = id, "a region cannot be shown");
            "<p>This cannot be shown; the log says why.</p>".to_owned()
        });
        Self { id, html }
    }
}

/// A whole page.
#[derive(Template)]
#[template(path = "page.html")]
pub(crate) struct Page<'a> {
    view: View,
    heading: &'a str,
    /// Empty where no changes are sent.
    live_name: &'static str,
    /// Whether anything can be changed here; none where that is not told.
    actions: Option<bool>,
    regions: Vec<Region>,
    items: [View; 6],
}

#[derive(Template)]
#[template(source = "<p>{{ text }}</p>", ext = "html")]
struct Text<'a> {
    text: &'a str,
}

impl<'a> Page<'a> {
    fn new(view: View, heading: &'a str, regions: Vec<Region>) -> Self {
        Self { view, heading, live_name: "", actions: None, regions, items: View::ALL }
    }

    /// A page that changes while it is looked at.
    pub(crate) fn live(console: &Console, view: View, regions: Vec<Region>) -> Response {
        let page = Self::new(view, view.title(), regions);
        Page { live_name: view.live_name(), actions: Some(console.options.actions), ..page }.into_response()
    }

    /// A page that stays as it was when it was asked for.
    pub(crate) fn still(console: &Console, view: View, heading: &'a str, regions: Vec<Region>) -> Response {
        let page = Self::new(view, heading, regions);
        Page { actions: Some(console.options.actions).filter(|_| view != View::Own), ..page }.into_response()
    }

    /// A page that says why there is none.
    pub(crate) fn refusal(view: View, heading: &'a str, text: &str) -> Response {
        Self::new(view, heading, vec![Region::of("refusal", &Text { text })]).into_response()
    }
}

impl IntoResponse for Page<'_> {
    fn into_response(self) -> Response {
        match self.render() {
            Ok(html) => Html(html).into_response(),
            Err(error) => {
                tracing::error!(%error, "a page cannot be shown");
                axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

#[derive(Template)]
#[template(
    source = "{{ how }} <time datetime=\"{{ at }}\">{{ at }}</time>, which took {{ took }}. Numbers are counted up to a limit, then \"at least\".",
    ext = "html"
)]
struct Taken {
    how: &'static str,
    at: String,
    took: String,
}

/// When a sample was taken.
pub(crate) fn taken(sample: &Sample) -> Region {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of some seconds")]
    let took = match sample.took_ms {
        ms @ 0..1000 => format!("{ms} ms"),
        ms => duration(ms as f64 / 1000.0),
    };
    let how = if sample.seen.is_ok() { "Seen" } else { "Asked in vain at" };
    Region::of("taken", &Taken { how, at: crate::figures::utc(sample.taken_at), took })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::history::History;

    #[test]
    fn what_was_asked_in_vain_is_not_called_seen() {
        let sample = Sample {
            taken_at: SystemTime::UNIX_EPOCH,
            took_ms: 15_000,
            seen: Err("it was not said within 15 s".to_owned()),
            recent: Err("it was not said"),
            history: History::default(),
            checks: None,
        };
        let said = taken(&sample).html;
        assert!(said.starts_with("Asked in vain at <time") && said.contains("which took 15"), "{said}");
    }
}
