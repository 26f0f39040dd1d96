//! Disentangled attention (He et al. 2021) of texts of any lengths, without padding.
//!
//! A score is the sum of three products: query with key, query with the key of their distance (`c2p`), and key with
//! the query of their distance (`p2c`). The products with distances are the same for a text and a head, so only the
//! rows of the table that a block of queries can meet are multiplied; they are gathered, added and turned into
//! probabilities in one pass while they are in the cache.
//!
//! Work is split by (text, head), blocks of [`PANEL`] queries lie side by side in lanes, and every sum is a chain in
//! the order of the columns: a text's result has the same bits whatever it is computed beside.

use super::config::Positions;
use crate::{
    kernels::{ARCH, exp},
    packed::{PANEL, Packed, TALLEST, Tile, grow, tile_product, tiles},
};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Rows of the tallest tile that there can be.
const MOST_ROWS: usize = 12;

/// A layer's table of distances, multiplied with its weights beforehand, one entry for each head.
pub(crate) struct Distances {
    /// Keys of distances in tiles, `[2 span, dim]`.
    keys: Vec<Vec<Tile>>,
    /// Queries of distances in panels, `[2 span, dim]`.
    queries: Vec<Packed>,
}

impl Distances {
    /// `keys` and `queries` are `[2 span, heads * dim]`.
    pub(crate) fn new(keys: &[f32], queries: &[f32], (heads, dim): (usize, usize)) -> Self {
        let head = |all: &[f32], head: usize| -> Vec<f32> {
            let rows = all.chunks_exact(heads * dim);
            rows.flat_map(|row| &row[head * dim..(head + 1) * dim])
                .copied()
                .collect()
        };
        Self {
            keys: (0..heads).map(|h| tiles(&head(keys, h), dim)).collect(),
            queries: (0..heads)
                .map(|h| Packed::new(&head(queries, h), dim))
                .collect(),
        }
    }
}

/// One layer's attention.
pub(crate) struct Attention<'a> {
    /// Numbers per head.
    pub(crate) dim: usize,
    /// How distances are told apart.
    pub(crate) positions: Positions,
    /// The table's rows for the distances of the longest text, from the farthest before a key to the farthest after.
    pub(crate) rows: &'a [usize],
    /// The layer's table.
    pub(crate) distances: &'a Distances,
}

/// What attention reads: rows of all texts, one after the other, each `[.., heads * dim]`.
pub(crate) struct Inputs<'a> {
    /// The length of each text.
    pub(crate) lengths: &'a [usize],
    /// The queries of each text: its first `asked`, or all of them.
    pub(crate) queries: &'a [f32],
    /// How many queries a text has at most.
    pub(crate) asked: usize,
    /// Keys and values side by side.
    pub(crate) keys_values: &'a [f32],
}

/// A unit of work: one head of one text.
struct Unit<'a> {
    attention: &'a Attention<'a>,
    head: usize,
    width: usize,
    queries: &'a [f32],
    keys_values: &'a [f32],
}

impl Attention<'_> {
    /// `out` gets the shape of the queries.
    pub(crate) fn forward(&self, inputs: &Inputs<'_>, out: &mut Vec<f32>) {
        let heads = self.distances.queries.len();
        let width = heads * self.dim;
        let (mut units, mut places) = (Vec::new(), Vec::new());
        let (mut query, mut row) = (0, 0);
        for &length in inputs.lengths {
            let asked = length.min(inputs.asked);
            for head in 0..heads {
                let queries = &inputs.queries[query * width..(query + asked) * width];
                let keys_values = &inputs.keys_values[row * 2 * width..(row + length) * 2 * width];
                units.push(Unit {
                    attention: self,
                    head,
                    width,
                    queries,
                    keys_values,
                });
                places.push(query);
            }
            query += asked;
            row += length;
        }
        let work = |room: &mut Scratch, unit: &Unit<'_>| ARCH.dispatch(Work { unit, room });
        let parts = units.par_iter().map_init(Scratch::default, work);
        let parts: Vec<Vec<f32>> = parts.collect();
        out.resize(inputs.queries.len(), 0.0);
        for ((unit, query), part) in units.iter().zip(places).zip(&parts) {
            let rows = out[query * width..].chunks_exact_mut(width);
            for (row, part) in rows.zip(part.chunks_exact(self.dim)) {
                row[unit.head * self.dim..][..self.dim].copy_from_slice(part);
            }
        }
    }
}

