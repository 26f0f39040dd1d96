//! Texts of different lengths as a rectangle.

use super::super::config::Positions;
use candle_core::{DType, Device, Result, Tensor};

/// A score that becomes no probability.
const HIDDEN: f32 = -1e9;

/// A rectangle of texts.
pub(super) struct Batch {
    /// Tokens of all texts, `[size * longest]`.
    pub(super) ids: Tensor,
    /// `[1, size, 1, longest]`, f32: added to scores.
    pub(super) mask: Tensor,
    /// `[longest, longest]`: the row of the table for a query (down) and a key (across), less the first used one.
    pub(super) rows: Tensor,
    /// The first row of the table that is used.
    pub(super) first_row: usize,
    /// How many are used.
    pub(super) used_rows: usize,
    /// Texts.
    pub(super) size: usize,
    /// Tokens of the longest.
    pub(super) longest: usize,
}

impl Batch {
    /// Lays `texts` (none of them empty) out on `device`.
    pub(super) fn new(texts: &[&[u32]], positions: Positions, device: &Device) -> Result<Self> {
        let longest = texts.iter().map(|t| t.len()).max().unwrap_or(0);
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for text in texts {
            ids.extend_from_slice(text);
            ids.resize(ids.len() + longest - text.len(), 0);
            mask.extend((0..longest).map(|i| if i < text.len() { 0.0 } else { HIDDEN }));
        }
        let row = |i: usize, j: usize| positions.row(i as isize - j as isize);
        let (first_row, last_row) = (row(0, longest - 1), row(longest - 1, 0));
        let rows =
            (0..longest).flat_map(|i| (0..longest).map(move |j| (row(i, j) - first_row) as u32));
        Ok(Self {
            ids: Tensor::from_vec(ids, texts.len() * longest, device)?,
            mask: Tensor::from_vec(mask, (1, texts.len(), 1, longest), device)?,
            rows: Tensor::from_vec(rows.collect::<Vec<u32>>(), (longest, longest), device)?,
            first_row,
            used_rows: last_row - first_row + 1,
            size: texts.len(),
            longest,
        })
    }

    /// `[size, longest, 1]`: 1 where there is a token, 0 behind a text's end.
    pub(super) fn present(&self) -> Result<Tensor> {
        let present = self
            .mask
            .ge(f64::from(HIDDEN) / 2.0)?
            .to_dtype(DType::F32)?;
        present.reshape((self.size, self.longest, 1))
    }
}
