//! The interpreter: which one, and which files it needs. All that knows Python is here, in `python/` and in the words
//! of [`crate::extract`].

use crate::{
    error::Unsupported,
    sys::{self, Confine},
};
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The script of processes that run programs.
pub(crate) const CANDIDATE: &str = concat!(
    include_str!("../python/plain.py"),
    include_str!("../python/candidate.py"),
    include_str!("../python/zygote.py")
);

/// The script of processes that hold tests.
pub(crate) const CHECKER: &str = concat!(
    include_str!("../python/plain.py"),
    include_str!("../python/arrays.py"),
    include_str!("../python/checker.py"),
    include_str!("../python/zygote.py")
);

/// Isolated from variables and the current folder, without installed packages, writing no compiled files, in UTF-8.
pub(crate) const FLAGS: [&str; 6] = ["-I", "-S", "-B", "-X", "utf8", "-c"];

/// Modules that many programs import, loaded before they come. Each one more makes every fork dearer.
pub(crate) const FOR_CANDIDATES: &[&str] = &[
    "bisect",
    "collections",
    "collections.abc",
    "copy",
    "datetime",
    "functools",
    "heapq",
    "itertools",
    "json",
    "math",
    "operator",
    "random",
    "re",
    "string",
    "time",
    "typing",
];

/// The same for tests.
pub(crate) const FOR_TESTS: &[&str] = &["copy", "math", "random", "string"];

/// An interpreter that works under a slot's user, and what it reads.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Python {
    pub(crate) program: PathBuf,
    pub(crate) version: [u32; 3],
    /// Shared objects, the dynamic loader among them.
    pub(crate) objects: Vec<PathBuf>,
    /// Files and folders of the standard library.
    pub(crate) library: Vec<PathBuf>,
    /// Folders that are listed to find modules.
    pub(crate) folders: Vec<PathBuf>,
}

impl Python {
    /// The named interpreter, or the first of `PATH` and `/usr/bin` that works.
    ///
    /// # Errors
    ///
    /// None works; the reasons of all that were tried.
    pub(crate) fn find(named: Option<&Path>, uid: Option<u32>) -> Result<Self, Unsupported> {
        let tried = match named {
            Some(path) => vec![path.to_owned()],
            None => on_path(),
        };
        let mut reasons = Vec::new();
        for path in tried {
            match probe(&path, uid) {
                Ok(python) if python.version >= [3, 9, 0] => return Ok(python),
                Ok(python) => reasons.push(format!(
                    "{} is Python {}.{}, older than 3.9",
                    path.display(),
                    python.version[0],
                    python.version[1]
                )),
                Err(why) => reasons.push(format!("{}: {why}", path.display())),
            }
        }
        if reasons.is_empty() {
            reasons.push("no python3 on PATH or in /usr/bin".to_owned());
        }
        Err(Unsupported::Python(reasons.join("; ")))
    }
}

fn on_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in std::env::split_paths(&path).chain(["/usr/bin".into(), "/usr/local/bin".into()]) {
        let program = folder.join("python3");
        if program.is_file() && !found.contains(&program) {
            found.push(program);
        }
    }
    found
}

/// Has an interpreter tell where its library is: a wrapper that a version manager puts on `PATH` tells the real one.
fn probe(path: &Path, uid: Option<u32>) -> Result<Python, String> {
    let mut command = Command::new(path);
    command
        .args(FLAGS)
        .arg(include_str!("../python/probe.py"))
        .args(FOR_CANDIDATES);
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = sys::spawn(&mut command, Confine { rules: None, uid });
    let child = child.map_err(|error| error.to_string())?;
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().last().unwrap_or("it says nothing");
        return Err(format!("{}, {last}", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}
