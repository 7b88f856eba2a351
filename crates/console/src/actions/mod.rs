//! What can be done from a page: a form that says what will happen, in numbers and as a command, and asks for a reason.

mod action;
mod audit;
mod effect;
mod jobs;

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use lockstep_operations::{
    EraseOutcome, EraseRequest, Part, ResyncRequest, drop_quarantined, erase, pause, quarantine_count, resume, resync,
    retry_quarantined, set_setting,
};
use serde::Deserialize;

use self::action::{Action, Named};
use self::audit::Entry;
use self::jobs::Job;
pub(crate) use self::jobs::Jobs;
use crate::access::Visitor;
use crate::answer::{Answer, Refusal};
use crate::extract::{Form, Path, Query};
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
    /// What is asked for beside a reason.
    asked: Option<&'static str>,
    /// A pause keeps its reason where everybody sees it.
    keeps_reason: bool,
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
    let action = named.action(&what, "")?;
    let lent = console.readers.lend().await?;
    let effect = effect::of(&lent.deployment, &action).await?;
    lent.give_back();
    let title = action.title();
    let region = ActionRegion {
        token: console.form_key.token(&named.signed(&what), now_s()),
        command: action.command(None),
        back: action.seen_at(),
        asked: action.asks_for(),
        keeps_reason: matches!(action, Action::Pause(_)),
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
    #[serde(default)]
    typed: String,
    #[serde(flatten)]
    named: Named,
}

/// Does it. Whether anything may be done at all, and that the form is ours, was looked at before.
pub(crate) async fn act(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(what): Path<String>,
    Form(sent): Form<Sent>,
) -> Answer {
    let Sent { token, reason, typed, named } = sent;
    if !console.form_key.is_token(&token, &named.signed(&what), now_s()) {
        return Ok(
            (StatusCode::FORBIDDEN, "This form is too old, or of another console. Open it again.\n").into_response()
        );
    }
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > REASON_BYTES {
        return Err(Refusal::Wrong("A reason is asked for, of some words.".to_owned()));
    }
    let action = named.action(&what, &typed)?;
    must_be_meant(&console, &action).await?;
    let entry = Entry::begin(&console, &action, reason, &visitor).await?;
    if let Some(work) = Work::of(&console, &action)? {
        let job = console.jobs.begin(action.title());
        let Some(job) = job else {
            entry.end(&console, &Err("enough goes on already".to_owned())).await;
            return Err(Refusal::Busy);
        };
        tokio::spawn(follow(Arc::clone(&console), work, job, entry));
    } else {
        let outcome = done(&console, &action, reason).await;
        entry.end(&console, &outcome.as_ref().map(Clone::clone).map_err(Refusal::text)).await;
        outcome?;
    }
    // What was done is seen at once, here and by whoever else looks.
    console.watched.wake();
    Ok(Redirect::to(&action.seen_at()).into_response())
}

/// What cannot be undone has to be typed as it is now.
async fn must_be_meant(console: &Console, action: &Action) -> Result<(), Refusal> {
    match action {
        Action::Drop(rows, typed) => {
            let lent = console.readers.lend().await?;
            let count = quarantine_count(&lent.deployment, &rows.scope()?).await?;
            lent.give_back();
            let is_it = typed.replace(',', "").parse() == Ok(count);
            let said = || Refusal::Wrong(format!("These are {} rows now: type that number.", whole(count)));
            is_it.then_some(()).ok_or_else(said)
        }
        Action::Erase(id, typed) => {
            let is_it = typed.parse() == Ok(*id);
            is_it.then_some(()).ok_or_else(|| Refusal::Wrong("Type the tenant's id, to be sure.".to_owned()))
        }
        _ => Ok(()),
    }
}

/// Does what is done at once. Returns what it came to.
async fn done(console: &Console, action: &Action, reason: &str) -> Result<String, Refusal> {
    let shipped = |rows: u64, what: &str| format!("{} rows {what}", whole(i64::try_from(rows).unwrap_or(i64::MAX)));
    match action {
        Action::Pause(part) => set(console, part, Some(reason)).await,
        Action::Resume(part) => set(console, part, None).await,
        Action::Retry(rows) => {
            let (scope, mut lent) = (rows.scope()?, console.writers.lend().await?);
            let rows = retry_quarantined(&mut lent.deployment, &scope).await?.rows;
            lent.give_back();
            Ok(shipped(rows, "are shipped again"))
        }
        Action::Drop(rows, _) => {
            let (scope, lent) = (rows.scope()?, console.writers.lend().await?);
            let rows = drop_quarantined(&lent.deployment, &scope).await?.rows;
            lent.give_back();
            Ok(shipped(rows, "are forgotten"))
        }
        Action::Set(name, value) => {
            let lent = console.writers.lend().await?;
            set_setting(&lent.deployment, name, value).await?;
            lent.give_back();
            Ok("changed".to_owned())
        }
        Action::ResyncMapping(_) | Action::ResyncTenant(_) | Action::Erase(..) => Ok("begun".to_owned()),
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

/// What goes on after the answer.
enum Work {
    Export(ResyncRequest),
    Erasure(EraseRequest),
}

impl Work {
    /// Returns `None` for what is done at once.
    ///
    /// # Errors
    /// When there is no such mapping.
    fn of(console: &Console, action: &Action) -> Result<Option<Self>, Refusal> {
        let export = |tenancies, mappings| Self::Export(ResyncRequest { tenancies, mappings, limit: FOLLOWED });
        Ok(match action {
            Action::ResyncMapping(name) => {
                if !console.mappings.iter().any(|mapping| mapping.name.as_str() == name) {
                    return Err(Refusal::nothing(format!("There is no mapping {name}.")));
                }
                Some(export(Vec::new(), vec![name.clone()]))
            }
            Action::ResyncTenant(id) => Some(export(vec![*id], Vec::new())),
            Action::Erase(id, _) => {
                let request = EraseRequest { tenancy: *id, and_pause: true, location: None, limit: FOLLOWED };
                Some(Self::Erasure(request))
            }
            _ => None,
        })
    }
}

/// Follows what goes on after the answer, tells how it is, and writes down what it came to.
async fn follow(console: Arc<Console>, work: Work, job: Job, entry: Entry) {
    let followed = async {
        let mut lent = console.writers.lend().await?;
        let told = &mut |what: &str| job.tell(what);
        let outcome = match &work {
            Work::Export(request) => resync(&mut lent.deployment, request, told).await?.unfinished,
            Work::Erasure(request) => match erase(&lent.deployment, request, told).await?.outcome {
                EraseOutcome::InFlight => Some("it goes on".to_owned()),
                EraseOutcome::Erased | EraseOutcome::ErasedBefore => None,
            },
        };
        lent.give_back();
        Ok(outcome.unwrap_or_else(|| "done".to_owned()))
    };
    let outcome = followed.await.map_err(|refusal: Refusal| refusal.text());
    job.tell(match &outcome {
        Ok(text) | Err(text) => text,
    });
    entry.end(&console, &outcome).await;
    console.watched.wake();
}
