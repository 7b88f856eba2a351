//! Fills: the rows of a mapping that are there, shipped beside the stream, a range of blocks at a time, with the number that
//! was drawn before the first was read. Any number of workers share the ranges; a range whose worker died is claimed by
//! another.

mod base_rows;
mod end;

use std::collections::HashMap;
use std::time::Duration;

use lockstep_core::telemetry::{Kind, Span};
use lockstep_core::{MappingName, failpoint};
use lockstep_destinations::{Destination, PageStart};
use lockstep_mappings::postgres::fill;
use lockstep_schema::tasks::{Ran, Task};
use lockstep_schema::{Session, Source, SourceError, fits_its_table};
use tokio_postgres::Client;

use self::base_rows::BaseRows;
pub(crate) use self::end::FillEnd;
use crate::error::{Retry, ShipError};
use crate::flush::{DurablePage, OpenPage, copy_rows};
use crate::metrics;
use crate::pace::jittered;
use crate::pauses::PAUSED;
use crate::shared::Shared;
use crate::storage::fills::{CLAIM_FOR, Claim, Fills, RENEW_EVERY, Scan, open_scan};

/// A range that failed through its own fault rests this long, so that the others come first.
const REST_OF_FAILED: Duration = Duration::from_secs(60);

/// Single blocks of a mapping that are handed to the stream one after another. Where more are refused, it is not single
/// rows that are at fault: the whole table must not go through the stream.
const MAX_HANDED_OVER: u32 = 16;

/// One worker's share of the fills.
pub(crate) struct Filler<D> {
    shared: Shared<D>,
    worker: String,
    /// Where ranges are read, while claims and lookups go over the session.
    scan: Option<Client>,
    /// Blocks that were handed over since a range of the mapping got through.
    handed_over: HashMap<MappingName, u32>,
}

/// What became of a range.
enum RangeEnd {
    Shipped(DurablePage),
    /// The table's rows are in another file, in other blocks: the ranges have to begin again.
    Rewritten,
    /// Somebody else has it now.
    Lost,
}

impl<D: Destination> Task for Filler<D> {
    const NAME: &'static str = "fill";
    /// A range takes as long as its destination takes to write it.
    const TIMEOUT: Duration = Duration::MAX;
    type Session = Fills;
    type Error = ShipError;

    fn grace(&self) -> Duration {
        self.shared.limits.stop_within
    }

    async fn open(&self, source: &Source) -> Result<Fills, ShipError> {
        let control = source.connect(Session::Control).await?;
        Ok(Fills::new(control, &self.worker, &self.shared.mappings))
    }

    /// Claims and ships one range, if there is one. A range holds rows of all tenancies: while one of them is paused none is
    /// taken, so that none of its rows is left out for good.
    async fn run(&mut self, source: &Source, fills: &mut Fills) -> Result<Ran, ShipError> {
        let every = jittered(self.shared.limits.fill_poll_every);
        let Some(pauses) = self.shared.pauses.if_shipping() else { return Ok(Ran::waits(PAUSED, every)) };
        if pauses.is_some_tenancy_paused() {
            return Ok(Ran::waits("a tenancy is paused, and a range holds rows of all (`lockstep paused`)", every));
        }
        for mapping in fills.catch_up(&self.shared.mappings).await? {
            failpoint!("worker::fill_catch_up::after", return Err(SourceError::Timeout(Duration::ZERO).into()));
            tracing::info!(mapping, "all ranges are filled; what was written meanwhile follows");
        }
        let Some(claim) = fills.claim(|mapping| !pauses.is_mapping_paused(mapping)).await? else {
            return Ok(Ran::did(0, every));
        };
        let scan = match self.scan.take() {
            Some(scan) => scan,
            None => source.connect(Session::Scan).await?,
        };
        let span = Span::begin(Kind::Internal, || "snapshot.range".to_owned());
        span.set_text("lockstep.mapping", claim.mapping.as_str());
        let taken = span.around(self.take(&scan, fills, &claim)).await.inspect_err(|error| span.failed(error.kind()));
        drop(span);
        if taken? {
            self.scan = Some(scan);
        }
        Ok(Ran::did(1, Duration::ZERO))
    }
}

impl<D: Destination> Filler<D> {
    pub(crate) fn new(shared: Shared<D>, worker: String) -> Self {
        Self { shared, worker, scan: None, handed_over: HashMap::new() }
    }

