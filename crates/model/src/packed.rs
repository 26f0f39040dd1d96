//! Products with a constant matrix in f32, laid out beforehand for the processor's vectors.
//!
//! Each number of the result is one chain of fused multiply-adds in the order of the columns, whatever
//! the number of rows, threads or vector lanes. So a row of the result depends on its own row of `x`
//! only, bit for bit: texts do not notice what they are computed beside.
//!
//! The shape of the inner loop follows the usual one of dense products (Goto and van de Geijn 2008): a
//! tile of the result stays in registers while a panel of the matrix streams by.

use crate::kernels::ARCH;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::sync::LazyLock;

/// Rows of the matrix (columns of the result) that lie together.
const PANEL: usize = 32;
/// Numbers of rows of `x` that the inner loop is compiled for; others are filled up to the next.
const HEIGHTS: [usize; 7] = [1, 2, 3, 4, 6, 8, 12];

/// The tallest tile whose sums fit the registers: 16 vectors of 8 lanes, else 32 vectors.
static TALLEST: LazyLock<usize> = LazyLock::new(|| ARCH.dispatch(Tallest));

struct Tallest;

impl WithSimd for Tallest {
    type Output = usize;

    fn with_simd<S: Simd>(self, _: S) -> usize {
        if S::F32_LANES == 8 { 6 } else { 12 }
    }
}

/// A constant matrix of `rows` x `columns`, in panels of [`PANEL`] rows: `[panels, columns, PANEL]`.
pub(crate) struct Packed {
    panels: Vec<f32>,
    rows: usize,
    columns: usize,
}

/// Some rows of `x`, column by column.
struct Tile {
    /// `[columns, height]`; rows past `rows` repeat the last one.
    data: Vec<f32>,
    height: usize,
    rows: usize,
}

impl Tile {
    fn new(x: &[f32], columns: usize) -> Self {
        let rows = x.len() / columns;
        let height = HEIGHTS.into_iter().find(|h| *h >= rows).unwrap_or(rows);
        let mut data = vec![0f32; columns * height];
        for i in 0..height {
            let row = &x[i.min(rows - 1) * columns..][..columns];
            for (target, value) in data.iter_mut().skip(i).step_by(height).zip(row) {
                *target = *value;
            }
        }
        Self { data, height, rows }
    }
}

impl Packed {
    /// Lays out `matrix`, `[rows, columns]`.
    pub(crate) fn new(matrix: &[f32], columns: usize) -> Self {
        let rows = matrix.len() / columns;
        let mut panels = vec![0f32; rows.div_ceil(PANEL) * PANEL * columns];
        let sources = matrix.par_chunks(PANEL * columns);
        panels
            .par_chunks_mut(PANEL * columns)
            .zip(sources)
            .for_each(|(panel, source)| {
                for (i, row) in source.chunks_exact(columns).enumerate() {
                    for (target, value) in panel.as_chunks_mut::<PANEL>().0.iter_mut().zip(row) {
                        target[i] = *value;
                    }
                }
            });
        Self {
            panels,
            rows,
            columns,
        }
    }

    /// `x` is `[n, columns]`; the result is `[n, rows]`.
    pub(crate) fn product(&self, x: &[f32]) -> Vec<f32> {
        let n = x.len() / self.columns;
        let tiles: Vec<Tile> = x
            .par_chunks(*TALLEST * self.columns)
            .map(|rows| Tile::new(rows, self.columns))
            .collect();
        // By panel first: each panel is one thread's, and stays in its cache for all tiles.
        let mut by_panel = vec![0f32; self.rows.div_ceil(PANEL) * n * PANEL];
        let panels = self.panels.par_chunks(PANEL * self.columns);
        let few = (24 / n).max(1);
        by_panel
            .par_chunks_mut(n * PANEL)
            .zip(panels)
            .with_min_len(few)
            .for_each(|(out, panel)| {
                ARCH.dispatch(PanelProduct {
                    panel,
                    tiles: &tiles,
                    out,
                });
            });
        let mut out = vec![0f32; n * self.rows];
        out.par_chunks_mut(self.rows)
            .with_min_len(8)
            .enumerate()
            .for_each(|(i, row)| {
                for (target, source) in row.chunks_mut(PANEL).zip(by_panel.chunks_exact(n * PANEL))
                {
                    target.copy_from_slice(&source[i * PANEL..][..target.len()]);
                }
            });
        out
    }

