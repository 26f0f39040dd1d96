//! Reading the data of runs that were submitted.
//!
//! A run that is submitted is stored, paused, with a reason that says that its data are being read ([`READING`]). The
//! leader reads them, and then it runs. A leader that dies meanwhile leaves it waiting, and the next one reads from the
//! beginning: what is stored already stays as it is.

use crate::{
    CoordinatorError,
    intake::{self, READING, StoredSpec},
};
use domain::{ids::RunId, run::RunStatus};
use runtime::clock::Clock;
use std::{collections::HashMap, sync::Arc, thread::JoinHandle, time::Duration};
use store::{Run, StatusChange, Store};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// How often it looks for runs that wait.
const LOOK: Duration = Duration::from_millis(500);
/// How many are read at a time.
const AT_ONCE: usize = 4;
/// How long a run waits whose data could not be read because the store failed.
const PAUSE: Duration = Duration::from_secs(5);

/// Whether a run waits for its data.
pub fn is_reading(status: RunStatus, reason: Option<&str>) -> bool {
    status == RunStatus::Paused && reason == Some(READING)
}

/// Has a stopped run go on: at once, or when a leader has read its data.
///
/// # Errors
/// When the store fails, or the spec was stored by another version.
pub async fn go_on(store: &dyn Store, run: &Run, now: i64) -> Result<(), CoordinatorError> {
    StoredSpec::of(run)?;
    if intake::is_read(store, run.id).await? {
        return intake::start(store, run.id, now).await;
    }
    if !is_reading(run.status, run.reason.as_deref()) {
        let change = StatusChange {
            run: run.id,
            from: run.status,
            to: RunStatus::Paused,
            reason: Some(READING.to_owned()),
            now,
        };
        store.set_status(&change).await?;
    }
    Ok(())
}

/// Reads the data of whichever run waits for that, until it is dropped: then it also stops in the middle.
///
/// # Errors
/// When the store fails, or the system gives no thread.
pub async fn run(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<(), CoordinatorError> {
    let over = CancellationToken::new();
    let _ends = over.clone().drop_guard();
    let reader = Reader { store, clock, over };
    let mut read: HashMap<RunId, JoinHandle<()>> = HashMap::new();
    loop {
        read.retain(|_, thread| !thread.is_finished());
        for run in reader.store.paused_because(READING).await? {
            if read.len() < AT_ONCE && !read.contains_key(&run) {
                read.insert(run, reader.clone().start(run)?);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[derive(Clone)]
struct Reader {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Whoever reads may not any more.
    over: CancellationToken,
}

impl Reader {
    /// A thread of its own: readers compute for long between awaits, and a process that ends must not wait for them.
    fn start(self, run: RunId) -> Result<JoinHandle<()>, CoordinatorError> {
        let runtime = Handle::current();
        let thread = std::thread::Builder::new().name("reading".to_owned());
        let started = thread.spawn(move || {
            let over = self.over.clone();
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = over.cancelled() => {}
                    () = self.read(run) => {}
                }
            });
        });
        started.map_err(|e| {
            CoordinatorError::Intake(format!("the system gives no thread to read data: {e}"))
        })
    }

    async fn read(&self, id: RunId) {
        let failed = match self.try_read(id).await {
            Ok(()) => return,
            Err(error) => error,
        };
        tracing::warn!(run = %id, error = %failed, "its data were not read");
        if !failed.is_passing() {
            match self.fail(id, &failed).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(run = %id, %error, "the failure was not stored"),
            }
        }
        // It still waits, and is read again.
        tokio::time::sleep(PAUSE).await;
    }

    /// A run that was paused or cancelled meanwhile stays so.
    async fn try_read(&self, id: RunId) -> Result<(), CoordinatorError> {
        let store = self.store.as_ref();
        let run = store.run(id).await?;
        let run = run.ok_or(CoordinatorError::UnknownRun(id))?;
        let read = intake::read_data(store, &run, &StoredSpec::of(&run)?).await?;
        sabotage::point("coordinator.read");
        if !self.waits(id).await? {
            return Ok(());
        }
        intake::note(store, id, &read).await?;
        intake::start(store, id, self.clock.now_micros()).await?;
        tracing::info!(run = %id, "its data are read");
        Ok(())
    }

    async fn waits(&self, id: RunId) -> Result<bool, CoordinatorError> {
        let status = self.store.status(id).await?;
        Ok(status.is_some_and(|(status, why)| is_reading(status, why.as_deref())))
    }

    async fn fail(&self, id: RunId, error: &CoordinatorError) -> Result<(), CoordinatorError> {
        if !self.waits(id).await? {
            return Ok(());
        }
        let change = StatusChange {
            run: id,
            from: RunStatus::Paused,
            to: RunStatus::Failed,
            reason: Some(error.to_string()),
            now: self.clock.now_micros(),
        };
        self.store.set_status(&change).await?;
        Ok(())
    }
}
