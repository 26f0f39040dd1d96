//! Reading a run's data beside the request that asked for it.

use super::Site;
use crate::{
    CoordinatorError,
    intake::{self, READING, StoredSpec},
};
use domain::{ids::RunId, run::RunStatus};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::{Run, StatusChange};
use tokio::runtime::Handle;

/// The runs whose data this process reads now. Another process may read the same: that changes nothing.
#[derive(Clone, Default)]
pub struct Reading(Arc<Mutex<HashSet<RunId>>>);

impl Reading {
    fn lock(&self) -> MutexGuard<'_, HashSet<RunId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a run out when its reading ends, however it ends.
struct Under(Reading, RunId);

impl Drop for Under {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

/// Has a stopped run go on: at once, or when its data are read. Whoever dies meanwhile leaves it paused, with a reason
/// that says so, and it is asked for again.
pub async fn go_on(site: &Site, run: &Run) -> Result<(), CoordinatorError> {
    let stored = StoredSpec::of(run)?;
    if intake::is_read(site.store(), run.id).await? {
        return intake::start(site.store(), run.id, site.now()).await;
    }
    if !is_reading(run.status, run.reason.as_deref()) {
        let change = StatusChange {
            run: run.id,
            from: run.status,
            to: RunStatus::Paused,
            reason: Some(READING.to_owned()),
            now: site.now(),
        };
        site.store().set_status(&change).await?;
    }
    if !site.reading.lock().insert(run.id) {
        return Ok(());
    }
    let under = Under(site.reading.clone(), run.id);
    let (site, run, runtime) = (site.clone(), run.clone(), Handle::current());
    // A thread of its own: readers compute for long between awaits, and a process that ends must not wait for them.
    let thread = std::thread::Builder::new().name("reading".to_owned());
    let started = thread.spawn(move || {
        let _under = under;
        runtime.block_on(read(&site, &run, &stored));
    });
    started.map(drop).map_err(|e| {
        CoordinatorError::Intake(format!("the system gives no thread to read data: {e}"))
    })
}

/// Whether a run waits for its data.
pub fn is_reading(status: RunStatus, reason: Option<&str>) -> bool {
    status == RunStatus::Paused && reason == Some(READING)
}

async fn read(site: &Site, run: &Run, stored: &StoredSpec) {
    let ended = tokio::select! {
        read = intake::read(site.store(), run, stored) => finish(site, run, read.err()).await,
        () = site.shutdown.drain_requested() => Ok(()),
    };
    if let Err(error) = ended {
        tracing::warn!(run = %run.id, %error, "its data are read, or not, but that was not noted: resume it");
    }
}

/// A run that was paused or cancelled meanwhile stays so.
async fn finish(
    site: &Site,
    run: &Run,
    failed: Option<CoordinatorError>,
) -> Result<(), CoordinatorError> {
    let Some(error) = failed else {
        tracing::info!(run = %run.id, "its data are read");
        let still = site.store().status(run.id).await?;
        if still.is_some_and(|(status, why)| is_reading(status, why.as_deref())) {
            intake::start(site.store(), run.id, site.now()).await?;
        }
        return Ok(());
    };
    tracing::warn!(run = %run.id, %error, "its data were not read");
    let change = StatusChange {
        run: run.id,
        from: RunStatus::Paused,
        to: RunStatus::Failed,
        reason: Some(error.to_string()),
        now: site.now(),
    };
    site.store().set_status(&change).await?;
    Ok(())
}
