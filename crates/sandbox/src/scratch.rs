//! The folder in which a program may keep files while it runs.

use crate::{error::Unsupported, options::Limits};
use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A folder of one slot, emptied after each program. Programs can make plain files in it and nothing else.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    /// Makes one that belongs to a user.
    pub(crate) fn new(under: Option<&Path>, uid: Option<u32>) -> Result<Self, Unsupported> {
        let under = under.map_or_else(std::env::temp_dir, PathBuf::from);
        make(&under, uid).map_err(|source| Unsupported::Scratch {
            folder: under,
            source,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Whether the files in it are more, or larger, than they may be.
    pub(crate) fn exceeds(&self, limits: &Limits) -> io::Result<bool> {
        let (mut files, mut bytes) = (0, 0);
        for entry in fs::read_dir(self.path())? {
            // A file may vanish between being listed and being looked at.
            let Ok(file) = entry?.metadata() else {
                continue;
            };
            files += 1;
            bytes += file.blocks() * 512;
            if files > limits.files || bytes > limits.scratch {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes all files in it.
    pub(crate) fn empty(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.path())? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }
}

fn make(under: &Path, uid: Option<u32>) -> io::Result<Scratch> {
    let folder = tempfile::Builder::new()
        .prefix("promptimal-sandbox.")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(under)?;
    if let Some(uid) = uid {
        std::os::unix::fs::chown(folder.path(), Some(uid), Some(uid))?;
    }
    Ok(Scratch(folder))
}
