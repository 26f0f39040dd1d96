//! Artefacts: what is too large for the bus and no row of a table. Files by name, in a folder that all programs see or
//! in a bucket that speaks S3; the only crate that names object_store.
//!
//! | file | what |
//! | --- | --- |
//! | `place` | where they are: `file:///folder`, `s3://bucket/prefix` |
//! | `name` | what they are called |
//! | `open` | from a place to a store that can be used |
//! | `error` | what went wrong, for people |
//!
//! A file is there whole or not at all: it gets its name when all of it is written. Whoever writes one says by its
//! [`Stored::hash`] what was written, so that whoever reads it can tell that it is the same.

mod error;
mod name;
mod open;
mod place;

pub use error::ArtefactError;
pub use open::Variables;
pub use place::Place;

use bytes::Bytes;
use domain::hash::Hash;
use futures::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, buffered::BufWriter};
use sha2::{Digest as _, Sha256};
use std::{ffi::OsString, io, path::Path, sync::Arc};
use tokio::{fs::File, io::AsyncWriteExt};

/// Bytes of a stream that are sent together.
const PART: usize = 8 << 20;

/// A result of this crate.
pub type Result<T, E = ArtefactError> = std::result::Result<T, E>;

/// A place that is open. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Artefacts {
    place: Place,
    store: Arc<dyn ObjectStore>,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its length, bytes.
    pub bytes: u64,
    /// Its content: what [`hash`] says of it.
    pub hash: Hash,
}

/// One of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its length, bytes.
    pub bytes: u64,
    /// When it was written, by the clock of the place: UTC microseconds.
    pub modified: i64,
}

/// The hash of a content.
pub fn hash(content: &[u8]) -> Hash {
    half(Sha256::new().chain_update(content))
}

fn half(sha: Sha256) -> Hash {
    let mut out = [0; 16];
    out.copy_from_slice(&sha.finalize()[..16]);
    Hash(out)
}

impl Artefacts {
    /// Opens a place; a folder is made if it is missing. Nothing is asked of a bucket yet: see [`Artefacts::check`].
    /// Credentials, region and endpoint of a bucket are those of the environment (`AWS_…`).
    ///
    /// # Errors
    /// When the folder cannot be made, or the environment names settings of a bucket that make no sense.
    pub fn open(place: &Place) -> Result<Self> {
        let text = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::open_with(place, std::env::vars_os().filter_map(text).collect())
    }

    /// The same with other variables than those of the environment.
    ///
    /// # Errors
    /// As [`Artefacts::open`].
    pub fn open_with(place: &Place, variables: Variables) -> Result<Self> {
        let store = open::store(place, &variables)?;
        let place = place.clone();
        Ok(Self { place, store })
    }

    /// Where it is. It holds no secret.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whether files can be written, read and deleted here: does it once.
    ///
    /// # Errors
    /// When any of that fails.
    pub async fn check(&self) -> Result<()> {
        let name = format!("probe/{}", uuid::Uuid::now_v7());
        let content = Bytes::from_static(b"may be deleted");
        self.put(&name, content.clone()).await?;
        let read = self.get(&name, PART as u64).await?;
        self.delete(&name).await?;
        match read == content {
            true => Ok(()),
            false => Err(ArtefactError::Failed {
                place: self.place.clone(),
                why: "what is read is not what was written".to_owned(),
            }),
        }
    }

    /// Writes a file, over one of the same name if there is one.
    ///
    /// # Errors
    /// When the name is none, or it cannot be written.
    pub async fn put(&self, name: &str, content: Bytes) -> Result<Stored> {
        let path = name::path(name)?;
        let stored = Stored {
            bytes: content.len() as u64,
            hash: hash(&content),
        };
        let put = self.store.put(&path, PutPayload::from_bytes(content)).await;
        put.map_err(|e| self.error(name, e))?;
        Ok(stored)
    }

    /// Writes a file piece by piece; what is in memory at once does not grow with its length. When a piece fails, or
    /// this is dropped, there is no file.
    ///
    /// # Errors
    /// When the name is none, a piece cannot be read, or it cannot be written.
    pub async fn put_stream<S>(&self, name: &str, content: S) -> Result<Stored>
    where
        S: Stream<Item = io::Result<Bytes>> + Send,
    {
        let path = name::path(name)?;
        let mut writer = BufWriter::with_capacity(self.store.clone(), path, PART);
        match self.copy(name, content, &mut writer).await {
            Ok(stored) => Ok(stored),
            Err(error) => {
                // What was sent of it is of no use; the first error is the one that matters.
                let _ = writer.abort().await;
                Err(error)
            }
        }
    }

