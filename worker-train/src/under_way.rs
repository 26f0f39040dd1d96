//! A training on its thread.

use crate::{
    learn::{Job, Learnt, learn},
    news::Teller,
};
use runtime::shutdown::Shutdown;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use tokio::{
    sync::{OwnedMutexGuard, oneshot},
    task::JoinHandle,
};
use train::Error;

/// A training under way. It ends at its next step when shutdown asks to drain, and when this is dropped.
pub struct UnderWay {
    stop: Arc<AtomicBool>,
    watching: JoinHandle<()>,
    ended: oneshot::Receiver<Result<Learnt, Error>>,
}

impl UnderWay {
    /// Begins it. The turn is kept until the thread ends, which is later than this may be dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn begin(
        job: Job,
        teller: Teller,
        turn: OwnedMutexGuard<()>,
        shutdown: Shutdown,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (done, ended) = oneshot::channel();
        let asked = stop.clone();
        thread::Builder::new().name("train".into()).spawn(move || {
            let _turn = turn;
            let result = learn(&job, &mut |at| {
                teller.tell(at);
                !asked.load(Ordering::Relaxed)
            });
            // Whoever waited may be gone.
            let _ = done.send(result);
        })?;
        let asked = stop.clone();
        let watching = tokio::spawn(async move {
            shutdown.drain_requested().await;
            asked.store(true, Ordering::Relaxed);
        });
        Ok(Self {
            stop,
            watching,
            ended,
        })
    }

    /// What came of it; `None` when its thread panicked. Cancel-safe.
    pub async fn ended(&mut self) -> Option<Result<Learnt, Error>> {
        (&mut self.ended).await.ok()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.watching.abort();
    }
}
