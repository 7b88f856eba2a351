//! One connection to the broker, which ends for certain when it is dropped.

use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lapin::tcp::AsyncTcpStream;
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::error::QueueError;

/// For the broker to say good-bye; after that the socket is closed all the same.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection. Dropping it closes it in the background.
pub(crate) struct Link {
    /// `None` only while being dropped.
    parts: Option<(Connection, Socket)>,
}

/// A second handle on the connection's socket. Dropping it shuts the socket down for both.
///
/// The client library's own thread serves a connection until the peer answers its good-bye. A broker that hangs never
/// does, and each attempt to connect would leave a thread and its buffers behind.
struct Socket(std::net::TcpStream);

impl Socket {
    fn of(stream: &impl AsFd) -> std::io::Result<Self> {
        Ok(Self(stream.as_fd().try_clone_to_owned()?.into()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Fails when the peer was faster, which is as good.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Link {
    /// Connects and logs in.
    ///
    /// Cancel-safe: nothing stays open.
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Self, QueueError> {
        let uri = endpoint.uri()?;
        let limit = Endpoint::connect_timeout(&uri);
        let connecting = timeout(limit, Self::connect(endpoint));
        connecting.await.map_err(|_| endpoint.timeout("connecting", limit))?
    }

    async fn connect(endpoint: &Endpoint) -> Result<Self, QueueError> {
        let uri = endpoint.uri()?;
        let tls = endpoint.tls(&uri)?;
        let runtime = lapin::runtime::default_runtime().map_err(|error| endpoint.client_error(&error))?;
        let unreachable = |error: std::io::Error| endpoint.unreachable(&error);
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
        let connection = Connection::connector(uri, runtime, hand_over, properties).await;
        Ok(Self { parts: Some((connection.map_err(|error| endpoint.client_error(&error))?, socket)) })
    }

    fn connection(&self) -> &Connection {
        &self.parts.as_ref().expect("a link has its connection until it is dropped").0
    }

    /// A new channel on this connection.
    pub(crate) async fn channel(&self) -> lapin::Result<Channel> {
        self.connection().create_channel().await
    }

    /// Whether the connection was up when it was last heard of.
    pub(crate) fn is_open(&self) -> bool {
        self.connection().status().connected()
    }

    /// Whether the broker has stopped taking messages because it is short of memory or disk.
    pub(crate) fn is_blocked(&self) -> bool {
        self.connection().status().blocked()
    }

    /// Says good-bye and waits for the answer, for a short while.
    pub(crate) async fn close(mut self) {
        if let Some((connection, socket)) = self.parts.take() {
            say_goodbye(connection, socket).await;
        }
    }
}

async fn say_goodbye(connection: Connection, socket: Socket) {
    if connection.status().connected() {
        // A broker that is gone or slow is no reason to complain while leaving.
        let _ = timeout(CLOSE_TIMEOUT, connection.close(200, "good-bye".into())).await;
    }
    drop(socket);
}

impl Drop for Link {
    fn drop(&mut self) {
        let Some((connection, socket)) = self.parts.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(say_goodbye(connection, socket));
        }
    }
}
