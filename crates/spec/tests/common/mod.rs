//! A world that a test describes, and a small sound spec to spoil.

#![allow(dead_code)] // each test file uses its own part

use spec::{Environment, Found, Loaded, Purpose, SpecError, load_text};
use std::path::{Path, PathBuf};

/// Files and variables that exist.
#[derive(Default)]
pub struct World {
    pub files: Vec<&'static str>,
    pub everything: bool,
    pub private: Vec<&'static str>,
    pub locked: Vec<&'static str>,
    pub variables: Vec<&'static str>,
}

impl World {
    /// Every file and every variable exists.
    pub fn rich() -> Self {
        Self {
            everything: true,
            ..Self::default()
        }
    }

    /// What the small spec needs.
    pub fn small() -> Self {
        Self {
            files: vec!["/home/ada/specs/q.csv"],
            ..Self::default()
        }
    }
}

impl Environment for World {
    fn is_set(&self, variable: &str) -> bool {
        self.everything || self.variables.contains(&variable)
    }

    fn find(&self, path: &Path) -> Found {
        let is = |known: &[&str]| known.iter().any(|k| Path::new(k) == path);
        match () {
            () if is(&self.locked) => Found::Unreadable,
            () if is(&self.private) => Found::Readable { by_everyone: false },
            () if self.everything || is(&self.files) => Found::Readable { by_everyone: true },
            () => Found::Missing,
        }
    }

    fn current_dir(&self) -> PathBuf {
        PathBuf::from("/home/ada")
    }
}

/// A sound spec; `q.csv` lies beside it.
pub const SMALL: &str = r#"[run]
name = "small"

[[datasets]]
name = "q"
format = "mmlu"
path = "q.csv"

[models.target]
kind = "local"
model = "smollm2-135m-instruct"
"#;

/// The small spec with an HTTP target.
pub const HTTP: &str = r#"[run]
name = "small"

[[datasets]]
name = "q"
format = "mmlu"
path = "q.csv"

[models.target]
kind = "http"
base_url = "https://api.example.org/v1"
model = "m"
"#;

/// Loads a text as `specs/s.toml`.
pub fn load(text: &str, world: &World) -> Result<Loaded, SpecError> {
    load_as(text, world, Purpose::Run, &[])
}

/// Loads a text with overrides.
pub fn load_as(
    text: &str,
    world: &World,
    purpose: Purpose,
    set: &[&str],
) -> Result<Loaded, SpecError> {
    let set: Vec<String> = set.iter().map(|s| s.to_string()).collect();
    load_text(text, Path::new("specs/s.toml"), &set, purpose, world)
}

/// What is said of a spec that must not load.
pub fn said(text: &str, world: &World) -> String {
    match load(text, world) {
        Ok(loaded) => panic!("loaded: {loaded:?}"),
        Err(e) => e.to_string(),
    }
}
