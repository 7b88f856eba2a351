//! Finding tenants: the worst first, or a page at a time.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use lockstep_operations::{TENANTS_A_PAGE, TenantEntry, TenantSearch, TenantsPage, find_tenants};
use serde::Deserialize;
use uuid::Uuid;

use crate::answer::Answer;
use crate::extract::Query;
use crate::page::{Page, Region, View};
use crate::state::Console;

#[derive(Deserialize, Default)]
pub(crate) struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    all: String,
    after: Option<Uuid>,
}

#[derive(Template)]
#[template(path = "tenants.html")]
struct TenantsRegion {
    q: String,
    page: TenantsPage,
    is_troubled: bool,
    caption: &'static str,
    next: Option<String>,
}

pub(crate) async fn page(State(console): State<Arc<Console>>, Query(asked): Query<Asked>) -> Answer {
    let q = asked.q.trim().to_owned();
    let search = match q.as_str() {
        "" if asked.all.is_empty() => TenantSearch::Troubled,
        "" => TenantSearch::All,
        text => TenantSearch::parse(text),
    };
    let lent = console.readers.lend().await?;
    let page = find_tenants(&lent.deployment, &search, asked.after, TENANTS_A_PAGE).await?;
    lent.give_back();
    let caption = match search {
        TenantSearch::Troubled => {
            "Those that most need somebody to look: refused rows, databases that are not reached, pauses, erasures, news on the way"
        }
        TenantSearch::All => "All tenants in the order of their ids, 50 a page",
        _ => "What was found, in the order of ids, 50 a page",
    };
    let next = page.next.map(|after| {
        let pairs =
            [("q", q.as_str()), ("all", asked.all.as_str())].map(|(name, value)| format!("{name}={}", encoded(value)));
        format!("/tenants?{}&after={after}", pairs.join("&"))
    });
    let is_troubled = search == TenantSearch::Troubled;
    let region = TenantsRegion { q, page, is_troubled, caption, next };
    Ok(Page::still(&console, View::Tenants, "Tenants", vec![Region::of("tenants", &region)]))
}

/// A value as it stands in an address.
pub(crate) fn encoded(value: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let one = |byte: u8| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    value.bytes().map(one).collect()
}

/// In words; several where several hold.
pub(crate) fn state(of: &TenantEntry) -> String {
    let words = [
        (of.is_erased, "being erased"),
        (of.is_paused, "paused"),
        (of.quarantined > 0, "rows refused"),
        (of.failing > 0, "own database not reached"),
        (of.behind > 0, "news on the way"),
    ];
    let words: Vec<_> = words.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word).collect();
    if words.is_empty() { "in step".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_encoded_so_that_it_stays_one_value() {
        assert_eq!(encoded("a b&c=<d>/é"), "a%20b%26c%3D%3Cd%3E%2F%C3%A9");
        assert_eq!(encoded("in-step_1.2~"), "in-step_1.2~");
    }
}
