//! The loops that are not matrix products: norms, rotations, activations, attention's inner loops.
//!
//! Every loop works in lanes of [`LANES`] numbers whatever the processor has, and fuses each multiply
//! with its add, so that a result has the same bits on every machine and for every number of threads.
//! [`pulp`] compiles them for the processor's instruction set and picks at run time.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::sync::LazyLock;

/// Numbers that are worked on side by side.
pub(crate) const LANES: usize = 16;

/// The processor's instruction set.
pub(crate) static ARCH: LazyLock<Arch> = LazyLock::new(Arch::new);

/// Work to be compiled for the processor's instruction set: `run` and all it calls must be
/// `#[inline(always)]`, or they are compiled for the oldest processor and run many times slower.
pub(crate) trait Kernel {
    type Output;
    fn run(self) -> Self::Output;
}

struct Dispatched<K>(K);

impl<K: Kernel> WithSimd for Dispatched<K> {
    type Output = K::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        self.0.run()
    }
}

/// Runs a kernel compiled for the processor's instruction set.
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    ARCH.dispatch(Dispatched(kernel))
}

/// Work on one row at a time: `row` must be `#[inline(always)]`, see [`Kernel`].
pub(crate) trait RowKernel: Sync {
    fn row(&self, index: usize, row: &mut [f32]);
}

struct Rows<'a, K> {
    kernel: &'a K,
    first: usize,
    width: usize,
    data: &'a mut [f32],
}

impl<K: RowKernel> Kernel for Rows<'_, K> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (i, row) in self.data.chunks_mut(self.width).enumerate() {
            self.kernel.row(self.first + i, row);
        }
    }
}

/// Applies `kernel` to rows of `width` numbers, in parallel when there is enough to do (`work` per row).
pub(crate) fn rows(data: &mut [f32], width: usize, work: usize, kernel: &impl RowKernel) {
    let per_task = (32_768 / work.max(1)).max(1);
    let tasks = data.par_chunks_mut(per_task * width).enumerate();
    tasks.for_each(|(task, data)| {
        dispatch(Rows {
            kernel,
            first: task * per_task,
            width,
            data,
        });
    });
}

/// Adds up in lanes, then the lanes pairwise.
#[inline(always)]
pub(crate) fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn sum_of_squares(x: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let (chunks, tail) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane = v.mul_add(*v, *lane);
        }
    }
    for (lane, v) in lanes.iter_mut().zip(tail) {
        *lane = v.mul_add(*v, *lane);
    }
    fold(lanes)
}

struct RmsNorm<'a> {
    weight: &'a [f32],
    eps: f32,
}

impl RowKernel for RmsNorm<'_> {
    #[inline(always)]
    fn row(&self, _: usize, row: &mut [f32]) {
        let scale = 1.0 / (sum_of_squares(row) / row.len() as f32 + self.eps).sqrt();
        for (v, w) in row.iter_mut().zip(self.weight) {
            *v = *v * scale * w;
        }
    }
}

/// Root-mean-square norm of each row of `x` (`[n, weight.len()]`), scaled by `weight`.
pub(crate) fn rms_norm(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    let mut out = x.to_vec();
    rows(
        &mut out,
        weight.len(),
        weight.len(),
        &RmsNorm { weight, eps },
    );
    out
}

/// `x += y`.
pub(crate) fn add(x: &mut [f32], y: &[f32]) {
    for (a, b) in x.iter_mut().zip(y) {
        *a += b;
    }
}

/// e^x to about one unit in the last place, for x in [-87, 88]; outside it stays at the bounds' values.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2, the Taylor polynomial of e^r (its first term left out is below
/// 1.2e-7), and 2^n by its bits.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    // Adding 1.5 * 2^23 rounds to an integer, which then sits in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let mut p = 1.0f32 / 720.0;
    for c in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p.mul_add(r, c);
    }
    let bits = shifted
        .to_bits()
        .wrapping_sub(ROUND.to_bits())
        .wrapping_add(127)
        << 23;
    p * f32::from_bits(bits)
}

struct SiluMul<'a> {
    gate_up: &'a [f32],
}

impl RowKernel for SiluMul<'_> {
    #[inline(always)]
    fn row(&self, index: usize, row: &mut [f32]) {
        let width = row.len();
        let (gate, up) = self.gate_up[2 * width * index..2 * width * (index + 1)].split_at(width);
        for ((o, g), u) in row.iter_mut().zip(gate).zip(up) {
            *o = g / (1.0 + exp(-g)) * u;
        }
    }
}

