//! Writing a run down: what is proven of whom through which number, and what was found (`lockstep verified` shows it).

use std::time::Instant;

use lockstep_core::destination_id::CLICKHOUSE;
use lockstep_core::settings::Settings;
use lockstep_schema::verifications::{self, Compared, Run};
use lockstep_schema::{Session, Source};
use serde_json::json;

use crate::error::VerifyError;
use crate::report::{MappingReport, Report};
use crate::service::{DestinationChoice, VerifyOptions};

/// Writes a run down, where the role of the source's connection may. Returns the number of the run; `None` where the role may not.
///
/// # Errors
/// The source cannot be asked, or refused it; then nothing is written.
pub async fn record(settings: &Settings, options: &VerifyOptions, report: &Report) -> Result<Option<i64>, VerifyError> {
    let ended = Instant::now();
    let source = Source::new(&settings.source_url, settings.tls_ca_file.as_deref())?;
    let mut client = source.connect(Session::Control).await?;
    if !verifications::may_record(&client).await? {
        return Ok(None);
    }
    let run = Run {
        level: options.level.name(),
        // A run must not seem to have begun after it saw something: what was noted before it began counts as seen.
        began_ago_s: (report.elapsed + ended.elapsed()).as_secs_f64(),
        scope: scope(options),
        verdict: report.verdict.name().to_owned(),
        counts: counts(report),
        compared: compared(report),
    };
    Ok(Some(verifications::record(&mut client, &run).await?))
}

/// Mappings of all destinations, each with the name of its destination.
fn all(report: &Report) -> impl Iterator<Item = (String, &MappingReport)> {
    let clickhouse = report.mappings.iter().map(|mapping| (CLICKHOUSE.to_owned(), mapping));
    let own =
        report.destinations.iter().flat_map(|one| one.mappings.iter().map(|mapping| (one.id.to_string(), mapping)));
    clickhouse.chain(own)
}

fn compared(report: &Report) -> Vec<Compared> {
    let all = all(report).filter(|(_, mapping)| mapping.unfinished.is_none() || mapping.left_out > 0);
    all.map(|(destination, mapping)| mapping.proof.compared(&destination, &mapping.name)).collect()
}

fn counts(report: &Report) -> serde_json::Value {
    let one = |(destination, mapping): (String, &MappingReport)| {
        json!({
            "destination": destination, "mapping": mapping.name, "source_rows": mapping.source_rows,
            "destination_rows": mapping.destination_rows, "missing": mapping.missing, "unexpected": mapping.unexpected,
            "different": mapping.different, "in_flight": mapping.in_flight, "unjudged": mapping.unjudged,
            "unreadable": mapping.unreadable,
        })
    };
    all(report).map(one).collect()
}

/// What was asked for; null where it was all.
fn scope(options: &VerifyOptions) -> serde_json::Value {
    let destination = |choice: &DestinationChoice| match choice {
        DestinationChoice::ClickHouse => CLICKHOUSE.to_owned(),
        DestinationChoice::Tenants(id) => id.to_string(),
    };
    let unless_all = |names: Vec<String>| Some(names).filter(|names| !names.is_empty());
    json!({
        "tenants": unless_all(options.tenants.iter().map(ToString::to_string).collect()),
        "mappings": unless_all(options.mappings.clone()),
        "destinations": unless_all(options.destinations.iter().map(destination).collect()),
    })
}
