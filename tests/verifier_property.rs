//! VER-1 at random: defects of every class are planted in both kinds of destination and past capture, while the application writes and
//! everything ships. Whichever persists is found and rightly classed, and nothing else is called different. Everything is drawn
//! from a seed, which is printed.

mod defect;
mod plant;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lockstep_testkit::data::{Shape, seed};
use lockstep_testkit::databases::{PrivateClickHouse, PrivatePostgres, TestDatabase, connect, eventually};
use lockstep_testkit::fleet::Fleet;
use lockstep_testkit::installation::{Installation, Program};
use lockstep_verifier::{Class, Level, Report, Verdict, VerifyOptions, repair, verify};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::defect::{Defect, Place, What};
use self::plant::Field;
use crate::background_edits::BackgroundEdits;
use crate::own_databases::OwnDatabase;
use crate::stage::{DEADLINE, Stage};

/// As many as take a minute on two cores that are busy with other tests; `LOCKSTEP_VERIFIER_ROUNDS` says how many more.
const ROUNDS: u64 = 3;
/// How far it is, is told once in so many.
const ROUNDS_PER_STEP: u64 = 50;
/// Defects of a round, at most.
const DEFECTS: usize = 24;
/// Between two edits: enough of them to be in the way everywhere, and few enough for the machine.
const PACE: Duration = Duration::from_millis(25);
const SHAPE: Shape = Shape { tenants: 5, rows: 12, seed: 17 };
const SETTLE: Duration = Duration::from_millis(300);
/// In one of so many rounds everything is repaired.
const REPAIRED: u32 = 4;
/// A policy that hides every row from whoever is subject to it.
const POLICY: &str = r#"CREATE POLICY nobody ON "{table}" USING (FALSE); ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"#;

