//! The run spec: typed TOML, validated whole before anything starts.

mod data;
mod env;
mod error;
mod model;
mod types;

pub use data::{Dataset, DatasetGrader, LaterGrader};
pub use dataset::{AnswerIs, FieldMap, Format, OnBadRow};
pub use env::{CATALOGUE, Environment, Found, Machine};
pub use error::{Problem, SpecError};
pub use model::{Http, Local, Model, Precision, Reward};
pub use types::*;

use std::{collections::BTreeMap, path::PathBuf};

/// Where the files that a spec names were found, as absolute paths. Kept beside the spec, so that its
/// hash does not depend on the machine or the current directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Paths {
    /// By name of the data set.
    pub datasets: BTreeMap<String, PathBuf>,
    /// By name of the model: local models given by path.
    pub models: BTreeMap<String, PathBuf>,
    /// By name of the model: files that hold its key.
    pub key_files: BTreeMap<String, PathBuf>,
}
