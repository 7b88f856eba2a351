//! Looking at a key of one tenancy, until what differs is decided.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use lockstep_core::{DestinationId, Location, SequenceId, TenancyId};
use lockstep_destinations::postgres::MappingState as FoundState;
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::fetch::ReadFrom;
use tokio::time::sleep;

use super::held::{self, Unreachable, Wanted};
use super::judge::{self, Seen, is_owed};
use super::own::OwnDestination;
use super::placed::{Placed, Reached};
use super::report::{DestinationFacts, DestinationStory, Fill, FillState, HeldRow, TenancyStory};
use super::source::{Known, Rows, Snapshot};
use crate::claims::{self, Claim, Version};
use crate::deployment::Deployment;
use crate::error::OperationError;
use crate::tenancies::{ever_at, places};

/// What is owed is proven wrong by two looks in a row; a row that changes meanwhile gets some more.
const MAX_LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

/// The story of a key of one tenancy.
pub(super) async fn story(
    deployment: &Deployment<'_>,
    mapping: &Mapping,
    key: &[String],
    tenancy: TenancyId,
    reached: &Reached,
) -> Result<TenancyStory, OperationError> {
    let placed = Placed::read(deployment, mapping, reached).await?;
    let own = OwnDestination::all(deployment, mapping, tenancy).await?;
    let mut looker =
        Looker { deployment, mapping, key, tenancy, placed, own, first: HashMap::new(), owed: HashMap::new() };
    let mut looks = 1;
    loop {
        let look = looker.look().await?;
        let is_open = |(facts, seen): &(DestinationFacts, Seen)| is_owed(facts, seen) && !seen.is_confirmed;
        if looks == MAX_LOOKS || !look.destinations.iter().any(is_open) {
            let of = look.facts;
            let judged = look.destinations.into_iter().map(|(facts, seen)| {
                let judgement = judge::judge(mapping.name.as_str(), &of, &facts, &seen);
                DestinationStory { facts, judgement }
            });
            let destinations = judged.collect();
            return Ok(TenancyStory { facts: of, destinations });
        }
        looks += 1;
        sleep(BETWEEN_LOOKS).await;
        looker.placed = Placed::read(deployment, mapping, reached).await?;
    }
}

/// Looks at a key of one tenancy.
struct Looker<'a> {
    deployment: &'a Deployment<'a>,
    mapping: &'a Mapping,
    key: &'a [String],
    tenancy: TenancyId,
    placed: Placed,
    own: Vec<OwnDestination>,
    /// Cursors as the first look found them, by destination: changes above them are told, so that no later one goes unnoticed.
    first: HashMap<(DestinationId, TenancyId), SequenceId>,
    /// What the look before found owed.
    owed: HashMap<String, Version>,
}

/// What one look found.
struct Look {
    facts: super::TenancyFacts,
    destinations: Vec<(DestinationFacts, Seen)>,
}

type Cursors = HashMap<TenancyId, SequenceId>;

/// What destinations said before the source was read.
struct Before {
    clickhouse: Result<Cursors, Unreachable>,
    own: Vec<Result<FoundState, Unreachable>>,
}

/// What the source said.
struct FromSource {
    known: Known,
    wanted: Vec<Wanted>,
    clickhouse: Vec<Claim>,
    own: Vec<Vec<Claim>>,
}

