//! A broker that accepts connections and never answers. Alone in its process, because it counts threads.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::net::Ipv4Addr;
use std::time::Duration;

use lockstep_core::secret::SecretUrl;
use lockstep_queue::{Publisher, QueueError, Topology, depths};
use lockstep_testkit::databases::eventually;
use tokio::net::TcpListener;

/// Threads of the client library that serve a connection.
fn connection_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("lapin-io-loop")).count()
}

#[tokio::test]
async fn a_broker_that_never_answers_is_given_up_on_and_leaves_nothing_behind() {
    // Connections wait in the listener's backlog: open, and silent.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = SecretUrl::new(format!("amqp://127.0.0.1:{port}/%2f?connection_timeout=100"));
    let topology = Topology::new("never");

    let error = depths(&url, None, &topology).await.unwrap_err();
    assert!(matches!(error, QueueError::Timeout { after_ms: 100, .. }), "{error}");
    assert!(error.is_retryable());

    // Long enough for several attempts.
    let connecting = tokio::time::timeout(Duration::from_secs(1), Publisher::connect(&url, None, &topology)).await;
    assert!(connecting.is_err(), "connecting to a broker that never answers does not end");
    let gone = eventually("no thread serves an abandoned connection", Duration::from_secs(10), async || {
        Ok(connection_threads() == 0)
    });
    gone.await.unwrap();
}
