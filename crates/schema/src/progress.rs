//! How far things have come: fences, announcements and destinations.
//!
//! Each question fails where Postgres cannot be asked.

use diesel::dsl::{exists, max, select, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::RunQueryDsl;
use lockstep_core::{DestinationId, SequenceId};

use crate::connect::Control;
use crate::error::SourceError;
use crate::locks::leads;
use crate::tables::{announced, destination, fence};

/// Asks the sequencer for the number that covers everything committed before this call; returns the question's id.
pub async fn ask(control: &Control) -> Result<i64, SourceError> {
    let question = diesel::insert_into(fence::table).default_values().returning(fence::id);
    Ok(question.get_result(&mut &*control).await?)
}

/// The answer, once there is one.
pub async fn answer(control: &Control, question: i64) -> Result<Option<SequenceId>, SourceError> {
    let sequence = fence::table.find(question).select(fence::sequence).first(&mut &*control).await.optional()?;
    Ok(sequence.flatten().map(SequenceId::new))
}

/// Why a question has no answer yet, as far as the source shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unanswered {
    /// Nobody is there who could answer.
    NobodyLeads,
    /// A large transaction gets its numbers in shares.
    InShares,
    /// Rows are still to be searched that changes before the question concern.
    Searching,
    /// The sequencer that leads has not come to it.
    NotYet,
}

/// Why a question has no answer yet.
pub async fn unanswered(control: &Control) -> Result<Unanswered, SourceError> {
    let shares = "COALESCE((SELECT unfinished <> '[]' FROM lockstep.pass ORDER BY id DESC LIMIT 1), FALSE)";
    let searches = "EXISTS (SELECT 1 FROM lockstep.expansion)";
    let asked = select((sql::<Bool>(&leads()), sql::<Bool>(shares), sql::<Bool>(searches)));
    Ok(match asked.get_result::<(bool, bool, bool)>(&mut &*control).await? {
        (false, ..) => Unanswered::NobodyLeads,
        (true, true, _) => Unanswered::InShares,
        (true, false, true) => Unanswered::Searching,
        (true, false, false) => Unanswered::NotYet,
    })
}

/// Takes a question back. One that is being answered is not waited for: the sequencer removes what is old.
pub async fn forget(control: &Control, question: i64) -> Result<(), SourceError> {
    let is_free = sql::<Bool>("id IN (SELECT id FROM lockstep.fence WHERE id = ")
        .bind::<BigInt, _>(question)
        .sql(" FOR UPDATE SKIP LOCKED)");
    diesel::delete(fence::table.filter(is_free)).execute(&mut &*control).await?;
    Ok(())
}

/// Up to which number everything is announced.
pub async fn last_announced(control: &Control) -> Result<SequenceId, SourceError> {
    let last: Option<i64> = announced::table.select(max(announced::sequence)).first(&mut &*control).await?;
    Ok(last.map_or(SequenceId::BASE, SequenceId::new))
}

/// Up to which number everything is in a destination, or in quarantine. The sweep writes it down. Less, while rows that the
/// destination may have lost have not got changes again.
pub async fn passed(control: &Control, of: &DestinationId) -> Result<SequenceId, SourceError> {
    let row = destination::table.find(of.as_str()).select((destination::passed, destination::ship_again_after));
    let row: Option<(i64, Option<i64>)> = row.first(&mut &*control).await.optional()?;
    let passed = row.map_or(0, |(passed, again_after)| again_after.map_or(passed, |after| passed.min(after)));
    Ok(SequenceId::new(passed))
}

/// Whether changes were dropped that a destination had not passed.
pub async fn needs_refill(control: &Control, of: &DestinationId) -> Result<bool, SourceError> {
    let row = destination::table.find(of.as_str()).filter(destination::needs_refill_since.is_not_null());
    Ok(select(exists(row)).get_result(&mut &*control).await?)
}
