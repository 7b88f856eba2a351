//! One visit to a tenant's database: look where it stands, fill what has to be filled, ship what has changed, and write down
//! what became of it.
//!
//! A visit ends after some seconds, whatever is left, so that destinations take turns.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use lockstep_core::health::Health;
use lockstep_core::telemetry::{Kind, Span};
use lockstep_core::{MappingName, SequenceId, TenancyId};
use lockstep_destinations::postgres::{Postgres, Prepared};
use lockstep_destinations::{Destination, Failure};
use tokio_postgres::Client;

use super::context::Context;
use super::page_size::PageSize;
use super::plan::{Action, action};
use super::record::{look_at_tables_again, told};
use super::trouble::Trouble;
use crate::flush::Flusher;
use crate::hints::Hints;
use crate::mappings::MappingIndex;
use crate::storage::tenants::{self, Registered};

/// No new page is begun after this time.
const TURN: Duration = Duration::from_secs(2);
/// A visit that takes longer has failed: each step has limits of its own.
const VISIT_TIMEOUT: Duration = Duration::from_secs(300);
/// After so long it is looked again whether something that could not be shipped can.
pub(super) const REST: Duration = Duration::from_secs(10);

/// What became of a visit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Visited {
    /// Another worker is there.
    Busy,
    /// It holds everything up to the snapshot that was read.
    InStep,
    /// There is more to do at once.
    More,
    /// There is more to do, after a rest.
    Waiting(Duration),
    /// It failed, and rests.
    Failed,
}

/// A destination at work: its connection, and what was learnt about it.
pub(super) struct Visitor {
    pub(super) revision: i64,
    pub(super) destination: Postgres,
    flusher: Flusher<Postgres>,
    pub(super) tenancy: TenancyId,
    pub(super) mappings: Vec<MappingIndex>,
    pub(super) page_size: PageSize,
    /// Rows of the next page of a fill, by mapping.
    pub(super) fill_rows: HashMap<MappingIndex, u32>,
    /// Rows that were passed over one after another in a fill.
    pub(super) passed_over: HashMap<MappingIndex, u32>,
    /// How often in a row it had moved on when something was to be written: a stale worker, or a tenant who plays tricks.
    pub(super) moved: u32,
    /// Mappings whose tables do not fit, with what they differ in, and when that was seen.
    pub(super) stopped: BTreeMap<MappingIndex, Instant>,
}

/// What the mappings of one visit come to.
pub(super) struct Turn {
    began: Instant,
    pub(super) is_unfinished: bool,
    /// Something has to wait that is not shipped before: it is paused, or other workers know it.
    pub(super) waits: bool,
    /// Something does not fit, and is shipped again from where it was, or from the beginning.
    pub(super) is_stopped: bool,
}

impl Visitor {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// [`Trouble`] when its connection string cannot be read or used.
    pub(super) fn new(context: &Context, row: &Registered) -> Result<Self, Trouble> {
        let destination = context.destination(row)?;
        let mappings = match &row.mappings {
            None => context.mappings.all().collect(),
            Some(names) => {
                let named = names.iter().filter_map(|name| name.parse::<MappingName>().ok());
                named.filter_map(|name| context.mappings.index(&name)).collect()
            }
        };
        // Its health is in the registry: a tenant's database makes no worker unready.
        let (source, sessions, health) = (context.source.clone(), context.sessions.clone(), Health::default());
        let limits = context.limits.of_tenants();
        let shipped = std::sync::Arc::clone(&context.mappings);
        let flusher = Flusher::with_sessions(source, sessions, destination.clone(), shipped, limits, health);
        Ok(Self {
            revision: row.revision,
            destination,
            flusher,
            tenancy: row.tenancy,
            mappings,
            page_size: PageSize::default(),
            fill_rows: HashMap::new(),
            passed_over: HashMap::new(),
            moved: 0,
            stopped: BTreeMap::new(),
        })
    }

