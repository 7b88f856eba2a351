//! Pages that the destination refuses: cut down until the rows at fault stand alone, which the quarantine keeps before any
//! cursor passes them (CUR-1).

use lockstep_destinations::{Destination, DestinationError};

use super::Flushed;
use super::shipping::Shipping;
use crate::error::ShipError;
use crate::measure;
use crate::plan::{News, Refusal, Refused, Settled};
use crate::storage::quarantine::Passed;

impl<D: Destination + Clone + 'static> Shipping<'_, D> {
    /// A page was refused for a reason that lies in its rows.
    pub(super) fn refused(
        &mut self,
        flushed: &mut Flushed,
        lot: usize,
        settled: Option<Settled>,
        error: &DestinationError,
    ) {
        let known = settled.as_ref().map(|settled| settled.extents.clone()).or_else(|| self.half_read.remove(&lot));
        // Reading it failed as well, and was dealt with there.
        let Some(extents) = known else { return };
        let place = self.lots[lot].place;
        match (self.learnt[place].isolation.refused(&extents), settled) {
            (Refused::Narrowed, _) => {
                let (mapping, rows) =
                    (self.way.routes.name(place), extents.values().map(|extent| extent.rows).sum::<u64>());
                tracing::info!(%mapping, tenancies = extents.len(), rows, %error, "a page was refused: it is tried in parts");
                self.lots[lot].tenancies.iter().for_each(|tenancy| flushed.continued.add(*tenancy, [place]));
            }
            (Refused::Found(tenancy, sequences), Some(mut settled)) => {
                let (code, error) = (error.code(), error.to_string());
                let refusal = |sequence| Refusal { tenancy, sequence, code, error: error.clone() };
                settled.refusals.extend(sequences.into_iter().map(refusal));
                self.written.push((lot, settled));
            }
            (Refused::Found(..) | Refused::Hopeless, _) => {
                let error = ShipError::TooManyRefused { reason: error.to_string() };
                self.fail(flushed, lot, &error);
            }
        }
    }

    /// Keeps the rows that these pages set aside; returns the pages whose cursors may move.
    pub(super) async fn set_aside(
        &mut self,
        flushed: &mut Flushed,
        written: Vec<(usize, Settled)>,
    ) -> Vec<(usize, Settled)> {
        let routes = self.way.routes;
        let name = |lot: usize| routes.name(self.lots[lot].place);
        let rows: Vec<_> = written
            .iter()
            .flat_map(|(lot, settled)| settled.refusals.iter().map(|refusal| (name(*lot), refusal)))
            .collect();
        if rows.is_empty() {
            return written;
        }
        let kept = match self.quarantine.keep(routes, &rows).await {
            Ok(kept) => kept,
            Err(error) => {
                let error = ShipError::from(error);
                let (refusing, others): (Vec<_>, Vec<_>) =
                    written.into_iter().partition(|(_, settled)| !settled.refusals.is_empty());
                refusing.iter().for_each(|(lot, _)| self.fail(flushed, *lot, &error));
                return others;
            }
        };
        let mut written = written;
        for (lot, settled) in &mut written {
            let mapping = name(*lot).clone();
            let is_kept = |row: &&Refusal| kept.contains(&(mapping.clone(), row.tenancy, row.sequence));
            let (held, homeless): (Vec<_>, Vec<_>) = settled.refusals.iter().partition(is_kept);
            if let Some(first) = held.first() {
                measure::quarantined(&mapping, held.len());
                flushed.set_aside += held.len() as u64;
                let (tenancy, sequence, error) = (first.tenancy, first.sequence, &first.error);
                tracing::error!(%mapping, rows = held.len(), %tenancy, %sequence, error, "rows are refused and set aside; `lockstep quarantine list` shows them");
            }
            let mut stopped: Vec<_> = homeless.iter().map(|row| row.tenancy).collect();
            stopped.dedup();
            if !stopped.is_empty() {
                let mut news = News::default();
                let place = self.lots[*lot].place;
                stopped.iter().for_each(|tenancy| news.add(*tenancy, [place]));
                let reason = homeless.first().map(|row| row.error.clone()).unwrap_or_default();
                self.put_off(flushed, place, news, &ShipError::QuarantineFull { reason });
                settled.stop(&stopped);
            }
        }
        written
    }

    /// Cursors have moved: entries below them may be done with.
    pub(super) fn note_passed(&mut self, lot: usize, settled: &Settled) {
        let place = self.lots[lot].place;
        let mapping = self.way.routes.name(place);
        for (work, up_to) in &settled.forward {
            let own = settled.refusals.iter().filter(|refusal| refusal.tenancy == work.tenancy);
            let refused: Vec<_> = own.map(|refusal| refusal.sequence).collect();
            if !refused.is_empty() || self.opened.snapshot.quarantined.contains(&(work.tenancy, mapping.clone())) {
                let (tenancy, after, up_to) = (work.tenancy, work.after, *up_to);
                self.passed.push(Passed { place, tenancy, after, up_to, refused });
            }
        }
    }
}
