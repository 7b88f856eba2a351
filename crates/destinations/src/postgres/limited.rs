//! A stream that gives up when its other end sends more than was asked for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a connection may receive before it is opened anew.
const CONNECTION_BYTES: u64 = 16 * 1024 * 1024;

/// How much may still be received. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    left: Arc<AtomicU64>,
    /// Of all that came, rows of comparisons aside.
    total: Arc<AtomicU64>,
    is_exceeded: Arc<AtomicBool>,
}

impl Allowance {
    pub(super) fn new(bytes: u64) -> Self {
        Self { left: Arc::new(AtomicU64::new(bytes)), total: Arc::default(), is_exceeded: Arc::default() }
    }

    /// From now on so much may come.
    pub(super) fn renew(&self, bytes: u64) {
        self.left.store(bytes, Ordering::Relaxed);
    }

    /// Whether so much came that the connection is better opened anew: the client library keeps what a server says of itself, for
    /// as long as it is connected.
    pub(super) fn is_used_up(&self) -> bool {
        self.total.load(Ordering::Relaxed) > CONNECTION_BYTES
    }

    /// Whether more came than was allowed.
    pub(super) fn is_exceeded(&self) -> bool {
        self.is_exceeded.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        self.total.fetch_add(bytes, Ordering::Relaxed);
        self.is_exceeded.fetch_or(taken.is_err(), Ordering::Relaxed);
        taken.is_ok()
    }
}

/// A stream with an [`Allowance`]. It counts below TLS: endless notices, or one message of a gigabyte, are read no further
/// than that, whatever is in them.
#[derive(Debug)]
pub(super) struct Limited<S> {
    inner: S,
    allowance: Allowance,
}

impl<S> Limited<S> {
    pub(super) const fn new(inner: S, allowance: Allowance) -> Self {
        Self { inner, allowance }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Limited<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        let read = u64::try_from(buffer.filled().len() - before).unwrap_or(u64::MAX);
        if !self.allowance.take(read) {
            return Poll::Ready(Err(io::Error::other("more came than was asked for")));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Limited<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
