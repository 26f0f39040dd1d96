//! Some rows of `x` in 16 bits, laid out for the inner loop.

use super::BLOCK;
use crate::{
    kernels::{Kernel, LANES, dispatch},
    packed::HEIGHTS,
};

/// Some rows of `x`, column by column.
pub(crate) struct Tile {
    /// `[columns / 4, height, 2]`, each two columns; rows past `rows` repeat the last one.
    pub(crate) pairs: Vec<i32>,
    /// `[columns / BLOCK, height]`.
    pub(crate) scales: Vec<f32>,
    /// The sums of each block, scaled, in the same places.
    pub(crate) sums: Vec<f32>,
    pub(crate) height: usize,
    /// How many rows.
    pub(crate) rows: usize,
}

impl Tile {
    /// Rounds the rows of `x`, `[rows, columns]`.
    pub(crate) fn new(x: &[f32], columns: usize) -> Self {
        let rows = x.len() / columns;
        let height = HEIGHTS.into_iter().find(|h| *h >= rows).unwrap_or(rows);
        let mut tile = Self {
            pairs: vec![0; columns / 2 * height],
            scales: vec![0.0; columns / BLOCK * height],
            sums: vec![0.0; columns / BLOCK * height],
            height,
            rows,
        };
        dispatch(Fill {
            x,
            columns,
            tile: &mut tile,
        });
        tile
    }
}

struct Fill<'a> {
    x: &'a [f32],
    columns: usize,
    tile: &'a mut Tile,
}

impl Kernel for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let tile = self.tile;
        let height = tile.height;
        for i in 0..height {
            let row = &self.x[i.min(tile.rows - 1) * self.columns..][..self.columns];
            for (b, block) in row.as_chunks::<BLOCK>().0.iter().enumerate() {
                let (whole, scale) = rounded(block);
                let sum: i32 = whole.iter().map(|v| i32::from(*v)).sum();
                tile.scales[b * height + i] = scale;
                tile.sums[b * height + i] = sum as f32 * scale;
                let pairs = &mut tile.pairs[b * BLOCK / 2 * height..][..BLOCK / 2 * height];
                let targets = pairs.chunks_exact_mut(2 * height);
                for (target, [a, b, c, d]) in targets.zip(whole.as_chunks().0) {
                    target[2 * i..][..2].copy_from_slice(&[two(*a, *b), two(*c, *d)]);
                }
            }
        }
    }
}

/// Two 16-bit numbers in one of 32.
#[inline(always)]
fn two(low: i16, high: i16) -> i32 {
    i32::from(low) & 0xffff | i32::from(high) << 16
}

/// A block in 16 bits, and what one step of them is. A number that is none, or infinite, makes the step none: it must not
/// vanish.
#[inline(always)]
fn rounded(block: &[f32; BLOCK]) -> ([i16; BLOCK], f32) {
    const MOST: f32 = 32_767.0;
    // Adding 1.5 * 2^23 rounds to an integer, which then sits in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let (mut tops, mut checks) = ([0f32; LANES], [0f32; LANES]);
    for chunk in block.as_chunks::<LANES>().0 {
        for ((top, check), v) in tops.iter_mut().zip(&mut checks).zip(chunk) {
            *top = if v.abs() > *top { v.abs() } else { *top };
            *check = v.mul_add(0.0, *check);
        }
    }
    let top = tops.into_iter().fold(0f32, f32::max);
    // What is this small in a whole block is nothing; its inverse would not be finite.
    let inverse = if top > 1e-30 { MOST / top } else { 0.0 };
    let whole = block.map(|v| v.mul_add(inverse, ROUND).to_bits() as u16 as i16);
    (whole, top / MOST + checks.into_iter().sum::<f32>())
}
