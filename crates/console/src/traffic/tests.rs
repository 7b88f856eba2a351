//! Differences of heartbeats that are made up.

use serde_json::json;

use super::*;

fn worker(id: u128, seen_at: u32, shipped: &serde_json::Value) -> Instance {
    Instance {
        id: Uuid::from_u128(id),
        role: "worker".to_owned(),
        version: "0.1.0".to_owned(),
        started_at: String::new(),
        seen_at: seen_at.to_string(),
        is_alive: true,
        state: json!({"ready": true, "shipped": shipped}),
    }
}

fn rows(upserts: u64, tombstones: u64) -> serde_json::Value {
    json!({"rows": {"users": {"upserts": upserts, "tombstones": tombstones}}})
}

fn lags(counts: &[(usize, u64)]) -> serde_json::Value {
    let mut lag = vec![0; LAG_BUCKETS.len() + 1];
    counts.iter().for_each(|(at, count)| lag[*at] = *count);
    json!({"lag": {DESTINATION: lag}})
}

#[test]
fn rows_of_all_workers_are_added_and_a_restart_makes_no_jump() {
    let mut beats = Heartbeats::default();
    assert!(beats.observe(0.0, &[worker(1, 0, &rows(1000, 0)), worker(2, 0, &rows(5, 5))]).is_err());
    let recent = beats.observe(10.0, &[worker(1, 10, &rows(1090, 10)), worker(2, 10, &rows(15, 5))]).unwrap();
    assert_eq!(recent.rates("users"), Rates { upserts: 10.0, tombstones: 1.0 });
    assert_eq!(recent.all_rates().mix(), "91 % written, 9 % deleted");
    assert_eq!((recent.rates("teams").sum(), recent.rates("teams").mix()), (0.0, String::new()));
    let recent = beats.observe(20.0, &[worker(3, 20, &rows(7, 0)), worker(2, 20, &rows(15, 5))]).unwrap();
    assert_eq!(recent.rates("users"), Rates { upserts: 0.5, tombstones: 0.0 });
}

#[test]
fn only_the_last_minute_counts_and_a_heartbeat_counts_once() {
    let mut beats = Heartbeats::default();
    for at in 0..20_u32 {
        let upserts = if at < 10 { 100 * u64::from(at) } else { 900 };
        for again in [0.0, 2.0] {
            let _ = beats.observe(f64::from(at) * 10.0 + again, &[worker(1, at, &rows(upserts, 0))]);
        }
    }
    let recent = beats.observe(192.0, &[worker(1, 19, &rows(900, 0))]).unwrap();
    assert_eq!(recent.rates("users").sum(), 0.0);
    assert!(beats.0[&Uuid::from_u128(1)].len() <= 8);
}

#[test]
fn a_part_of_the_lags_is_found_in_its_bucket() {
    let mut beats = Heartbeats::default();
    let recent = |beats: &mut Heartbeats, at: u32, counts: &[(usize, u64)]| {
        beats.observe(f64::from(at), &[worker(1, at, &lags(counts))])
    };
    assert!(recent(&mut beats, 0, &[(3, 7)]).is_err());
    let idle = recent(&mut beats, 10, &[(3, 7)]).unwrap();
    assert_eq!((idle.lag_s(0.5), idle.lag_s(0.99)), (None, None));
    // 50 of at most 0.1 s and more than 0.075, 50 of at most 1 s and more than 0.5.
    let some = recent(&mut beats, 20, &[(3, 7), (6, 50), (10, 50)]).unwrap();
    assert_eq!((some.lag_s(0.5), some.lag_s(0.99)), (Some(0.1), Some(0.99)));
    let slow = recent(&mut beats, 30, &[(3, 7), (6, 50), (10, 50), (17, 900)]).unwrap();
    assert_eq!(slow.lag_s(0.99), Some(300.0));
}

#[test]
fn what_is_not_known_has_a_reason() {
    let mut beats = Heartbeats::default();
    assert_eq!(beats.observe(0.0, &[]), Err("no worker is alive"));
    let silent = Instance { is_alive: false, ..worker(1, 1, &rows(1, 0)) };
    assert_eq!(beats.observe(1.0, &[silent]), Err("no worker is alive"));
    let earlier = Instance { state: json!({"ready": true}), ..worker(1, 1, &rows(1, 0)) };
    assert!(beats.observe(2.0, &[earlier]).unwrap_err().contains("earlier version"));
}