impl Looker<'_> {
    async fn look(&mut self) -> Result<Look, OperationError> {
        let before = self.before().await?;
        let snapshot = Snapshot::begin(&self.deployment.client, self.mapping, self.key).await?;
        let read = self.read(&snapshot, &before).await;
        snapshot.end().await?;
        let source = read?;
        let mut destinations = vec![self.clickhouse(&source, &before).await];
        for (own, state) in self.own.iter().zip(&before.own) {
            let claims = &source.own[destinations.len() - 1];
            destinations.push(self.own_database(own, state, claims, &source.known).await);
        }
        for (facts, seen) in &mut destinations {
            self.confirm(facts, seen);
        }
        Ok(Look { facts: source.known.facts, destinations })
    }

    /// Cursors of everybody who is or was where the tenancy is or was.
    async fn before(&mut self) -> Result<Before, OperationError> {
        let client = &self.deployment.client;
        let mut tenancies = ever_at(client, &places(client, &[self.tenancy]).await?).await?;
        if !tenancies.contains(&self.tenancy) {
            tenancies.push(self.tenancy);
        }
        let clickhouse = match self.placed.usable() {
            Ok((clickhouse, mapping)) => held::cursors(clickhouse, &mapping.name, &tenancies).await,
            Err(why) => Err(why),
        };
        if let Ok(cursors) = &clickhouse {
            for tenancy in tenancies {
                let cursor = cursors.get(&tenancy).copied().unwrap_or_default();
                self.first.entry((DestinationId::clickhouse(), tenancy)).or_insert(cursor);
            }
        }
        // All at once: each may take its time to not answer.
        let states = join_all(self.own.iter().map(|own| own.state(self.mapping))).await;
        for (own, state) in self.own.iter().zip(&states) {
            if let Ok(state) = state {
                self.first.entry((own.id(), self.tenancy)).or_insert_with(|| cursor_of(state).unwrap_or_default());
            }
        }
        Ok(Before { clickhouse, own: states })
    }

    async fn read(&self, snapshot: &Snapshot<'_>, before: &Before) -> Result<FromSource, OperationError> {
        let known = snapshot.known(self.tenancy, self.placed.sequencer_paused()).await?;
        let mut wanted = Vec::with_capacity(known.places.len());
        for place in &known.places {
            let former = known.facts.place.is_none() || Some(place) != known.places.first();
            wanted.push(Wanted { place: place.clone(), former, rows: snapshot.rows_at(place).await? });
        }
        let clickhouse = match &before.clickhouse {
            Ok(cursors) => self.claims_at(snapshot, &known.places, cursors).await?,
            Err(_) => Vec::new(),
        };
        let mut own = Vec::with_capacity(self.own.len());
        for (destination, state) in self.own.iter().zip(&before.own) {
            let claims = match state {
                Ok(state) => {
                    let cursor = cursor_of(state).unwrap_or_default();
                    let from = ReadFrom { tenancy: self.tenancy, after: self.first(&destination.id(), self.tenancy) };
                    snapshot.own_claims(&destination.id(), from, &Cursors::from([(self.tenancy, cursor)])).await?
                }
                Err(_) => Vec::new(),
            };
            own.push(claims);
        }
        Ok(FromSource { known, wanted, clickhouse, own })
    }

    async fn claims_at(
        &self,
        snapshot: &Snapshot<'_>,
        places: &[Location],
        cursors: &Cursors,
    ) -> Result<Vec<Claim>, OperationError> {
        let to = DestinationId::clickhouse();
        let of_clickhouse = self.first.iter().filter(|((id, _), _)| *id == to);
        let after: Vec<_> =
            of_clickhouse.map(|((_, tenancy), after)| ReadFrom { tenancy: *tenancy, after: *after }).collect();
        snapshot.claims(places, &after, cursors).await
    }

    fn first(&self, to: &DestinationId, tenancy: TenancyId) -> SequenceId {
        self.first.get(&(to.clone(), tenancy)).copied().unwrap_or_default()
    }

    async fn clickhouse(&self, source: &FromSource, before: &Before) -> (DestinationFacts, Seen) {
        let (usable, to) = (self.placed.usable(), DestinationId::clickhouse());
        let looked = match (&before.clickhouse, usable) {
            (Ok(_), Ok((clickhouse, mapping))) => {
                held::in_clickhouse(clickhouse, mapping, self.key, &source.wanted).await
            }
            (Err(why), _) => Err(why.clone()),
            (_, Err(why)) => Err(why),
        };
        let cursor = before.clickhouse.as_ref().ok().and_then(|cursors| cursors.get(&self.tenancy));
        let mut facts = self.facts(&to, looked, &source.known);
        facts.cursor = cursor.map(|cursor| cursor.get());
        facts.fill = self.placed.fill.clone();
        let unreadable = source.wanted.iter().find_map(|wanted| sql_state(&wanted.rows));
        (facts, Seen { claims: source.clickhouse.clone(), unreadable, is_confirmed: false })
    }

    async fn own_database(
        &self,
        own: &OwnDestination,
        state: &Result<FoundState, Unreachable>,
        claims: &[Claim],
        known: &Known,
    ) -> (DestinationFacts, Seen) {
        let key = lockstep_mappings::postgres::compare::Key {
            location: Location { project_id: String::new(), branch_id: String::new() },
            values: self.key.to_vec(),
        };
        let looked = match (state, &own.postgres) {
            // It has no table before its first fill.
            (Ok(FoundState::Absent), _) => Ok(held::nothing(self.mapping, &known.own)),
            (Ok(_), Ok(postgres)) => held::in_postgres(postgres, self.mapping, key, &known.own).await,
            (Err(why), _) | (_, Err(why)) => Err(why.clone()),
        };
        let mut facts = self.facts(&own.id(), looked.map(|row| vec![row]), known);
        facts.cursor = state.as_ref().ok().and_then(cursor_of).map(SequenceId::get);
        facts.fill = own.fill(state.as_ref().ok(), self.placed.is_refilled);
        facts.breaker = own.breaker();
        (facts, Seen { claims: claims.to_vec(), unreadable: sql_state(&known.own), is_confirmed: false })
    }

    /// What is told of a destination in the same way, whatever it is.
    fn facts(&self, to: &DestinationId, looked: Result<Vec<HeldRow>, Unreachable>, known: &Known) -> DestinationFacts {
        let (rows, unreachable) = match looked {
            Ok(rows) => (rows, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        DestinationFacts {
            destination: to.to_string(),
            unreachable,
            cursor: None,
            fill: Fill { state: FillState::Unknown, error: None },
            paused: self.placed.paused(to, self.tenancy, self.mapping),
            breaker: None,
            rows,
            quarantine: known.refused.get(to.as_str()).cloned().unwrap_or_default(),
        }
    }

    fn confirm(&mut self, facts: &DestinationFacts, seen: &mut Seen) {
        if is_owed(facts, seen) {
            let version = claims::version(&seen.claims);
            seen.is_confirmed = self.owed.insert(facts.destination.clone(), version.clone()) == Some(version);
        } else {
            self.owed.remove(&facts.destination);
        }
    }
}

fn cursor_of(state: &FoundState) -> Option<SequenceId> {
    match state {
        FoundState::At(cursor) => Some(*cursor),
        FoundState::Absent | FoundState::Filling(_) => None,
    }
}

fn sql_state(rows: &Rows) -> Option<String> {
    match rows {
        Rows::Unreadable(state) => Some(state.clone()),
        Rows::Read(_) => None,
    }
}
