//! ClickHouse behind a connection that breaks once, in the middle of a long answer.

use lockstep_core::secret::SecretUrl;
use lockstep_testkit::proxy::{Mode, Proxy};
use lockstep_verifier::{Level, Verdict, VerifyOptions, verify};

use crate::fixture::{Fixture, id, tenancy};

/// An answer that is longer is cut there, once.
const CUT_AFTER_BYTES: usize = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_a_stream_that_breaks_off_goes_on_behind_its_last_row() {
    let fixture = Fixture::create("", None).await.unwrap();
    let teams = format!(
        r#"INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
           SELECT '{}', gen_random_uuid(), 'p1', 'main', repeat('é', 400) || n, now() FROM generate_series(1, 5000) AS n;"#,
        id(1)
    );
    fixture.run(&(tenancy(1) + &teams)).await.unwrap();
    fixture.end_fills().await.unwrap();
    fixture.number().await.unwrap();
    fixture.ship().await.unwrap();
    let (proxy, url) = Proxy::before(fixture.settings.clickhouse.url.expose()).await.unwrap();
    proxy.set(Mode::CutAnswerOnce { after_bytes: CUT_AFTER_BYTES });
    let mut settings = fixture.settings.clone();
    settings.clickhouse.url = SecretUrl::new(url);
    let report = verify(&settings, &VerifyOptions { level: Level::Rows, ..VerifyOptions::default() }).await.unwrap();
    assert!(proxy.mode() == Mode::Pass, "no answer was long enough to be cut");
    assert_eq!(report.verdict, Verdict::Equal, "{}", report.to_text());
    let teams = report.mappings.iter().find(|mapping| mapping.name == "teams").unwrap();
    assert_eq!((teams.destination_rows, teams.equal_rows), (5000, 5000), "no row was lost or came twice");
}
