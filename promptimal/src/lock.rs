//! One process drives a run at a time.

use crate::site::Site;
use anyhow::{Context, bail};
use runtime::{
    clock::{Clock, SystemClock},
    service::process_id,
    shutdown::Shutdown,
};
use std::{
    fs::{File, TryLockError},
    sync::Arc,
    time::Duration,
};
use store::{Run, Store};
use tokio::task::JoinHandle;

/// How often a lock is asked for, and how far apart. One that was held by a process that was killed this moment may
/// need a while to be gone.
const FILE_TRIES: u32 = 50;
const FILE_WAIT: Duration = Duration::from_millis(100);
const LEASE_TRIES: u32 = 25;
const LEASE_WAIT: Duration = Duration::from_secs(1);

/// How long a lease holds without being renewed. Waiting for it is longer.
const TTL: Duration = Duration::from_secs(15);

/// The right to drive a run. The file's goes with the process, however it ends; the database's runs out.
pub enum Lock {
    /// Runs in a file: nobody else has it while this lives.
    File { _held: File },
    /// Runs in a database.
    Lease(Lease),
}

impl Lock {
    /// Takes the right; where it is lost on the way, `shutdown` is asked to drain.
    ///
    /// # Errors
    /// When another process has it.
    pub async fn take(
        site: &Site,
        store: &Arc<dyn Store>,
        run: &Run,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Self> {
        match site.database_url {
            None => file(site, run).await,
            Some(_) => Lease::take(store.clone(), run, shutdown.clone())
                .await
                .map(Self::Lease),
        }
    }

    /// Gives it back.
    pub async fn release(self) {
        if let Self::Lease(lease) = self {
            lease.release().await;
        }
    }
}

async fn file(site: &Site, run: &Run) -> anyhow::Result<Lock> {
    let path = site.data_dir.join(format!("{}.lock", run.id));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    for _ in 0..FILE_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(Lock::File { _held: file }),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(FILE_WAIT).await,
            Err(TryLockError::Error(e)) => {
                return Err(e).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
    bail!(
        "run {} is driven by another process: wait for it, or end it",
        run.id
    )
}

/// A lease that is renewed until it is released or dropped.
pub struct Lease {
    claim: Claim,
    renewing: JoinHandle<()>,
}

/// What is asked for, of whom.
#[derive(Clone)]
struct Claim {
    store: Arc<dyn Store>,
    name: String,
    lease: coordinator::Lease,
}

impl Claim {
    async fn ask(&self) -> store::Result<Option<i64>> {
        let now = SystemClock.now_micros();
        self.lease.ask(&self.name, self.store.as_ref(), now).await
    }
}

impl Lease {
    async fn take(store: Arc<dyn Store>, run: &Run, shutdown: Shutdown) -> anyhow::Result<Self> {
        let claim = Claim {
            store,
            name: format!("drive {}", run.id),
            lease: coordinator::Lease {
                holder: process_id(),
                ttl: TTL,
            },
        };
        for _ in 0..LEASE_TRIES {
            let Some(term) = claim.ask().await? else {
                tokio::time::sleep(LEASE_WAIT).await;
                continue;
            };
            let renewing = tokio::spawn(renew(claim.clone(), term, shutdown));
            return Ok(Self { claim, renewing });
        }
        bail!(
            "run {} is driven by another process on this database: wait for it, or end it",
            run.id
        )
    }

    async fn release(self) {
        self.renewing.abort();
        let Claim { store, name, lease } = &self.claim;
        if let Err(error) = store.release(name, &lease.holder).await {
            tracing::warn!(%error, "the run's lease was not given back, it runs out by itself");
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// Renews the term. Once it is another's, this process must not go on; a database that is away is asked again, and
/// whether the term is still ours shows when it is back.
async fn renew(claim: Claim, term: i64, shutdown: Shutdown) {
    loop {
        tokio::time::sleep(TTL / 3).await;
        match claim.ask().await {
            Ok(Some(same)) if same == term => {}
            Ok(_) => {
                tracing::error!("the run was taken over by another process");
                return shutdown.request_drain();
            }
            Err(error) => tracing::warn!(%error, "the run's lease was not renewed, trying again"),
        }
    }
}
