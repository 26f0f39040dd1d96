//! The data sets of a spec: `[[datasets]]`.

use dataset::{FieldMap, Format, OnBadRow, Sample, Source};
use domain::grade::Grader;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A data set, how it is graded, and how many of its hardest examples are worked on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// Its name in the run.
    pub name: String,
    /// The layout of its files.
    pub format: Format,
    /// A file or folder, as the spec writes it (see [`crate::Paths`] for where it was found).
    pub path: PathBuf,
    /// MMLU only: which part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Only the first so many good rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// So many good rows of all, drawn by the run's seed; `limit` or this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<usize>,
    /// What a bad row does.
    #[serde(default)]
    pub on_bad_row: OnBadRow,
    /// JSONL and CSV only: which field is what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<FieldMap>,
    /// Classification: the labels' names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// How many of its hardest examples become targets; its share of `search.hardest` unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardest: Option<usize>,
    /// How its answers are graded. A loaded spec always has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grader: Option<Grader>,
}

impl Dataset {
    /// The grader. A loaded spec always has one.
    pub fn grader(&self) -> Option<&Grader> {
        self.grader.as_ref()
    }

    /// What to read: this data set at the place where its files were found, sampled by the run's seed.
    pub fn source(&self, found: &Path, seed: u64) -> Source {
        Source {
            name: self.name.clone(),
            format: self.format,
            path: found.to_owned(),
            part: self.part.clone(),
            fields: self.fields.clone(),
            limit: self.limit,
            sample: self.sample.map(|rows| Sample { rows, seed }),
            on_bad_row: self.on_bad_row,
            labels: match self.format {
                Format::Classification => self.labels.clone(),
                _ => Vec::new(),
            },
        }
    }
}
