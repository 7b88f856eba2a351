//! A network that fails on command: a TCP proxy in front of a service.
//!
//! Bytes pass in both directions until it is told otherwise, about every connection ([`Proxy::set`]) or about those that
//! are open now ([`Proxy::cut`], [`Proxy::stall`]).

mod connection;

use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use connection::Connection;

/// What happens to bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// They pass.
    #[default]
    Pass,
    /// Every connection is closed: open ones now, new ones as soon as they are accepted.
    Cut,
    /// Connections are accepted and kept open, and nothing passes. What waited passes when the mode changes.
    HalfOpen,
    /// Each piece, of 16 KiB at most, waits this long, in both directions.
    Delay(Duration),
    /// Requests pass; the first byte of an answer closes its connection.
    DropResponse,
    /// As [`Mode::Pass`], until a connection has brought so many bytes of answers: that one is closed, once.
    CutAnswerOnce {
        /// So many bytes still pass.
        after_bytes: usize,
    },
}

/// What all connections look at.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    mode: Mode,
    /// Connections with a lower number are to be closed.
    cut_below: usize,
    /// Connections with a lower number are silent for good.
    stalled_below: usize,
}

/// A proxy on a port of its own. Dropping it cuts everything.
pub struct Proxy {
    state: watch::Sender<State>,
    port: u16,
    target: Arc<Mutex<String>>,
    accepted: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// In front of `target`, `host:port`, on any free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn to(target: &str) -> io::Result<Self> {
        Self::on(0, target).await
    }

    /// The same on a given port.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn on(port: u16, target: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        let (state, _) = watch::channel(State::default());
        let [accepted, refused] = [Arc::default(), Arc::default()];
        let target = Arc::new(Mutex::new(target.to_owned()));
        let accepting = tokio::spawn(
            Acceptor {
                target: Arc::clone(&target),
                state: state.clone(),
                accepted: Arc::clone(&accepted),
                refused: Arc::clone(&refused),
            }
            .run(listener),
        );
        Ok(Self { state, port, target, accepted, refused, accepting })
    }

    /// In front of the service that a URL names; with the URL of the proxy.
    ///
    /// # Errors
    /// When the URL names no host and port, or there is no free port.
    pub async fn before(url: &str) -> io::Result<(Self, String)> {
        let target = authority(url).ok_or_else(|| io::Error::other("the URL names no host and port"))?;
        let proxy = Self::to(target).await?;
        let proxied = proxy.url(url);
        Ok((proxy, proxied))
    }

    /// Its port, on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A URL with this proxy in place of host and port.
    pub fn url(&self, url: &str) -> String {
        let Some(target) = authority(url) else { return url.to_owned() };
        url.replacen(target, &format!("127.0.0.1:{}", self.port), 1)
    }

    /// From now on, for open connections and new ones.
    pub fn set(&self, mode: Mode) {
        self.state.send_modify(|state| state.mode = mode);
    }

    /// What happens to bytes now. [`Mode::CutAnswerOnce`] is [`Mode::Pass`] when it has happened.
    pub fn mode(&self) -> Mode {
        self.state.borrow().mode
    }

    /// Leads to another service, `host:port`, from now on; open connections are closed. Returns where it led before.
    pub fn lead_to(&self, target: &str) -> String {
        let before =
            std::mem::replace(&mut *self.target.lock().unwrap_or_else(PoisonError::into_inner), target.to_owned());
        self.cut();
        before
    }

    /// Closes all open connections.
    pub fn cut(&self) {
        let accepted = self.accepted.load(Ordering::SeqCst);
        self.state.send_modify(|state| state.cut_below = accepted);
    }

    /// Lets all open connections hang: open, and silent for good.
    pub fn stall(&self) {
        let accepted = self.accepted.load(Ordering::SeqCst);
        self.state.send_modify(|state| state.stalled_below = accepted);
    }

    /// Connections that it has taken since it began.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Connections that were tried while the mode was [`Mode::Cut`].
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    /// Ends, cuts everything, and tells which port is free now.
    pub async fn stop(mut self) -> u16 {
        self.accepting.abort();
        // It ends as cancelled, which is what was asked for.
        let _ = (&mut self.accepting).await;
        self.port
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Mode::Cut);
    }
}

struct Acceptor {
    target: Arc<Mutex<String>>,
    state: watch::Sender<State>,
    accepted: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl Acceptor {
    async fn run(self, listener: TcpListener) {
        while let Ok((client, _)) = listener.accept().await {
            let number = self.accepted.fetch_add(1, Ordering::SeqCst);
            if self.state.borrow().mode == Mode::Cut {
                self.refused.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            let target = self.target.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let state = self.state.clone();
            tokio::spawn(async move {
                // Without a service behind it, the client's connection is closed.
                if let Ok(server) = TcpStream::connect(target).await {
                    Connection { number, state }.run(client, server).await;
                }
            });
        }
    }
}

/// `host:port` of a URL, without the user before them.
fn authority(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.contains(':').then_some(host)
}

#[cfg(test)]
mod tests;
