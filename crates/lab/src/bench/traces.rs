//! `traces`: what spans cost a backlog, with a collector that takes them, all or one of a hundred, and with one that never answers.

use lockstep_testkit::collector::{Collector, StatusCode};
use serde_json::json;

use super::backlog::{CHANGES, ready, run};
use super::figures::{Scenario, median, per_second, rounded};
use super::fsync;

const TENANTS: u32 = 1_000;
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const EVERY_TRACE: (&str, &str) = ("OTEL_TRACES_SAMPLER", "always_on");

pub(super) async fn measure(runs: u32) -> anyhow::Result<Scenario> {
    let (installation, client) = ready(TENANTS).await?;
    let answering = Collector::start(StatusCode::OK).await?;
    let hanging = Collector::hanging().await?;
    let settings: [&[_]; 4] = [
        &[],
        &[(ENDPOINT, answering.url())],
        &[(ENDPOINT, answering.url()), EVERY_TRACE],
        &[(ENDPOINT, hanging.url()), EVERY_TRACE],
    ];
    let mut seconds = [const { Vec::new() }; 4];
    for _ in 0..runs {
        for (variables, seconds) in settings.iter().zip(&mut seconds) {
            seconds.push(run(&installation, &client, variables).await?);
        }
    }
    let durable = fsync(&client).await?;
    let spans = answering.spans()?.len();
    anyhow::ensure!(spans > 0, "nothing was traced");
    drop(client);
    installation.remove().await?;
    let [without, some, all, unanswered] = seconds.map(|seconds| median(&seconds));
    Ok(Scenario {
        name: format!("traces of a backlog of {TENANTS} tenants"),
        ratio: without / all,
        baseline: "the same without traces",
        figures: vec![
            ("changes", json!(CHANGES)),
            ("seconds_without", json!(rounded(without))),
            ("seconds_with_one_trace_of_a_hundred", json!(rounded(some))),
            ("seconds_with_every_trace", json!(rounded(all))),
            ("seconds_with_a_collector_that_hangs", json!(rounded(unanswered))),
            ("changes_per_second_with_every_trace", json!(per_second(u64::from(CHANGES), all))),
            ("spans_taken_in_a_round", json!(spans / runs as usize)),
            ("runs", json!(runs)),
            ("postgres_fsync", json!(durable)),
        ],
    })
}
