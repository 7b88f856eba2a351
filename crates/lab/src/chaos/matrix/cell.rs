//! One cell: a program is told to fail at one place in one way, while rows are edited.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use futures_util::future::try_join_all;
use lockstep_core::{exit, failpoint};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::points::{Point, Program};
use lockstep_oracle as oracle;
use lockstep_testkit::data::{self, Shape};
use lockstep_testkit::databases::eventually;
use lockstep_testkit::edits::{self, EditKind};
use lockstep_testkit::installation::{self, Installation};
use lockstep_testkit::tenant_database::RegisteredDatabase;

use crate::tenants::with_databases;

/// A few rows of everything: what is edited is what matters.
const SHAPE: Shape = Shape { tenants: 4, rows: 20, seed: 17 };
/// Tenants with a database of their own, in the cells of the way there.
const TENANTS: usize = 2;
/// For the program to come to its point. It has work from its first second on.
const REACHED_WITHIN: Duration = Duration::from_secs(60);
/// For everything to be in step again: longer than the sweep's minute, after which it announces again what stands still.
const IN_STEP_SECONDS: &str = "150";
/// How often a place is drawn for an edit, before it is left out.
const DRAWS: u32 = 10;

/// What is edited before the point is reached, and again while the program is away: inserts, updates, deletes and keys
/// that come back, in ten mappings.
const EDITS: [EditKind; 18] = [
    EditKind::UserInserted,
    EditKind::UserChanged,
    EditKind::UserDeleted,
    EditKind::UserRecreated,
    EditKind::ChannelInserted,
    EditKind::PrimaryAddressSwapped,
    EditKind::TeamInserted,
    EditKind::TeamRenamed,
    EditKind::MemberJoined,
    EditKind::MemberLeftAndRejoined,
    EditKind::MemberLeftThenRejoined,
    EditKind::TeamPermissionGranted,
    EditKind::TeamPermissionRegranted,
    EditKind::ProjectPermissionRegranted,
    EditKind::InvitationTypeChanged,
    EditKind::AccountMoved,
    EditKind::TokenIssued,
    EditKind::PreferenceDeleted,
];

/// A way to fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// The process ends at once.
    Abort,
    /// The step fails, and the program goes on as it can.
    Error,
    /// The step never ends; the process is killed.
    Hang,
}

impl Action {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Abort, Self::Error, Self::Hang];

    /// As the failpoints call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abort => "abort",
            Self::Error => "error",
            Self::Hang => "hang",
        }
    }
}

/// How a cell ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// All views hold what the source holds.
    Equal,
    /// The program never came to its point.
    NotHit,
    /// It ended though it should have gone on, or went on though it should have ended.
    WrongEnd,
    /// It did not come into step again; what `lockstep wait` said.
    NotInStep(String),
    /// The views hold something else; what the oracle said.
    Different(String),
}

/// A cell that was run.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The point's name.
    pub point: &'static str,
    /// How it failed.
    pub action: Action,
    /// What came of it.
    pub outcome: Outcome,
    took: Duration,
}

impl Outcome {
    /// In one or two words.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::NotHit => "not hit",
            Self::WrongEnd => "WRONG END",
            Self::NotInStep(_) => "NOT IN STEP",
            Self::Different(_) => "DIFFERENT",
        }
    }

    /// More, where there is more to say.
    pub fn detail(&self) -> &str {
        match self {
            Self::NotInStep(said) | Self::Different(said) => said,
            Self::NotHit => "the program never came there",
            Self::Equal | Self::WrongEnd => "",
        }
    }
}

impl Cell {
    pub(super) fn to_json(&self) -> Value {
        json!({ "point": self.point, "action": self.action.name(), "outcome": self.outcome.word() })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { point, action, outcome, took } = self;
        write!(f, "{point} {}: {} ({:.1} s)", action.name(), outcome.word(), took.as_secs_f64())
    }
}

