//! How the loops of one process wake each other. Only a hint: every loop also looks by itself.

use domain::ids::RunId;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};
use tokio::sync::{Notify, watch};

/// Shared by all loops.
#[derive(Debug, Default)]
pub struct Pulse {
    changes: watch::Sender<u64>,
    room: Notify,
    trouble: Mutex<HashMap<RunId, String>>,
}

impl Pulse {
    /// Something was applied or planned: look again.
    pub fn wake(&self) {
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
        // A permit is kept: the dispatcher may be in the middle of a round.
        self.room.notify_one();
    }

    /// Changes, for a conductor: one that came while it was busy is not missed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Waits for the next change, as the dispatcher.
    pub async fn room(&self) {
        self.room.notified().await;
    }

    /// Remembers what went wrong last with a run; says whether that is news.
    pub fn note_trouble(&self, run: RunId, message: &str) -> bool {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.insert(run, message.to_owned()).as_deref() != Some(message)
    }

    /// What went wrong last with a run; it is forgotten with this.
    pub fn take_trouble(&self, run: RunId) -> Option<String> {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.remove(&run)
    }
}