/// Room for a unit's numbers, kept from one to the next; what is behind a unit's own is old.
#[derive(Default)]
struct Scratch {
    /// Queries of a block, `[dim, PANEL]`.
    queries: Vec<f32>,
    /// Scores, then probabilities of a block, `[length, PANEL]`.
    scores: Vec<f32>,
    /// Products of the block's queries with distances, `[2 span, PANEL]`, of which a range is filled.
    c2p: Vec<f32>,
    /// Products of the keys with distances, `[length, 2 span]`, of which a range is filled.
    p2c: Vec<f32>,
    /// Values out, `[dim, PANEL]`.
    mixed: Vec<f32>,
}

/// A unit and room for it.
struct Work<'a> {
    unit: &'a Unit<'a>,
    room: &'a mut Scratch,
}

impl WithSimd for Work<'_> {
    /// `[queries, dim]`
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self { unit, room } = self;
        let (dim, positions) = (unit.attention.dim, unit.attention.positions);
        let length = unit.keys_values.len() / (2 * unit.width);
        let asked = unit.queries.len() / unit.width;
        let all = unit.attention.rows;
        let rows = &all[all.len() / 2 + 1 - length..all.len() / 2 + length];
        let keys = tiles(&unit.column(unit.keys_values, 2 * unit.width, 0), dim);
        let values = tiles(&unit.values(length), length);
        if positions.p2c {
            unit.p2c(simd, &keys, (length, asked), rows, &mut room.p2c);
        }
        grow(&mut room.queries, dim * PANEL);
        grow(&mut room.scores, length * PANEL);
        grow(&mut room.mixed, dim * PANEL);
        let tables = (2 * positions.span).next_multiple_of(*TALLEST);
        grow(&mut room.c2p, tables * PANEL);
        let mut out = vec![0f32; asked * dim];
        for (first, out) in (0..asked).step_by(PANEL).zip(out.chunks_mut(PANEL * dim)) {
            unit.gather_queries(first, &mut room.queries[..dim * PANEL]);
            let queries = &room.queries[..dim * PANEL];
            products(simd, queries, &keys, &mut room.scores);
            if positions.c2p {
                unit.c2p(simd, (first, length), rows, room);
            }
            unit.softmax((first, length), rows, room);
            products(
                simd,
                &room.scores[..length * PANEL],
                &values,
                &mut room.mixed,
            );
            for (lane, row) in out.chunks_exact_mut(dim).enumerate() {
                for (v, mixed) in row.iter_mut().zip(room.mixed.chunks_exact(PANEL)) {
                    *v = mixed[lane];
                }
            }
        }
        out
    }
}

/// Products of every tile with one panel, `[rows of all tiles, PANEL]`.
#[inline(always)]
fn products<S: Simd>(simd: S, panel: &[f32], tiles: &[Tile], out: &mut [f32]) {
    let mut rest = out;
    for tile in tiles {
        let (out, after) = std::mem::take(&mut rest).split_at_mut(tile.rows * PANEL);
        rest = after;
        tile_product(simd, panel, tile, out);
    }
}

