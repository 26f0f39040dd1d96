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
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    pub(crate) first: Tensor,
    pub(crate) second: Tensor,
}

/// The optimiser's memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct AdamW {
    pub(crate) moments: BTreeMap<String, Moments>,
    pub(crate) steps: usize,
}

/// The norm of all gradients together.
pub(crate) fn norm(gradients: &Gradients) -> Result<f64> {
    let mut squares = 0f64;
    for gradient in gradients.values() {
        if !gradient.device().is_cpu() {
            squares += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
            continue;
        }
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
            let moments = match self.moments.remove(&name) {
                Some(moments) => moments,
                None => Moments {
                    first: var.zeros_like()?,
                    second: var.zeros_like()?,
                },
            };
            let how = How {
                scale,
                corrections,
                rate,
                decay,
            };
            let (weights, moments) = match var.device().is_cpu() {
                true => how.here(var.as_tensor(), gradient, &moments)?,
                false => how.there(&var.as_detached_tensor(), gradient, &moments)?,
            };
            var.set(&weights)?;
            self.moments.insert(name, moments);
        }
        Ok(())
    }
}

/// What one step goes by.
#[derive(Clone, Copy)]
struct How {
    scale: f64,
    /// What the means lack of their size so early.
    corrections: (f64, f64),
    rate: f64,
    decay: f64,
}

impl How {
    /// New weights and moments, computed in 64 bits.
    fn here(
        self,
        weights: &Tensor,
        gradient: &Tensor,
        moments: &Moments,
    ) -> candle_core::Result<(Tensor, Moments)> {
        let numbers = |of: &Tensor| of.flatten_all()?.to_vec1::<f32>();
        let (mut weights, gradient, shape) =
            (numbers(weights)?, numbers(gradient)?, weights.shape());
        let (mut firsts, mut seconds) = (numbers(&moments.first)?, numbers(&moments.second)?);
        for (i, weight) in weights.iter_mut().enumerate() {
            let g = f64::from(gradient[i]) * self.scale;
            let first = BETAS.0 * f64::from(firsts[i]) + (1.0 - BETAS.0) * g;
            let second = BETAS.1 * f64::from(seconds[i]) + (1.0 - BETAS.1) * g * g;
            let width = (second / self.corrections.1).sqrt() + EPS;
            let kept = f64::from(*weight) * (1.0 - self.rate * self.decay);
            *weight = (kept - self.rate * first / self.corrections.0 / width) as f32;
            (firsts[i], seconds[i]) = (first as f32, second as f32);
        }
        let tensor = |numbers: Vec<f32>| Tensor::from_vec(numbers, shape, &Device::Cpu);
        let moments = Moments {
            first: tensor(firsts)?,
            second: tensor(seconds)?,
        };
        Ok((tensor(weights)?, moments))
    }

    /// The same in the operations that every device has, in 32 bits.
    fn there(
        self,
        weights: &Tensor,
        gradient: &Tensor,
        moments: &Moments,
    ) -> candle_core::Result<(Tensor, Moments)> {
        let g = (gradient * self.scale)?;
        let first = ((&moments.first * BETAS.0)? + (&g * (1.0 - BETAS.0))?)?;
        let second = ((&moments.second * BETAS.1)? + (g.sqr()? * (1.0 - BETAS.1))?)?;
        let width = ((&second / self.corrections.1)?.sqrt()? + EPS)?;
        let down = ((&first * (self.rate / self.corrections.0))? / width)?;
        let weights = ((weights * (1.0 - self.rate * self.decay))? - down)?;
        Ok((weights, Moments { first, second }))
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
    fn a_step_is_the_same_here_and_there() {
        let number = |i: usize, seed: usize| (i * seed % 997) as f32 / 997.0 - 0.5;
        let tensor = |seed: usize| {
            let numbers = (0..60).map(|i| number(i, seed));
            Tensor::from_vec(numbers.collect::<Vec<f32>>(), (6, 10), &Device::Cpu).unwrap()
        };
        let how = How {
            scale: 0.7,
            corrections: (0.19, 0.002),
            rate: 1e-2,
            decay: 0.1,
        };
        let moments = Moments {
            first: tensor(31),
            second: tensor(57).abs().unwrap(),
        };
        let (weights, gradient) = (tensor(71), tensor(113));
        let (a, moved) = how.here(&weights, &gradient, &moments).unwrap();
        let (b, alike) = how.there(&weights, &gradient, &moments).unwrap();
        for (a, b) in [
            (a, b),
            (moved.first, alike.first),
            (moved.second, alike.second),
        ] {
            let apart = (a - b).unwrap().abs().unwrap().max_all().unwrap();
            assert!(apart.to_scalar::<f32>().unwrap() < 1e-6);
        }
    }

    #[test]
    fn small_gradients_are_left_alone() {
        assert_eq!(clip(0.5, 1.0), 1.0);
        assert!((clip(4.0, 1.0) - 0.25).abs() < 1e-6);
    }
}
