//! What operators see: metrics and logs.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lockstep_queue::{DepthsReader, QueueDepths};
use lockstep_testkit::proxy::Mode;
use metrics_exporter_prometheus::PrometheusBuilder;
use tracing_subscriber::fmt::MakeWriter;

use crate::broker::{Broker, batch, next, within};

#[tokio::test]
async fn what_happens_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    // Per thread: the test's runtime has one thread, and other tests are not counted.
    let _counting = metrics::set_default_local_recorder(&recorder);
    Broker::run(
        |topology| topology.with_retries([Duration::from_millis(50)], 2),
        async |broker| {
            within("confirms", broker.publisher().await.publish(&[batch(1)])).await.unwrap();
            broker.publish_raw(b"\xff").await;
            let mut consumer = broker.consumer().await;
            next(&mut consumer).await.retry("not now").await.unwrap();
            next(&mut consumer).await.retry("never").await.unwrap();
            for _ in 0..2 {
                broker.dead_letter().await;
            }
        },
    )
    .await;
    let rendered = handle.render();
    for expected in [
        "lockstep_queue_published_total 1",
        "lockstep_queue_delivered_total 2",
        "lockstep_queue_retried_total 1",
        "lockstep_queue_dead_lettered_total{cause=\"garbage\"} 1",
        "lockstep_queue_dead_lettered_total{cause=\"attempts\"} 1",
        "lockstep_queue_confirm_seconds_count 4",
    ] {
        assert!(rendered.contains(expected), "{expected:?} is missing in:\n{rendered}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn garbage_is_logged_with_its_reason_and_without_its_contents() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    // For the whole process: events of a thread's own subscriber get lost while other threads have none. So the log may
    // hold lines of other tests, too, which is no harm.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    Broker::run(crate::broker::as_it_is, async |broker| {
        let mut consumer = broker.consumer().await;
        broker.publish_raw(b"TENANT'S VALUE").await;
        within("confirms", broker.publisher().await.publish(&[batch(1)])).await.unwrap();
        next(&mut consumer).await.ack().await;
        broker.dead_letter().await;
    })
    .await;
    let said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(said.contains("a message is no tenant batch") && said.contains("reason="), "{said}");
    assert!(!said.contains("VALUE"), "{said}");
}

#[tokio::test]
async fn depths_are_asked_over_one_connection_until_it_fails_and_then_over_another() {
    Broker::run(crate::broker::as_it_is, async |broker| {
        within("confirms", broker.publisher().await.publish(&[batch(1)])).await.unwrap();
        let proxy = crate::proxy::start().await;
        let mut reader = DepthsReader::new(&crate::proxy::url(&proxy, ""), None, broker.topology.clone());
        for _ in 0..5 {
            assert_eq!(within("depths", reader.read()).await.unwrap(), QueueDepths { ready: 1, retrying: 0, dead: 0 });
        }
        assert_eq!(proxy.accepted(), 1, "each question opened a connection");
        proxy.set(Mode::Cut);
        for _ in 0..2 {
            within("an answer", reader.read()).await.unwrap_err();
        }
        proxy.set(Mode::Pass);
        let tried = proxy.accepted();
        assert_eq!(within("depths", reader.read()).await.unwrap().ready, 1);
        // A question that is given up leaves nothing behind that a later one would wait for.
        proxy.stall();
        tokio::time::timeout(Duration::from_millis(50), reader.read()).await.unwrap_err();
        assert_eq!(within("depths", reader.read()).await.unwrap().ready, 1);
        assert_eq!(proxy.accepted(), tried + 2);
        within("the end", reader.close()).await;
    })
    .await;
}
