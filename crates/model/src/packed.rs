//! Products with a constant matrix in f32, laid out beforehand for the processor's vectors.
//!
//! Each number of the result is one chain of fused multiply-adds in the order of the columns, whatever
//! the number of rows, threads or vector lanes. So a row of the result depends on its own row of `x`
//! only, bit for bit: texts do not notice what they are computed beside.
//!
//! The shape of the inner loop follows the usual one of dense products (Goto and van de Geijn 2008): a
//! tile of the result stays in registers while a panel of the matrix streams by.

use crate::kernels::{ARCH, Kernel, RowKernel, dispatch};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::sync::LazyLock;

/// Rows of the matrix (columns of the result) that lie together.
pub(crate) const PANEL: usize = 32;
/// Numbers of rows of `x` that the inner loop is compiled for; others are filled up to the next.
pub(crate) const HEIGHTS: [usize; 7] = [1, 2, 3, 4, 6, 8, 12];

/// The tallest tile whose sums fit the registers: 16 vectors of 8 lanes, else 32 vectors.
pub(crate) static TALLEST: LazyLock<usize> = LazyLock::new(|| ARCH.dispatch(Tallest));

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
#[derive(Default)]
pub(crate) struct Tile {
    /// `[columns, height]`, and perhaps old numbers behind; rows past `rows` repeat the last one.
    data: Vec<f32>,
    height: usize,
    /// How many rows.
    pub(crate) rows: usize,
}

/// The rows of `x` (`[n, columns]`) in tiles of [`TALLEST`] rows, the last one perhaps of fewer.
pub(crate) fn tiles(x: &[f32], columns: usize) -> Vec<Tile> {
    let rows = x.chunks(*TALLEST * columns);
    rows.map(|rows| {
        let mut tile = Tile::default();
        tile.fill(rows, columns);
        tile
    })
    .collect()
}

impl Tile {
    /// Takes the rows of `x`; the memory of what it held before is used again.
    pub(crate) fn fill(&mut self, x: &[f32], columns: usize) {
        let rows = x.len() / columns;
        let height = HEIGHTS.into_iter().find(|h| *h >= rows).unwrap_or(rows);
        grow(&mut self.data, columns * height);
        for i in 0..height {
            let row = &x[i.min(rows - 1) * columns..][..columns];
            for (target, value) in self.data.iter_mut().skip(i).step_by(height).zip(row) {
                *target = *value;
            }
        }
        (self.height, self.rows) = (height, rows);
    }
}

/// Makes `numbers` at least so long; what is there stays.
pub(crate) fn grow(numbers: &mut Vec<f32>, length: usize) {
    if numbers.len() < length {
        numbers.resize(length, 0.0);
    }
}

/// What products need beside their operands. Kept from one to the next: fresh memory costs the system time.
#[derive(Default)]
pub(crate) struct Room {
    tiles: Vec<Tile>,
    by_panel: Vec<f32>,
}

/// Leaves rows as they are.
pub(crate) struct Nothing;

impl RowKernel for Nothing {
    #[inline(always)]
    fn row(&self, _: usize, _: &mut [f32]) {}
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
        let mut out = Vec::new();
        self.product_into(x, &mut Room::default(), &mut out, &Nothing);
        out
    }

    /// The product of `x` (`[n, columns]`) as `out` (`[n, rows]`), each row of which goes through `then` while it is at
    /// hand.
    pub(crate) fn product_into(
        &self,
        x: &[f32],
        room: &mut Room,
        out: &mut Vec<f32>,
        then: &impl RowKernel,
    ) {
        let n = x.len() / self.columns;
        let count = n.div_ceil(*TALLEST);
        if room.tiles.len() < count {
            room.tiles.resize_with(count, Tile::default);
        }
        let tiles = &mut room.tiles[..count];
        let rows = x.par_chunks(*TALLEST * self.columns);
        let filled = tiles.par_iter_mut().zip(rows);
        filled.for_each(|(tile, rows)| tile.fill(rows, self.columns));
        let tiles = &room.tiles[..count];
        // By panel first: each panel is one thread's, and stays in its cache for all tiles.
        let panels = self.panels.par_chunks(PANEL * self.columns);
        grow(&mut room.by_panel, panels.len() * n * PANEL);
        let by_panel = &mut room.by_panel[..panels.len() * n * PANEL];
        let few = (24 / n).max(1);
        by_panel
            .par_chunks_mut(n * PANEL)
            .zip(panels)
            .with_min_len(few)
            .for_each(|(out, panel)| ARCH.dispatch(PanelProduct { panel, tiles, out }));
        out.resize(n * self.rows, 0.0);
        gather(&room.by_panel, n, (out, self.rows), then);
    }

    /// The matrix as it lies in memory, `[panels, columns, PANEL]`; rows past the last are zero.
    pub(crate) fn panels(&self) -> &[f32] {
        &self.panels
    }

    /// Rows of the matrix: the width of the result.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }
}

