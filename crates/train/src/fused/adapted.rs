//! Products with a frozen matrix and what an adapter adds to them.

use crate::{
    frozen::Frozen,
    ops::{Dropout, add_to, drop_some},
};
use candle_core::{Result, Tensor};

/// A matrix's adapter: `[rank, columns]` and `[rows, rank]`, which are no variables here.
pub(super) struct Pair {
    pub(super) a: Tensor,
    pub(super) b: Tensor,
    pub(super) scale: f64,
    pub(super) dropout: Option<Dropout>,
}

/// The gradients of a pair.
pub(super) struct PairGradient {
    pub(super) a: Tensor,
    pub(super) b: Tensor,
}

/// x W^T, and what the pair adds.
pub(super) fn forward(x: &Tensor, matrix: &Frozen, pair: Option<&Pair>) -> Result<Tensor> {
    let y = matrix.forward(x)?;
    if let Some(pair) = pair {
        let small = (pair.small(x)?.1 * pair.scale)?;
        add_to(&y, &small.matmul(&pair.b.t()?)?)?;
    }
    Ok(y)
}

/// The gradients of x, and of the pair. `x` is asked for where there is a pair only.
pub(super) fn back(
    x: impl FnOnce() -> Result<Tensor>,
    grad: &Tensor,
    matrix: &Frozen,
    pair: Option<&Pair>,
) -> Result<(Tensor, Option<PairGradient>)> {
    let for_x = grad.matmul(&matrix.dense()?)?;
    let Some(pair) = pair else {
        return Ok((for_x, None));
    };
    let (x, small) = pair.small(&x()?)?;
    let b = (grad.t()?.matmul(&small)? * pair.scale)?;
    let for_small = (grad.matmul(&pair.b)? * pair.scale)?;
    let a = for_small.t()?.matmul(&x)?;
    // What was dropped has no gradient: the same mask again.
    let more = drop_some(&for_small.matmul(&pair.a)?, pair.dropout)?;
    add_to(&for_x, &more)?;
    Ok((for_x, Some(PairGradient { a, b })))
}

impl Pair {
    /// x with some of it dropped, and that times A^T.
    fn small(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let x = drop_some(x, self.dropout)?;
        let small = x.matmul(&self.a.t()?)?;
        Ok((x, small))
    }
}
