//! Ctrl-C for work that looks now and then whether it is to stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::task::JoinHandle;

/// Listens for Ctrl-C until it is dropped.
pub struct Interrupt {
    said: Arc<AtomicBool>,
    listening: JoinHandle<()>,
}

impl Interrupt {
    /// Begins to listen.
    pub fn listen() -> Self {
        let said = Arc::new(AtomicBool::new(false));
        let heard = said.clone();
        let listening = tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                heard.store(true, Ordering::Relaxed);
            }
        });
        Self { said, listening }
    }

    /// What becomes true: for another thread.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.said.clone()
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
