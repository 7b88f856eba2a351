//! When a fill may not end yet.

use lockstep_destinations::Destination;
use lockstep_testkit::databases::eventually;

use crate::fill::{UNFILLED, platform, quick};
use crate::fixture::DEADLINE;

/// Rows that a server has lost would be taken for stale. Who sweeps notices a restart within ten seconds; here nobody sweeps.
#[tokio::test(flavor = "multi_thread")]
async fn a_fill_does_not_end_before_it_was_noticed_that_a_server_was_started_again() {
    let fixture = platform().await;
    fixture.without_sweeps().await;
    for server in fixture.clickhouse.servers().await.unwrap() {
        let before = server.started_ms - 3_600_000;
        let note = "INSERT INTO lockstep.destination_server (destination, server, started_at) VALUES ('clickhouse', $1, to_timestamp($2::bigint / 1000.0))";
        fixture.client.execute(note, &[&server.name, &before]).await.unwrap();
    }
    let sequencer = fixture.start_sequencer();
    let worker = fixture.start_to(fixture.clickhouse.clone(), quick());
    let asked =
        "SELECT count(*) FROM lockstep.fill f LEFT JOIN lockstep.fence n ON n.id = f.fence_id WHERE n.sequence IS NULL";
    eventually("all ranges to be read", DEADLINE, async || Ok(fixture.number(asked).await == 0)).await.unwrap();
    let passed =
        "INSERT INTO lockstep.destination (name, passed) SELECT 'clickhouse', max(last_sequence) FROM lockstep.pass
        ON CONFLICT (name) DO UPDATE SET passed = EXCLUDED.passed";
    fixture.run_sql(passed).await;
    let now: String = fixture.client.query_one("SELECT clock_timestamp()::text", &[]).await.unwrap().get(0);
    let looked = format!("SELECT count(*) FROM lockstep.task WHERE name = 'end fills' AND last_run > '{now}'");
    eventually("a look at fills that can end", DEADLINE, async || Ok(fixture.number(&looked).await == 1))
        .await
        .unwrap();
    assert_eq!(fixture.number(UNFILLED).await, fixture.set.iter().count() as i64);
    fixture.run_sql("DELETE FROM lockstep.destination_server").await;
    fixture.whole().await;
    fixture.eventually_equal().await;
    worker.stop().await;
    sequencer.stop().await.unwrap();
    fixture.remove().await;
}
