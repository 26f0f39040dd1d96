//! Products with a constant matrix of small whole numbers, as the block types of GGUF files hold them: each block of
//! [`BLOCK`] columns of a row has a scale, and perhaps a least value that every number of it is counted from.
//!
//! The matrix stays as it is in the file, number for number. `x` is rounded to 16 bits, each block of a row by its own
//! largest value: 256 times finer than the 8 bits that are usual. Products and sums within a block are then whole numbers,
//! which have no order; across blocks each number of the result is one chain of fused multiply-adds. So a row of the result
//! depends on its own row of `x` only, bit for bit, whatever the number of rows, threads or vector lanes.

mod arena;
mod dots;
mod product;
mod read;
mod tile;

pub(crate) use arena::{Bytes, together};
pub(crate) use read::{Block, is_read, read};

use crate::packed::{Nothing, PANEL, TALLEST, gather};
use product::{Panel, run};
use rayon::prelude::*;
use tile::Tile;

/// Columns that have a scale together.
pub(crate) const BLOCK: usize = 32;

/// Products that are worth a thread's while: below, waking it costs more.
const WORTH: usize = 200_000;

/// A constant matrix of `rows` x `columns`, in panels of [`PANEL`] rows.
pub(crate) struct Quants {
    /// `[panels, columns / BLOCK]` of `[BLOCK / 4, PANEL, 4]` numbers (of four columns the second and third have changed
    /// places: see [`dots::Dots`]), `[PANEL]` scales in f32, and perhaps as many least values.
    pub(crate) bytes: Bytes,
    /// Whether there are least values.
    least: bool,
    rows: usize,
    columns: usize,
}

/// Bytes of the numbers of a panel's block.
const NUMBERS: usize = BLOCK * PANEL;
/// Bytes of its scales.
const SCALES: usize = 4 * PANEL;

/// Bytes of a panel's block.
fn size(least: bool) -> usize {
    NUMBERS + SCALES * if least { 2 } else { 1 }
}

impl Quants {
    /// Lays out `blocks`, `[rows, columns / BLOCK]`.
    pub(crate) fn new(blocks: &[Block], columns: usize) -> Self {
        let per_row = columns / BLOCK;
        let rows = blocks.len() / per_row;
        let least = blocks.iter().any(|block| block.least != 0.0);
        let panel = size(least) * per_row;
        let mut bytes = vec![0; rows.div_ceil(PANEL) * panel];
        bytes
            .par_chunks_mut(panel)
            .zip(blocks.par_chunks(PANEL * per_row))
            .for_each(|(panel, blocks)| {
                for (i, row) in blocks.chunks_exact(per_row).enumerate() {
                    for (part, block) in panel.chunks_exact_mut(size(least)).zip(row) {
                        block.lay(i, part);
                    }
                }
            });
        Self {
            bytes: Bytes::Alone(bytes),
            least,
            rows,
            columns,
        }
    }

    /// `x` is `[n, columns]`; the result is `[n, rows]`.
    pub(crate) fn product(&self, x: &[f32]) -> Vec<f32> {
        let n = x.len() / self.columns;
        let mut by_panel = self.by_panel(x, n, run);
        if n == 1 {
            by_panel.truncate(self.rows);
            return by_panel;
        }
        let mut out = vec![0f32; n * self.rows];
        gather(&by_panel, n, (&mut out, self.rows), &Nothing);
        out
    }

    /// The product as `[panels, n, PANEL]`, each panel's part by `run`.
    fn by_panel(&self, x: &[f32], n: usize, run: impl Fn(Panel<'_>) + Sync) -> Vec<f32> {
        let rows = x.par_chunks(*TALLEST * self.columns);
        let tiles: Vec<Tile> = rows.map(|rows| Tile::new(rows, self.columns)).collect();
        let panels = self
            .bytes
            .par_chunks(size(self.least) * self.columns / BLOCK);
        let mut by_panel = vec![0f32; panels.len() * n * PANEL];
        by_panel
            .par_chunks_mut(n * PANEL)
            .zip(panels)
            .with_min_len((WORTH / (n * PANEL * self.columns)).max(1))
            .for_each(|(out, bytes)| {
                run(Panel {
                    bytes,
                    least: self.least,
                    tiles: &tiles,
                    out,
                });
            });
        by_panel
    }

    /// Rows of the matrix: the width of the result.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }
}

impl Block {
    /// Puts row `i` of a panel's block in its places.
    fn lay(&self, i: usize, part: &mut [u8]) {
        let (numbers, rest) = part.split_at_mut(NUMBERS);
        let targets = numbers.chunks_exact_mut(4 * PANEL);
        for (target, four) in targets.zip(self.numbers.as_chunks::<4>().0) {
            let [a, b, c, d] = four.map(|number| number as u8);
            target[4 * i..][..4].copy_from_slice(&[a, c, b, d]);
        }
        for (target, value) in rest.chunks_exact_mut(SCALES).zip([self.scale, self.least]) {
            target[4 * i..][..4].copy_from_slice(&value.to_ne_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
