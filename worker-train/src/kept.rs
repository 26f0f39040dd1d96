//! What a training keeps among the artefacts.
//!
//! ```text
//! trainings/<run>/<task>/<epoch>/checkpoint.safetensors        while it is under way
//!                               /adapter_config.json           at its end, in PEFT's layout
//!                               /adapter_model.safetensors
//!                               /training.json                 last: with it, the folder is whole
//! ```
//!
//! Each attempt writes in a folder of its own, and reads in those of all: whoever gets a task goes on where the last one
//! stopped, and an attempt whose report was lost is not repeated.

use artefacts::{ArtefactError, Artefacts, Listed};
use bytes::Bytes;
use domain::{ids::RunId, run::Attempt};
use futures::{Stream, TryStreamExt, stream};
use std::{io, path::Path};
use tokio::{fs::File, io::AsyncReadExt};
use train::{CHECKPOINT, SEEN, peft};
use wire::Training;

/// The folder of all trainings.
const FOLDER: &str = "trainings";
/// What came of one.
const RESULT: &str = model::lora::REPORT;
/// A result is a few numbers for each step.
const MAX_RESULT: u64 = 64 << 20;
/// Bytes read at a time.
const PIECE: usize = 1 << 20;

/// A result of this module.
type Result<T> = std::result::Result<T, ArtefactError>;

/// The folders of a training.
#[derive(Clone, Debug)]
pub struct Kept {
    artefacts: Artefacts,
    /// Of all attempts.
    task: String,
    epoch: u32,
}

impl Kept {
    /// Those of an attempt of a run.
    pub fn new(artefacts: Artefacts, run: RunId, attempt: &Attempt) -> Self {
        Self {
            artefacts,
            task: format!("{FOLDER}/{run}/{}", attempt.task),
            epoch: attempt.epoch,
        }
    }

    /// This attempt's folder.
    pub fn folder(&self) -> String {
        format!("{}/{}", self.task, self.epoch)
    }

    /// The address of the artefacts.
    pub fn place(&self) -> String {
        self.artefacts.place().to_string()
    }

    /// What came of an earlier attempt that was whole.
    pub async fn finished(&self) -> Result<Option<Training>> {
        let Some(newest) = newest(self.named(RESULT).await?) else {
            return Ok(None);
        };
        let bytes = self.artefacts.get(&newest.name, MAX_RESULT).await?;
        let read = serde_json::from_slice(&bytes);
        if let Err(error) = &read {
            tracing::warn!(name = newest.name, %error, "a result that cannot be read, training again");
        }
        Ok(read.ok())
    }

    /// Puts the newest checkpoint of any attempt into a folder; says whether there was one.
    pub async fn fetch(&self, dir: &Path) -> Result<bool> {
        let Some(newest) = newest(self.named(CHECKPOINT).await?) else {
            return Ok(false);
        };
        let file = dir.join(CHECKPOINT);
        self.artefacts.get_to(&newest.name, &file).await?;
        tracing::info!(name = newest.name, "going on from a checkpoint");
        Ok(true)
    }

    /// Keeps the checkpoint of a folder.
    pub async fn save(&self, dir: &Path) -> Result<()> {
        self.put(dir, CHECKPOINT).await
    }

    /// Keeps the adapter of a folder and what came of the training; then no checkpoint is of use.
    pub async fn finish(&self, dir: &Path, training: &Training) -> Result<()> {
        for name in [peft::CONFIG, peft::WEIGHTS, SEEN] {
            self.put(dir, name).await?;
        }
        // Serialising these types cannot fail: no map has keys other than text.
        let text = serde_json::to_vec_pretty(training).unwrap_or_default();
        let name = format!("{}/{RESULT}", self.folder());
        self.artefacts.put(&name, text.into()).await?;
        self.forget().await;
        Ok(())
    }

    /// Deletes the checkpoints of all attempts. One that is left behind does no harm.
    pub async fn forget(&self) {
        let deleted = async {
            for checkpoint in self.named(CHECKPOINT).await? {
                self.artefacts.delete(&checkpoint.name).await?;
            }
            Result::Ok(())
        };
        if let Err(error) = deleted.await {
            tracing::warn!(%error, "a checkpoint is left behind");
        }
    }

    /// The files of this name, of all attempts.
    async fn named(&self, name: &str) -> Result<Vec<Listed>> {
        let ending = format!("/{name}");
        let mut files: Vec<Listed> = self.artefacts.list(&self.task)?.try_collect().await?;
        files.retain(|file| file.name.ends_with(&ending));
        Ok(files)
    }

    async fn put(&self, dir: &Path, name: &str) -> Result<()> {
        let path = dir.join(name);
        let file = File::open(&path)
            .await
            .map_err(|e| self.failed(&path, &e))?;
        let to = format!("{}/{name}", self.folder());
        self.artefacts.put_stream(&to, pieces(file)).await?;
        Ok(())
    }

    fn failed(&self, path: &Path, error: &io::Error) -> ArtefactError {
        ArtefactError::Failed {
            place: self.artefacts.place().clone(),
            why: format!("{}: {error}", path.display()),
        }
    }
}

/// The one that was written last; of those written at once, that of the last attempt.
fn newest(files: Vec<Listed>) -> Option<Listed> {
    files
        .into_iter()
        .max_by_key(|file| (file.modified, file.name.len(), file.name.clone()))
}

/// A file, piece by piece. Whoever puts another in its place meanwhile does not change what is read.
fn pieces(file: File) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; PIECE];
        let read = file.read(&mut piece).await?;
        piece.truncate(read);
        Ok((read > 0).then(|| (Bytes::from(piece), file)))
    })
}
