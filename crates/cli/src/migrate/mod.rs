//! `lockstep migrate`: look at both sides, say everything that does not fit, then do what is missing.

pub(crate) mod clickhouse;
mod report;
pub(crate) mod source;

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use lockstep_core::MappingName;
use lockstep_core::settings::Settings;
use lockstep_destinations::{ClickHouse, Provision, ProvisionPlan, Wanted, WentBack, When};
use lockstep_mappings::{Mapping, MappingSet};
use lockstep_operations::ActionRecord;
use lockstep_schema::attach::{self, Applying, Live, Replaced, Step, Wishes};
use lockstep_schema::pauses::{self, PausedPart};
use lockstep_schema::{Session, Source, definitions};

use self::report::MigrateReport;
pub(crate) use self::report::sentence;
use serde_json::json;

use crate::error::CliError;
use crate::progress::Progress;

#[derive(Args, Debug)]
pub(crate) struct MigrateArgs {
    /// Create the source tables too: for an empty database of our own (development, demo, tests)
    #[arg(long)]
    standalone: bool,
    /// Print every statement without running any
    #[arg(long)]
    dry_run: bool,
    /// Change nothing, in a session that cannot write; exit 1 if anything is to be done. For CI and init containers
    #[arg(long, conflicts_with = "dry_run")]
    check: bool,
    /// Before a migration of the platform: let the triggers of these tables (all, where none is named) name no column, so
    /// that Postgres refuses nothing. They write down every update. Afterwards run `lockstep migrate` without it
    #[arg(long, value_name = "TABLE", num_args = 0..)]
    relax: Option<Vec<String>>,
    /// Replace views of the same names that read other tables: swaps tenants over, view by view, at once
    #[arg(long)]
    replace_views: bool,
    /// Drop columns in ClickHouse that the definitions no longer have
    #[arg(long = "drop")]
    drop_columns: bool,
    /// Replace tables of the same names that another system has made: the right ones are built beside them and take their
    /// places when they are whole. Stop what writes to the former first; they are kept as `NAME_lockstep_old`
    #[arg(long)]
    rebuild: bool,
    /// Keep every table that is replaced as `NAME_lockstep_old`
    #[arg(long)]
    keep: bool,
}

impl MigrateArgs {
    /// As it is written down.
    pub(crate) fn change(&self) -> Option<ActionRecord> {
        let Self { standalone, dry_run, check, relax, replace_views, drop_columns, rebuild, keep } = self;
        let arguments = json!({
            "standalone": standalone, "relax": relax, "replace_views": replace_views, "drop": drop_columns, "rebuild": rebuild,
            "keep": keep,
        });
        (!dry_run && !check).then(|| ActionRecord::new("migrate", arguments))
    }
}

/// What has to be done on both sides.
struct Plans {
    source: Vec<Step>,
    clickhouse: ProvisionPlan,
}

pub(crate) async fn run(
    args: &MigrateArgs,
    settings: &Settings,
    mappings: &MappingSet,
) -> Result<MigrateReport, CliError> {
    let only_looks = args.dry_run || args.check;
    let source = Source::of(&Settings { source_read_only: only_looks, ..settings.clone() })?;
    let clickhouse = ClickHouse::connect(&settings.clickhouse, settings.tls_ca_file.as_deref())?;
    if args.standalone {
        let pending = source::create_tables(&source, only_looks).await?;
        if !pending.is_empty() {
            return Ok(MigrateReport::of_source_tables(&pending).checked(args.check));
        }
    }
    // Both sides are looked at before anything is changed on either.
    let live = source::look(&source, mappings).await?;
    let plans = plan(args, mappings, &live, &clickhouse).await?;
    let report = MigrateReport::new(only_looks, mappings, &plans).checked(args.check);
    let report = report.with_restart(holds_others(&source, mappings, &live).await?);
    // On a cluster a shard without a table answers nothing.
    let may_ask = settings.clickhouse.cluster.is_none() || plans.clickhouse.steps.is_empty();
    let mut found = if may_ask { went_back(&source, &clickhouse, mappings, &plans).await? } else { None };
    if !only_looks && !report.is_nothing() {
        apply(&source, &clickhouse, &plans).await?;
        if found.is_some() {
            found = went_back(&source, &clickhouse, mappings, &plans).await?;
            fill_above(&source, mappings, found).await?;
        }
    }
    Ok(report.with_went_back(found))
}