/// Puts the panels' parts (`[panels, n, PANEL]`) of `n` rows of `width` numbers together in `out`; each row goes through
/// `then` while it is at hand.
pub(crate) fn gather(
    by_panel: &[f32],
    n: usize,
    (out, width): (&mut [f32], usize),
    then: &impl RowKernel,
) {
    let per_task = (32_768 / width).max(1);
    let tasks = out.par_chunks_mut(per_task * width).enumerate();
    tasks.for_each(|(task, out)| {
        dispatch(Gather {
            by_panel,
            n,
            first: task * per_task,
            width,
            out,
            then,
        });
    });
}

/// Some rows of the result, from the panels' parts of them.
struct Gather<'a, K> {
    by_panel: &'a [f32],
    n: usize,
    first: usize,
    width: usize,
    out: &'a mut [f32],
    then: &'a K,
}

impl<K: RowKernel> Kernel for Gather<'_, K> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (i, row) in self.out.chunks_mut(self.width).enumerate() {
            let place = self.first + i;
            let sources = self.by_panel.chunks_exact(self.n * PANEL);
            for (target, source) in row.chunks_mut(PANEL).zip(sources) {
                target.copy_from_slice(&source[place * PANEL..][..target.len()]);
            }
            self.then.row(place, row);
        }
    }
}

/// Columns that are gone through for all tiles before the next ones: so much of a panel stays in a cache near by.
const DEPTH: usize = 1024;

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
        for (depth, panel) in self.panel.chunks(DEPTH * PANEL).enumerate() {
            let mut rest = &mut *self.out;
            for tile in self.tiles {
                let (out, after) = rest.split_at_mut(tile.rows * PANEL);
                rest = after;
                let x = &tile.data[depth * DEPTH * tile.height..];
                tile_part(simd, (panel, depth > 0), (x, tile.height), out);
            }
        }
    }
}

/// One tile times one panel (`[columns, PANEL]`); `out` is `[tile.rows, PANEL]`.
#[inline(always)]
pub(crate) fn tile_product<S: Simd>(simd: S, panel: &[f32], tile: &Tile, out: &mut [f32]) {
    tile_part(simd, (panel, false), (&tile.data, tile.height), out);
}

/// Some columns of a tile times those of a panel, added to what `out` holds where `more`.
#[inline(always)]
fn tile_part<S: Simd>(
    simd: S,
    (panel, more): (&[f32], bool),
    (x, height): (&[f32], usize),
    out: &mut [f32],
) {
    for strip in 0..PANEL / (2 * S::F32_LANES) {
        let part = (panel, strip, more);
        match height {
            1 => strip_product::<S, 1>(simd, part, x, out),
            2 => strip_product::<S, 2>(simd, part, x, out),
            3 => strip_product::<S, 3>(simd, part, x, out),
            4 => strip_product::<S, 4>(simd, part, x, out),
            6 => strip_product::<S, 6>(simd, part, x, out),
            8 => strip_product::<S, 8>(simd, part, x, out),
            _ => strip_product::<S, 12>(simd, part, x, out),
        }
    }
}

/// One tile times two vectors' width of a panel: the sums stay in registers.
#[inline(always)]
fn strip_product<S: Simd, const HEIGHT: usize>(
    simd: S,
    (panel, strip, more): (&[f32], usize, bool),
    x: &[f32],
    out: &mut [f32],
) {
    let mut sums = [[simd.splat_f32s(0.0); 2]; HEIGHT];
    if more {
        for (sums, row) in sums.iter_mut().zip(out.as_chunks::<PANEL>().0) {
            let vectors = S::as_simd_f32s(row).0;
            *sums = [vectors[2 * strip], vectors[2 * strip + 1]];
        }
    }
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
        for (rows, columns) in [(1, 1), (32, 8), (33, 7), (100, 64), (65, 40), (34, 2100)] {
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