impl Unit<'_> {
    /// This head's part of each row, `[n, dim]`; rows are `width` wide and the part starts at `offset`.
    #[inline(always)]
    fn column(&self, all: &[f32], width: usize, offset: usize) -> Vec<f32> {
        let dim = self.attention.dim;
        let at = offset + self.head * dim;
        all.chunks_exact(width)
            .flat_map(|row| &row[at..at + dim])
            .copied()
            .collect()
    }

    /// This head's values by dimension, `[dim, length]`.
    #[inline(always)]
    fn values(&self, length: usize) -> Vec<f32> {
        let dim = self.attention.dim;
        let rows = self.column(self.keys_values, 2 * self.width, self.width);
        let mut out = vec![0f32; dim * length];
        for (i, row) in rows.chunks_exact(dim).enumerate() {
            for (target, v) in out.iter_mut().skip(i).step_by(length).zip(row) {
                *target = *v;
            }
        }
        out
    }

    /// Queries from `first` on by dimension; lanes past the last are zero.
    #[inline(always)]
    fn gather_queries(&self, first: usize, out: &mut [f32]) {
        out.fill(0.0);
        let at = self.head * self.attention.dim;
        let rows = self
            .queries
            .chunks_exact(self.width)
            .skip(first)
            .take(PANEL);
        for (lane, row) in rows.enumerate() {
            for (target, v) in out.chunks_exact_mut(PANEL).zip(&row[at..]) {
                target[lane] = *v;
            }
        }
    }

    /// Products of the keys with the distances that `asked` queries can stand in, `[length, 2 span]`.
    #[inline(always)]
    fn p2c<S: Simd>(
        &self,
        simd: S,
        keys: &[Tile],
        (length, asked): (usize, usize),
        rows: &[usize],
        out: &mut Vec<f32>,
    ) {
        let packed = &self.attention.distances.queries[self.head];
        let (panels, dim) = (packed.panels(), self.attention.dim);
        let width = packed.rows().next_multiple_of(PANEL);
        grow(out, length * width);
        let mut panel_out = [0f32; MOST_ROWS * PANEL];
        let mut first = 0;
        for tile in keys {
            let distances = asked_range(first..first + tile.rows, asked, length);
            for panel in rows[distances.start] / PANEL..=rows[distances.end - 1] / PANEL {
                let block = &panels[panel * PANEL * dim..(panel + 1) * PANEL * dim];
                let panel_out = &mut panel_out[..tile.rows * PANEL];
                tile_product(simd, block, tile, panel_out);
                let targets = out[first * width..].chunks_exact_mut(width);
                for (target, source) in targets.zip(panel_out.chunks_exact(PANEL)) {
                    target[panel * PANEL..(panel + 1) * PANEL].copy_from_slice(source);
                }
            }
            first += tile.rows;
        }
    }

    /// Products of a block's queries with the distances that they can stand in.
    #[inline(always)]
    fn c2p<S: Simd>(
        &self,
        simd: S,
        (first, length): (usize, usize),
        rows: &[usize],
        scratch: &mut Scratch,
    ) {
        let last = (first + PANEL).min(length) - 1;
        // A query stands from (its place - length + 1) to (its place) after the keys.
        let (low, high) = (rows[first], rows[last + length - 1]);
        let tall = *TALLEST;
        let tables = &self.attention.distances.keys[self.head];
        for (i, tile) in tables
            .iter()
            .enumerate()
            .take(high / tall + 1)
            .skip(low / tall)
        {
            let out = &mut scratch.c2p[i * tall * PANEL..][..tile.rows * PANEL];
            tile_product(simd, &scratch.queries, tile, out);
        }
    }

    /// Adds the products with distances to a block's scores and turns them into probabilities.
    #[inline(always)]
    fn softmax(&self, (first, length): (usize, usize), rows: &[usize], scratch: &mut Scratch) {
        let Positions {
            span,
            c2p,
            p2c: with_p2c,
            ..
        } = self.attention.positions;
        let linear = self.attention.positions.linear();
        let lanes = PANEL.min(length - first);
        let terms = 1 + usize::from(c2p) + usize::from(with_p2c);
        let scale = 1.0 / ((self.attention.dim * terms) as f32).sqrt();
        let width = (2 * span).next_multiple_of(PANEL);
        let mut tops = [f32::NEG_INFINITY; PANEL];
        let all = scratch.scores[..length * PANEL].as_chunks_mut::<PANEL>().0;
        for (key, scores) in all.iter_mut().enumerate() {
            // The rows of the table for this key and the block's queries, one after the other.
            let rows = &rows[first + length - 1 - key..][..lanes];
            // Near the key they follow each other, which needs no look at them.
            let near = first + linear >= key && first + PANEL <= key + linear + 1 && lanes == PANEL;
            if c2p {
                for (lane, (score, row)) in scores.iter_mut().zip(rows).enumerate() {
                    *score += scratch.c2p[row * PANEL + lane];
                }
            }
            if with_p2c {
                let products = &scratch.p2c[key * width..(key + 1) * width];
                match near {
                    true => add(scores, &products[rows[0]..]),
                    false => scores
                        .iter_mut()
                        .zip(rows)
                        .for_each(|(score, row)| *score += products[*row]),
                }
            }
            for (top, score) in tops.iter_mut().zip(scores) {
                *score *= scale;
                *top = if *score > *top { *score } else { *top };
            }
        }
        exponentiate(&mut scratch.scores[..length * PANEL], &tops);
    }
}

#[inline(always)]
fn add(scores: &mut [f32; PANEL], products: &[f32]) {
    if let Some(products) = products.first_chunk::<PANEL>() {
        for (score, product) in scores.iter_mut().zip(products) {
            *score += product;
        }
    }
}

/// Softmax down the columns of `[length, PANEL]`, whose largest scores are `tops`.
#[inline(always)]
fn exponentiate(scores: &mut [f32], tops: &[f32; PANEL]) {
    let mut sums = [0f32; PANEL];
    let rows = scores.as_chunks_mut::<PANEL>().0;
    for row in rows.iter_mut() {
        for ((score, top), sum) in row.iter_mut().zip(tops).zip(&mut sums) {
            *score = exp(*score - top);
            *sum += *score;
        }
    }
    let factors = sums.map(|sum| 1.0 / sum);
    for row in rows {
        for (score, factor) in row.iter_mut().zip(&factors) {
            *score *= factor;
        }
    }
}

