//! Within a share of time runs take turns, so that together they cover everything.

use std::time::Duration;

use lockstep_verifier::{Budget, Report, Verdict, VerifyOptions, record};

use crate::fixture::{Fixture, id, teams, tenancy};

fn looked_at(report: &Report) -> Vec<&str> {
    report.mappings.iter().filter(|mapping| mapping.left_out == 0).map(|mapping| mapping.name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_runs_within_a_budget_take_turns_and_end_well_once_everything_is_covered() {
    let fixture = Fixture::create("", None).await.unwrap();
    fixture.run(&(tenancy(1) + &teams(1, 10..13))).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    let budget = |cover_within_s| Budget { time: Duration::ZERO, cover_within: Duration::from_secs(cover_within_s) };
    let options = |cover_within_s| VerifyOptions {
        budget: Some(budget(cover_within_s)),
        settle: Duration::ZERO,
        ..VerifyOptions::default()
    };
    let all = fixture.set.iter().count();
    let mut looked = Vec::new();
    for turn in 1..=all {
        let report = fixture.verify_with(options(3600)).await.unwrap();
        record(&fixture.settings, &options(3600), &report).await.unwrap().expect("it is written down");
        let verdict = if turn == all { Verdict::Equal } else { Verdict::Unfinished };
        assert_eq!(report.verdict, verdict, "turn {turn}: {}", report.to_text());
        let mapping = looked_at(&report);
        assert_eq!(mapping.len(), 1, "{mapping:?}");
        looked.push(mapping[0].to_owned());
    }
    looked.sort();
    looked.dedup();
    assert_eq!(looked.len(), all, "{looked:?}");
    let report = fixture.verify_with(options(0)).await.unwrap();
    assert_eq!(report.verdict, Verdict::Unfinished, "proofs are older than was asked for");

    // What differs is found when its turn comes.
    fixture.in_clickhouse("teams", &format!("DELETE FROM {{t}} WHERE id = '{}'", id(11))).await.unwrap();
    let whole = VerifyOptions { settle: Duration::ZERO, ..VerifyOptions::default() };
    let report = fixture.verify_with(whole.clone()).await.unwrap();
    record(&fixture.settings, &whole, &report).await.unwrap();
    let open = "SELECT count(*) FROM lockstep.finding WHERE resolved_at IS NULL AND class = 'lost'";
    assert_eq!(fixture.client.query_one(open, &[]).await.unwrap().get::<_, i64>(0), 1);
    let except = "SELECT count(*) FROM lockstep.verified_except WHERE mapping_name = 'teams'";
    assert_eq!(fixture.client.query_one(except, &[]).await.unwrap().get::<_, i64>(0), 1);
    let kept = "SELECT count(*) FROM lockstep.verified WHERE mapping_name = 'teams' AND branch_id IS NOT NULL";
    assert_eq!(fixture.client.query_one(kept, &[]).await.unwrap().get::<_, i64>(0), 1, "proven before, and still so");
    // Runs over and over leave as many rows.
    for _ in 0..2 {
        let report = fixture.verify_with(whole.clone()).await.unwrap();
        record(&fixture.settings, &whole, &report).await.unwrap();
    }
    assert_eq!(fixture.client.query_one(kept, &[]).await.unwrap().get::<_, i64>(0), 1);
    let ranges = "SELECT count(*) FROM lockstep.verified WHERE branch_id IS NULL";
    assert_eq!(fixture.client.query_one(ranges, &[]).await.unwrap().get::<_, i64>(0), all as i64);
}
