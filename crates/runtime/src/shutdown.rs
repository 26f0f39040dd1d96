//! Ending in two steps: drain, then stop.
//!
//! The first Ctrl-C (or SIGTERM) asks to *drain*: take nothing new, finish what is in hand. The second
//! asks to *stop at once*: what is in hand is dropped, and the queue and the store give it back. A
//! service gets a clone of one [`Shutdown`]; nobody else decides when the process ends.

use std::{io, time::Duration};

use tokio_util::sync::CancellationToken;

/// Both requests, shared by clones. A stop is also a drain.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    stop: CancellationToken,
}

impl Shutdown {
    /// A shutdown that only the program itself requests: for tests, and for parts of a process.
    pub fn new() -> Self {
        Self::default()
    }

    /// A shutdown requested by signals: the first drains, the second stops. From now on neither
    /// Ctrl-C nor SIGTERM ends the process by itself. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses to hand over the signals.
    pub fn install_signals() -> io::Result<Self> {
        let shutdown = Self::new();
        let mut signals = Signals::listen()?;
        let asked = shutdown.clone();
        tokio::spawn(async move {
            let signal = signals.next().await;
            tracing::info!(signal, "draining, once more to stop at once");
            asked.request_drain();
            let signal = signals.next().await;
            tracing::warn!(signal, "stopping at once");
            asked.request_stop();
        });
        Ok(shutdown)
    }

    /// Asks to take nothing new and to finish what is in hand.
    pub fn request_drain(&self) {
        self.drain.cancel();
    }

    /// Asks to drop everything now.
    pub fn request_stop(&self) {
        self.stop.cancel();
        self.drain.cancel();
    }

    /// Returns once a drain or a stop is requested. Cancel-safe.
    pub async fn drain_requested(&self) {
        self.drain.cancelled().await;
    }

    /// Returns once a stop is requested. Cancel-safe.
    pub async fn stop_requested(&self) {
        self.stop.cancelled().await;
    }

    /// Turns a drain that takes longer than this into a stop: what is in hand goes back to the queue.
    pub async fn stop_when_late(self, limit: Duration) {
        self.drain_requested().await;
        tokio::time::sleep(limit).await;
        if !self.is_stopping() {
            tracing::warn!(seconds = limit.as_secs(), "not drained in time, stopping");
            self.request_stop();
        }
    }

    /// Whether a drain or a stop is requested.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Whether a stop is requested.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        // Where listening fails nobody can press Ctrl-C either: wait for ever.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_is_not_a_stop() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.is_draining());
        shutdown.clone().request_drain();
        shutdown.drain_requested().await;
        assert!(shutdown.is_draining());
        assert!(!shutdown.is_stopping());
    }

    #[tokio::test]
    async fn a_stop_is_a_drain_too() {
        let shutdown = Shutdown::new();
        shutdown.clone().request_stop();
        shutdown.stop_requested().await;
        shutdown.drain_requested().await;
        assert!(shutdown.is_draining() && shutdown.is_stopping());
    }
}
