//! What validation asks of the world around it, as a trait, so that the checks themselves are pure.

use std::path::{Path, PathBuf};

/// The names of local models that can be fetched by name: those of the catalogue in crate `model`, which
/// this crate does not link (it would bring in a whole tensor library to check one word).
pub const CATALOGUE: &[&str] = &["smollm2-135m-instruct"];

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// Something that this user may not read.
    Unreadable,
    /// A readable file or folder.
    Readable {
        /// Whether every user of the machine may read it.
        by_everyone: bool,
    },
}

/// The world around a spec.
pub trait Environment {
    /// Whether an environment variable has a value other than the empty one. The value itself is not
    /// asked: it may be a secret.
    fn is_set(&self, variable: &str) -> bool;

    /// What a path leads to.
    fn find(&self, path: &Path) -> Found;

    /// The current directory.
    fn current_dir(&self) -> PathBuf;

    /// Whether models may be fetched from the Hugging Face hub.
    fn hub(&self) -> bool {
        true
    }

    /// The names of local models that can be fetched by name.
    fn catalogue(&self) -> &[&str] {
        CATALOGUE
    }
}

/// The machine this runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Environment for Machine {
    fn is_set(&self, variable: &str) -> bool {
        std::env::var_os(variable).is_some_and(|value| !value.is_empty())
    }

    fn find(&self, path: &Path) -> Found {
        let Ok(meta) = std::fs::metadata(path) else {
            return match path.try_exists() {
                Ok(false) => Found::Missing,
                _ => Found::Unreadable,
            };
        };
        let opens = match meta.is_dir() {
            true => std::fs::read_dir(path).is_ok(),
            false => std::fs::File::open(path).is_ok(),
        };
        match opens {
            true => Found::Readable {
                by_everyone: by_everyone(&meta),
            },
            false => Found::Unreadable,
        }
    }

    fn current_dir(&self) -> PathBuf {
        std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))
    }
}

#[cfg(unix)]
fn by_everyone(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    meta.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn by_everyone(_: &std::fs::Metadata) -> bool {
    false
}
