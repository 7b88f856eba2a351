//! Declaring, and TLS on the way.

use std::path::PathBuf;
use std::sync::Arc;

use lockstep_queue::Publisher;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;
use uuid::Uuid;

use crate::broker::{Broker, as_it_is, batch, within};
use crate::proxy;

#[tokio::test]
async fn declaring_again_changes_nothing() {
    Broker::run(as_it_is, async |broker| {
        let publisher = broker.publisher().await;
        within("confirms", publisher.publish(&[batch(1)])).await.unwrap();
        broker.publisher().await;
        broker.consumer().await.close().await;
        assert_eq!(broker.depths().await.ready, 1);
    })
    .await;
}

/// A certificate for `localhost` that signs itself: what the broker shows, and a file to trust it by.
fn certificate() -> (TlsAcceptor, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = std::env::temp_dir().join(format!("lockstep-test-{}.pem", Uuid::new_v4()));
    std::fs::write(&file, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    (TlsAcceptor::from(Arc::new(config)), file)
}

#[tokio::test]
async fn an_authority_from_the_file_is_trusted_and_an_unknown_one_is_not() {
    Broker::run(as_it_is, async |broker| {
        let (acceptor, authority) = certificate();
        let url = proxy::encrypted(acceptor).await;
        // Twice: the process's cryptography is installed by whoever comes first, and that is no error.
        for _ in 0..2 {
            let connecting = Publisher::connect(&url, Some(&authority), &broker.topology);
            let publisher = within("the publisher to connect", connecting).await.unwrap();
            within("confirms", publisher.publish(&[batch(1)])).await.unwrap();
        }
        let (_, other) = certificate();
        let error =
            within("an answer", lockstep_queue::depths(&url, Some(&other), &broker.topology)).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
        for file in [authority, other] {
            std::fs::remove_file(file).unwrap();
        }
    })
    .await;
}
