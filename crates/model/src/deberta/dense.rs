//! Products with a bias, and what follows them: the activation, or the sum with what went in and its norm.

use super::weights::Weights;
use crate::{
    error::Result,
    kernels::{LANES, RowKernel, exp, fold, rows},
    packed::{Packed, Room},
};

/// y = x W^T + b.
pub(crate) struct Dense {
    matrix: Packed,
    bias: Vec<f32>,
}

/// The scale and shift of a layer norm.
pub(crate) struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    eps: f32,
}

impl Dense {
    /// Reads `{name}.weight` and `{name}.bias` of each name: the outputs lie side by side.
    pub(crate) fn read(
        weights: &mut Weights,
        names: &[String],
        (rows, columns): (usize, usize),
    ) -> Result<Self> {
        let (mut matrix, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            let part = weights.read(&format!("{name}.weight"), &[rows, columns])?;
            // The first is taken as it is: one matrix alone is not copied.
            match matrix.is_empty() {
                true => matrix = part,
                false => matrix.extend(part),
            }
            bias.extend(weights.read(&format!("{name}.bias"), &[rows])?);
        }
        Ok(Self::new(&matrix, columns, bias))
    }

    /// Lays out `matrix` (`[bias.len(), columns]`).
    pub(crate) fn new(matrix: &[f32], columns: usize, bias: Vec<f32>) -> Self {
        Self {
            matrix: Packed::new(matrix, columns),
            bias,
        }
    }

    /// `x` is `[n, columns]`, `out` becomes `[n, rows]`.
    pub(crate) fn forward(&self, x: &[f32], room: &mut Room, out: &mut Vec<f32>) {
        self.matrix.product_into(x, room, out, &AddBias(&self.bias));
    }

    /// The same, through the activation.
    pub(crate) fn gelu(&self, x: &[f32], room: &mut Room, out: &mut Vec<f32>) {
        self.matrix
            .product_into(x, room, out, &BiasGelu(&self.bias));
    }

    /// The norm of `residual` and the product's sum; `residual` is `[n, rows]`.
    pub(crate) fn add_norm(
        &self,
        x: &[f32],
        (residual, norm): (&[f32], &Norm),
        room: &mut Room,
        out: &mut Vec<f32>,
    ) {
        let kernel = AddNorm {
            bias: &self.bias,
            residual,
            norm,
        };
        self.matrix.product_into(x, room, out, &kernel);
    }
}

impl Norm {
    /// Reads `{name}.weight` and `{name}.bias`.
    pub(crate) fn read(weights: &mut Weights, name: &str, width: usize, eps: f32) -> Result<Self> {
        Ok(Self {
            scale: weights.read(&format!("{name}.weight"), &[width])?,
            shift: weights.read(&format!("{name}.bias"), &[width])?,
            eps,
        })
    }

    /// Norms each row of `x` (`[n, width]`) in place.
    pub(crate) fn apply(&self, x: &mut [f32]) {
        rows(x, self.scale.len(), 4 * self.scale.len(), self);
    }

    #[inline(always)]
    fn normalise(&self, row: &mut [f32]) {
        let count = row.len() as f32;
        let mean = sum(row, |v| v) / count;
        let variance = sum(row, |v| (v - mean) * (v - mean)) / count;
        let factor = 1.0 / (variance + self.eps).sqrt();
        for ((v, scale), shift) in row.iter_mut().zip(&self.scale).zip(&self.shift) {
            *v = ((*v - mean) * factor).mul_add(*scale, *shift);
        }
    }
}

impl RowKernel for Norm {
    #[inline(always)]
    fn row(&self, _: usize, row: &mut [f32]) {
        self.normalise(row);
    }
}

#[inline(always)]
fn sum(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (chunks, tail) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += term(*v);
        }
    }
    for (lane, v) in lanes.iter_mut().zip(tail) {
        *lane += term(*v);
    }
    fold(lanes)
}

struct AddBias<'a>(&'a [f32]);

impl RowKernel for AddBias<'_> {
    #[inline(always)]
    fn row(&self, _: usize, row: &mut [f32]) {
        for (v, bias) in row.iter_mut().zip(self.0) {
            *v += bias;
        }
    }
}

struct BiasGelu<'a>(&'a [f32]);

impl RowKernel for BiasGelu<'_> {
    #[inline(always)]
    fn row(&self, _: usize, row: &mut [f32]) {
        for (v, bias) in row.iter_mut().zip(self.0) {
            *v = gelu(*v + bias);
        }
    }
}

struct AddNorm<'a> {
    bias: &'a [f32],
    residual: &'a [f32],
    norm: &'a Norm,
}

impl RowKernel for AddNorm<'_> {
    #[inline(always)]
    fn row(&self, index: usize, row: &mut [f32]) {
        let residual = &self.residual[index * row.len()..][..row.len()];
        for ((v, bias), residual) in row.iter_mut().zip(self.bias).zip(residual) {
            *v += bias + residual;
        }
        self.norm.normalise(row);
    }
}

/// x times the normal distribution function, with the error function by formula 7.1.26 of Abramowitz and Stegun: its
/// error is below 1.5e-7.
#[inline(always)]
pub(crate) fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / 0.327_591_1f32.mul_add(z, 1.0);
    let mut p = 1.061_405_4f32;
    for c in [-1.453_152_1, 1.421_413_8, -0.284_496_74, 0.254_829_6] {
        p = p.mul_add(t, c);
    }
    // The share of the distribution beyond |x|.
    let tail = 0.5 * p * t * exp(-z * z);
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};

    #[test]
    fn the_activation_is_that_of_the_exact_error_function() {
        let x: Vec<f32> = (-4000..=4000).map(|i| i as f32 * 0.003).collect();
        let tensor = Tensor::new(x.as_slice(), &Device::Cpu).unwrap();
        let want = tensor.gelu_erf().unwrap().to_vec1::<f32>().unwrap();
        for (x, want) in x.iter().zip(want) {
            assert!((gelu(*x) - want).abs() < 1e-6, "{x}: {} {want}", gelu(*x));
        }
    }

    #[test]
    fn sums_are_normed_row_by_row() {
        let x: Vec<f32> = (0..74).map(|i| (i as f32 * 0.37).sin()).collect();
        let identity: Vec<f32> = (0..37 * 37).map(|i| f32::from(i % 38 == 0)).collect();
        let bias: Vec<f32> = (0..37).map(|i| i as f32 * 0.01).collect();
        let residual: Vec<f32> = (0..74).map(|i| (i as f32 * 0.11).cos()).collect();
        let norm = Norm {
            scale: vec![2.0; 37],
            shift: vec![0.5; 37],
            eps: 1e-7,
        };
        let (mut room, mut got) = (Room::default(), Vec::new());
        let dense = Dense::new(&identity, 37, bias.clone());
        dense.add_norm(&x, (&residual, &norm), &mut room, &mut got);
        for (row, out) in got.chunks(37).enumerate() {
            let sum: Vec<f64> = (0..37)
                .map(|i| f64::from(x[row * 37 + i] + bias[i] + residual[row * 37 + i]))
                .collect();
            let mean = sum.iter().sum::<f64>() / 37.0;
            let variance = sum.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 37.0;
            for (v, out) in sum.iter().zip(out) {
                let want = (v - mean) / (variance + 1e-7).sqrt() * 2.0 + 0.5;
                assert!((want - f64::from(*out)).abs() < 1e-5, "{want} {out}");
            }
        }
    }
}
