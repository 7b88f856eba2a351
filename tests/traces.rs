//! Traces: one story of a change without a value in it, and a collector that is away costs nothing else.

use std::net::TcpListener;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use lockstep_testkit::collector::{Collector, Span, StatusCode};
use lockstep_testkit::databases::eventually;
use lockstep_testkit::installation::Program;
use uuid::Uuid;

use crate::programs::{ended, with_changed};
use crate::stage::{DEADLINE, Stage};

const LOST: &str = "lockstep_spans_lost_total";
/// Where exporters look for a collector if nobody tells them.
const USUAL_PORT: u16 = 4318;
/// A program that has nothing in hand ends within this time, its two seconds for the last spans included. One that waits for a
/// collector that hangs takes five seconds for each request.
const ENDS_WITHIN: Duration = Duration::from_secs(8);

/// Every trace is kept, and sent to this collector.
pub(crate) fn sent_to(url: &str) -> [(&str, &str); 2] {
    [("OTEL_EXPORTER_OTLP_ENDPOINT", url), ("OTEL_TRACES_SAMPLER", "always_on")]
}

fn started(stage: &Stage, settings: &[(&str, &str)]) -> Result<[Program; 2]> {
    Ok([stage.start_with("lockstep-sequencer", settings)?, stage.start_with("lockstep-worker", settings)?])
}

async fn rename_team(stage: &Stage) -> Result<()> {
    stage.sql(r#"UPDATE "Team" SET "displayName" = 'renamed' WHERE "teamId" = id('cobol')"#).await
}

/// What stands directly inside of a span.
fn inside<'a>(spans: &'a [(String, Span)], of: &Span) -> Vec<&'a str> {
    let is_inside = |span: &Span| span.trace_id == of.trace_id && span.parent_span_id == of.span_id;
    spans.iter().filter(|(_, span)| is_inside(span)).map(|(_, span)| span.name.as_str()).collect()
}

fn found<'a>(spans: &'a [(String, Span)], trace: &[u8], id: &[u8]) -> Option<(&'a str, &'a Span)> {
    let is_it = |span: &Span| span.trace_id == trace && span.span_id == id;
    spans.iter().find(|(_, span)| is_it(span)).map(|(service, span)| (service.as_str(), span))
}

#[tokio::test]
async fn traces_tell_one_story_of_a_change() -> Result<()> {
    let (stage, collector) = (Stage::small().await?, Collector::start(StatusCode::OK).await?);
    let programs = started(&stage, &sent_to(collector.url()))?;
    stage.in_step().await?;
    let changed_at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    rename_team(&stage).await?;
    stage.in_step().await?;
    let known = stage.client.query("SELECT id::text FROM lockstep.instance", &[]).await?;
    let known: Vec<String> = known.iter().map(|row| row.get(0)).collect();
    for program in programs {
        // The last spans are sent before it ends.
        program.stop().await?;
    }
    // Spans, heartbeats and sessions name a program alike.
    for instance in collector.instances()? {
        ensure!(known.contains(&instance.to_string()), "{instance} is none of {known:?}");
    }
    assert_eq!(
        stage.number("SELECT count(*) FROM lockstep.instance WHERE NOT state ? 'stopped'").await?,
        0,
        "who stops in good order signs off"
    );
    let spans = collector.spans()?;
    let of_change = |span: &Span| span.name == "worker.flush" && u128::from(span.start_time_unix_nano) >= changed_at;
    let is_story = |span: &Span| of_change(span) && inside(&spans, span).contains(&"INSERT teams");
    let flushes: Vec<_> = spans.iter().filter(|(_, span)| is_story(span)).collect();
    let [(worker, flush)] = flushes[..] else { anyhow::bail!("{} flushes of one change: {spans:#?}", flushes.len()) };
    ensure!(worker == "lockstep-worker" && flush.parent_span_id.is_empty(), "{worker}: {flush:#?}");
    let names = inside(&spans, flush);
    for name in ["cursors", "read teams", "INSERT teams", "advance", "ack"] {
        ensure!(names.contains(&name), "{name} is not inside of the flush: {names:?}");
    }
    let [link] = &flush.links[..] else { anyhow::bail!("one message has one link: {flush:#?}") };
    let (service, publish) = found(&spans, &link.trace_id, &link.span_id).context("the link leads nowhere")?;
    ensure!(service == "lockstep-sequencer" && publish.name.starts_with("publish lockstep-"), "{publish:#?}");
    let (service, pass) = found(&spans, &publish.trace_id, &publish.parent_span_id).context("nothing is around it")?;
    ensure!(service == "lockstep-sequencer" && pass.name == "sequencer.pass", "{pass:#?}");
    ensure!(u128::from(pass.start_time_unix_nano) >= changed_at && pass.parent_span_id.is_empty(), "{pass:#?}");
    stage.end([]).await
}