/// Places in the list of distances (`length - 1` is none) of the first `asked` queries from these keys.
fn asked_range(keys: Range<usize>, asked: usize, length: usize) -> Range<usize> {
    // Query 0 is as far before the last key as it gets, the last query as far after the first key.
    (length - keys.end)..(asked - 1 + length - keys.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, salt: usize) -> Vec<f32> {
        (0..count)
            .map(|i| ((i * 7919 + salt * 104_729) % 2003) as f32 / 1000.0 - 1.0)
            .collect()
    }

    /// The definition, in f64, one score after the other.
    fn plain(
        positions: Positions,
        length: usize,
        (heads, dim): (usize, usize),
        parts: [&[f32]; 4],
    ) -> Vec<f64> {
        let [q, kv, pk, pq] = parts;
        let width = heads * dim;
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter()
                .zip(b)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum()
        };
        let mut out = vec![0f64; length * width];
        for head in 0..heads {
            let at = |all: &[f32], row: usize, stride: usize, offset: usize| -> Vec<f32> {
                all[row * stride + offset + head * dim..][..dim].to_vec()
            };
            for i in 0..length {
                let query = at(q, i, width, 0);
                let score = |j: usize| {
                    let (key, row) = (
                        at(kv, j, 2 * width, 0),
                        positions.row(i as isize - j as isize),
                    );
                    let mut sum = dot(&query, &key);
                    sum += if positions.c2p {
                        dot(&query, &at(pk, row, width, 0))
                    } else {
                        0.0
                    };
                    sum += if positions.p2c {
                        dot(&key, &at(pq, row, width, 0))
                    } else {
                        0.0
                    };
                    sum / ((dim * (1 + usize::from(positions.c2p) + usize::from(positions.p2c)))
                        as f64)
                        .sqrt()
                };
                let weights: Vec<f64> = (0..length).map(|j| score(j).exp()).collect();
                let total: f64 = weights.iter().sum();
                for (j, weight) in weights.iter().enumerate() {
                    for (d, v) in at(kv, j, 2 * width, width).iter().enumerate() {
                        out[i * width + head * dim + d] += weight / total * f64::from(*v);
                    }
                }
            }
        }
        out
    }

    #[test]
    fn it_is_the_definition_for_every_length_and_kind() {
        let (heads, dim) = (2, 12);
        let width = heads * dim;
        for (buckets, c2p, p2c) in [
            (16, true, true),
            (0, true, true),
            (16, true, false),
            (16, false, true),
        ] {
            let span = if buckets > 0 { buckets } else { 128 };
            let positions = Positions {
                span,
                buckets,
                longest: 128,
                c2p,
                p2c,
            };
            let (pk, pq) = (numbers(2 * span * width, 3), numbers(2 * span * width, 4));
            let distances = Distances::new(&pk, &pq, (heads, dim));
            let rows = positions.rows(100);
            let attention = Attention {
                dim,
                positions,
                rows: &rows,
                distances: &distances,
            };
            let forward = |inputs: &Inputs<'_>| {
                let mut out = Vec::new();
                attention.forward(inputs, &mut out);
                out
            };
            let lengths = [1, 2, 31, 33, 70, 100];
            let total: usize = lengths.iter().sum();
            let (q, kv) = (numbers(total * width, 1), numbers(total * 2 * width, 2));
            let inputs = Inputs {
                lengths: &lengths,
                queries: &q,
                asked: usize::MAX,
                keys_values: &kv,
            };
            let got = forward(&inputs);
            let mut row = 0;
            for length in lengths {
                let (q, kv) = (
                    &q[row * width..(row + length) * width],
                    &kv[row * 2 * width..(row + length) * 2 * width],
                );
                let want = plain(positions, length, (heads, dim), [q, kv, &pk, &pq]);
                let own = &got[row * width..(row + length) * width];
                for (got, want) in own.iter().zip(&want) {
                    assert!(
                        (f64::from(*got) - want).abs() < 1e-5,
                        "{buckets} {c2p} {p2c} {length}: {got} {want}"
                    );
                }
                // Alone, and with its first query only: the same bits.
                let alone = Inputs {
                    lengths: &[length],
                    queries: q,
                    asked: usize::MAX,
                    keys_values: kv,
                };
                assert_eq!(forward(&alone), own);
                let first = Inputs {
                    lengths: &[length],
                    queries: &q[..width],
                    asked: 1,
                    keys_values: kv,
                };
                assert_eq!(forward(&first), own[..width]);
                row += length;
            }
        }
    }
}
