//! One address for several ClickHouse servers, in the place of a load balancer and of Keeper, which the embedded engine has not.
//!
//! [`Fleet::replicas`] does what replication does: a write is acknowledged by the first server, and reaches the others in its
//! order, but only while they are not held back. Reads go to each in turn, so that one of two is answered from the past. Those
//! that ask for sequential consistency are refused there, as a replica does that lacks what a quorum has.
//!
//! [`Fleet::shards`] does what a cluster's task queue does: a statement `ON CLUSTER` runs on every server, with tables that are
//! not replicated. Everything else goes to each in turn, since each knows all shards.

mod request;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;

use self::request::{Request, is_success};

/// What a replica says that lacks what a quorum has.
const NOT_IN_QUORUM: &str = "Code: 289. DB::Exception: Replica has no part of a quorum. (REPLICA_IS_NOT_IN_QUORUM)";

/// Several servers behind one address. Dropping it closes the address.
#[derive(Debug)]
pub struct Fleet {
    shared: Arc<Shared>,
    url: String,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    servers: Vec<String>,
    turn: AtomicUsize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Shards,
    Replicas {
        /// Writes go in one order to all.
        writing: Mutex<mpsc::UnboundedSender<Request>>,
        /// Writes that the others have not got yet.
        behind: watch::Sender<usize>,
        is_held: watch::Sender<bool>,
        /// Reads that were answered by a server that was behind.
        stale: AtomicUsize,
        refused: AtomicUsize,
    },
}

impl Fleet {
    /// Replicas of each other, at these addresses (`http://host:port`).
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn replicas(servers: &[&str]) -> anyhow::Result<Self> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let kind = Kind::Replicas {
            writing: Mutex::new(sender),
            behind: watch::Sender::new(0),
            is_held: watch::Sender::new(false),
            stale: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        };
        let fleet = Self::listen(servers, kind).await?;
        tokio::spawn(follow(Arc::downgrade(&fleet.shared), receiver));
        Ok(fleet)
    }

    /// Shards of one cluster.
    ///
    /// # Errors
    /// As [`Self::replicas`].
    pub async fn shards(servers: &[&str]) -> anyhow::Result<Self> {
        Self::listen(servers, Kind::Shards).await
    }

    async fn listen(servers: &[&str], kind: Kind) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let host = |url: &&str| url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let servers = servers.iter().map(host).collect();
        let shared = Arc::new(Shared { servers, turn: AtomicUsize::new(0), kind });
        let serving = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                // A connection that breaks is for the client to notice.
                tokio::spawn(async move { drop(shared.serve(client).await) });
            }
        });
        Ok(Self { shared, url, accepting })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on writes reach the first replica alone.
    pub fn hold(&self) {
        if let Kind::Replicas { is_held, .. } = &self.shared.kind {
            is_held.send_replace(true);
        }
    }

    /// Lets the others have what they lack, and what comes.
    pub fn let_go(&self) {
        if let Kind::Replicas { is_held, .. } = &self.shared.kind {
            is_held.send_replace(false);
        }
    }

    /// How many reads were answered from the past, and how many a replica refused that was behind.
    pub fn stale_and_refused(&self) -> (usize, usize) {
        match &self.shared.kind {
            Kind::Replicas { stale, refused, .. } => (stale.load(Ordering::SeqCst), refused.load(Ordering::SeqCst)),
            Kind::Shards => (0, 0),
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    /// One request of a client, whose connection is closed after the answer.
    async fn serve(&self, mut client: TcpStream) -> anyhow::Result<()> {
        let request = Request::read(&mut client).await?;
        let answer = match &self.kind {
            Kind::Shards if request.is_on_cluster() => self.on_every_server(&request.without_cluster()).await?,
            Kind::Replicas { writing, behind, .. } if request.is_write() => {
                let queue = writing.lock().await;
                let answer = request.ask(&self.servers[0]).await?;
                if is_success(&answer) {
                    behind.send_modify(|behind| *behind += 1);
                    queue.send(request).ok().context("the other replicas are gone")?;
                }
                answer
            }
            Kind::Shards => request.ask(self.next()).await?,
            Kind::Replicas { behind, stale, refused, .. } => {
                let server = self.next();
                let is_behind = server != self.servers[0] && *behind.borrow() > 0 && request.reads_a_table();
                if is_behind && request.is_sequential() {
                    refused.fetch_add(1, Ordering::SeqCst);
                    not_in_quorum()
                } else {
                    stale.fetch_add(usize::from(is_behind), Ordering::SeqCst);
                    request.ask(server).await?
                }
            }
        };
        request::answer(&mut client, &answer).await
    }

    fn next(&self) -> &str {
        &self.servers[self.turn.fetch_add(1, Ordering::SeqCst) % self.servers.len()]
    }

    async fn on_every_server(&self, request: &Request) -> anyhow::Result<Vec<u8>> {
        let mut last = Vec::new();
        for server in &self.servers {
            last = request.ask(server).await?;
            if !is_success(&last) {
                break;
            }
        }
        Ok(last)
    }
}

/// Gives the other replicas what the first has taken.
async fn follow(shared: std::sync::Weak<Shared>, mut writes: mpsc::UnboundedReceiver<Request>) {
    while let Some(request) = writes.recv().await {
        let Some(shared) = shared.upgrade() else { return };
        let Kind::Replicas { behind, is_held, .. } = &shared.kind else { return };
        // It fails where nobody can hold or let go any more.
        if is_held.subscribe().wait_for(|held| !held).await.is_err() {
            return;
        }
        for server in &shared.servers[1..] {
            // Replication tries until it has succeeded; here a failure shows as a difference.
            drop(request.ask(server).await);
        }
        behind.send_modify(|behind| *behind -= 1);
    }
}

fn not_in_quorum() -> Vec<u8> {
    let head = "HTTP/1.1 500 Internal Server Error\r\nX-ClickHouse-Exception-Code: 289\r\nConnection: close";
    format!("{head}\r\nContent-Length: {}\r\n\r\n{NOT_IN_QUORUM}", NOT_IN_QUORUM.len()).into_bytes()
}
