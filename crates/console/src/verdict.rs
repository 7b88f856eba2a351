//! The sentence that the overview begins with: all is well, or what is wrong, worst first, with what mends it. Pure.

use lockstep_core::output::code_in;
use lockstep_operations::doctor::{Check, Outcome};
use lockstep_operations::{
    PausedPart, ProgramTrouble, Queue, REWIND, TaskStatus, TenantsStatus, TroubleKind, VerificationRun,
};
use serde::Serialize;

use crate::figures::{at_least, counted, cut, duration, whole};
use crate::sample::{Sample, Seen};

/// News that waits for longer is told.
const SLOW_S: f64 = 30.0;
/// News that waits for longer is wrong.
const TOO_SLOW_S: f64 = 300.0;

/// How bad something is. The greatest is that of all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// All is well.
    Well,
    /// Somebody should look, and something is going on.
    Attention,
    /// Something does not work.
    Wrong,
    /// Nobody can say.
    Unknown,
}

impl Level {
    /// In one or two words.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Well => "In step",
            Self::Attention => "Attention",
            Self::Wrong => "Wrong",
            Self::Unknown => "Unknown",
        }
    }

    /// Its class in the style sheet.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Attention => "warn",
            Self::Wrong | Self::Unknown => "bad",
        }
    }
}

/// Something that somebody should know.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Trouble {
    /// How bad it is.
    pub level: Level,
    /// In a sentence without its full stop.
    pub what: String,
    /// A command, or a sentence.
    pub remedy: String,
}

impl Trouble {
    fn new(level: Level, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level, what: what.into(), remedy: remedy.into() }
    }

    /// The first error code that it names.
    pub(crate) fn code(&self) -> Option<&str> {
        code_in(&self.what).or_else(|| code_in(&self.remedy))
    }

    /// What it says beside its code, which stands behind it once, as a link.
    pub(crate) fn words(&self) -> String {
        self.code().map_or_else(|| self.what.clone(), |code| self.what.replacen(&format!("{code}: "), "", 1))
    }
}

/// What it comes to.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Verdict {
    /// That of the worst.
    pub level: Level,
    /// The rest of the sentence that begins with the level's word.
    pub sentence: String,
    /// Worst first.
    pub troubles: Vec<Trouble>,
}

/// Judges a sample.
pub(crate) fn of(sample: &Sample) -> Verdict {
    let seen = match &sample.seen {
        Ok(seen) => seen,
        Err(error) => {
            let trouble = Trouble::new(Level::Unknown, error.clone(), "lockstep doctor");
            return Verdict { level: Level::Unknown, sentence: error.clone(), troubles: vec![trouble] };
        }
    };
    let mut troubles = of_seen(seen);
    if let Some(checks) = &sample.checks {
        troubles.extend(checks.findings().map(of_check));
    }
    // Equal levels stay in the order in which they were looked at.
    troubles.sort_by_key(|trouble| std::cmp::Reverse(trouble.level));
    let level = troubles.iter().map(|trouble| trouble.level).max().unwrap_or(Level::Well);
    let sentence = match troubles.first() {
        None => in_step(seen),
        Some(worst) if troubles.len() == 1 => worst.what.clone(),
        Some(worst) => format!("{}; and {} more", worst.what, troubles.len() - 1),
    };
    Verdict { level, sentence, troubles }
}

/// How far everything is, where nothing is wrong.
fn in_step(seen: &Seen) -> String {
    let freshness = &seen.freshness;
    let about = if freshness.is_estimate { "about " } else { "" };
    let there = (freshness.tenancies - freshness.behind).max(0);
    let news = freshness
        .oldest_news_s
        .map_or_else(|| "no news waits".to_owned(), |age| format!("oldest news {}", duration(age)));
    let of = whole(freshness.tenancies);
    let there = whole(there);
    if freshness.behind_cut {
        return format!("at most {there} of {about}{of} tenants; {news}");
    }
    format!("{about}{there} of {of} tenants; {news}")
}

