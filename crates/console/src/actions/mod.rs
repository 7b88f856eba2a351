//! What can be done from a page: a form that says what will happen, in numbers and as a command, and asks for a reason.

mod action;
mod audit;
mod effect;
mod jobs;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use lockstep_operations::{Part, ResyncRequest, pause, resume, resync, retry_quarantined};
use serde::Deserialize;

use self::action::{Action, Named};
pub(crate) use self::jobs::Jobs;
use crate::answer::{Answer, Refusal};
use crate::figures::whole;
use crate::page::{Page, Region, View};
use crate::state::Console;
use crate::tokens::now_s;

/// How long an export that was begun here is followed. It goes on after that.
const FOLLOWED: Duration = Duration::from_secs(3600);
/// Bytes of a reason; the form takes no more either.
const REASON_BYTES: usize = 2000;

#[derive(Template)]
#[template(path = "action.html")]
struct ActionRegion {
    what: String,
    title: String,
    effect: String,
    command: String,
    token: String,
    named: Named,
    back: String,
}

/// Shows what an action would do.
pub(crate) async fn form(
    State(console): State<Arc<Console>>,
    Path(what): Path<String>,
    Query(named): Query<Named>,
) -> Answer {
    if !console.options.actions {
        return Ok(
            (StatusCode::FORBIDDEN, "This console only reads: it was started without --actions.\n").into_response()
        );
    }
    let action = named.action(&what)?;
    let lent = console.readers.lend().await?;
    let effect = effect::of(&lent.deployment, &action).await?;
    lent.give_back();
    let title = action.title();
    let region = ActionRegion {
        token: console.form_key.token(&named.signed(&what), now_s()),
        command: action.command(None),
        back: action.seen_at(),
        title: title.clone(),
        what,
        effect,
        named,
    };
    Ok(Page::still(&console, View::Operations, &title, vec![Region::of("action", &region)]))
}

#[derive(Deserialize)]
pub(crate) struct Sent {
    token: String,
    reason: String,
    #[serde(flatten)]
    named: Named,
}

/// Does it. Whether anything may be done at all, and that the form is ours, was looked at before.
pub(crate) async fn act(
    State(console): State<Arc<Console>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Path(what): Path<String>,
    Form(sent): Form<Sent>,
) -> Answer {
    let Sent { token, reason, named } = sent;
    if !console.form_key.is_token(&token, &named.signed(&what), now_s()) {
        return Ok(
            (StatusCode::FORBIDDEN, "This form is too old, or of another console. Open it again.\n").into_response()
        );
    }
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > REASON_BYTES {
        return Err(Refusal::Wrong("A reason is asked for, of some words.".to_owned()));
    }
    let action = named.action(&what)?;
    let outcome = done(&console, &action, reason, from.ip()).await;
    let told = outcome.as_ref().map(Clone::clone).map_err(Refusal::text);
    audit::record(&action, reason, Some(from.ip()), &told);
    outcome?;
    // What was done is seen at once, here and by whoever else looks.
    console.watched.wake();
    Ok(Redirect::to(&action.seen_at()).into_response())
}

/// Does it, or begins with it. Returns what it came to.
async fn done(console: &Arc<Console>, action: &Action, reason: &str, from: IpAddr) -> Result<String, Refusal> {
    let request = |tenancies, mappings| ResyncRequest { tenancies, mappings, limit: FOLLOWED };
    match action {
        Action::Pause(part) => set(console, part, Some(reason)).await,
        Action::Resume(part) => set(console, part, None).await,
        Action::ResyncMapping(name) => begin(console, action, request(Vec::new(), vec![name.clone()]), reason, from),
        Action::ResyncTenant(id) => begin(console, action, request(vec![*id], Vec::new()), reason, from),
        Action::Retry(rows) => {
            let scope = rows.scope()?;
            let mut lent = console.writers.lend().await?;
            let rows = retry_quarantined(&mut lent.deployment, &scope).await?.rows;
            lent.give_back();
            Ok(format!("{} rows are shipped again", whole(i64::try_from(rows).unwrap_or(i64::MAX))))
        }
    }
}

/// Pauses with a reason, or resumes.
async fn set(console: &Console, part: &Part, reason: Option<&str>) -> Result<String, Refusal> {
    let lent = console.writers.lend().await?;
    let report = match reason {
        Some(reason) => pause(&lent.deployment, part, reason).await?,
        None => resume(&lent.deployment, part).await?,
    };
    lent.give_back();
    Ok(if report.changed { "changed" } else { "it was so before" }.to_owned())
}

/// Begins an export, which goes on after the answer.
fn begin(
    console: &Arc<Console>,
    action: &Action,
    request: ResyncRequest,
    reason: &str,
    from: IpAddr,
) -> Result<String, Refusal> {
    if let [name] = request.mappings.as_slice()
        && !console.mappings.iter().any(|mapping| mapping.name.as_str() == name)
    {
        return Err(Refusal::nothing(format!("There is no mapping {name}.")));
    }
    let job = console.jobs.begin(action.title()).ok_or(Refusal::Busy)?;
    let (console, action, reason) = (Arc::clone(console), action.clone(), reason.to_owned());
    tokio::spawn(async move {
        let followed = async {
            let mut lent = console.writers.lend().await?;
            let report = resync(&mut lent.deployment, &request, &mut |what| job.tell(what)).await?;
            lent.give_back();
            Ok(report.unfinished.unwrap_or_else(|| "done".to_owned()))
        };
        let outcome = followed.await.map_err(|refusal: Refusal| refusal.text());
        job.tell(match &outcome {
            Ok(text) | Err(text) => text,
        });
        audit::record(&action, &reason, Some(from), &outcome);
        console.watched.wake();
    });
    Ok("begun".to_owned())
}
