//! Somebody else stamps: that is noticed and said.

use std::io::Write;
use std::sync::{Arc, Mutex};

use lockstep_testkit::databases::eventually;
use tracing_subscriber::fmt::MakeWriter;

use super::fixture::{Fixture, SOON};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

// Everything runs on this one thread, where the log is caught.
#[tokio::test(flavor = "current_thread")]
async fn foreign_stamps_are_noticed_and_said() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let sequencer = fixture.run();
    fixture.users(tenancy, 0, 1).await;
    fixture.until("the user to be stamped", r#"SELECT bool_and("sequenceId" > 0) FROM "ProjectUser""#).await;
    fixture.execute("SET application_name = 'old sequencer'").await;
    fixture.execute(r#"UPDATE "ProjectUser" SET "sequenceId" = 1000000, "shouldUpdateSequenceId" = false"#).await;
    let said = async || Ok(log.text().contains("LS-0506"));
    eventually("the foreign stamp to be said", SOON, said).await.unwrap();
    assert!(log.text().contains("ProjectUser") && log.text().contains("old sequencer"), "{}", log.text());
    fixture
        .until(
            "our own number",
            r#"SELECT bool_and("sequenceId" < 1000000 AND NOT "shouldUpdateSequenceId") FROM "ProjectUser""#,
        )
        .await;
    sequencer.stop().await;
    fixture.remove().await;
}