fn of_seen(seen: &Seen) -> Vec<Trouble> {
    let (status, freshness) = (&seen.status, &seen.freshness);
    let mut troubles = Vec::new();
    let mut add = |level, what: String, remedy: &str| troubles.push(Trouble::new(level, what, remedy));
    if !freshness.leads && !status.paused.iter().any(|part| part.kind == "sequencer") {
        add(Level::Wrong, "no sequencer leads, so changes get no numbers".to_owned(), "lockstep-sequencer");
    }
    match &status.queue {
        Queue::Unknown { error } => add(Level::Wrong, format!("RabbitMQ does not answer: {error}"), "lockstep doctor"),
        Queue::Known { dead, .. } if *dead > 0 => {
            let dead = i64::try_from(*dead).unwrap_or(i64::MAX);
            add(
                Level::Attention,
                format!("{} given up", counted(dead, "message was", "messages were")),
                "the sweep finds what they were about; docs/runbooks/LockstepDeadLetters.md",
            );
        }
        Queue::Missing { missing } if status.any_runs() => {
            add(Level::Wrong, format!("RabbitMQ has no queue {missing}"), "restart a worker, which declares it");
        }
        Queue::Known { .. } | Queue::Missing { .. } => {}
    }
    if let Err(error) = &freshness.clickhouse {
        let remedy = freshness.clickhouse_remedy.as_deref().unwrap_or("lockstep doctor");
        add(Level::Wrong, format!("ClickHouse does not answer: {error}"), remedy);
    }
    for (level, of) in of_programs(seen) {
        add(level, of.what.clone(), &of.remedy);
    }
    if status.needs_refill {
        add(
            Level::Attention,
            "ClickHouse was away for longer than changes are kept, and is being filled again".to_owned(),
            "lockstep status",
        );
    }
    if let Some(age) = freshness.oldest_news_s.filter(|age| *age > SLOW_S) {
        let level = if age > TOO_SLOW_S { Level::Wrong } else { Level::Attention };
        let behind = cut(freshness.behind, freshness.behind_cut);
        add(level, format!("{behind} tenants wait for news, the oldest for {}", duration(age)), "lockstep status");
    }
    for trouble in status.tasks.iter().filter_map(TaskStatus::trouble) {
        add(Level::Attention, trouble, "lockstep status");
    }
    if status.quarantine > 0 {
        let rows = at_least(status.quarantine, status.count_limit);
        add(Level::Attention, format!("rows in quarantine: {rows}"), "lockstep quarantine list");
    }
    let filling: Vec<_> =
        status.mappings.iter().filter(|mapping| !mapping.filled).map(|mapping| &*mapping.name).collect();
    if !filling.is_empty() {
        add(Level::Attention, format!("being filled: {}", filling.join(", ")), "lockstep status");
    }
    if status.erasures > 0 {
        let erasures = at_least(status.erasures, status.count_limit);
        add(Level::Attention, format!("erasures under way: {erasures}"), "lockstep status");
    }
    troubles.extend(status.paused.iter().map(of_paused));
    troubles.extend(of_tenants(&status.tenants));
    troubles.extend(seen.runs.first().and_then(|run| of_run(run, seen)));
    troubles
}

/// What is wrong with programs, but for what is told of nobody holding the lock of the one that leads.
fn of_programs(seen: &Seen) -> impl Iterator<Item = (Level, &ProgramTrouble)> {
    let leads = seen.freshness.leads;
    let is_told = move |of: &&ProgramTrouble| of.kind == TroubleKind::Absent && of.role == "sequencer" && !leads;
    let untold = seen.status.programs.iter().filter(move |of| !is_told(of));
    untold.map(|of| (if of.is_wrong { Level::Wrong } else { Level::Attention }, of))
}

/// What mends rows that differ.
pub(crate) fn mending(seen: Option<&Seen>) -> &'static str {
    let went_back = |seen: &Seen| seen.status.programs.iter().any(ProgramTrouble::is_source_that_went_back);
    if seen.is_some_and(went_back) { REWIND } else { "lockstep-verifier --repair apply" }
}

fn of_paused(part: &PausedPart) -> Trouble {
    let level = if matches!(&*part.kind, "sequencer" | "workers") { Level::Wrong } else { Level::Attention };
    Trouble::new(level, part.to_string(), format!("lockstep resume {} {}", part.kind, part.name).trim_end().to_owned())
}

fn of_tenants(tenants: &TenantsStatus) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    if tenants.backing_off > 0 {
        let what =
            format!("{} not reached", counted(tenants.backing_off, "tenant's database is", "tenants' databases are"));
        troubles.push(Trouble::new(Level::Attention, what, "lockstep destination list"));
    }
    if tenants.stopped_mappings > 0 {
        let what = format!(
            "{} stopped: tables of tenants' own do not fit",
            counted(tenants.stopped_mappings, "mapping is", "mappings are")
        );
        troubles.push(Trouble::new(Level::Attention, what, "lockstep destination list"));
    }
    troubles
}

/// A run that ended badly is told until there is a better one.
fn of_run(run: &VerificationRun, seen: &Seen) -> Option<Trouble> {
    let (level, what) = match run.verdict.as_str() {
        "different" => (Level::Wrong, "the last proof found rows that differ"),
        "unfinished" => (Level::Attention, "the last proof was not finished"),
        _ => return None,
    };
    let remedy = if level == Level::Wrong { mending(Some(seen)) } else { "lockstep-verifier" };
    Some(Trouble::new(level, format!("{what} ({})", run.finished_at), remedy))
}

fn of_check(check: &Check) -> Trouble {
    let prefix = if check.outcome == Outcome::Unknown { "not known: " } else { "" };
    let what = format!("{}: {prefix}{}", check.check, check.detail);
    Trouble::new(Level::Attention, what, check.remedy.as_deref().unwrap_or_default().replace('`', ""))
}

#[cfg(test)]
mod tests;
