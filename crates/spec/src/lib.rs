//! The run spec: typed TOML, validated whole before anything starts.
//!
//! [`load`] reads a file, lays `--set key=value` over it, checks everything (keys, types, bounds, what
//! must fit together, files, keys of APIs) and returns a complete [`Spec`], or a [`SpecError`] with every
//! problem found: file, line, key, value and what would be right.
//!
//! | module | what |
//! | --- | --- |
//! | [`keys`] | every key once: type, default, meaning |
//! | `tree` | TOML with the place of everything in it, and overrides |
//! | `shape`, `value`, `hint` | the structural check against the table of keys |
//! | `fill` | defaults that depend on other keys |
//! | `check` | what must fit together, and the world: files, environment variables |
//! | `types`, `data`, `model` | the typed spec |
//! | [`docs`] | `docs/spec.md`, written from the table of keys |

mod check;
mod data;
pub mod docs;
mod env;
mod error;
mod fill;
mod grader;
mod hint;
mod instruct;
pub mod keys;
mod model;
mod report;
mod shape;
mod tree;
mod types;
mod value;

pub use data::Dataset;
pub use dataset::{AnswerIs, FieldMap, Format, OnBadRow};
pub use domain::tuning::Tuning;
pub use env::{CATALOGUE, Environment, Found, Machine};
pub use error::{Problem, SpecError};
pub use instruct::{Instruct, Start};
pub use model::{Device, Dtype, Http, Local, Model, Precision, Reward};
pub use types::*;

use report::Report;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// A full example with every key, commented. Settings beside the ones in use stand behind a `#` without
/// a space. It loads as it is from the root of the repository.
pub const FULL_EXAMPLE: &str = include_str!("full_example.toml");

/// What the spec is loaded for: it decides which models must be callable, and what is worth a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The self-play loop: target and proposer.
    Run,
    /// Just evaluating: the models of `[eval]`.
    Eval,
    /// For a worker: `[models]` alone, each of which must be callable. All else in the file is passed over, so that a
    /// spec serves as well as a file of models.
    Models,
}

/// A spec that passed every check.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The spec, complete.
    pub spec: Spec,
    /// Where its files are.
    pub paths: Paths,
    /// What people should know of, in file order; nothing that stops a run.
    pub warnings: Vec<String>,
}

/// Where the files that a spec names were found, as absolute paths. Kept beside the spec, so that its
/// hash does not depend on the machine or the current directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    /// By name of the data set.
    pub datasets: BTreeMap<String, PathBuf>,
    /// By name of the model: local models given by path.
    pub models: BTreeMap<String, PathBuf>,
    /// By name of the model: folders of adapters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub adapters: BTreeMap<String, PathBuf>,
    /// By name of the model: files that hold its key.
    pub key_files: BTreeMap<String, PathBuf>,
    /// The base that a rewriter is trained from, where it is given by path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<PathBuf>,
}

/// Loads a spec file with `key=value` overrides on top.
///
/// # Errors
/// Every problem found, in file order.
pub fn load(path: &Path, overrides: &[String], purpose: Purpose) -> Result<Loaded, SpecError> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        let message = match e.kind() {
            std::io::ErrorKind::NotFound => {
                "no such spec file: `promptimal spec` prints one to start from".to_owned()
            }
            std::io::ErrorKind::IsADirectory => "is a folder: name the spec file in it".to_owned(),
            std::io::ErrorKind::InvalidData => {
                "the spec file is no text in UTF-8: save it as such".to_owned()
            }
            std::io::ErrorKind::PermissionDenied => {
                "the spec file may not be read by this user".to_owned()
            }
            _ => format!("the spec file cannot be read: {e}"),
        };
        alone(path.display().to_string(), message)
    })?;
    load_text(&text, path, overrides, purpose, &Machine)
}

/// Loads a spec from its text, as if it stood in the file `path`, in any [`Environment`].
///
/// # Errors
/// Every problem found, in file order.
pub fn load_text(
    text: &str,
    path: &Path,
    overrides: &[String],
    purpose: Purpose,
    env: &dyn Environment,
) -> Result<Loaded, SpecError> {
    let file = path.display().to_string();
    let mut tree = tree::parse(text).map_err(|e| {
        alone(
            format!("{file}:{}", e.line),
            format!("not TOML: {}", e.message),
        )
    })?;
    for assignment in overrides {
        // Of a bad assignment only the key is shown: its value might be a secret.
        let key = assignment.split('=').next().unwrap_or_default().trim();
        tree.set(assignment)
            .map_err(|message| alone(format!("--set {key}"), message))?;
    }
    if purpose == Purpose::Models {
        tree.keep("models");
        // The one section that every spec must have.
        tree.set("run.name=models")
            .map_err(|message| alone(file.clone(), message))?;
    }
    let mut report = Report::new(file, &tree);
    let mut json = shape::check(&tree, &mut report);
    fill::fill(&mut json);
    let mut check = check::Check {
        purpose,
        env,
        folder: path.parent().unwrap_or(Path::new("")),
        report,
        paths: Paths::default(),
        names: Vec::new(),
    };
    match serde_json::from_value::<Spec>(json) {
        Ok(mut spec) => {
            check.all(&mut spec);
            let warnings = check.report.finish()?;
            Ok(Loaded {
                spec,
                paths: check.paths,
                warnings,
            })
        }
        // The table of keys lets through only what the types take (a test holds the two together), so
        // this is a mistake of ours; it still must not start a run.
        Err(e) => {
            let place = path.display().to_string();
            let ours = alone(place, format!("cannot be understood: {e}"));
            Err(check.report.finish().err().unwrap_or(ours))
        }
    }
}

fn alone(place: String, message: String) -> SpecError {
    SpecError {
        problems: vec![Problem {
            place,
            key: None,
            value: None,
            message,
            absent: false,
        }],
    }
}
