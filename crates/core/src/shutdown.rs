//! Stopping cleanly: one signal that every loop watches.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
pub use tokio_util::sync::CancellationToken as Shutdown;

/// A shutdown signal that fires on SIGTERM or SIGINT. A second signal ends the process at once, as operators expect.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn on_signal() -> std::io::Result<Shutdown> {
    let shutdown = Shutdown::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = shutdown.clone();
    tokio::spawn(async move {
        for stopping in [true, false] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if stopping {
                tracing::info!(signal = name, "stopping: finishing what is under way");
                token.cancel();
            } else {
                tracing::warn!(signal = name, "second signal: ending at once");
                std::process::abort();
            }
        }
    });
    Ok(shutdown)
}

/// Does `work` to its end, but once `shutdown` was signalled for no longer than `within`. Returns `None` when it was given up.
pub async fn finish_in_time<T>(shutdown: &Shutdown, within: Duration, work: impl Future<Output = T>) -> Option<T> {
    let too_long = async {
        shutdown.cancelled().await;
        tokio::time::sleep(within).await;
    };
    tokio::select! {
        done = work => Some(done),
        () = too_long => None,
    }
}
