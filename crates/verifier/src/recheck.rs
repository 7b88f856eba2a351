//! The second look, repeated until everything that differed is decided or the time is up.

use std::time::{Duration, Instant};

use lockstep_core::retry::Backoff;
use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::Destination;
use lockstep_destinations::compare::{Compare, key_bytes};
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::compare::Key;
use lockstep_schema::fits_its_table;

use crate::error::VerifyError;
use crate::evidence::Told;
use crate::first_pass::Differing;
use crate::judge::{Judgement, Kind, Why, judge};
use crate::look::{Looker, Sides};
use crate::passes::MappingPass;
use crate::progress::Progress;
use crate::storage;

/// Keys in one look.
const KEYS_PER_LOOK: usize = 200;
/// Together with what surrounds the keys this stays below the 256 KiB that ClickHouse parses of a statement, also when
/// every byte of a key has to be escaped.
const KEY_BYTES_PER_LOOK: usize = 64 * 1024;
/// What is owed is proven wrong by two looks in a row, so there are always two.
const MIN_ROUNDS: u32 = 2;
/// Looks beyond the time that was given, for those that were owed in the last one and need a second look like it.
const LATE_ROUNDS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A key that differed in the first pass, and what is known of it by now.
#[derive(Clone, Debug)]
pub(crate) struct Doubt {
    pub(crate) key: Key,
    pub(crate) kind: Kind,
    pub(crate) tenancy: Option<TenancyId>,
    pub(crate) columns: Vec<String>,
    /// Whether it is in quarantine for the destination: why it differs is known, and somebody has to act.
    pub(crate) quarantined: bool,
    judgement: Option<Judgement>,
    /// How it came to, where it is real.
    pub(crate) told: Option<Told>,
    /// The change that it waits for, where there is one.
    pub(crate) waits_for: Option<SequenceId>,
    /// Tenancies that are or were at its place.
    pub(crate) claimants: Vec<TenancyId>,
    /// Since when that has its number, where it is known.
    pub(crate) since: Option<String>,
}

/// How a doubt ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Settled,
    InFlight(Why),
    Real,
    Unreadable,
}

impl Doubt {
    pub(crate) fn new(differing: Differing) -> Self {
        let Differing { key, kind, tenancy } = differing;
        Self {
            key,
            kind,
            tenancy,
            columns: Vec::new(),
            quarantined: false,
            judgement: None,
            told: None,
            waits_for: None,
            claimants: Vec::new(),
            since: None,
        }
    }

    /// A row that the source could not give.
    fn unreadable(key: Key, tenancy: Option<TenancyId>) -> Self {
        let doubt = Self::new(Differing { key, kind: Kind::Unreadable, tenancy });
        Self { judgement: Some(Judgement::Unreadable), ..doubt }
    }

    /// A row with a number that the source has not given out, whatever else it holds.
    fn ahead(key: Key) -> Self {
        let doubt = Self::new(Differing { key, kind: Kind::Different, tenancy: None });
        Self { judgement: Some(Judgement::Real), ..doubt }
    }

    const fn is_owed(&self) -> bool {
        matches!(self.judgement, Some(Judgement::Owed(_)))
    }

    const fn is_open(&self) -> bool {
        !matches!(self.judgement, Some(Judgement::Settled | Judgement::Real | Judgement::Unreadable))
    }

    /// What it comes to when no more looks are taken.
    pub(crate) const fn outcome(&self) -> Outcome {
        match &self.judgement {
            Some(Judgement::Settled) => Outcome::Settled,
            Some(Judgement::Real) => Outcome::Real,
            Some(Judgement::Unreadable) => Outcome::Unreadable,
            Some(Judgement::InFlight(why)) => Outcome::InFlight(*why),
            Some(Judgement::Owed(_)) | None => Outcome::InFlight(Why::StillChanging),
        }
    }
}

/// The doubts about one mapping.
pub(crate) struct Doubts<'a> {
    looker: Looker<'a>,
    name: &'a str,
    pub(crate) doubts: Vec<Doubt>,
}