    /// Returns whether the connection can be used again.
    async fn take(&mut self, scan: &Client, fills: &mut Fills, claim: &Claim) -> Result<bool, ShipError> {
        let (mapping, first_block) = (&claim.mapping, claim.blocks.first);
        match self.ship(scan, fills, claim).await {
            Ok(RangeEnd::Shipped(written)) => {
                if written.rows > 0 {
                    self.handed_over.remove(mapping);
                }
                failpoint!("worker::fill_range::before", return Err(SourceError::Timeout(Duration::ZERO).into()));
                let is_ours = fills.finish(claim, written.rows).await?;
                failpoint!("worker::fill_range::after", return Err(SourceError::Timeout(Duration::ZERO).into()));
                if is_ours {
                    metrics::filled(mapping, &written);
                    tracing::debug!(%mapping, first_block, rows = written.rows, "a range of a fill is shipped");
                }
                Ok(true)
            }
            Ok(RangeEnd::Rewritten) => {
                let Some(index) = self.shared.mappings.index(mapping) else { return Ok(true) };
                if fills.restart(self.shared.mappings.get(index), claim.filenode).await? {
                    tracing::warn!(%mapping, "its table was rewritten: its ranges begin again");
                }
                Ok(true)
            }
            Ok(RangeEnd::Lost) => {
                tracing::warn!(%mapping, first_block, "a range was claimed by another worker meanwhile, or its fill began anew");
                // In the middle of a read.
                Ok(false)
            }
            Err(error) if self.may_isolate(fills, mapping, &error).await? => {
                self.isolate(fills, claim, &error).await?;
                // Perhaps in the middle of a read.
                Ok(false)
            }
            // Less is read at once.
            Err(error) if error.is_late() && claim.blocks.end - first_block > 1 => {
                fills.split(claim).await?;
                tracing::info!(%mapping, first_block, "a range took too long: it is read in halves");
                Ok(false)
            }
            Err(error) => {
                let rest = if error.retry() == Retry::Requeue { REST_OF_FAILED } else { Duration::ZERO };
                // Where this fails too, the claim ends by itself.
                let _ = fills.prolong(claim, rest).await;
                Err(error)
            }
        }
    }

    /// Whether a row may be at fault, and not too many were before.
    async fn may_isolate(&self, fills: &Fills, name: &MappingName, error: &ShipError) -> Result<bool, SourceError> {
        let may_hand_over = self.handed_over.get(name).is_none_or(|blocks| *blocks < MAX_HANDED_OVER);
        if !error.is_refusal() || !may_hand_over {
            return Ok(false);
        }
        let mapping = self.shared.mappings.index(name).map(|index| self.shared.mappings.get(index));
        match mapping.filter(|_| error.is_of_source()) {
            Some(mapping) => fits_its_table(fills.client(), mapping).await,
            None => Ok(true),
        }
    }

    /// A row of a range was refused, or could not be read: the range is cut in halves, and a single block handed to the
    /// stream, which finds the row.
    async fn isolate(&mut self, fills: &mut Fills, claim: &Claim, error: &ShipError) -> Result<(), ShipError> {
        let (mapping, first_block) = (&claim.mapping, claim.blocks.first);
        if claim.blocks.end - first_block > 1 {
            if fills.split(claim).await? {
                let blocks = claim.blocks.end - first_block;
                tracing::info!(%mapping, first_block, blocks, %error, "a range did not get through: it is tried in halves");
            }
            return Ok(());
        }
        let Some(index) = self.shared.mappings.index(mapping) else { return Ok(()) };
        if let Some(rows) = fills.hand_over(self.shared.mappings.get(index), claim).await? {
            *self.handed_over.entry(mapping.clone()).or_default() += 1;
            tracing::warn!(%mapping, first_block, rows, %error, "a block did not get through: its rows are shipped one by one");
        }
        Ok(())
    }

    /// Reads the range and writes it, renewing the claim meanwhile.
    async fn ship(&self, scan: &Client, fills: &Fills, claim: &Claim) -> Result<RangeEnd, ShipError> {
        let renewing = async {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                match fills.prolong(claim, CLAIM_FOR).await {
                    Ok(true) => {}
                    Ok(false) => return Ok(RangeEnd::Lost),
                    Err(error) => return Err(ShipError::from(error)),
                }
            }
        };
        tokio::select! {
            shipped = self.read_and_write(scan, fills, claim) => shipped,
            lost = renewing => lost,
        }
    }

    async fn read_and_write(&self, scan: &Client, fills: &Fills, claim: &Claim) -> Result<RangeEnd, ShipError> {
        let Some(index) = self.shared.mappings.index(&claim.mapping) else { return Ok(RangeEnd::Lost) };
        let mapping = self.shared.mappings.placed(index, claim.is_beside);
        let Scan { filenode, is_current, window } = open_scan(scan, mapping, claim).await?;
        if !is_current {
            return Ok(RangeEnd::Lost);
        }
        if filenode != Some(claim.filenode) {
            scan.batch_execute("ROLLBACK").await?;
            return Ok(RangeEnd::Rewritten);
        }
        let start = PageStart { mapping, from: &[], window, limits: self.shared.limits.write };
        let mut page = OpenPage::open(&self.shared.destination, start, &self.shared.limits);
        let mut rows = BaseRows::new(fills.client(), claim.floor);
        let sql = fill::range(mapping, claim.blocks, claim.floor);
        // A range is shipped whole, however much its rows hold outside of their blocks.
        copy_rows(scan, &sql, mapping, &mut rows, &mut page, u64::MAX).await?;
        let written = page.end(&[]).await?;
        scan.batch_execute("COMMIT").await?;
        Ok(RangeEnd::Shipped(written))
    }
}
