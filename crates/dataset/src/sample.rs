//! A sample: so many rows of a whole data set, drawn by a seed.
//!
//! Every row has a rank, a hash of the seed and its content; the rows of the lowest ranks are drawn. So the draw needs
//! one pass and memory for the drawn rows only, is the same on any machine and in any order of the file, and a larger
//! sample holds the smaller one. A row that occurs twice is drawn at most once.

use crate::reader::Row;
use domain::hash::Hash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many rows, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// So many rows; all, where there are not more.
    pub rows: usize,
    /// Another seed draws other rows.
    pub seed: u64,
}

/// A draw under way.
pub(crate) struct Draw {
    sample: Sample,
    /// By rank, with the place in the data set.
    kept: BTreeMap<Hash, (u64, Row)>,
    offered: u64,
}

impl Draw {
    pub(crate) fn new(sample: Sample) -> Self {
        Self {
            sample,
            kept: BTreeMap::new(),
            offered: 0,
        }
    }

    /// The next row of the data set.
    pub(crate) fn offer(&mut self, row: Row) {
        // The word keeps the draw independent of the splits, which hash a seed and an id too.
        let seed = self.sample.seed.to_le_bytes();
        let rank = Hash::of([&b"sample"[..], &seed, &row.example.id().0]);
        let full = self.kept.len() >= self.sample.rows;
        let last = self.kept.last_key_value().map(|(rank, _)| *rank);
        if full && last.is_none_or(|last| rank > last) {
            return;
        }
        let place = self.offered;
        self.offered += 1;
        self.kept.entry(rank).or_insert((place, row));
        if self.kept.len() > self.sample.rows {
            self.kept.pop_last();
        }
    }

    /// The drawn rows in the order of the data set.
    pub(crate) fn finish(self) -> std::vec::IntoIter<Row> {
        let mut rows: Vec<(u64, Row)> = self.kept.into_values().collect();
        rows.sort_by_key(|(place, _)| *place);
        let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
        rows.into_iter()
    }
}
