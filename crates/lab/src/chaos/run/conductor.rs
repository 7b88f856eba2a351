//! Makes faults begin and end when it is time, and heals everything at the end.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::fault::{Fault, PROGRAMS, SERVICES, Trouble};
use super::fleet::Fleet;
use super::outcome::Events;
use super::plan::{Lasting, Planned};
use super::services::Services;
use crate::progress::Progress;
use lockstep_testkit::proxy::Mode;
use lockstep_testkit::tenant_database::RegisteredDatabase;

pub(super) struct Conductor<'a> {
    fleet: Fleet<'a>,
    services: Services,
    tenants: &'a [RegisteredDatabase],
    progress: &'a Progress,
    events: Events,
}

/// The beginning or the end of a fault.
struct Moment<'a> {
    at_ms: u64,
    begins: bool,
    fault: &'a Fault,
}

/// Ends before beginnings of the same moment, else in the order of time.
fn moments(faults: &[Planned<Lasting>]) -> Vec<Moment<'_>> {
    let both = faults.iter().flat_map(|planned| {
        let (at_ms, fault) = (planned.at_ms, &planned.what.fault);
        [Moment { at_ms, begins: true, fault }, Moment { at_ms: at_ms + planned.what.for_ms, begins: false, fault }]
    });
    let mut moments: Vec<_> = both.collect();
    // Stable: the end of a fault that takes no time stays behind its beginning.
    moments.sort_by_key(|moment| moment.at_ms);
    moments
}

impl<'a> Conductor<'a> {
    pub(super) fn new(
        fleet: Fleet<'a>,
        services: Services,
        tenants: &'a [RegisteredDatabase],
        progress: &'a Progress,
    ) -> Self {
        Self { fleet, services, tenants, progress, events: Events::default() }
    }

    /// Conducts all faults. Those that would last beyond the end of the plan end with it, when everything is healed.
    pub(super) async fn run(
        mut self,
        faults: &[Planned<Lasting>],
        began: Instant,
    ) -> anyhow::Result<(Fleet<'a>, Events)> {
        let last_ms = faults.last().map_or(0, |planned| planned.at_ms);
        for moment in moments(faults).into_iter().filter(|moment| moment.begins || moment.at_ms <= last_ms) {
            sleep_until(began + Duration::from_millis(moment.at_ms)).await;
            self.progress.done(moment.at_ms / 1_000);
            if moment.begins {
                self.begin(moment.fault).await?;
            } else {
                self.end(moment.fault).await?;
            }
        }
        self.heal().await?;
        Ok((self.fleet, self.events))
    }

    async fn begin(&mut self, fault: &Fault) -> anyhow::Result<()> {
        self.progress.doing(fault.kind());
        if let Fault::Restart(service) = fault
            && !self.services.is_ours(*service)
        {
            self.events.left_out += 1;
            return Ok(());
        }
        *self.events.faults.entry(fault.kind()).or_default() += 1;
        match fault {
            Fault::Kill(place) => self.fleet.kill(*place).await?,
            Fault::Stop(place) => self.fleet.signal(*place, "STOP").await?,
            Fault::Restart(service) => self.services.restart(*service),
            Fault::Network { service, whose, trouble } => {
                for way in self.fleet.ways(*service, *whose) {
                    match trouble.mode() {
                        Some(mode) => way.set(mode),
                        None => way.cut(),
                    }
                }
            }
            Fault::Tenant { which, trouble } => self.begin_at_tenant(*which, *trouble).await,
        }
        Ok(())
    }

    async fn begin_at_tenant(&self, which: usize, trouble: Trouble) {
        let database = &self.tenants[which].database;
        match trouble.mode() {
            Some(mode) => database.proxy().set(mode),
            None => database.proxy().cut(),
        }
        if trouble == Trouble::Refuse {
            // The server is that of the source, which may be restarting; then all sessions have ended anyway.
            let _ = database.end_sessions().await;
        }
    }

    async fn end(&mut self, fault: &Fault) -> anyhow::Result<()> {
        match fault {
            Fault::Kill(place) => self.fleet.begin(*place),
            Fault::Stop(place) => self.fleet.signal(*place, "CONT").await,
            Fault::Restart(_) => Ok(()),
            Fault::Network { service, whose, .. } => {
                self.fleet.ways(*service, *whose).for_each(|way| way.set(Mode::Pass));
                Ok(())
            }
            Fault::Tenant { which, .. } => {
                self.tenants[*which].database.proxy().set(Mode::Pass);
                Ok(())
            }
        }
    }

    async fn heal(&mut self) -> anyhow::Result<()> {
        self.services.until_all_answer().await?;
        for service in SERVICES {
            self.fleet.ways(service, None).for_each(|way| way.set(Mode::Pass));
        }
        self.tenants.iter().for_each(|tenant| tenant.database.proxy().set(Mode::Pass));
        for place in 0..PROGRAMS.len() {
            self.fleet.signal(place, "CONT").await?;
            self.fleet.begin(place)?;
        }
        self.fleet.tend()
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Plan;
    use super::*;

    #[test]
    fn every_fault_begins_once_and_ends_once_and_not_before() {
        let plan = Plan::draw(5, 60);
        let moments = moments(&plan.faults);
        assert_eq!(moments.len(), 2 * plan.faults.len());
        assert!(moments.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
        let (mut begun, mut ended) = (0, 0);
        for moment in moments {
            if moment.begins {
                begun += 1
            } else {
                ended += 1
            }
            assert!(ended <= begun);
        }
        assert_eq!(begun, ended);
    }
}
