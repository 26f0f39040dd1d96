//! What the integration tests share: where data are, how a skipped test says so, scratch files.
// Each test binary uses a part.
#![allow(dead_code)]

use dataset::{Format, Reader, Row, Source, open};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of ours under `examples/data`.
pub fn ours(path: &str) -> PathBuf {
    root().join("examples/data").join(path)
}

/// A path among the real data, or a note that the test was skipped.
pub fn real(path: &str) -> Option<PathBuf> {
    let data = std::env::var_os("PROMPTIMAL_DATA").map(PathBuf::from);
    let path = data
        .unwrap_or_else(|| root().join("../shared/data"))
        .join(path);
    if path.exists() {
        return Some(path);
    }
    skipped("real data are not here (set PROMPTIMAL_DATA)");
    None
}

/// Says that a test was skipped, here and in the log that the full run checks.
pub fn skipped(why: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("skipped: dataset {name}: {why}");
    println!("{line}");
    if let Some(log) = std::env::var_os("PROMPTIMAL_SKIP_LOG") {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log);
        writeln!(log.unwrap(), "{line}").unwrap();
    }
}

/// All rows of a source, which must be good.
pub fn rows(source: &Source) -> Vec<Row> {
    reader(source)
        .map(|row| row.unwrap_or_else(|e| panic!("{e}")))
        .collect()
}

/// An open source.
pub fn reader(source: &Source) -> Reader {
    open(source).unwrap_or_else(|e| panic!("{e}"))
}

/// A source called `set`.
pub fn source(format: Format, path: impl Into<PathBuf>) -> Source {
    Source::new("set", format, path)
}

/// A folder with files, gone when dropped.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new(files: &[(&str, &[u8])]) -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        for (name, bytes) in files {
            let path = scratch.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        scratch
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A message without the folder's own name.
    pub fn bare(&self, message: impl ToString) -> String {
        let folder = self.0.path().display().to_string();
        message
            .to_string()
            .replace(&format!("{folder}/"), "")
            .replace(&folder, "FOLDER")
    }
}
