//! Causal attention of packed texts over their caches, without padding.
//!
//! Queries are worked in groups of [`ROWS`] that share a key-value head, so that each key and value is
//! loaded once for all of them. Work is split by (group of tokens, key-value head): no sum depends on
//! how many threads there are.

use crate::{
    cache::LayerCache,
    kernels::{Kernel, LANES, dispatch, softmax},
};
use rayon::prelude::*;

/// Query rows worked on together.
const ROWS: usize = 4;
/// Tokens of one text that form a unit of parallel work.
const TOKENS: usize = 16;

/// The shape of grouped-query attention.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Query heads.
    pub query: usize,
    /// Key and value heads; divides `query`.
    pub kv: usize,
    /// Numbers per head.
    pub dim: usize,
}

impl Heads {
    /// Width of the queries of one token.
    pub fn query_width(&self) -> usize {
        self.query * self.dim
    }

    /// Width of the keys (or values) of one token.
    pub fn kv_width(&self) -> usize {
        self.kv * self.dim
    }
}

/// The next tokens of one text in a packed batch.
pub(crate) struct Span<'a> {
    /// The caches of the text in this layer; the span's own tokens are the last ones in them.
    pub(crate) chain: Vec<&'a LayerCache>,
    /// How many tokens.
    pub(crate) tokens: usize,
}

/// A piece of parallel work: some tokens of one span.
struct Unit<'a> {
    heads: Heads,
    chain: &'a [&'a LayerCache],
    /// The position of the first of these tokens within its text.
    position: usize,
    queries: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Unit<'_> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let mut scratch = Scratch::default();
        for head in 0..self.heads.kv {
            attend_head(head, &mut self, &mut scratch);
        }
    }
}

/// Attention of every span. `queries` is `[n, query heads * dim]`, the result has the same shape.
pub(crate) fn attend(heads: Heads, queries: &[f32], spans: &[Span<'_>]) -> Vec<f32> {
    let width = heads.query_width();
    let mut out = vec![0f32; queries.len()];
    let mut units = Vec::new();
    let (mut rest, mut row) = (out.as_mut_slice(), 0);
    for span in spans {
        let len: usize = span.chain.iter().map(|c| c.len()).sum();
        let (own, after) = std::mem::take(&mut rest).split_at_mut(span.tokens * width);
        rest = after;
        let own_queries = &queries[row * width..(row + span.tokens) * width];
        row += span.tokens;
        for (i, out) in own.chunks_mut(TOKENS * width).enumerate() {
            let queries = &own_queries[i * TOKENS * width..][..out.len()];
            let position = len - span.tokens + i * TOKENS;
            units.push(Unit {
                heads,
                chain: &span.chain,
                position,
                queries,
                out,
            });
        }
    }
    units.into_par_iter().for_each(dispatch);
    out
}

/// Room for one group of query rows, kept between groups.
#[derive(Default)]
struct Scratch {
    /// Scaled queries, by dimension and then by row.
    queries: Vec<[f32; ROWS]>,
    /// Scores, then probabilities, of each row over the whole text.
    scores: [Vec<f32>; ROWS],
}

/// One key-value head of one unit: all its query rows, [`ROWS`] at a time.
#[inline(always)]
fn attend_head(head: usize, unit: &mut Unit<'_>, scratch: &mut Scratch) {
    let heads = unit.heads;
    let (width, share) = (heads.query_width(), heads.query / heads.kv);
    let rows = unit.queries.len() / width * share;
    let position = unit.position;
    let scale = 1.0 / (heads.dim as f32).sqrt();
    for first in (0..rows).step_by(ROWS) {
        // The last group repeats its last row; the repeats are not written.
        let row = |r: usize| (first + r).min(rows - 1);
        let at = |r: usize| row(r) / share * width + (head * share + row(r) % share) * heads.dim;
        let visible = |r: usize| position + row(r) / share + 1;
        scratch.queries.clear();
        let by_dim = |d| std::array::from_fn(|r| unit.queries[at(r) + d] * scale);
        scratch.queries.extend((0..heads.dim).map(by_dim));
        let most = visible(ROWS - 1);
        score(heads, head, unit.chain, most, scratch);
        for (r, scores) in scratch.scores.iter_mut().enumerate() {
            softmax(&mut scores[..most], visible(r));
        }
        for dim in (0..heads.dim).step_by(LANES) {
            let lanes = LANES.min(heads.dim - dim);
            let sums = mix(
                unit.chain,
                most,
                (heads, head * heads.dim + dim),
                &scratch.scores,
            );
            for (r, sums) in sums.iter().enumerate().take(rows - first) {
                unit.out[at(r) + dim..][..lanes].copy_from_slice(&sums[..lanes]);
            }
        }
    }
}

/// Scores of the first `most` tokens of the text for each row of the group.
#[inline(always)]
fn score(heads: Heads, head: usize, chain: &[&LayerCache], most: usize, scratch: &mut Scratch) {
    for scores in &mut scratch.scores {
        scores.clear();
        scores.resize(most + LANES, 0.0);
    }
    let mut offset = 0;
    for cache in chain {
        let blocks = cache.keys().chunks_exact(heads.kv_width() * LANES);
        for (block, start) in blocks.zip((offset..most).step_by(LANES)) {
            let keys = &block[head * heads.dim * LANES..(head + 1) * heads.dim * LANES];
            let mut sums = [[0f32; LANES]; ROWS];
            for (keys, queries) in keys.as_chunks::<LANES>().0.iter().zip(&scratch.queries) {
                for (sums, query) in sums.iter_mut().zip(queries) {
                    for (sum, key) in sums.iter_mut().zip(keys) {
                        *sum = query.mul_add(*key, *sum);
                    }
                }
            }
            // A half-filled block writes zeros past the cache's end: the next cache overwrites them.
            for (scores, sums) in scratch.scores.iter_mut().zip(&sums) {
                scores[start..start + LANES].copy_from_slice(sums);
            }
        }
        offset += cache.len();
    }
}

/// The first [`LANES`] numbers, padded with zeros.
#[inline(always)]
fn first_lanes(values: &[f32]) -> [f32; LANES] {
    values.first_chunk().copied().unwrap_or_else(|| {
        let mut lanes = [0f32; LANES];
        lanes[..values.len()].copy_from_slice(values);
        lanes
    })
}

/// Values from dimension `at.1` on, [`LANES`] wide, weighted by each row's probabilities.
#[inline(always)]
fn mix(
    chain: &[&LayerCache],
    most: usize,
    at: (Heads, usize),
    probabilities: &[Vec<f32>; ROWS],
) -> [[f32; LANES]; ROWS] {
    let (heads, dim) = at;
    let mut sums = [[0f32; LANES]; ROWS];
    let mut offset = 0;
    for cache in chain {
        let values = cache.values().chunks_exact(heads.kv_width());
        for (token, values) in (offset..most).zip(values) {
            let lanes = first_lanes(&values[dim..]);
            for (sums, p) in sums.iter_mut().zip(probabilities) {
                for (sum, value) in sums.iter_mut().zip(&lanes) {
                    *sum = p[token].mul_add(*value, *sum);
                }
            }
        }
        offset += cache.len();
    }
    sums
}
