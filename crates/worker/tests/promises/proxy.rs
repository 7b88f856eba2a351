//! A TCP proxy that can be shut: what is behind it is away then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) struct Proxy {
    pub(crate) port: u16,
    open: watch::Sender<bool>,
    refused: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// In front of `target`, `host:port`.
    pub(crate) async fn to(target: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (open, _) = watch::channel(true);
        let refused = Arc::new(AtomicUsize::new(0));
        let (gate, count) = (open.clone(), Arc::clone(&refused));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *gate.borrow() {
                    tokio::spawn(forward(client, target.clone(), gate.subscribe()));
                } else {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { port, open, refused, accepting }
    }

    /// Cuts every connection, and every new one at once.
    pub(crate) fn shut(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Connections that were tried while it was shut.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.shut();
    }
}

async fn forward(mut client: TcpStream, target: String, mut open: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}
