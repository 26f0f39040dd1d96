//! The training of a run in this process.

use crate::{bus::Bus, embedded::Job, models};
use anyhow::Context;
use artefacts::{Artefacts, Place};
use domain::run::RunKind;
use queue::QueueError;
use runtime::{heart::Heart, shutdown::Shutdown};
use std::{path::Path, time::Duration};
use worker_train::{Config, Deps, bases::Bases};

/// The folder beside the store where adapters and checkpoints are kept, unless another place is named.
const FOLDER: &str = "artefacts";
/// A checkpoint is written so long after the one before.
const SAVE_EVERY: Duration = Duration::from_secs(300);

/// What a training needs.
pub struct School {
    bases: Bases,
    artefacts: Artefacts,
}

/// What the training of a run needs, if it has one. All of it is looked for before the run begins.
///
/// # Errors
/// When the base or the place of artefacts cannot be used.
pub async fn school(job: &Job<'_>) -> anyhow::Result<Option<School>> {
    if job.stored.spec.train.is_none() || job.run.kind != RunKind::Optimise {
        return Ok(None);
    }
    let found = models::base(&job.stored).await;
    let path = found.map_err(|e| anyhow::anyhow!("train.base: {e}"))?;
    let bases = Bases::of([path]).await;
    let bases = bases.map_err(|e| anyhow::anyhow!("train.base: {e}"))?;
    let artefacts = match job.bus.artefacts.open().await? {
        Some(artefacts) => artefacts,
        None => beside(&job.site.data_dir)?,
    };
    Ok(Some(School { bases, artefacts }))
}

/// The place beside the store.
fn beside(data_dir: &Path) -> anyhow::Result<Artefacts> {
    let folder = data_dir.join(FOLDER);
    let shown = || format!("cannot make folder {}", folder.display());
    std::fs::create_dir_all(&folder).with_context(shown)?;
    let folder = folder.canonicalize().with_context(shown)?;
    Ok(Artefacts::open(&Place::Folder(folder))?)
}

impl School {
    /// What the base is.
    pub fn identity(&self) -> &str {
        self.bases
            .iter()
            .next()
            .map_or("", |(identity, _)| identity)
    }
}

/// The worker that trains, where a training is asked for.
pub fn training(
    bus: &Bus,
    school: Option<School>,
    (worker, heart): (String, Heart),
    shutdown: Shutdown,
) -> impl Future<Output = Result<(), QueueError>> + use<> {
    let queue = bus.queue();
    async move {
        let Some(School { bases, artefacts }) = school else {
            return Ok(());
        };
        let config = Config {
            worker,
            save_every: SAVE_EVERY,
            scratch: None,
            place: train::Place::default(),
        };
        let deps = Deps {
            queue,
            artefacts,
            bases,
            heart,
        };
        worker_train::run(config, deps, shutdown).await
    }
}