impl<'a> Doubts<'a> {
    /// What the first pass over the mapping left open.
    pub(crate) fn new(mapping: &'a Mapping, pass: &mut MappingPass) -> Self {
        let ahead = std::mem::take(&mut pass.ahead);
        let pass = &mut pass.found;
        let is_new = |key: &Key| !pass.differing.iter().any(|differing| differing.key == *key);
        let ahead: Vec<_> = ahead.into_iter().filter(is_new).map(Doubt::ahead).collect();
        let unreadable = std::mem::take(&mut pass.unreadable.keys).into_iter();
        let unreadable = unreadable.map(|(key, tenancy)| Doubt::unreadable(key, Some(tenancy)));
        let differing = std::mem::take(&mut pass.differing).into_iter().map(Doubt::new);
        Self {
            looker: Looker::new(mapping),
            name: mapping.name.as_str(),
            doubts: differing.chain(ahead).chain(unreadable).collect(),
        }
    }

    fn open(&self) -> usize {
        self.doubts.iter().filter(|doubt| doubt.is_open()).count()
    }

    /// One look at everything that is still open. Where a row cannot be read, keys are looked at in halves.
    async fn round<D: Destination + Compare>(&mut self, sides: &Sides<'_, D>) -> Result<(), VerifyError> {
        let mut open: Vec<&mut Doubt> = self.doubts.iter_mut().filter(|doubt| doubt.is_open()).collect();
        let (mut at, mut most) = (0, KEYS_PER_LOOK);
        while at < open.len() {
            let length = chunk_length(&open[at..], most);
            let chunk = &mut open[at..at + length];
            let keys: Vec<_> = chunk.iter().map(|doubt| doubt.key.clone()).collect();
            let seen = match self.looker.look(sides, &keys).await {
                Ok(seen) => seen,
                Err(error) if error.may_be_of_row() => {
                    storage::give_up_look(sides.source).await?;
                    if !fits_its_table(sides.source, self.looker.mapping).await? {
                        return Err(error);
                    }
                    if let [doubt] = chunk {
                        **doubt = Doubt::unreadable(doubt.key.clone(), doubt.tenancy);
                        (at, most) = (at + 1, KEYS_PER_LOOK);
                    } else {
                        most = length / 2;
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            (at, most) = (at + length, KEYS_PER_LOOK.min(most * 2));
            for (doubt, seen) in chunk.iter_mut().zip(seen) {
                doubt.kind = seen.look.kind.unwrap_or(doubt.kind);
                doubt.tenancy = seen.tenancy.or(doubt.tenancy);
                doubt.columns = seen.columns;
                doubt.quarantined = seen.quarantined;
                doubt.waits_for = seen.look.waits_for();
                doubt.claimants = seen.look.claimants();
                doubt.judgement = Some(judge(&seen.look, doubt.judgement.as_ref()));
            }
        }
        Ok(())
    }
}

/// How many doubts one look takes: one at least, and `most` at most.
pub(crate) fn chunk_length(doubts: &[&mut Doubt], most: usize) -> usize {
    let mut bytes = 0;
    let fits = doubts.iter().take(most).take_while(|doubt| {
        bytes += key_bytes(&doubt.key);
        bytes <= KEY_BYTES_PER_LOOK
    });
    fits.count().max(1)
}

/// Looks again and again at what is open, for `limit` at the longest (but twice at least).
pub(crate) async fn settle<D: Destination + Compare>(
    sides: &Sides<'_, D>,
    all: &mut [Doubts<'_>],
    limit: Duration,
    progress: &Progress,
) -> Result<(), VerifyError> {
    let started = Instant::now();
    let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let (mut round, mut late_rounds) = (0, 0);
    loop {
        round += 1;
        for doubts in all.iter_mut() {
            progress.settling(doubts.name, doubts.open(), round);
            doubts.round(sides).await?;
        }
        let left = limit.saturating_sub(started.elapsed());
        late_rounds += u32::from(left.is_zero() && round > MIN_ROUNDS);
        let owed = all.iter().any(|doubts| doubts.doubts.iter().any(Doubt::is_owed));
        let enough = round >= MIN_ROUNDS && left.is_zero() && (!owed || late_rounds >= LATE_ROUNDS);
        if enough || all.iter().all(|doubts| doubts.open() == 0) {
            return Ok(());
        }
        let pause = pauses.next_wait();
        // The last look is taken when the time is up; the one that a proof needs is not put off by more than a moment.
        tokio::time::sleep(if left.is_zero() { pause.min(FIRST_PAUSE) } else { pause.min(left) }).await;
    }
}