/// SwiGLU: `gate_up` is `[n, 2 * width]`, gates first; gives `silu(gate) * up`, `[n, width]`.
pub(crate) fn silu_mul(gate_up: &[f32], width: usize) -> Vec<f32> {
    let mut out = vec![0f32; gate_up.len() / 2];
    rows(&mut out, width, 4 * width, &SiluMul { gate_up });
    out
}

/// Turns `scores` into probabilities in place: softmax over the first `visible`, zero beyond.
#[inline(always)]
pub(crate) fn softmax(scores: &mut [f32], visible: usize) {
    let (live, dead) = scores.split_at_mut(visible);
    dead.fill(0.0);
    let mut top = [f32::NEG_INFINITY; LANES];
    for chunk in live.chunks(LANES) {
        for (t, s) in top.iter_mut().zip(chunk) {
            *t = if s > t { *s } else { *t };
        }
    }
    let top = top.into_iter().fold(f32::NEG_INFINITY, f32::max);
    let mut lanes = [0f32; LANES];
    for chunk in live.chunks_mut(LANES) {
        for (lane, s) in lanes.iter_mut().zip(chunk) {
            *s = exp(*s - top);
            *lane += *s;
        }
    }
    let scale = 1.0 / fold(lanes);
    for s in live {
        *s *= scale;
    }
}

struct LogSumExp<'a>(&'a [f32]);

impl Kernel for LogSumExp<'_> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let mut tops = [f32::NEG_INFINITY; LANES];
        for chunk in self.0.chunks(LANES) {
            for (top, v) in tops.iter_mut().zip(chunk) {
                *top = if v > top { *v } else { *top };
            }
        }
        let top = tops.into_iter().fold(f32::NEG_INFINITY, f32::max);
        let mut lanes = [0f64; LANES];
        for chunk in self.0.chunks(LANES) {
            for (lane, v) in lanes.iter_mut().zip(chunk) {
                *lane += f64::from(exp(v - top));
            }
        }
        f64::from(top) + lanes.iter().sum::<f64>().ln()
    }
}

/// The natural logarithm of the sum of e^x, added up in f64.
pub(crate) fn log_sum_exp(x: &[f32]) -> f64 {
    dispatch(LogSumExp(x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exp_is_within_three_parts_in_ten_million(x in -80f32..80.0) {
            let (ours, true_value) = (f64::from(exp(x)), f64::from(x).exp());
            prop_assert!((ours / true_value - 1.0).abs() < 3e-7, "{x}: {ours} {true_value}");
        }

        #[test]
        fn softmax_sums_to_one_and_hides_the_rest(
            scores in prop::collection::vec(-50f32..50.0, 1..70), cut in 1usize..70,
        ) {
            let visible = cut.min(scores.len());
            let mut p = scores.clone();
            softmax(&mut p, visible);
            prop_assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            prop_assert!(p[visible..].iter().all(|&v| v == 0.0));
            let best = scores[..visible].iter().copied().fold(f32::MIN, f32::max);
            let total: f64 = scores[..visible].iter().map(|&s| f64::from(s - best).exp()).sum();
            for (s, p) in scores[..visible].iter().zip(&p) {
                prop_assert!((f64::from(s - best).exp() / total - f64::from(*p)).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn norms_and_swiglu_match_their_definitions() {
        let x: Vec<f32> = (0..74).map(|i| (i as f32 * 0.37).sin()).collect();
        let weight: Vec<f32> = (0..37).map(|i| 1.0 + i as f32 * 0.01).collect();
        let y = rms_norm(&x, &weight, 1e-5);
        for (row, out) in x.chunks(37).zip(y.chunks(37)) {
            let mean = row.iter().map(|v| f64::from(v * v)).sum::<f64>() / 37.0;
            for i in 0..37 {
                let want = f64::from(row[i]) / (mean + 1e-5).sqrt() * f64::from(weight[i]);
                assert!((want - f64::from(out[i])).abs() < 1e-6);
            }
        }
        let z = silu_mul(&x, 37);
        for i in 0..37 {
            let (g, u) = (f64::from(x[i]), f64::from(x[37 + i]));
            assert!((g / (1.0 + (-g).exp()) * u - f64::from(z[i])).abs() < 1e-6);
        }
        let direct = x.iter().map(|&v| f64::from(v).exp()).sum::<f64>().ln();
        assert!((log_sum_exp(&x) - direct).abs() < 1e-6);
    }
}
