//! Servers that behave as they like.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What one does with a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Behaviour {
    /// It accepts and says nothing.
    Silent,
    /// It says a byte from time to time.
    Drips,
    /// It never comes to an end with what it has to say, before it lets anybody in.
    NoticesAtLogin,
    /// The same once somebody is in.
    NoticesAfterwards,
    /// An error of a gigabyte, before it lets anybody in.
    HugeErrorAtLogin,
    /// The same once somebody is in.
    HugeErrorAfterwards,
    /// Once somebody is in, it says nothing more.
    SilentAfterwards,
    /// A long error, with what should not reach a log.
    RudeError,
    /// It speaks HTTP.
    Http,
    /// It closes at once.
    Closes,
    /// Once somebody is in, rows without an end.
    EndlessRows,
}

/// One of them, and how much it got rid of.
pub(crate) struct HostileServer {
    pub(crate) port: u16,
    pub(crate) sent: Arc<AtomicU64>,
}

impl HostileServer {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let sent = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counted = Arc::clone(&counted);
                // Whoever is talked to hangs up: that is no error here.
                tokio::spawn(async move { drop(behave(stream, behaviour, &counted).await) });
            }
        });
        Self { port, sent }
    }
}

/// A message of the protocol (PostgreSQL documentation, "Message Formats").
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[kind], &length[..], body].concat()
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8], sent: &AtomicU64) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    sent.fetch_add(bytes.len().try_into().unwrap(), Ordering::Relaxed);
    Ok(())
}

async fn behave(mut stream: TcpStream, behaviour: Behaviour, sent: &AtomicU64) -> std::io::Result<()> {
    use Behaviour::*;
    let notice = message(b'N', &[b"SNOTICE\0C00000\0M", "x".repeat(1000).as_bytes(), b"\0\0"].concat());
    let mut asked = [0; 4096];
    match behaviour {
        Closes => return Ok(()),
        Silent => return until_closed(&mut stream).await,
        Http => {
            send(&mut stream, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", sent).await?;
            return until_closed(&mut stream).await;
        }
        Drips => {
            let mut pace = tokio::time::interval(Duration::from_millis(100));
            loop {
                send(&mut stream, b"N", sent).await?;
                pace.tick().await;
            }
        }
        _ => {}
    }
    // The request for TLS is refused; then comes who it is.
    stream.read_exact(&mut asked[..8]).await?;
    send(&mut stream, b"N", sent).await?;
    let _ = stream.read(&mut asked).await?;
    match behaviour {
        NoticesAtLogin => return endless(&mut stream, &notice, sent).await,
        HugeErrorAtLogin => return huge_error(&mut stream, sent).await,
        RudeError => {
            let body =
                [b"SFATAL\0C28P01\0Mhunter3\x1b[31m\n", "y".repeat(5000).as_bytes(), b"\0Dhunter4\0thunter5\nx\0\0"]
                    .concat();
            send(&mut stream, &message(b'E', &body), sent).await?;
            return until_closed(&mut stream).await;
        }
        _ => {}
    }
    send(&mut stream, &message(b'R', &0_i32.to_be_bytes()), sent).await?;
    send(&mut stream, &message(b'Z', b"I"), sent).await?;
    let _ = stream.read(&mut asked).await?;
    match behaviour {
        NoticesAfterwards => endless(&mut stream, &notice, sent).await,
        HugeErrorAfterwards => huge_error(&mut stream, sent).await,
        EndlessRows => {
            let description = [&1_i16.to_be_bytes()[..], b"a\0", &[0; 18]].concat();
            send(&mut stream, &message(b'T', &description), sent).await?;
            let row = [&1_i16.to_be_bytes()[..], &1000_i32.to_be_bytes(), "x".repeat(1000).as_bytes()].concat();
            endless(&mut stream, &message(b'D', &row), sent).await
        }
        _ => until_closed(&mut stream).await,
    }
}

async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<()> {
    let mut ignored = [0; 4096];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

async fn endless(stream: &mut TcpStream, message: &[u8], sent: &AtomicU64) -> std::io::Result<()> {
    loop {
        send(stream, message, sent).await?;
    }
}

async fn huge_error(stream: &mut TcpStream, sent: &AtomicU64) -> std::io::Result<()> {
    send(stream, &[&b"E"[..], &1_000_000_000_u32.to_be_bytes(), b"SERROR\0C23505\0M"].concat(), sent).await?;
    endless(stream, &[b'x'; 8192], sent).await
}

/// Passes bytes on to a real server, and hangs up after so many of the client's.
pub(crate) async fn cutting_proxy(target: String, after_bytes: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(target).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
        let mut first = (&mut from_client).take(after_bytes);
        let copied = tokio::io::copy(&mut first, &mut to_server).await;
        back.abort();
        drop(copied);
    });
    port
}

/// A file of the certificates that tests of ClickHouse use as well.
pub(crate) fn certificate(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clickhouse/certificates").join(name)
}

/// A server that has TLS, with a certificate for `localhost`, and says nothing after that.
pub(crate) async fn with_certificate_for_localhost() -> u16 {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = CertificateDer::pem_file_iter(certificate("server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certificate("server.key")).unwrap();
    let tls = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut asked = [0; 8];
                stream.read_exact(&mut asked).await?;
                stream.write_all(b"S").await?;
                until_closed(&mut acceptor.accept(stream).await?).await
            });
        }
    });
    port
}
