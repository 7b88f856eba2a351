//! ClickHouse behind a connection that breaks once, in the middle of a long answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lockstep_core::secret::SecretUrl;
use lockstep_verifier::{Verdict, VerifyOptions, verify};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::{Fixture, id, tenancy};

/// An answer that is longer is cut there, once.
const CUT_AFTER_BYTES: usize = 1_000_000;

struct Proxy {
    url: String,
    has_cut: Arc<AtomicBool>,
}

async fn proxy(url: &str) -> Proxy {
    let behind = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let has_cut = Arc::new(AtomicBool::new(false));
    let cut = Arc::clone(&has_cut);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&behind).await.unwrap();
            tokio::spawn(forward(client, server, Arc::clone(&cut)));
        }
    });
    Proxy { url, has_cut }
}

async fn forward(client: TcpStream, server: TcpStream, cut: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async { tokio::io::copy(&mut from_client, &mut to_server).await };
    let down = async {
        let (mut buffer, mut sent) = (vec![0; 16 * 1024], 0);
        loop {
            let length = from_server.read(&mut buffer).await?;
            sent += length;
            let breaks = sent > CUT_AFTER_BYTES && !cut.swap(true, Ordering::SeqCst);
            if length == 0 || breaks {
                return Ok::<_, std::io::Error>(());
            }
            to_client.write_all(&buffer[..length]).await?;
        }
    };
    // Whatever ends first ends the connection.
    tokio::select! {
        _ = up => {}
        _ = down => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ver_1_a_stream_that_breaks_off_goes_on_behind_its_last_row() {
    let fixture = Fixture::create("", None).await.unwrap();
    let teams = format!(
        r#"INSERT INTO "Team" ("tenancyId", "teamId", "mirroredProjectId", "mirroredBranchId", "displayName", "updatedAt")
           SELECT '{}', gen_random_uuid(), 'p1', 'main', repeat('é', 400) || n, now() FROM generate_series(1, 5000) AS n;"#,
        id(1)
    );
    fixture.run(&(tenancy(1) + &teams)).await.unwrap();
    fixture.end_snapshots().await.unwrap();
    fixture.stamp().await.unwrap();
    fixture.ship().await.unwrap();
    let proxy = proxy(fixture.settings.clickhouse.url.expose()).await;
    let mut settings = fixture.settings.clone();
    settings.clickhouse.url = SecretUrl::new(&proxy.url);
    let report = verify(&settings, &VerifyOptions::default()).await.unwrap();
    assert!(proxy.has_cut.load(Ordering::SeqCst), "no answer was long enough to be cut");
    assert_eq!(report.verdict, Verdict::Equal, "{}", report.to_text());
    let teams = report.mappings.iter().find(|mapping| mapping.name == "teams").unwrap();
    assert_eq!((teams.destination_rows, teams.equal_rows), (5000, 5000), "no row was lost or came twice");
}
