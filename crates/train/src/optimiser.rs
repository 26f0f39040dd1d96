//! AdamW (Loshchilov and Hutter 2019), as PyTorch computes it, and the gradient's norm.

use crate::{
    adapter::Adapter,
    error::{Error, Result},
    gradient::Gradients,
};
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;

const BETAS: (f64, f64) = (0.9, 0.999);
const EPS: f64 = 1e-8;

/// The running means of one tensor's gradient and of its square.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Moments {
    pub(crate) first: Vec<f32>,
    pub(crate) second: Vec<f32>,
}

/// The optimiser's memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AdamW {
    pub(crate) moments: BTreeMap<String, Moments>,
    pub(crate) steps: usize,
}

/// The norm of all gradients together.
pub(crate) fn norm(gradients: &Gradients) -> Result<f64> {
    let mut squares = 0f64;
    for gradient in gradients.values() {
        let numbers = gradient.flatten_all()?.to_vec1::<f32>()?;
        squares += numbers.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>();
    }
    Ok(squares.sqrt())
}

/// What gradients of this norm are multiplied with so that theirs is at most `largest`: PyTorch's `clip_grad_norm_`.
pub(crate) fn clip(norm: f64, largest: f64) -> f64 {
    (largest / (norm + 1e-6)).min(1.0)
}

impl AdamW {
    /// One step down the gradients times `scale`.
    pub(crate) fn step(
        &mut self,
        adapter: &Adapter,
        gradients: &Gradients,
        scale: f64,
        (rate, decay): (f64, f64),
    ) -> Result<()> {
        self.steps += 1;
        let corrections = (
            1.0 - BETAS.0.powi(self.steps as i32),
            1.0 - BETAS.1.powi(self.steps as i32),
        );
        for (name, var) in adapter.tensors() {
            let gradient = gradients
                .get(&name)
                .ok_or_else(|| Error::data(format!("{name} has no gradient")))?;
            let gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
            let mut weights = var.flatten_all()?.to_vec1::<f32>()?;
            let moments = self.moments.entry(name).or_default();
            moments.first.resize(weights.len(), 0.0);
            moments.second.resize(weights.len(), 0.0);
            for (i, weight) in weights.iter_mut().enumerate() {
                let g = f64::from(gradient[i]) * scale;
                let first = BETAS.0 * f64::from(moments.first[i]) + (1.0 - BETAS.0) * g;
                let second = BETAS.1 * f64::from(moments.second[i]) + (1.0 - BETAS.1) * g * g;
                let width = (second / corrections.1).sqrt() + EPS;
                let kept = f64::from(*weight) * (1.0 - rate * decay);
                *weight = (kept - rate * first / corrections.0 / width) as f32;
                (moments.first[i], moments.second[i]) = (first as f32, second as f32);
            }
            var.set(&Tensor::from_vec(weights, var.shape(), &Device::Cpu)?)?;
        }
        Ok(())
    }
}

/// The learning rate of a step: up over the first `warmup` steps, then down a half cosine, as transformers has it.
pub(crate) fn rate(most: f64, step: usize, warmup: usize, steps: usize) -> f64 {
    if step < warmup {
        return most * step as f64 / warmup as f64;
    }
    let through = (step - warmup) as f64 / (steps - warmup).max(1) as f64;
    most * 0.5 * (1.0 + (std::f64::consts::PI * through).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_and_falls() {
        let rates: Vec<f64> = (0..=10).map(|step| rate(1.0, step, 2, 10)).collect();
        assert_eq!((rates[0], rates[1], rates[2]), (0.0, 0.5, 1.0));
        assert!((rates[6] - 0.5).abs() < 1e-12 && rates[10].abs() < 1e-12);
        assert_eq!(rate(1.0, 0, 0, 1), 1.0);
    }

    #[test]
    fn small_gradients_are_left_alone() {
        assert_eq!(clip(0.5, 1.0), 1.0);
        assert!((clip(4.0, 1.0) - 0.25).abs() < 1e-6);
    }
}