#[tokio::test]
async fn traces_hold_nothing_of_a_row() -> Result<()> {
    let (stage, collector) = (Stage::small_with_tenants().await?, Collector::start(StatusCode::OK).await?);
    let own = stage.add_destination(&stage.id("engines").await?, &[]).await?;
    let settings = sent_to(collector.url());
    let programs = started(&stage, &settings)?;
    stage.in_step().await?;
    stage.sql(r#"DELETE FROM "ContactChannel" WHERE "id" = id('lovelace')"#).await?;
    stage.all_equal(&[&own]).await?;
    let verified = ended(&mut with_changed(&stage, "lockstep-verifier", &settings)).await?;
    ensure!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    for program in programs {
        program.stop().await?;
    }
    let spans = collector.spans()?;
    for name in ["sequencer.pass", "INSERT contact_channels", "tenant.visit", "write contact_channels", "verifier.run"]
    {
        ensure!(spans.iter().any(|(_, span)| span.name == name), "no {name}: {spans:#?}");
    }
    for value in ["example.com", "lovelace", "charles", "analytical", "cobol", "secret-", "compilers"] {
        ensure!(!collector.holds(value.as_bytes()), "{value} is exported");
    }
    let ids =
        r#"SELECT id FROM "Tenancy" UNION SELECT "projectUserId" FROM "ProjectUser" UNION SELECT "teamId" FROM "Team""#;
    let ids = stage.client.query(ids, &[]).await?;
    ensure!(ids.len() > 6, "few ids");
    for row in ids {
        let id: Uuid = row.try_get(0)?;
        let ways = [id.to_string().into_bytes(), id.simple().to_string().into_bytes(), id.as_bytes().to_vec()];
        ensure!(!ways.iter().any(|way| collector.holds(way)), "the id {id} is exported");
    }
    stage.end([]).await
}

/// Rows arrive, what is lost is counted, and the programs end as they always do.
async fn costs_spans_only(url: &str) -> Result<()> {
    let stage = Stage::small().await?;
    let programs = started(&stage, &sent_to(url))?;
    stage.in_step().await?;
    rename_team(&stage).await?;
    stage.equal().await?;
    for program in &programs {
        eventually("lost spans to be counted", DEADLINE, async || {
            Ok(program.metric(LOST).await?.is_some_and(|lost| lost > 0.0))
        })
        .await?;
        ensure!(program.logged()?.contains("traces do not reach the collector"), "nothing is said");
    }
    // So that something is on its way, or waits, when they are asked to stop.
    rename_team(&stage).await?;
    stage.in_step().await?;
    for program in programs {
        let asked = Instant::now();
        program.stop().await?;
        let took = asked.elapsed();
        ensure!(took < ENDS_WITHIN, "a program took {took:?} to stop");
    }
    stage.end([]).await
}

#[tokio::test]
async fn traces_a_collector_that_hangs_costs_spans_only() -> Result<()> {
    let collector = Collector::hanging().await?;
    costs_spans_only(collector.url()).await?;
    ensure!(!collector.requests().is_empty(), "nobody asked it");
    Ok(())
}

#[tokio::test]
async fn traces_a_collector_that_fails_costs_spans_only() -> Result<()> {
    let collector = Collector::start(StatusCode::INTERNAL_SERVER_ERROR).await?;
    costs_spans_only(collector.url()).await?;
    ensure!(!collector.requests().is_empty(), "nobody asked it");
    Ok(())
}

#[tokio::test]
async fn traces_a_collector_that_is_away_costs_spans_only() -> Result<()> {
    // Port 1 refuses: nothing listens there, and nothing else may come to.
    costs_spans_only("http://127.0.0.1:1").await
}

#[tokio::test]
async fn traces_are_off_unless_a_collector_is_named() -> Result<()> {
    let (stage, collector) = (Stage::small().await?, Collector::start(StatusCode::OK).await?);
    // Where a collector of this machine's has the port, only the count of lost spans is left to look at.
    let usual = TcpListener::bind(("127.0.0.1", USUAL_PORT)).ok();
    let unnamed = [("OTEL_EXPORTER_OTLP_ENDPOINT", ""), ("OTEL_TRACES_SAMPLER", "always_on")];
    let [endpoint, sampler] = sent_to(collector.url());
    let disabled = [endpoint, sampler, ("OTEL_SDK_DISABLED", "true")];
    let programs = [
        stage.start_with("lockstep-sequencer", &unnamed)?,
        stage.start_with("lockstep-worker", &unnamed)?,
        stage.start_with("lockstep-worker", &disabled)?,
    ];
    stage.in_step().await?;
    rename_team(&stage).await?;
    stage.in_step().await?;
    for program in programs {
        assert_eq!(program.metric(LOST).await?, None);
        program.stop().await?;
    }
    ensure!(collector.requests().is_empty(), "a collector was asked although traces are off");
    if let Some(usual) = usual {
        usual.set_nonblocking(true)?;
        ensure!(usual.accept().is_err(), "a collector was asked that nobody named");
    }
    stage.end([]).await
}
