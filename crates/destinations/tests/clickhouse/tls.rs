//! TLS: our own authority is trusted when it is named, and nobody else's instead.
//!
//! A proxy with a certificate for `localhost` stands before the real server. Authority and key in `certificates/` were
//! made for this test, are valid until 2120, and the authority's own key was thrown away.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::TryStreamExt;
use lockstep_destinations::{ClickHouse, Failure, Retry};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::fixture::{encode_rows, settings, url, with_database};

fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clickhouse/certificates").join(name)
}

/// Starts the proxy and returns its URL.
async fn proxy() -> String {
    let chain = CertificateDer::pem_file_iter(certificate("server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certificate("server.key")).unwrap();
    let tls = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = url().trim_start_matches("http://").trim_end_matches('/').to_owned();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                let mut plain = TcpStream::connect(server).await.unwrap();
                // A client that does not trust the certificate goes away here.
                if let Ok(mut encrypted) = acceptor.accept(connection).await {
                    let _ = tokio::io::copy_bidirectional(&mut encrypted, &mut plain).await;
                }
            });
        }
    });
    format!("https://localhost:{port}")
}

#[tokio::test]
async fn inserts_and_streams_pass_through_tls_with_an_authority_of_our_own() {
    with_database(|fixture| async move {
        let table = fixture.create_rows_table().await;
        let settings = settings(&proxy().await, &fixture.raw);
        let encrypted = ClickHouse::connect(&settings, Some(&certificate("authority.pem"))).unwrap();
        let rows = encode_rows(0..100_000, "compressed on its way");
        let mut insert = encrypted.insert(&fixture.insert_rows());
        for chunk in 0..4 {
            insert.send(rows.slice(chunk * rows.len() / 4..(chunk + 1) * rows.len() / 4)).await.unwrap();
        }
        insert.end().await.unwrap();
        let sql = format!("SELECT * FROM {table} ORDER BY id FORMAT RowBinary");
        let read: Vec<_> = encrypted.stream(&sql).try_collect().await.unwrap();
        assert!(read.concat() == rows, "other bytes came back");

        // Rows that LZ4 cannot shrink, so that the first are under way when the exception comes.
        let sql = "SELECT throwIf(number = 300000), randomString(50) FROM numbers(1000000) \
                   SETTINGS max_block_size = 10000, max_threads = 1 FORMAT RowBinary";
        let read: Result<Vec<_>, _> = encrypted.stream(sql).try_collect().await;
        read.expect_err("half an answer passed for a whole one");
    })
    .await;
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_is_for_the_operator() {
    let stranger = ClickHouse::connect(&settings(&proxy().await, "raw"), None).unwrap();
    let error = stranger.ping().await.unwrap_err();
    assert_eq!((error.failure(), error.retry()), (Failure::Misconfigured, Retry::Operator), "{error}");
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn an_authority_file_without_a_certificate_is_refused() {
    let file = certificate("server.key");
    let error = ClickHouse::connect(&settings("https://localhost:1", "raw"), Some(&file)).unwrap_err();
    assert!(error.to_string().contains("server.key: it holds no certificate"), "{error}");
}
