//! SEQ-2: one sequencer leads; another takes over within seconds.

use super::fixture::{ANNOUNCED, Fixture};

/// Connections that hold the leader's lock: the bytes of `lock` and `seqr`.
const LEADERS: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid::bigint = x'6c6f636b'::bigint AND objid::bigint = x'73657172'::bigint";

/// Waits until each of the first users of a tenancy has a number.
async fn until_numbered(fixture: &Fixture, what: &str, users: i64) {
    let numbered = format!(
        "SELECT count(DISTINCT c.uuid_1) = {users} FROM lockstep.change c JOIN lockstep.target t ON t.id = c.mapping AND t.name = 'users'"
    );
    fixture.until(what, &numbered).await;
}

#[tokio::test]
async fn seq_2_a_stand_by_takes_over() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let first = fixture.run();
    fixture.until("the first sequencer to lead", &format!("SELECT ({LEADERS}) = 1")).await;
    let second = fixture.run();
    let standing_by = "SELECT count(*) = 2 FROM pg_stat_activity WHERE datname = current_database()
        AND (query LIKE '%pg_try_advisory_lock%' OR query LIKE '%pg_locks%') AND application_name LIKE 'lockstep control %'";
    fixture.until("the second sequencer to stand by", standing_by).await;
    fixture.users(tenancy, 0, 1).await;
    until_numbered(&fixture, "the leader to number", 1).await;
    first.kill().await;
    fixture.users(tenancy, 1, 1).await;
    until_numbered(&fixture, "the stand-by to number", 2).await;
    assert_eq!(fixture.number(LEADERS).await, 1);
    second.stop().await;
    assert_eq!(fixture.number(LEADERS).await, 0);
    fixture.remove().await;
}

#[tokio::test]
async fn seq_2_connections_that_are_dropped_come_back() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let sequencer = fixture.run();
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'lockstep%'";
    for round in 0..3 {
        fixture.users(tenancy, round, 1).await;
        until_numbered(&fixture, "the user to be numbered", round + 1).await;
        fixture.until("the tenancy to be announced", ANNOUNCED).await;
        fixture.execute(kill).await;
    }
    sequencer.stop().await;
    fixture.remove().await;
}
