//! What is told of a row: facts by tenancy and destination, and what follows from them.

use serde::Serialize;
use uuid::Uuid;

use super::sentences;
use crate::pause::PausedPart;
use crate::shown::ShownKey;

/// What it comes to. Of several, the greatest is that of all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What the destination holds is what the source has.
    InStep,
    /// Nothing is known of the key anywhere; only of all.
    NeverSeen,
    /// Something that is known has still to happen.
    OnItsWay,
    /// Nobody can say.
    NotLookedAt,
    /// It differs, and nothing is on its way that would mend it.
    Wrong,
}

/// A verdict in words.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Judgement {
    /// In one word.
    pub verdict: Verdict,
    /// In one sentence.
    pub sentence: String,
    /// What to do next, where something is to be done: a command, or a sentence.
    pub next: Option<String>,
}

/// The story of a key.
#[derive(Serialize, Debug)]
pub struct ExplainReport {
    /// Of which mapping.
    pub mapping: String,
    /// By column: ids, numbers and days as they are, of a text `sha256:` and the first 12 digits of its hash.
    pub key: ShownKey,
    /// Of all.
    #[serde(flatten)]
    pub judgement: Judgement,
    /// There are more tenancies than are told of.
    pub cut: bool,
    /// Why not everywhere was looked for tenancies that have the key, where that is so.
    pub not_searched: Option<String>,
    /// Each that has or had the key.
    pub tenancies: Vec<TenancyStory>,
}

/// The story of a key of one tenancy.
#[derive(Serialize, Debug)]
pub struct TenancyStory {
    /// What the source has and knows of it.
    #[serde(flatten)]
    pub facts: TenancyFacts,
    /// Where the row goes.
    pub destinations: Vec<DestinationStory>,
}

/// What the source has and knows of a key of one tenancy.
#[derive(Clone, Serialize, Debug)]
pub struct TenancyFacts {
    /// Which one.
    pub tenancy: Uuid,
    /// It is not in the source.
    pub gone: bool,
    /// Since when, in UTC, as far as a pass has noticed it.
    pub gone_since: Option<String>,
    /// Where it lives; none where it is gone.
    pub place: Option<Place>,
    /// Where else it has been.
    pub former_places: Vec<Place>,
    /// Its row.
    pub source: SourceRow,
    /// What has no number yet.
    pub waiting: Waiting,
    /// What has.
    pub changes: Changes,
    /// Whether nothing gets numbers since the sequencer is paused, and since when.
    pub sequencer_paused: Option<PausedPart>,
}

/// A project and branch, as ids may be shown.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Place {
    /// The project.
    pub project_id: String,
    /// The branch.
    pub branch_id: String,
}

/// What the source has of the key.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct SourceRow {
    /// In one word.
    pub state: SourceState,
    /// The SQLSTATE with which it cannot be read.
    pub sql_state: Option<String>,
}

/// What the source has of the key.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// A row that is exported.
    Exported,
    /// A row that the mapping's filter leaves out.
    FilteredOut,
    /// A row whose tenancy is gone.
    Ownerless,
    /// None.
    Absent,
    /// A row that it cannot give.
    Unreadable,
}

/// What has no number yet.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Debug)]
pub struct Waiting {
    /// Lines of the inbox that name the key.
    pub lines: i64,
    /// Lines and expansions to be searched that may concern it.
    pub searches: i64,
    /// Since when the first of these expansions waits, in UTC.
    pub since: Option<String>,
    /// The tenancy is gone, and its rows are still to be erased.
    pub erasure: bool,
}

/// The key's changes.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Debug)]
pub struct Changes {
    /// How many are still there.
    pub count: i64,
    /// There may be more: only the tenancy's last changes were looked through.
    pub cut: bool,
    /// The last ones, the newest first.
    pub last: Vec<Change>,
    /// The newest was not announced to the workers yet.
    pub unannounced: bool,
}

/// A change of the key.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Change {
    /// Its number.
    pub sequence: i64,
    /// When it was given out, in UTC.
    pub passed_at: Option<String>,
}

/// The story of a key at a destination.
#[derive(Serialize, Debug)]
pub struct DestinationStory {
    /// What is known of it there.
    #[serde(flatten)]
    pub facts: DestinationFacts,
    /// What follows.
    #[serde(flatten)]
    pub judgement: Judgement,
}

/// What a destination has of the key.
#[derive(Clone, Serialize, Debug)]
pub struct DestinationFacts {
    /// `clickhouse`, or the id of a tenant's own.
    pub destination: String,
    /// Why it could not be looked at.
    pub unreachable: Option<String>,
    /// Through which number it holds the tenancy's rows of the mapping; none before its fill has ended, or its first change came.
    pub cursor: Option<i64>,
    /// What the mapping is doing there.
    pub fill: Fill,
    /// What stands still there.
    pub paused: Vec<PausedPart>,
    /// Its circuit breaker; none while the last attempt went well, and of ClickHouse.
    pub breaker: Option<BreakerState>,
    /// What it holds, at each place where the tenancy is or was.
    pub rows: Vec<HeldRow>,
    /// What it has refused of the key, or could not be given.
    pub quarantine: Vec<Refused>,
}

/// What a mapping is doing at a destination.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Fill {
    /// In one word.
    pub state: FillState,
    /// Why it is stopped.
    pub error: Option<String>,
}

/// What a mapping is doing at a destination.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum FillState {
    /// All rows that were there were shipped.
    Filled,
    /// They are being shipped.
    Filling,
    /// They are to be shipped.
    WaitsForFill,
    /// Its table there does not fit.
    Stopped,
    /// Nobody can say.
    Unknown,
}

/// Failures in a row at a tenant's own destination.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct BreakerState {
    /// How many.
    pub failures: i32,
    /// Since when, in UTC.
    pub since: Option<String>,
    /// When it is tried again, in UTC.
    pub retry_at: Option<String>,
    /// The code of the last one.
    pub error_code: Option<String>,
    /// The last one.
    pub error: Option<String>,
}

/// What a destination holds at one place.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct HeldRow {
    /// Where; none in a tenant's own database.
    pub place: Option<Place>,
    /// The tenancy lives elsewhere.
    pub former: bool,
    /// In one word.
    pub holds: Holds,
    /// The highest number of what it holds; tenants' own databases know none.
    pub version: Option<i64>,
    /// Rows of the key, older versions included.
    pub copies: u64,
    /// How it differs from what the source has for this place; none where it does not.
    pub differs: Option<Difference>,
    /// The columns that differ, where both have the row.
    pub columns: Vec<String>,
}

/// What a destination holds of a key.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// A row that readers see.
    Live,
    /// That there is none any more.
    Tombstone,
    /// Nothing.
    Nothing,
}

/// How what a destination holds differs from the source.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// The source has a row that it lacks.
    Missing,
    /// It has a row that the source lacks.
    Unexpected,
    /// Both have it, with different values.
    Different,
    /// The source cannot say what should be there.
    Unreadable,
}

/// A row that is in quarantine.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Refused {
    /// The number of the change that named it.
    pub sequence: i64,
    /// The error's code.
    pub code: String,
    /// When it was refused for the first time, in UTC.
    pub first_refused_at: String,
    /// When it was refused for the last time, in UTC.
    pub last_refused_at: String,
    /// How often.
    pub attempts: i64,
}

impl ExplainReport {
    /// The story for people, a line each.
    pub fn sentences(&self) -> Vec<String> {
        sentences::of(self)
    }
}