    /// Visits it, unless another worker does.
    pub(super) async fn visit(&mut self, context: &Context, row: &Registered) -> Visited {
        let is_paused = context.pauses.if_shipping_to(&self.destination.id()).is_none();
        if is_paused && (row.erasure.is_none() || context.pauses.is_shipping_paused()) {
            return Visited::Waiting(REST);
        }
        let claimed = context.ask(async |client| tenants::claim(client, row.id).await).await;
        match claimed {
            Ok(true) => {}
            Ok(false) => return Visited::Busy,
            Err(error) => {
                tracing::warn!(%error, "a tenant's destination cannot be claimed");
                return Visited::Failed;
            }
        }
        let span = Span::begin(Kind::Internal, || "tenant.visit".to_owned());
        let working = span.around(tokio::time::timeout(VISIT_TIMEOUT, self.work(context, row))).await;
        let outcome = working.unwrap_or_else(|_| {
            let late = lockstep_destinations::DestinationError::unanswered(self.destination.id());
            Err(Trouble::Destination(late))
        });
        if let Err(trouble) = &outcome {
            span.failed(trouble.kind());
            look_at_tables_again(context, row, trouble);
        }
        let visited = self.record(context, row, outcome).await;
        if let Err(error) = context.ask(async |client| tenants::release(client, row.id).await).await {
            tracing::warn!(%error, "a tenant's destination cannot be released: it is when the connection ends");
        }
        visited
    }

    /// Returns how it stands, and through which number it holds everything.
    async fn work(&mut self, context: &Context, row: &Registered) -> Result<(Visited, SequenceId), Trouble> {
        if let Some(erasure) = row.erasure
            && self.erase(context, row, erasure).await?
        {
            return Ok((Visited::InStep, row.passed));
        }
        let known = context.ask(async |client| tenants::known(client, row.id).await).await?;
        let names: Vec<_> = self.mappings.iter().map(|mapping| context.mappings.name(*mapping).clone()).collect();
        let states = self.destination.states(&names).await?;
        let look_every = context.limits.tenant_tables_look_every;
        let is_due = self.stopped.is_empty() || self.stopped.values().any(|since| since.elapsed() >= look_every);
        let changed = match context.is_prepared(row) || !is_due {
            true => Vec::new(),
            false => self.prepare(context, row).await?,
        };
        let mut turn = Turn { began: Instant::now(), is_unfinished: false, waits: false, is_stopped: false };
        let (mut streaming, mut filling) = (Vec::new(), Vec::new());
        for mapping in self.at_work(context, &mut turn) {
            match action(mapping, &context.mappings, &states, &known, changed.contains(&mapping)) {
                Action::Stream => {
                    self.note_streaming(context, row, mapping, &known).await?;
                    streaming.push(mapping);
                }
                action => filling.push((mapping, action)),
            }
        }
        let needed = states.values().filter_map(super::plan::needed_above).min();
        // What follows its changes first: no fill, and no trouble of one, keeps it waiting.
        let head = self.stream(context, row, &streaming, &mut turn).await?.unwrap_or(known.head);
        for (mapping, action) in filling {
            // What it missed meanwhile comes with the next visit.
            turn.is_unfinished = true;
            match self.fill(context, row, mapping, action, &known, &mut turn).await {
                Ok(()) => {}
                Err(Trouble::Rows(reason)) => self.stop(context, row, mapping, reason, &mut turn).await?,
                Err(Trouble::Destination(error)) if error.failure() == Failure::Rejected => {
                    self.stop(context, row, mapping, error.to_string(), &mut turn).await?;
                }
                Err(trouble) => return Err(trouble),
            }
        }
        let is_through = !turn.is_unfinished && !turn.waits && !turn.is_stopped;
        Ok((turn.end(look_every), if is_through { head } else { needed.unwrap_or(row.passed).min(head) }))
    }

    /// Removes everything for good. Returns `false` where the tenancy has come back: then nothing is removed.
    async fn erase(&self, context: &Context, row: &Registered, erasure: i64) -> Result<bool, Trouble> {
        let is_by_hand = row.is_erased_while_paused && context.pauses.is_tenancy_paused(self.tenancy);
        if row.is_living && !is_by_hand {
            context.ask(async |client| tenants::forget_erasure(client, erasure).await).await?;
            return Ok(false);
        }
        let mappings: Vec<_> = self.mappings.iter().map(|mapping| &**context.mappings.get(*mapping)).collect();
        let removed = self.destination.clear(&mappings, false).await?;
        let rows: u64 = removed.values().sum();
        let finish = async |client: &Client| tenants::finish_erasure(client, erasure, &removed, row.is_living).await;
        context.ask(finish).await?;
        tracing::info!(destination = %self.destination.id(), rows, "a tenant's destination is erased");
        Ok(true)
    }

