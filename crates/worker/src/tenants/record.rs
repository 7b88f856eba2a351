//! What became of a visit, in the registry: how far a destination is, and why it, or one of its mappings, rests.

use std::time::{Duration, Instant};

use lockstep_core::SequenceId;
use lockstep_core::output::code_in;
use lockstep_destinations::{Destination, Failure};
use lockstep_schema::SourceError;
use lockstep_schema::tenant_destinations::mappings::MappingState;
use tokio_postgres::Client;

use super::context::Context;
use super::trouble::Trouble;
use super::visit::{REST, Turn, Visited, Visitor};
use crate::mappings::MappingIndex;
use crate::storage::tenants::{self, Known, MappingRecord, Registered};

/// So often in a row a destination may have moved on, before that counts as a failure.
const MAX_MOVED: u32 = 3;
/// Differences of a table that are told.
const MAX_DIFFERENCES: usize = 5;
const MAX_DIFFERENCE_LETTERS: usize = 200;

impl Visitor {
    pub(super) async fn record(
        &mut self,
        context: &Context,
        row: &Registered,
        outcome: Result<(Visited, SequenceId), Trouble>,
    ) -> Visited {
        let (visited, passed) = match outcome {
            Ok(done) => {
                self.moved = 0;
                done
            }
            // A stale worker, or a restored database: nothing was written, and the next look finds out.
            Err(Trouble::Destination(error)) if error.failure() == Failure::Moved && self.moved < MAX_MOVED => {
                self.moved += 1;
                tracing::info!(destination = %self.destination.id(), %error, "a tenant's destination is looked at again");
                return Visited::Waiting(Duration::ZERO);
            }
            Err(trouble) => {
                self.page_size.forget();
                return record_trouble(context, row, &trouble).await;
            }
        };
        let rest = if let Visited::Waiting(rest) = visited { rest } else { Duration::ZERO };
        let is_unfinished = visited != Visited::InStep;
        let record = async |client: &Client| tenants::record_success(client, row, passed, is_unfinished, rest).await;
        write_down(context, row, record).await;
        visited
    }

    /// Nothing more of a mapping is shipped for a while; the others go on.
    pub(super) async fn stop(
        &mut self,
        context: &Context,
        row: &Registered,
        mapping: MappingIndex,
        reason: String,
        turn: &mut Turn,
    ) -> Result<(), Trouble> {
        turn.is_stopped = true;
        context.set_prepared(row, false);
        self.stop_for(context, row, mapping, reason).await
    }

    pub(super) async fn stop_for(
        &mut self,
        context: &Context,
        row: &Registered,
        mapping: MappingIndex,
        text: String,
    ) -> Result<(), Trouble> {
        let (destination, name) = (self.destination.id(), context.mappings.name(mapping));
        tracing::error!(%destination, mapping = %name, error = text, "a mapping of a tenant's destination stops");
        self.stopped.insert(mapping, Instant::now());
        let error = Some((code_in(&text).unwrap_or("LS-0213").to_owned(), text));
        let record = MappingRecord { error, ..MappingRecord::of(MappingState::Stopped) };
        self.note(context, row, mapping, &record).await
    }

    pub(super) async fn note(
        &self,
        context: &Context,
        row: &Registered,
        mapping: MappingIndex,
        record: &MappingRecord,
    ) -> Result<(), Trouble> {
        let name = context.mappings.name(mapping).as_str();
        Ok(context.ask(async |client| tenants::record_mapping(client, row, name, record).await).await?)
    }

    /// Writes down that a mapping follows its changes, where something else was known.
    pub(super) async fn note_streaming(
        &self,
        context: &Context,
        row: &Registered,
        mapping: MappingIndex,
        known: &Known,
    ) -> Result<(), Trouble> {
        let name = context.mappings.name(mapping).as_str();
        if known.mappings.get(name).is_some_and(|known| known.state != MappingState::Streaming) {
            self.note(context, row, mapping, &MappingRecord::of(MappingState::Streaming)).await?;
        }
        Ok(())
    }
}

/// The first of the differences, in letters that leave a terminal and a log alone: the names are a tenant's.
pub(super) fn told(differences: &[String]) -> String {
    let plain = |letter: char| {
        if letter.is_alphanumeric() || letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' }
    };
    let shorten = |text: &String| text.chars().map(plain).take(MAX_DIFFERENCE_LETTERS).collect::<String>();
    let mut all: Vec<_> = differences.iter().take(MAX_DIFFERENCES).map(shorten).collect();
    if differences.len() > MAX_DIFFERENCES {
        all.push(format!("and {} more", differences.len() - MAX_DIFFERENCES));
    }
    all.join("; ")
}

/// Writes down why a visit failed. The source's trouble says nothing of the destination.
pub(super) async fn record_trouble(context: &Context, row: &Registered, trouble: &Trouble) -> Visited {
    let (code, text, destination) = (trouble.code(), trouble.to_string(), row.id);
    tracing::warn!(%destination, failures = row.failures + 1, error = text, "a tenant's destination rests");
    match trouble {
        Trouble::Source(_) => {
            write_down(context, row, async |client: &Client| tenants::record_rest(client, row.id, REST).await).await;
            Visited::Waiting(REST)
        }
        // Other workers may have the keys: nothing is said of the destination.
        Trouble::Keys(_) => Visited::Waiting(REST),
        Trouble::Destination(_) | Trouble::Rows(_) | Trouble::Connection(_) => {
            let record = async |client: &Client| tenants::record_failure(client, row.id, &code, &text).await;
            write_down(context, row, record).await;
            Visited::Failed
        }
    }
}

/// Where that fails, the destination is due again as it was.
async fn write_down(context: &Context, row: &Registered, record: impl AsyncFnOnce(&Client) -> Result<(), SourceError>) {
    if let Err(error) = context.ask(record).await {
        tracing::warn!(destination = %row.id, %error, "what became of a visit cannot be written down");
    }
}

/// Where something is wrong with tables or rights, the tables are looked at before the next page.
pub(super) fn look_at_tables_again(context: &Context, row: &Registered, trouble: &Trouble) {
    let is_of_tables = match trouble {
        Trouble::Destination(error) => {
            matches!(error.failure(), Failure::Misconfigured | Failure::Rejected | Failure::Unexpected)
        }
        Trouble::Rows(_) => true,
        Trouble::Source(_) | Trouble::Keys(_) | Trouble::Connection(_) => false,
    };
    if is_of_tables {
        context.set_prepared(row, false);
    }
}
