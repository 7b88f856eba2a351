//! A network that fails on command: a TCP proxy in front of the broker, with or without TLS.

use std::sync::Arc;

use lapin::uri::{AMQPScheme, AMQPUri};
use lockstep_core::secret::SecretUrl;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::broker;

/// What happens to the connections that are open when it is said.
#[derive(Clone, Copy)]
enum Order {
    Flow,
    Cut,
    Stall,
}

/// A proxy on a port of its own. Dropping it cuts everything.
pub(crate) struct Proxy {
    orders: watch::Sender<Order>,
    port: u16,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        Self::start_on(0, None).await
    }

    /// On a given port (0 is any free one), speaking TLS if there is an acceptor.
    pub(crate) async fn start_on(port: u16, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (orders, _) = watch::channel(Order::Flow);
        let subscribe = orders.clone();
        let tls = tls.map(Arc::new);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (orders, tls) = (subscribe.subscribe(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => forward(client, orders).await,
                        Some(tls) => {
                            if let Ok(client) = tls.accept(client).await {
                                forward(client, orders).await;
                            }
                        }
                    }
                });
            }
        });
        Self { orders, port, accepting }
    }

    /// The broker's address by way of this proxy; `query` such as `heartbeat=1`.
    pub(crate) fn url(&self, scheme: AMQPScheme, query: &str) -> SecretUrl {
        let mut uri: AMQPUri = broker::url().expose().parse().unwrap();
        uri.scheme = scheme;
        uri.authority.host = "localhost".to_owned();
        uri.authority.port = self.port;
        SecretUrl::new(format!("{uri}?{query}"))
    }

    pub(crate) fn plain_url(&self) -> SecretUrl {
        self.url(AMQPScheme::AMQP, "")
    }

    /// Closes all open connections.
    pub(crate) fn cut(&self) {
        self.orders.send_replace(Order::Cut);
    }

    /// Lets all open connections hang: open, and silent for good.
    pub(crate) fn stall(&self) {
        self.orders.send_replace(Order::Stall);
    }

    /// Ends, cuts everything, and tells which port is free now.
    pub(crate) async fn stop(mut self) -> u16 {
        self.accepting.abort();
        // It ends as cancelled, which is what was asked for.
        let _ = (&mut self.accepting).await;
        self.port
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn forward(mut client: impl AsyncRead + AsyncWrite + Unpin, mut orders: watch::Receiver<Order>) {
    let target: AMQPUri = broker::url().expose().parse().unwrap();
    let Ok(mut server) = TcpStream::connect((target.authority.host.as_str(), target.authority.port)).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => return,
        _ = orders.changed() => {}
    }
    while matches!(*orders.borrow_and_update(), Order::Stall) {
        if orders.changed().await.is_err() {
            return;
        }
    }
}