    /// The mappings that are neither paused nor stopped.
    fn at_work(&mut self, context: &Context, turn: &mut Turn) -> Vec<MappingIndex> {
        self.stopped.retain(|_, since| since.elapsed() < context.limits.tenant_tables_look_every);
        let Some(pauses) = context.pauses.if_shipping_to(&self.destination.id()) else {
            turn.waits = true;
            return Vec::new();
        };
        let mut at_work = Vec::new();
        for mapping in &self.mappings {
            let is_paused = context.mappings.are_paused(&pauses, self.tenancy, *mapping);
            let is_stopped = self.stopped.contains_key(mapping);
            turn.waits |= is_paused;
            turn.is_stopped |= is_stopped;
            if !is_paused && !is_stopped {
                at_work.push(*mapping);
            }
        }
        at_work
    }

    /// Has the tables made fit. Returns those that were changed, and have to be filled.
    async fn prepare(&mut self, context: &Context, row: &Registered) -> Result<Vec<MappingIndex>, Trouble> {
        let mut changed = Vec::new();
        self.stopped.clear();
        let all: Vec<_> = self.mappings.iter().map(|mapping| &**context.mappings.get(*mapping)).collect();
        let fit = self.destination.fit(&all).await?;
        for ((mapping, definition), fits) in self.mappings.clone().into_iter().zip(all).zip(fit) {
            if fits {
                continue;
            }
            match self.destination.prepare(definition).await? {
                Prepared::Fits => {}
                Prepared::Created | Prepared::Changed => changed.push(mapping),
                Prepared::Misfit(differences) => {
                    let text = format!("LS-0213: its table does not fit: {}", told(&differences));
                    self.stop_for(context, row, mapping, text).await?;
                }
            }
        }
        context.set_prepared(row, self.stopped.is_empty());
        Ok(changed)
    }

    /// Ships what has changed, a page after the other. Returns up to which number the last snapshot held everything, if any was
    /// read.
    async fn stream(
        &mut self,
        context: &Context,
        row: &Registered,
        mappings: &[MappingIndex],
        turn: &mut Turn,
    ) -> Result<Option<SequenceId>, Trouble> {
        let mut hints = Hints::default();
        hints.add(self.tenancy, mappings.iter().copied(), SequenceId::BASE);
        let mut head = None;
        while !hints.is_empty() {
            let page_bytes = self.page_size.bytes();
            let _memory = context.memory(page_bytes).await;
            self.flusher.set_page_bytes(page_bytes / hints.pairs().max(1) as u64);
            let began = Instant::now();
            let mut flushed = self.flusher.flush(&hints).await;
            if let Some(error) = flushed.destination_failure.take() {
                return Err(error.into());
            }
            for failed in std::mem::take(&mut flushed.failed) {
                for mapping in failed.hints.mappings() {
                    self.stop(context, row, mapping, failed.reason.clone(), turn).await?;
                }
            }
            if let Some(reason) = flushed.retry_reason.take() {
                return Err(Trouble::Source(lockstep_schema::SourceError::Unexpected(reason)));
            }
            self.page_size.learn(flushed.bytes, began.elapsed());
            turn.waits |= !flushed.foreign.is_empty();
            // The first: what changed since in mappings that were done by then comes with the next visit.
            head = head.or(Some(flushed.head));
            hints = flushed.more;
            // Those without a reason were not tried: a full page took the session, and they are next.
            hints.merge(&flushed.retry);
            if turn.is_over() {
                turn.is_unfinished |= !hints.is_empty();
                break;
            }
        }
        Ok(head)
    }
}

impl Turn {
    pub(super) fn is_over(&self) -> bool {
        self.began.elapsed() >= TURN
    }

    /// A mapping that stopped is looked at again after `look_every`.
    const fn end(&self, look_every: Duration) -> Visited {
        match (self.is_unfinished, self.waits, self.is_stopped) {
            (true, ..) => Visited::More,
            (false, true, _) => Visited::Waiting(REST),
            (false, false, true) => Visited::Waiting(look_every),
            (false, false, false) => Visited::InStep,
        }
    }
}