    /// Rows of the matrix: the width of the result.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }
}

/// All tiles times one panel; `out` is `[n, PANEL]`.
struct PanelProduct<'a> {
    panel: &'a [f32],
    tiles: &'a [Tile],
    out: &'a mut [f32],
}

impl WithSimd for PanelProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut rest = self.out;
        for tile in self.tiles {
            let (out, after) = std::mem::take(&mut rest).split_at_mut(tile.rows * PANEL);
            rest = after;
            for strip in 0..PANEL / (2 * S::F32_LANES) {
                match tile.height {
                    1 => strip_product::<S, 1>(simd, (self.panel, strip), &tile.data, out),
                    2 => strip_product::<S, 2>(simd, (self.panel, strip), &tile.data, out),
                    3 => strip_product::<S, 3>(simd, (self.panel, strip), &tile.data, out),
                    4 => strip_product::<S, 4>(simd, (self.panel, strip), &tile.data, out),
                    6 => strip_product::<S, 6>(simd, (self.panel, strip), &tile.data, out),
                    8 => strip_product::<S, 8>(simd, (self.panel, strip), &tile.data, out),
                    _ => strip_product::<S, 12>(simd, (self.panel, strip), &tile.data, out),
                }
            }
        }
    }
}

/// One tile times two vectors' width of a panel: the sums stay in registers.
#[inline(always)]
fn strip_product<S: Simd, const HEIGHT: usize>(
    simd: S,
    (panel, strip): (&[f32], usize),
    x: &[f32],
    out: &mut [f32],
) {
    let mut sums = [[simd.splat_f32s(0.0); 2]; HEIGHT];
    for (weights, x) in panel
        .as_chunks::<PANEL>()
        .0
        .iter()
        .zip(x.as_chunks::<HEIGHT>().0)
    {
        let vectors = S::as_simd_f32s(weights).0;
        let (left, right) = (vectors[2 * strip], vectors[2 * strip + 1]);
        for (sums, x) in sums.iter_mut().zip(x) {
            let x = simd.splat_f32s(*x);
            sums[0] = simd.mul_add_f32s(x, left, sums[0]);
            sums[1] = simd.mul_add_f32s(x, right, sums[1]);
        }
    }
    for (row, sums) in out.as_chunks_mut::<PANEL>().0.iter_mut().zip(&sums) {
        let vectors = S::as_mut_simd_f32s(row).0;
        vectors[2 * strip] = sums[0];
        vectors[2 * strip + 1] = sums[1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, salt: usize) -> Vec<f32> {
        (0..count)
            .map(|i| ((i * 7919 + salt * 104_729) % 2003) as f32 / 1000.0 - 1.0)
            .collect()
    }

    #[test]
    fn products_are_chains_of_fused_multiply_adds_whatever_the_shape() {
        for (rows, columns) in [(1, 1), (32, 8), (33, 7), (100, 64), (65, 40)] {
            let matrix = numbers(rows * columns, 1);
            let packed = Packed::new(&matrix, columns);
            for n in [1, 2, 3, 5, 7, 12, 13, 29] {
                let x = numbers(n * columns, 2);
                let got = packed.product(&x);
                assert_eq!(got.len(), n * rows);
                for (i, x) in x.chunks(columns).enumerate() {
                    for (j, row) in matrix.chunks(columns).enumerate() {
                        let want = x
                            .iter()
                            .zip(row)
                            .fold(0f32, |sum, (a, b)| a.mul_add(*b, sum));
                        assert_eq!(
                            got[i * rows + j].to_bits(),
                            want.to_bits(),
                            "{rows} {columns} {n}"
                        );
                    }
                }
            }
        }
    }
}
