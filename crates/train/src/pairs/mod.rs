//! From a file of pairs to what is trained on: read, cleaned, divided, turned into tokens. Whatever is left out is
//! counted.

mod clean;
mod read;
mod template;

pub use clean::{Cleaning, Divided, clean};
pub use read::{Fields, Written, read};
pub use template::{Template, encode};

use serde::Serialize;

/// A prompt and a better one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The prompt as somebody wrote it.
    pub original: String,
    /// What the rewriter should make of it.
    pub improved: String,
}

impl Pair {
    /// Whether nothing but space is changed: the prompt was good already.
    pub fn is_unchanged(&self) -> bool {
        self.original
            .split_whitespace()
            .eq(self.improved.split_whitespace())
    }
}

/// What became of the rows of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rows of the file.
    pub rows: u64,
    /// Left out: rows that could not be read, or have no original.
    pub unreadable: u64,
    /// Left out: rows with an original and nothing beside it.
    pub one_sided: u64,
    /// Left out: the improved prompt gives the answer away.
    pub leaked: u64,
    /// Left out: the same pair once more.
    pub duplicate: u64,
    /// Left out: more unchanged pairs than the set share.
    pub unchanged_left_out: u64,
    /// Left out: longer than the model or the options allow.
    pub too_long: u64,
    /// Unchanged pairs that were kept.
    pub unchanged: u64,
    /// Pairs learnt from.
    pub train: u64,
    /// Pairs that the learning is measured on.
    pub validation: u64,
    /// Groups of (nearly) the same original: each is on one side.
    pub clusters: u64,
}
