//! What the demo has to show: from the verifier at the end, counted while it runs.

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::editor::Made;
use super::tenants::OwnDatabases;
use crate::lag::{Lag, percentile};
use lockstep_testkit::installation::Installation;

/// One mapping on both sides.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct MappingOutcome {
    pub(super) name: String,
    pub(super) source_rows: u64,
    pub(super) destination_rows: u64,
    pub(super) equal: bool,
}

/// A tenant's own database: how many rows of it there are on both sides, of all mappings.
#[derive(Serialize, Clone, Debug)]
pub(super) struct TenantOutcome {
    pub(super) tenancy: String,
    /// Where it is, without a password.
    pub(super) database: String,
    pub(super) source_rows: u64,
    pub(super) destination_rows: u64,
    pub(super) equal: bool,
}

/// From commit to visible, in milliseconds.
#[derive(Serialize, Clone, Copy, Debug)]
pub(super) struct LagOutcome {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// The outcome, as `--json` prints it.
#[derive(Serialize, Clone, Debug)]
pub(super) struct Outcome {
    pub(super) equal: bool,
    pub(super) mappings: Vec<MappingOutcome>,
    /// Tenants' own databases.
    pub(super) tenants: Vec<TenantOutcome>,
    pub(super) lag_ms: LagOutcome,
    pub(super) edits: usize,
    #[serde(skip)]
    pub(super) kinds: usize,
    #[serde(skip)]
    pub(super) lags: usize,
}

/// What of the verifier's report is needed here.
#[derive(Deserialize)]
struct Verdict {
    mappings: Vec<MappingOutcome>,
    destinations: Vec<OfTenant>,
}

/// What the verifier says of a tenant's own database.
#[derive(Deserialize)]
struct OfTenant {
    tenancy_id: String,
    verdict: String,
    mappings: Vec<MappingOutcome>,
}

/// The verifier's word.
pub(super) async fn verified(
    installation: &Installation,
    tenants: &OwnDatabases,
    made: &Made,
    lags: &[Lag],
) -> anyhow::Result<Outcome> {
    let finished = installation.run("lockstep-verifier", &["--output", "json"]).await?;
    ensure!(
        matches!(finished.code, Some(0..=2)),
        "lockstep-verifier ended with {:?}:\n{}",
        finished.code,
        finished.stderr
    );
    let last = finished.stdout.lines().last().context("lockstep-verifier said nothing")?;
    let verdict: Verdict = serde_json::from_str(last).context("reading what lockstep-verifier said")?;
    let equal = finished.code == Some(0) && verdict.mappings.iter().all(|mapping| mapping.equal);
    let sum = |mappings: &[MappingOutcome], rows: fn(&MappingOutcome) -> u64| mappings.iter().map(rows).sum();
    let of_tenants = verdict.destinations.into_iter().map(|OfTenant { tenancy_id, verdict, mappings }| TenantOutcome {
        database: tenants.shown(&tenancy_id),
        tenancy: tenancy_id,
        source_rows: sum(&mappings, |mapping| mapping.source_rows),
        destination_rows: sum(&mappings, |mapping| mapping.destination_rows),
        equal: verdict == "equal",
    });
    let of_tenants = of_tenants.collect();
    Ok(Outcome { tenants: of_tenants, ..outcome(equal, verdict.mappings, made, lags) })
}

/// Rows of both sides, counted one after the other while edits go on: equal counts are a hint, no proof.
pub(super) async fn counted(installation: &Installation, made: &Made, lags: &[Lag]) -> anyhow::Result<Outcome> {
    let client = installation.database().connect().await?;
    let clickhouse = installation.clickhouse()?;
    let mut mappings = Vec::new();
    for view in &lockstep_oracle::VIEWS {
        let source_rows = lockstep_oracle::count(&client, view.name).await?;
        let sql = format!("SELECT count() FROM {}.{}", installation.view_database(), view.name);
        let found: Vec<(u64,)> = clickhouse.fetch_rows(&sql).await?;
        let destination_rows = found.first().map_or(0, |row| row.0);
        let equal = source_rows == destination_rows;
        mappings.push(MappingOutcome { name: view.name.to_owned(), source_rows, destination_rows, equal });
    }
    let equal = mappings.iter().all(|mapping| mapping.equal);
    Ok(outcome(equal, mappings, made, lags))
}

fn outcome(equal: bool, mappings: Vec<MappingOutcome>, made: &Made, lags: &[Lag]) -> Outcome {
    let millis = |share| (percentile(lags.iter().map(|lag| lag.took), share).as_secs_f64() * 10_000.0).round() / 10.0;
    Outcome {
        equal,
        mappings,
        tenants: Vec::new(),
        lag_ms: LagOutcome { p50: millis(0.5), p99: millis(0.99) },
        edits: made.values().sum(),
        kinds: made.len(),
        lags: lags.len(),
    }
}