    async fn copy<S>(&self, name: &str, content: S, writer: &mut BufWriter) -> Result<Stored>
    where
        S: Stream<Item = io::Result<Bytes>> + Send,
    {
        let mut content = std::pin::pin!(content);
        let (mut sha, mut bytes) = (Sha256::new(), 0);
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(|e| self.failed(format!("{name}: not read: {e}")))?;
            sha.update(&piece);
            bytes += piece.len() as u64;
            let written = writer.put(piece).await;
            written.map_err(|e| self.error(name, e))?;
        }
        let ended = writer.shutdown().await;
        ended.map_err(|e| self.failed(format!("{name}: {e}")))?;
        let hash = half(sha);
        Ok(Stored { bytes, hash })
    }

    /// Reads a file of at most `limit` bytes.
    ///
    /// # Errors
    /// When there is none of that name, it is larger, or it cannot be read.
    pub async fn get(&self, name: &str, limit: u64) -> Result<Bytes> {
        let found = self.store.get(&name::path(name)?).await;
        let found = found.map_err(|e| self.error(name, e))?;
        let bytes = found.meta.size;
        if bytes > limit {
            return Err(ArtefactError::TooLarge {
                name: name.to_owned(),
                place: self.place.clone(),
                bytes,
                limit,
            });
        }
        found.bytes().await.map_err(|e| self.error(name, e))
    }

    /// Reads a file of any length piece by piece.
    ///
    /// # Errors
    /// As [`Artefacts::get`]; a piece may fail later.
    pub async fn get_stream(&self, name: &str) -> Result<BoxStream<'static, Result<Bytes>>> {
        let found = self.store.get(&name::path(name)?).await;
        let found = found.map_err(|e| self.error(name, e))?;
        let (of, name) = (self.clone(), name.to_owned());
        let pieces = found.into_stream();
        Ok(pieces.map_err(move |e| of.error(&name, e)).boxed())
    }

    /// Reads a file of any length into a file of this machine, over what is there.
    ///
    /// # Errors
    /// As [`Artefacts::get_stream`], and when the file cannot be written.
    pub async fn get_to(&self, name: &str, path: &Path) -> Result<()> {
        let cannot = |e: io::Error| self.failed(format!("{}: {e}", path.display()));
        let mut pieces = self.get_stream(name).await?;
        let mut to = File::create(path).await.map_err(cannot)?;
        while let Some(piece) = pieces.try_next().await? {
            to.write_all(&piece).await.map_err(cannot)?;
        }
        to.flush().await.map_err(cannot)
    }

    /// Deletes a file; one that is not there is deleted already.
    ///
    /// # Errors
    /// When the name is none, or it cannot be deleted.
    pub async fn delete(&self, name: &str) -> Result<()> {
        match self.store.delete(&name::path(name)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.error(name, e)),
        }
    }

    /// The files in a folder and the folders below it, in no order; all files where the folder's name is empty.
    ///
    /// # Errors
    /// When the name is none; a line may fail later.
    pub fn list(&self, folder: &str) -> Result<BoxStream<'static, Result<Listed>>> {
        let under = match folder {
            "" => None,
            folder => Some(name::path(folder)?),
        };
        let (of, folder) = (self.clone(), folder.to_owned());
        let found = self.store.list(under.as_ref());
        let found = found.map_err(move |e| of.error(&folder, e));
        let listed = |meta: object_store::ObjectMeta| Listed {
            name: meta.location.to_string(),
            bytes: meta.size,
            modified: meta.last_modified.timestamp_micros(),
        };
        Ok(found.map_ok(listed).boxed())
    }

    /// Deletes what was written in a folder before a time (UTC microseconds); says how many files.
    ///
    /// # Errors
    /// When they cannot be listed or deleted; those before it are gone.
    pub async fn sweep(&self, folder: &str, before: i64) -> Result<u64> {
        let mut deleted = 0;
        let mut files = self.list(folder)?;
        while let Some(file) = files.try_next().await? {
            if file.modified < before {
                self.delete(&file.name).await?;
                deleted += 1;
            }
        }
        Ok(deleted)
    }

    fn error(&self, name: &str, error: object_store::Error) -> ArtefactError {
        ArtefactError::of(&self.place, name, error)
    }

    fn failed(&self, why: String) -> ArtefactError {
        ArtefactError::Failed {
            place: self.place.clone(),
            why,
        }
    }
}
