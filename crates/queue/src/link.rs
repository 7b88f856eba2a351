//! One connection to the broker, which ends for certain when it is dropped.

use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lapin::tcp::AsyncTcpStream;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::error::QueueError;

/// For the broker to answer that the connection is closed; after that the socket is shut down without its answer.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection with its channel and whatever else works over it, `W`. Dropping it closes it in the background.
pub(crate) struct Link<W: Send + 'static> {
    /// `None` only while being dropped.
    parts: Option<Parts<W>>,
}

/// What works over the connection lives until that is closed: the client library tells the broker of each thing that is
/// dropped, and logs an error when the connection is closing meanwhile.
struct Parts<W> {
    connection: Connection,
    work: W,
    /// Dropped last.
    socket: Socket,
}

/// A second handle on the connection's socket. Dropping it shuts the socket down for both.
///
/// The client library's own thread serves a connection until the peer confirms that it is closed. A broker that hangs
/// never does, and each attempt to connect would leave a thread and its buffers behind.
struct Socket(std::net::TcpStream);

impl Socket {
    fn of(stream: &impl AsFd) -> std::io::Result<Self> {
        Ok(Self(stream.as_fd().try_clone_to_owned()?.into()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // An error means that the peer has closed it already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// Connects, logs in and opens a channel.
///
/// Cancel-safe: nothing stays open.
pub(crate) async fn open(endpoint: &Endpoint) -> Result<Link<Channel>, QueueError> {
    let uri = endpoint.uri()?;
    let limit = Endpoint::connect_timeout(&uri);
    let connecting = timeout(limit, connect(endpoint, uri));
    connecting.await.map_err(|_| endpoint.timeout("connecting", limit))?
}

async fn connect(endpoint: &Endpoint, uri: AMQPUri) -> Result<Link<Channel>, QueueError> {
    let unreachable = |error: std::io::Error| endpoint.unreachable(&error);
    let refused = |error: lapin::Error| endpoint.client_error(&error);
    let tls = endpoint.tls(&uri)?;
    let runtime = lapin::runtime::default_runtime().map_err(refused)?;
    let address = (uri.authority.host.clone(), uri.authority.port);
    let plain = AsyncTcpStream::connect(&runtime, runtime.to_socket_addrs(address)).await.map_err(unreachable)?;
    let socket = match &plain {
        AsyncTcpStream::Plain(stream) => Socket::of(stream.get_ref()).map_err(unreachable)?,
        _ => return Err(endpoint.unreachable(&"the client library encrypted what should be plain")),
    };
    let stream = match tls {
        Some(connector) => plain.into_rustls(&connector, &uri.authority.host).await.map_err(unreachable)?,
        None => plain,
    };
    // The library asks for a stream each time it connects. It gets this one, once: reconnecting is our job.
    let stream = Mutex::new(Some(stream));
    let hand_over = async move |_, _| {
        let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        stream.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::ConnectionAborted).into())
    };
    let properties = ConnectionProperties::default().with_connection_name(endpoint.connection_name.into());
    let connection = Connection::connector(uri, runtime, hand_over, properties).await.map_err(refused)?;
    let work = connection.create_channel().await.map_err(refused)?;
    Ok(Link { parts: Some(Parts { connection, work, socket }) })
}

impl<W: Send + 'static> Link<W> {
    /// The same connection with more at work over it.
    pub(crate) fn attach<V: Send + 'static>(mut self, attach: impl FnOnce(W) -> V) -> Link<V> {
        let parts = self.parts.take().map(|Parts { connection, work, socket }| {
            let work = attach(work);
            Parts { connection, work, socket }
        });
        Link { parts }
    }

    fn parts(&self) -> &Parts<W> {
        self.parts.as_ref().expect("a link has its parts until it is dropped")
    }

    /// What works over the connection.
    pub(crate) fn work(&self) -> &W {
        &self.parts().work
    }

    /// What works over the connection.
    pub(crate) fn work_mut(&mut self) -> &mut W {
        &mut self.parts.as_mut().expect("a link has its parts until it is dropped").work
    }

    /// Another channel of the connection, for as long as this lives.
    pub(crate) async fn channel(&self) -> Result<Channel, lapin::Error> {
        self.parts().connection.create_channel().await
    }

    /// Whether the connection was up when it was last heard of.
    pub(crate) fn is_open(&self) -> bool {
        self.parts().connection.status().connected()
    }

    /// Whether the broker has stopped taking messages because it is short of memory or disk.
    pub(crate) fn is_blocked(&self) -> bool {
        self.parts().connection.status().blocked()
    }

    /// Closes the connection and waits for the answer, for a short while.
    pub(crate) async fn close(mut self) {
        if let Some(parts) = self.parts.take() {
            parts.close_gracefully().await;
        }
    }
}

impl<W> Parts<W> {
    async fn close_gracefully(self) {
        if self.connection.status().connected() {
            // The socket is shut down in any case, so a broker that is gone or slow needs no handling.
            let _ = timeout(CLOSE_TIMEOUT, self.connection.close(200, "closed by the client".into())).await;
        }
    }
}

impl<W: Send + 'static> Drop for Link<W> {
    fn drop(&mut self) {
        let Some(parts) = self.parts.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(parts.close_gracefully());
        }
    }
}
