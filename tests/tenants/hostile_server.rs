//! Something that a tenant has in the place of a PostgreSQL, and that means ill, or is none.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it does with whoever connects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Manner {
    /// It answers a byte a second, of a message that could be one.
    Drips,
    /// It lets everybody in, and then sends notices without end.
    SendsNotices,
    /// It refuses with an error message of a gigabyte.
    SendsAnEndlessError,
    /// It speaks HTTP.
    SpeaksAnotherProtocol,
    /// It says that a message has four gigabytes.
    LiesAboutLengths,
    /// It hangs up at once.
    HangsUp,
}

/// The server. It ends when it is dropped.
pub(super) struct HostileServer {
    /// `host:port`.
    pub(super) address: String,
    accepting: JoinHandle<()>,
}

impl HostileServer {
    pub(super) async fn start(manner: Manner) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?.to_string();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Whoever has enough hangs up.
                tokio::spawn(async move { drop(treat(client, manner).await) });
            }
        });
        Ok(Self { address, accepting })
    }
}

impl Drop for HostileServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn treat(mut client: TcpStream, manner: Manner) -> Result<()> {
    match manner {
        Manner::HangsUp => return Ok(()),
        Manner::SpeaksAnotherProtocol => {
            client.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await?;
            return Ok(client.shutdown().await?);
        }
        _ => {}
    }
    start_up(&mut client).await?;
    match manner {
        Manner::Drips => {
            let mut seconds = tokio::time::interval(Duration::from_secs(1));
            client.write_all(b"N\x00\x00\x40\x00").await?;
            loop {
                seconds.tick().await;
                client.write_all(b"S").await?;
            }
        }
        Manner::SendsNotices => {
            client.write_all(&message(b'R', &[0, 0, 0, 0])).await?;
            client.write_all(&message(b'Z', b"I")).await?;
            let notice = message(b'N', &[&b"SNOTICE\0C00000\0M"[..], &[b'x'; 8_000], b"\0\0"].concat());
            loop {
                client.write_all(&notice).await?;
            }
        }
        Manner::SendsAnEndlessError => {
            client.write_all(b"E\x3f\xff\xff\xffSFATAL\0C28000\0M").await?;
            loop {
                client.write_all(&[b'x'; 64 * 1024]).await?;
            }
        }
        _ => {
            client.write_all(b"R\xff\xff\xff\xff\0\0\0\0").await?;
            // Until it hangs up, or says something: both end it.
            let _said = client.read(&mut [0; 64]).await?;
            Ok(())
        }
    }
}

/// Refuses TLS, and reads what a client says first.
async fn start_up(client: &mut TcpStream) -> Result<()> {
    loop {
        let length = client.read_u32().await?;
        let mut rest = vec![0; usize::try_from(length)?.saturating_sub(4).min(10_000)];
        client.read_exact(&mut rest).await?;
        // The code of a request for TLS, and of one for GSSAPI.
        if !matches!(rest.get(..4), Some([0x04, 0xd2, 0x16, 0x2f | 0x30])) {
            return Ok(());
        }
        client.write_all(b"N").await?;
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    // Messages of these tests are small.
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&[kind][..], &length.to_be_bytes(), body].concat()
}
