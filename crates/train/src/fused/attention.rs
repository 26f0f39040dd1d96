//! Attention and its gradient, head by head.
//!
//! Query heads that share a key-value head stand under each other, so that keys are not repeated. Probabilities are not
//! kept: for long texts they would be most of the memory, and making them again is one product.

use crate::ops::{Seen, Turns, causal_softmax, causal_softmax_back, map};
use candle_core::{Result, Tensor};
use model::base::Heads;
use rayon::prelude::*;

/// What attention works on.
#[derive(Clone)]
pub(super) struct Attention {
    pub(super) heads: Heads,
    pub(super) texts: usize,
    pub(super) tokens: usize,
    pub(super) turns: Turns,
}

/// Queries, keys and values: `[texts * kv heads, rows, dim]`, the first two turned.
pub(super) struct ByHead {
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
}

impl Attention {
    /// From what the matrices gave, `[texts * tokens, heads * dim]` each.
    pub(super) fn by_head(&self, [queries, keys, values]: [&Tensor; 3]) -> Result<ByHead> {
        Ok(ByHead {
            queries: self.apart(queries, self.heads.query, true)?,
            keys: self.apart(keys, self.heads.kv, true)?,
            values: self.apart(values, self.heads.kv, false)?,
        })
    }

    /// Each token's mixture of the values that it sees, `[texts * tokens, query heads * dim]`.
    pub(super) fn forward(&self, x: &ByHead) -> Result<Tensor> {
        let mixed = self.seen(x)?.matmul(&x.values)?;
        self.together(&mixed, self.heads.query, false)
    }

    /// The gradients of queries, keys and values as the matrices gave them.
    pub(super) fn back(&self, x: &ByHead, grad: &Tensor) -> Result<[Tensor; 3]> {
        let grad = self.apart(grad, self.heads.query, false)?;
        let seen = self.seen(x)?;
        let values = seen.t()?.matmul(&grad)?;
        let scores = grad.matmul(&x.values.t()?)?;
        let scores = causal_softmax_back(&seen, &scores, self.scale())?;
        let (queries, keys) = (scores.matmul(&x.keys)?, scores.t()?.matmul(&x.queries)?);
        Ok([
            self.together(&queries, self.heads.query, true)?,
            self.together(&keys, self.heads.kv, true)?,
            self.together(&values, self.heads.kv, false)?,
        ])
    }

    fn scale(&self) -> f32 {
        1.0 / (self.heads.dim as f32).sqrt()
    }

    /// How much each token sees of each.
    fn seen(&self, x: &ByHead) -> Result<Tensor> {
        let scores = x.queries.matmul(&x.keys.t()?)?;
        causal_softmax(&scores, self.scale(), &Seen::here())
    }

    /// `[texts * tokens, count * dim]` to `[texts * kv heads, count / kv heads * tokens, dim]`, turned where `turn` says so.
    fn apart(&self, x: &Tensor, count: usize, turn: bool) -> Result<Tensor> {
        let (tokens, dim, kv) = (self.tokens, self.heads.dim, self.heads.kv);
        let out = map([x], |[x]| {
            let mut out = vec![0f32; x.len()];
            let heads = out.par_chunks_exact_mut(tokens * dim).enumerate();
            heads.for_each(|(place, head)| {
                let (text, nth) = (place / count, place % count);
                for (token, out) in head.chunks_exact_mut(dim).enumerate() {
                    let start = ((text * tokens + token) * count + nth) * dim;
                    out.copy_from_slice(&x[start..][..dim]);
                    if turn {
                        self.turns.turn(token, out, false);
                    }
                }
            });
            out
        })?;
        out.reshape((self.texts * kv, count / kv * tokens, dim))
    }

    /// The way back; turned back where `turn` says so.
    fn together(&self, x: &Tensor, count: usize, turn: bool) -> Result<Tensor> {
        let (tokens, dim) = (self.tokens, self.heads.dim);
        let out = map([x], |[x]| {
            let mut out = vec![0f32; x.len()];
            let rows = out.par_chunks_exact_mut(count * dim).enumerate();
            rows.for_each(|(row, numbers)| {
                let (text, token) = (row / tokens, row % tokens);
                for (nth, out) in numbers.chunks_exact_mut(dim).enumerate() {
                    let start = ((text * count + nth) * tokens + token) * dim;
                    out.copy_from_slice(&x[start..][..dim]);
                    if turn {
                        self.turns.turn(token, out, true);
                    }
                }
            });
            out
        })?;
        out.reshape((self.texts * tokens, count * dim))
    }
}