/// The installation that cells share.
pub(super) struct SharedInstallation {
    installation: Installation,
    client: Client,
    rng: StdRng,
    /// Of the tenants that are edited most.
    tenants: Vec<RegisteredDatabase>,
    /// The program that nothing happens to.
    steady: Option<(Program, installation::Program)>,
}

impl SharedInstallation {
    /// Ships a few rows of everything, so that a cell's work is its own edits.
    pub(super) async fn begin(has_tenants: bool) -> anyhow::Result<Self> {
        let installation = Installation::create().await?.with_tenant_databases()?;
        installation.succeed("lockstep", &["migrate", "--standalone"]).await?;
        let client = installation.database().connect().await?;
        data::seed(&client, SHAPE).await?;
        let tenants = if has_tenants { with_databases(&installation, &client, TENANTS).await? } else { Vec::new() };
        let shared = Self { installation, client, rng: StdRng::seed_from_u64(1), tenants, steady: None };
        let programs = [shared.start(Program::Sequencer, "first")?, shared.start(Program::Worker, "first")?];
        let outcome = shared.judge().await?;
        for program in programs {
            let log = program.logged()?;
            ensure!(
                log.contains(failpoint::CAN_FAIL),
                "the programs are built without failpoints: run `cargo xtask test`"
            );
            program.stop().await?;
        }
        if outcome != Outcome::Equal {
            bail!("not even the seeded rows arrived: {}", outcome.detail());
        }
        Ok(shared)
    }

