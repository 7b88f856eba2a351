//! The broker behind the testkit's proxy, with or without TLS.

use std::net::Ipv4Addr;

use lapin::uri::{AMQPScheme, AMQPUri};
use lockstep_core::secret::SecretUrl;
use lockstep_testkit::proxy::Proxy;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::broker;

/// Where the broker listens.
pub(crate) fn target() -> String {
    let uri: AMQPUri = broker::url().expose().parse().unwrap();
    format!("{}:{}", uri.authority.host, uri.authority.port)
}

/// A proxy in front of the broker.
pub(crate) async fn start() -> Proxy {
    Proxy::to(&target()).await.unwrap()
}

/// The broker's address by way of this proxy; `query` such as `heartbeat=1`.
pub(crate) fn url(proxy: &Proxy, query: &str) -> SecretUrl {
    at(proxy.port(), AMQPScheme::AMQP, query)
}

/// The broker with TLS in front of it, for as long as the test runs; with its address.
pub(crate) async fn encrypted(acceptor: TlsAcceptor) -> SecretUrl {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut client) = acceptor.accept(client).await
                    && let Ok(mut server) = TcpStream::connect(target()).await
                {
                    // However it ends, the connection is closed.
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    at(port, AMQPScheme::AMQPS, "")
}

fn at(port: u16, scheme: AMQPScheme, query: &str) -> SecretUrl {
    let mut uri: AMQPUri = broker::url().expose().parse().unwrap();
    uri.scheme = scheme;
    uri.authority.host = "localhost".to_owned();
    uri.authority.port = port;
    SecretUrl::new(format!("{uri}?{query}"))
}