/// A number that somebody who runs this by hand may set: thousands of rounds take hours.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// A system that moves, and what is drawn.
struct Scene {
    stage: Stage,
    programs: Vec<Program>,
    own: Option<OwnDatabase>,
    places: Vec<Place>,
    rng: StdRng,
    /// Of every class that persisted and was found, how many.
    found: BTreeMap<(bool, &'static str), u32>,
}

impl Scene {
    #[allow(clippy::print_stderr, reason = "a random test prints its seed")]
    async fn begin(stage: Stage, with_own: bool) -> Result<Self> {
        let drawn = setting("LOCKSTEP_VERIFIER_SEED", rand::random::<u32>().into());
        eprintln!("LOCKSTEP_VERIFIER_SEED={drawn}");
        let programs = vec![stage.sequencer()?, stage.worker()?];
        let rows =
            stage.client.query(r#"SELECT "id", "projectId", "branchId" FROM "Tenancy" ORDER BY 2, 3, 1"#, &[]).await?;
        let places = rows.iter().map(|row| Place { tenancy: row.get(0), project: row.get(1), branch: row.get(2) });
        let places: Vec<_> = places.collect();
        let own = match with_own {
            true => Some(stage.add_destination(&places[0].tenancy.to_string(), &[]).await?),
            false => None,
        };
        stage.equal().await?;
        Ok(Self { stage, programs, own, places, rng: StdRng::seed_from_u64(drawn), found: BTreeMap::new() })
    }

    fn options(&mut self) -> VerifyOptions {
        let level = [Level::Content, Level::Rows, Level::Content, Level::Versions][self.rng.random_range(0..4)];
        VerifyOptions { level, settle: SETTLE, show: 10_000, ..VerifyOptions::default() }
    }

    /// Plants, verifies, judges what was said, and takes away what was planted.
    async fn round(&mut self, fleet: Option<&Fleet>) -> Result<()> {
        let many = self.rng.random_range(1..=DEFECTS);
        let is_repaired = self.rng.random_ratio(1, REPAIRED);
        let draw = |_| Defect::draw(&mut self.rng, &self.places, self.own.is_some());
        let mut defects: Vec<_> = (0..many).map(draw).collect();
        if is_repaired {
            // A number that the source has not given out yet is nothing that it can write over.
            defects.retain(|defect| defect.what != What::Ahead);
        }
        let options = self.options();
        let field = Field { stage: &self.stage, own: self.own.as_ref() };
        field.insert(&mut defects).await?;
        self.stage.in_step().await?;
        field.keep(&defects).await?;
        self.stage.in_step().await?;
        if let Some(fleet) = fleet {
            fleet.hold();
        }
        // What the application writes meanwhile is of these rows too, now and then.
        let editor = BackgroundEdits::start_at(&self.stage, self.rng.random(), Some(PACE)).await?;
        field.plant(&defects).await?;
        let settings = self.stage.installation.settings();
        let (report, let_go) = tokio::join!(verify(&settings, &options), let_go_when_stale(fleet));
        let report = report.with_context(|| format!("with {defects:?}"))?;
        let_go?;
        editor.stop().await?;
        self.stage.in_step().await?;
        let untouched = judge(&field, &defects, &report, options.level).await?;
        for (class, is_own) in untouched {
            *self.found.entry((is_own, class.name())).or_default() += 1;
        }
        if is_repaired {
            self.repair().await.with_context(|| format!("with {defects:?}"))?;
        }
        field.clear(&defects).await
    }

    /// Mends whatever is wrong, and asks the judge of tests.
    async fn repair(&self) -> Result<()> {
        let settings = self.stage.installation.settings();
        let options = VerifyOptions { settle: SETTLE, show: 10_000, ..VerifyOptions::default() };
        let report = verify(&settings, &options).await?;
        let mended = repair(&settings, &report, 10_000, DEADLINE).await?;
        let owns: Vec<_> = self.own.iter().collect();
        self.stage.all_equal(&owns).await.with_context(|| format!("{mended:?}\n{}", report.to_text()))
    }

    #[allow(clippy::print_stderr, reason = "whoever runs thousands of rounds sees how far it is")]
    async fn rounds(&mut self, rounds: u64, fleet: Option<&Fleet>) -> Result<()> {
        for round in 0..rounds {
            if round > 0 && round.is_multiple_of(ROUNDS_PER_STEP) {
                eprintln!("{round} rounds: {:?}", self.found);
            }
            self.round(fleet).await.with_context(|| format!("in round {round}"))?;
        }
        Ok(())
    }

    /// What is left is equal, for the judge of tests and for the verifier.
    #[allow(clippy::print_stderr, reason = "told in the output of the test")]
    async fn end(self) -> Result<()> {
        let owns: Vec<_> = self.own.iter().collect();
        self.stage.all_equal(&owns).await?;
        let report = verify(&self.stage.installation.settings(), &VerifyOptions::default()).await?;
        ensure!(report.verdict == Verdict::Equal, "{}", report.to_text());
        eprintln!("found, by whether it is a tenant's own and by class: {:?}", self.found);
        self.stage.end_with(self.programs, self.own).await
    }
}

/// Every defect that nobody else has written is found and rightly classed, and nothing that was not planted is called different.
/// Returns the classes that were right, and whether each is of a tenant's own.
async fn judge(field: &Field<'_>, defects: &[Defect], report: &Report, level: Level) -> Result<Vec<(Class, bool)>> {
    let mut planted: BTreeMap<(String, &str, String), (Class, bool)> = BTreeMap::new();
    for defect in defects {
        let is_untouched = field.is_untouched(defect).await?;
        for (destination, class) in field.shows(defect)? {
            let key = (destination, defect.target.mapping, defect.id.to_string());
            planted.insert(key, (class, is_untouched));
        }
    }
    let (mut right, mut seen) = (Vec::new(), BTreeSet::new());
    let own = report.destinations.iter();
    for destination in own.clone() {
        ensure!(destination.unfinished.is_none(), "{}", report.to_text());
    }
    for mapping in report.mappings.iter().chain(own.flat_map(|destination| &destination.mappings)) {
        ensure!(mapping.unfinished.is_none() && mapping.unjudged + mapping.unreadable == 0, "{}", report.to_text());
        for finding in mapping.findings.iter().filter(|finding| finding.class != Class::Pending) {
            let id = finding.key.get("id").unwrap_or_default().to_owned();
            let key = (finding.destination.clone(), mapping.name.as_str(), id);
            let told = || format!("{level:?}: {finding:?}\n{defects:#?}\n{}", report.to_text());
            let Some((class, is_untouched)) = planted.get(&key) else { anyhow::bail!("a false verdict: {}", told()) };
            ensure!(!is_untouched || finding.class == *class, "it is {class:?}, of {}", told());
            if *is_untouched {
                right.push((*class, finding.destination != "clickhouse"));
            }
            seen.insert(key);
        }
    }
    let missed: Vec<_> = planted.iter().filter(|(key, (_, untouched))| *untouched && !seen.contains(*key)).collect();
    // Which rows have wrong values is nothing that numbers tell.
    ensure!(
        level == Level::Versions || missed.is_empty(),
        "{level:?}: missed {missed:?}\n{defects:#?}\n{}",
        report.to_text()
    );
    Ok(right)
}

/// Lets the second replica have what it lacks once several reads were refused there.
async fn let_go_when_stale(fleet: Option<&Fleet>) -> Result<()> {
    let Some(fleet) = fleet else { return Ok(()) };
    let (_, before) = fleet.stale_and_refused();
    let refused = async || Ok(fleet.stale_and_refused().1 > before + 3);
    let waited = eventually("a replica that is behind to be asked", DEADLINE, refused).await;
    fleet.let_go();
    waited
}

#[tokio::test(flavor = "multi_thread")]
async fn verifier_property_every_defect_that_persists_is_found_and_nothing_else() -> Result<()> {
    let mut scene = Scene::begin(Stage::seeded_with_tenants(SHAPE).await?, true).await?;
    scene.rounds(setting("LOCKSTEP_VERIFIER_ROUNDS", ROUNDS), None).await?;
    scene.end().await
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr, reason = "told in the output of the test")]
async fn verifier_property_holds_while_a_replica_is_behind() -> Result<()> {
    let (Some(first), Some(second)) = (PrivateClickHouse::start(&[]).await?, PrivateClickHouse::start(&[]).await?)
    else {
        eprintln!("There is no ClickHouse to start here: replicas are not exercised.");
        return Ok(());
    };
    let fleet = Fleet::replicas(&[first.url(), second.url()]).await?;
    let stage = Stage::of(Installation::create().await?.with_clickhouse(fleet.url())).await?;
    stage.migrate(&["--standalone"]).await?;
    seed(&stage.client, SHAPE).await?;
    let mut scene = Scene::begin(stage, false).await?;
    scene.rounds(setting("LOCKSTEP_VERIFIER_ROUNDS", ROUNDS), Some(&fleet)).await?;
    let (stale, _) = fleet.stale_and_refused();
    scene.end().await?;
    ensure!(stale == 0, "{stale} reads were answered from the past");
    Ok(())
}

/// Policies that hide rows are switched on while a table is waited for: nothing is said then, neither equal nor different.
#[tokio::test(flavor = "multi_thread")]
async fn verifier_property_rows_that_become_hidden_midway_are_no_difference() -> Result<()> {
    let server = PrivatePostgres::start().await?;
    let roles = "CREATE ROLE platform LOGIN CREATEDB";
    connect(&server.url()).await?.batch_execute(roles).await?;
    let url = server.url().replace("postgres://postgres@", "postgres://platform@");
    let stage = Stage::of(Installation::around(TestDatabase::create_on(url).await?)?).await?;
    stage.migrate(&["--standalone"]).await?;
    seed(&stage.client, SHAPE).await?;
    let programs = [stage.sequencer()?, stage.worker()?];
    stage.equal().await?;
    let settings = stage.installation.settings();
    // What is waited for, and what is hidden meanwhile: the same, or what is read later.
    for (locked, hidden) in [("Team", "Team"), ("ProjectUser", "ContactChannel"), ("ContactChannel", "Team")] {
        for level in [Level::Versions, Level::Content, Level::Rows] {
            let (holder, owner) = (stage.connect().await?, stage.connect().await?);
            holder.batch_execute(&format!(r#"BEGIN; LOCK TABLE "{locked}" IN ACCESS EXCLUSIVE MODE"#)).await?;
            let hide = async {
                let waits = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.application_name LIKE 'lockstep scan %'";
                stage.until("the verifier to wait", waits, 1).await?;
                let by = if locked == hidden { &holder } else { &owner };
                by.batch_execute(&POLICY.replace("{table}", hidden)).await?;
                Ok::<_, anyhow::Error>(holder.batch_execute("COMMIT").await?)
            };
            let options = VerifyOptions { level, ..VerifyOptions::default() };
            let (verified, hid) = tokio::join!(verify(&settings, &options), hide);
            hid?;
            let said = verified.as_ref().map_or_else(ToString::to_string, Report::to_text);
            ensure!(verified.is_err_and(|error| error.exit_code() == 3), "{locked}, {hidden}, {level:?}: {said}");
            owner
                .batch_execute(&format!(
                    r#"ALTER TABLE "{hidden}" NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY; DROP POLICY nobody ON "{hidden}""#
                ))
                .await?;
        }
    }
    stage.until("the mappings to go on", "SELECT count(*) FROM lockstep.pause", 0).await?;
    stage.verified().await?;
    stage.end(programs).await
}