    /// Stops what runs, and leaves nothing behind.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        if let Some((_, steady)) = self.steady {
            steady.stop().await?;
        }
        for tenant in self.tenants {
            tenant.database.remove().await?;
        }
        drop(self.client);
        self.installation.remove().await
    }

    fn start(&self, program: Program, label: &str) -> anyhow::Result<installation::Program> {
        self.installation.start(program.name(), &format!("matrix-{}-{label}", program.name()))
    }

    /// Sees to it that of the two programs this one goes on, and the other is not there.
    async fn keep(&mut self, program: Program) -> anyhow::Result<()> {
        if self.steady.as_ref().is_some_and(|(steady, _)| *steady == program) {
            return Ok(());
        }
        if let Some((_, steady)) = self.steady.take() {
            steady.stop().await?;
        }
        self.steady = Some((program, self.start(program, "steady")?));
        Ok(())
    }

    pub(super) async fn cell(&mut self, point: &Point, action: Action) -> anyhow::Result<Cell> {
        let began = Instant::now();
        self.keep(point.program.other()).await?;
        let outcome = self.outcome(point, action).await?;
        Ok(Cell { point: point.name, action, outcome, took: began.elapsed() })
    }

    async fn outcome(&mut self, point: &Point, action: Action) -> anyhow::Result<Outcome> {
        let label = format!("matrix-{}-{}", point.name.replace("::", "-"), action.name());
        let mut failing = self.installation.start_with(point.program.name(), &label, &[armed(point, action)])?;
        if point.fills {
            self.begin_fills().await?;
        }
        self.edit().await?;
        let mark = format!("{} point=\"{}\"", failpoint::REACHED, point.name);
        let reached =
            eventually("the failpoint to be reached", REACHED_WITHIN, async || Ok(failing.logged()?.contains(&mark)));
        if reached.await.is_err() {
            failing.kill().await?;
            return Ok(Outcome::NotHit);
        }
        let (outcome, running) = match action {
            // Nobody helps it.
            Action::Error => {
                self.edit().await?;
                let outcome = self.judge().await?;
                if failing.has_ended()? {
                    return Ok(Outcome::WrongEnd);
                }
                (outcome, failing)
            }
            Action::Abort | Action::Hang => {
                if !ends(action, &mut failing).await? {
                    return Ok(Outcome::WrongEnd);
                }
                if action == Action::Hang {
                    failing.kill().await?;
                }
                // What it held in Postgres is free again.
                self.edit().await?;
                let next = self.installation.start(point.program.name(), &format!("{label}-next"))?;
                (self.judge().await?, next)
            }
        };
        running.stop().await?;
        Ok(outcome)
    }

    /// A mapping is filled again that the edits change too: in ClickHouse, or at the tenants that have databases.
    async fn begin_fills(&self) -> anyhow::Result<()> {
        let mut destinations: Vec<_> = self.tenants.iter().map(|tenant| tenant.id.as_str()).collect();
        if destinations.is_empty() {
            destinations.push("clickhouse");
        }
        for destination in destinations {
            // Nobody waits for it here: that is left to the judge.
            let resync = ["resync", "--destination", destination, "--mapping", "teams", "--timeout", "0"];
            let begun = self.installation.run("lockstep", &resync).await?;
            ensure!(begun.code == Some(i32::from(exit::IN_FLIGHT)), "no fill was begun: {}", begun.stderr);
        }
        Ok(())
    }

    async fn edit(&mut self) -> anyhow::Result<()> {
        let mut made = 0;
        for kind in EDITS {
            for _ in 0..DRAWS {
                if edits::of_kind(&self.client, &mut self.rng, kind).await? {
                    made += 1;
                    break;
                }
            }
        }
        // Some find nothing any more, such as the last member of a team; half of them always do.
        if made < EDITS.len() / 2 {
            bail!("of {} edits only {made} could be made", EDITS.len());
        }
        Ok(())
    }

    async fn judge(&self) -> anyhow::Result<Outcome> {
        let mut waits = vec![vec!["wait", "--timeout", IN_STEP_SECONDS, "--all"]];
        // Also for one that backs off, for which nobody waits who waits for all.
        let of_tenant = |tenant| vec!["wait", "--timeout", IN_STEP_SECONDS, "--destination", tenant];
        waits.extend(self.tenants.iter().map(|tenant| of_tenant(tenant.id.as_str())));
        let waiting = waits.iter().map(|arguments| self.installation.run("lockstep", arguments));
        for waited in try_join_all(waiting).await? {
            if waited.code != Some(0) {
                return Ok(Outcome::NotInStep(waited.stderr));
            }
        }
        let report = oracle::compare(&self.client, &self.installation.endpoint()).await?;
        if !report.equal() {
            return Ok(Outcome::Different(report.to_string()));
        }
        for tenant in &self.tenants {
            let report = tenant.judged(&self.client).await?;
            if !report.equal() {
                return Ok(Outcome::Different(format!("the tenant's database {}\n{report}", tenant.id)));
            }
        }
        Ok(Outcome::Equal)
    }
}

/// Tells a program, by its environment, to fail there once.
fn armed(point: &Point, action: Action) -> (&'static str, String) {
    let passes = if point.passes_before > 0 { format!("{}*off->", point.passes_before) } else { String::new() };
    ("FAILPOINTS", format!("{}={passes}1*return({})", point.name, action.name()))
}

/// Whether a program that aborts is gone, and one that hangs is not.
async fn ends(action: Action, failing: &mut installation::Program) -> anyhow::Result<bool> {
    if action == Action::Hang {
        return Ok(!failing.has_ended()?);
    }
    let gone = eventually("the program to abort", REACHED_WITHIN, async || failing.has_ended());
    Ok(gone.await.is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::points::POINTS;
    use super::*;

    #[test]
    fn a_point_is_armed_once_and_after_what_is_passed_before() {
        let of = |name: &str, action| armed(POINTS.iter().find(|point| point.name == name).unwrap(), action).1;
        assert_eq!(of("worker::insert::after", Action::Hang), "worker::insert::after=1*return(hang)");
        let cursors = of("worker::cursor_read::before", Action::Abort);
        assert_eq!(cursors, "worker::cursor_read::before=1*off->1*return(abort)");
    }
}