/// Whether ClickHouse is ahead of the source, as after `lockstep detach`: then the sequencer would number nothing (SRC-1). Tables that
/// another system has made say nothing of that.
async fn went_back(
    source: &Source,
    clickhouse: &ClickHouse,
    mappings: &MappingSet,
    plans: &Plans,
) -> Result<Option<WentBack>, CliError> {
    let is_ours = |name: &MappingName| !plans.clickhouse.rebuilt.iter().any(|(rebuilt, _)| rebuilt == name);
    let names: Vec<_> = mappings.iter().map(|mapping| mapping.name.clone()).filter(is_ours).collect();
    let client = source.connect(Session::Control).await?;
    lockstep_operations::went_back(clickhouse, &client, &names).await
}

/// Where ClickHouse was ahead and is not any more, fills have drawn numbers up to where it is: what it holds would not lie below all of
/// them, and rows that the source has no more would stay. Below those that begin now it does.
async fn fill_above(source: &Source, mappings: &MappingSet, still: Option<WentBack>) -> Result<(), CliError> {
    if still.is_none() {
        lockstep_operations::fill_anew(&mut source.connect(Session::Control).await?, mappings).await?;
    }
    Ok(())
}

/// Whether programs that run may hold other definitions: some were set up before and have changed, or a mapping is paused as it did not
/// fit, and fits now.
async fn holds_others(source: &Source, mappings: &MappingSet, live: &Live) -> Result<bool, CliError> {
    if live.definitions.is_empty() {
        return Ok(false);
    }
    let is_other =
        |mapping: &Mapping| live.definitions.get(mapping.name.as_str()).is_none_or(|recorded| !recorded.is_of(mapping));
    let is_paused = async || {
        let control = source.connect_diesel(Session::Control).await?;
        Ok::<_, CliError>(pauses::paused(&control).await?.iter().any(PausedPart::is_of_misfit))
    };
    Ok(mappings.iter().any(is_other) || is_paused().await?)
}

async fn plan(
    args: &MigrateArgs,
    mappings: &MappingSet,
    live: &Live,
    clickhouse: &ClickHouse,
) -> Result<Plans, CliError> {
    let wanted = Wanted {
        replace_views: args.replace_views,
        drop_columns: args.drop_columns,
        rebuild: args.rebuild,
        keep: args.keep,
        ..Wanted::default()
    };
    let relaxed = source::relaxed(mappings, args.relax.as_deref());
    // What does not fit in the source is said before ClickHouse is asked.
    attach::plan(mappings, live, &Wishes::relaxed(relaxed.clone())).map_err(CliError::Misfits)?;
    let planned = clickhouse.plan(mappings, &clickhouse::known(live, mappings, &wanted)).await?;
    let replaced = |keep: bool| if keep { Replaced::Kept } else { Replaced::Dropped };
    let rebuilt: BTreeMap<_, _> = planned.rebuilt.iter().map(|(name, keep)| (name.clone(), replaced(*keep))).collect();
    let source = attach::plan(mappings, live, &Wishes { relaxed, rebuilt }).map_err(CliError::Misfits)?;
    Ok(Plans { source, clickhouse: planned })
}

/// A worker that ends a fill removes stale rows before it looks whether that is still wanted.
const FILLS_END_WITHIN: Duration = Duration::from_secs(120);

/// Columns and tables are there before programs are told to fill them; what programs of before still write is dropped after
/// that.
async fn apply(source: &Source, clickhouse: &ClickHouse, plans: &Plans) -> Result<(), CliError> {
    let mut progress = Progress::new();
    let mut applying = Applying::begin(source).await?;
    source::apply_some(&mut applying, &plans.source, false, &mut progress).await?;
    // Until all is recorded anew nobody exchanges a table that is made anew here.
    let rebuilt: Vec<_> = plans.clickhouse.rebuilt.iter().map(|(name, _)| name.as_str()).collect();
    let _alone = match rebuilt.as_slice() {
        [] => None,
        names => Some(definitions::end_no_fills(source, names, FILLS_END_WITHIN).await?),
    };
    clickhouse::apply(clickhouse, &plans.clickhouse, When::BeforeFills, &mut progress).await?;
    source::apply_some(&mut applying, &plans.source, true, &mut progress).await?;
    clickhouse::apply(clickhouse, &plans.clickhouse, When::AfterFills, &mut progress).await?;
    Ok(())
}
