//! One connection through the proxy: two directions, each of which does as the state says.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Mode, State};

/// Large enough for speed, small enough that a delay is felt.
const PIECE_BYTES: usize = 16 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Answer,
}

pub(super) struct Connection {
    /// Counted by the acceptor, from 0.
    pub(super) number: usize,
    pub(super) state: watch::Sender<State>,
}

impl Connection {
    /// Until both directions have ended, one has failed, or the connection is to be closed.
    pub(super) async fn run(self, client: TcpStream, server: TcpStream) {
        // Delays are ours to make.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let both = async {
            tokio::try_join!(
                self.pump(from_client, to_server, Direction::Request),
                self.pump(from_server, to_client, Direction::Answer),
            )
        };
        let mut state = self.state.subscribe();
        let cut = state.wait_for(|state| state.mode == Mode::Cut || self.number < state.cut_below);
        // However it ends, both sockets are closed.
        tokio::select! {
            _ = both => {}
            _ = cut => {}
        }
    }

    /// Passes bytes on until the sender has no more.
    async fn pump(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, direction: Direction) -> io::Result<()> {
        let (mut piece, mut passed) = (vec![0; PIECE_BYTES], 0);
        loop {
            let length = from.read(&mut piece).await?;
            self.may_pass().await?;
            if length == 0 {
                return to.shutdown().await;
            }
            passed += length;
            let mode = self.state.borrow().mode;
            match mode {
                Mode::Delay(time) => sleep(time).await,
                Mode::DropResponse if direction == Direction::Answer => return Err(closed()),
                Mode::CutAnswerOnce { after_bytes }
                    if direction == Direction::Answer && passed > after_bytes && self.is_first_to_cut(mode) =>
                {
                    return Err(closed());
                }
                _ => {}
            }
            to.write_all(&piece[..length]).await?;
        }
    }

    /// Waits while nothing passes.
    async fn may_pass(&self) -> io::Result<()> {
        let mut state = self.state.subscribe();
        let passes = state.wait_for(|state| state.mode != Mode::HalfOpen && self.number >= state.stalled_below);
        passes.await.map(|_| ()).map_err(|_| closed())
    }

    fn is_first_to_cut(&self, mode: Mode) -> bool {
        self.state.send_if_modified(|state| {
            let first = state.mode == mode;
            if first {
                state.mode = Mode::Pass;
            }
            first
        })
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "closed by the proxy")
}
