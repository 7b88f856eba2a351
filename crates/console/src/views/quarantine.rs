//! Rows that were refused, by what was wrong, and messages that were given up.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use lockstep_operations::{
    QuarantineGroup, QuarantineGroups, QuarantinePosition, QuarantineScope, Queue, quarantine_groups, quarantine_of,
    quarantined_page,
};
use serde::Deserialize;

use super::tenants::encoded;
use crate::answer::{Answer, Refusal};
use crate::extract::Query;
use crate::figures::counted;
use crate::page::{Page, Region, View};
use crate::sample::Sample;
use crate::state::Console;

/// Rows of one page.
const ROWS_A_PAGE: usize = 50;

/// Which rows are meant, as it stands in an address.
#[derive(Clone, Deserialize, Default, Debug)]
pub(crate) struct Asked {
    #[serde(default)]
    pub(crate) tenant: String,
    #[serde(default)]
    pub(crate) mapping: String,
    #[serde(default)]
    pub(crate) destination: String,
    #[serde(default)]
    pub(crate) code: String,
}

/// Behind which row the page begins.
#[derive(Deserialize)]
pub(crate) struct Behind {
    #[serde(default)]
    after: String,
}

impl Asked {
    /// # Errors
    /// When one of them cannot be what it should.
    pub(crate) fn scope(&self) -> Result<QuarantineScope, Refusal> {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let wrong = |what: &str| Refusal::Wrong(format!("{what} is not known."));
        let mapping = given(&self.mapping).map(|name| name.parse().map_err(|_| wrong("The mapping"))).transpose()?;
        let tenancy = given(&self.tenant).map(|id| id.parse().map_err(|_| wrong("The tenant id"))).transpose()?;
        let destination = given(&self.destination).map(|name| quarantine_of(&name)).transpose()?;
        Ok(QuarantineScope { mapping, tenancy, destination, code: given(&self.code) })
    }

    pub(crate) fn pairs(&self) -> [(&'static str, &str); 4] {
        let Self { tenant, mapping, destination, code } = self;
        [
            ("tenant", tenant.trim()),
            ("mapping", mapping.trim()),
            ("destination", destination.trim()),
            ("code", code.trim()),
        ]
    }

    /// As it stands in an address.
    fn query(&self) -> String {
        self.pairs().map(|(name, value)| format!("{name}={}", encoded(value))).join("&")
    }
}

#[derive(Template)]
#[template(path = "quarantine.html")]
struct QuarantineRegion {
    dead: String,
    asked: Asked,
    is_filtered: bool,
    query: String,
    names: Vec<String>,
    groups: QuarantineGroups,
    rows: Vec<Row>,
    next: Option<String>,
    actions: bool,
}

impl QuarantineRegion {
    /// Where the rows of a group are, among those that are looked for.
    fn rows_of(&self, group: &QuarantineGroup) -> String {
        let QuarantineGroup { destination, mapping, code, .. } = group;
        let [destination, mapping, code] = [destination, mapping, code].map(String::clone);
        let of = Asked { tenant: self.asked.tenant.clone(), mapping, destination, code };
        format!("/quarantine?{}#rows", of.query())
    }
}

struct Row {
    tenancy: String,
    mapping: String,
    key: String,
    code: String,
    error: String,
    sequence: i64,
    attempts: i64,
    last_refused_at: String,
}

pub(crate) async fn page(
    State(console): State<Arc<Console>>,
    Query(asked): Query<Asked>,
    Query(behind): Query<Behind>,
) -> Answer {
    let scope = asked.scope()?;
    let after = Some(behind.after).filter(|text| !text.is_empty());
    let after = after.map(|text| text.parse::<QuarantinePosition>()).transpose();
    let after = after.map_err(|()| Refusal::Wrong("The page is not known.".to_owned()))?;
    let sample = console.sample();
    let lent = console.readers.lend().await?;
    let groups = quarantine_groups(&lent.deployment, &scope).await?;
    let page = quarantined_page(&lent.deployment, &scope, after.as_ref(), ROWS_A_PAGE).await?;
    lent.give_back();
    let rows = page.entries.into_iter().map(|entry| Row {
        key: entry.key.to_string(),
        tenancy: entry.tenancy,
        mapping: entry.mapping,
        code: entry.code,
        error: entry.error,
        sequence: entry.sequence,
        attempts: entry.attempts,
        last_refused_at: entry.last_refused_at,
    });
    let query = asked.query();
    let region = QuarantineRegion {
        dead: dead(&sample),
        is_filtered: asked.pairs().iter().any(|(_, value)| !value.is_empty()),
        next: page.next.map(|next| format!("/quarantine?{query}&after={}#rows", encoded(&next.to_string()))),
        query,
        names: console.mappings.iter().map(|mapping| mapping.name.to_string()).collect(),
        groups,
        rows: rows.collect(),
        actions: console.options.actions,
        asked,
    };
    Ok(Page::still(&console, View::Quarantine, "Quarantine and dead letters", vec![Region::of("quarantine", &region)]))
}

fn dead(sample: &Sample) -> String {
    match sample.seen.as_ref().map(|seen| &seen.status.queue) {
        Ok(Queue::Known { dead, .. }) => {
            let dead = i64::try_from(*dead).unwrap_or(i64::MAX);
            format!("{} given up.", counted(dead, "message was", "messages were"))
        }
        Ok(Queue::Missing { missing }) => format!("Unknown: there is no queue {missing} yet."),
        Ok(Queue::Unknown { error }) => format!("Unknown: {error}."),
        Err(error) => format!("Unknown: {error}."),
    }
}
