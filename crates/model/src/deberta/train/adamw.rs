//! AdamW (Loshchilov and Hutter 2019) with the gradient's norm bounded.

use candle_core::{Result, Tensor, Var, backprop::GradStore};
use std::collections::BTreeMap;

const BETAS: (f64, f64) = (0.9, 0.999);
const EPS: f64 = 1e-8;
/// A gradient of a larger norm is scaled down to it.
const LARGEST: f64 = 1.0;

/// The running means of one weight's gradient and of its square.
struct Moments {
    first: Tensor,
    second: Tensor,
}

/// The optimiser's memory.
pub(crate) struct AdamW {
    decay: f64,
    moments: BTreeMap<String, Moments>,
    steps: i32,
}

impl AdamW {
    /// Decays matrices by `decay` times the rate at each step.
    pub(crate) fn new(weights: &BTreeMap<String, Var>, decay: f64) -> Result<Self> {
        let start = |(name, var): (&String, &Var)| -> Result<(String, Moments)> {
            let (first, second) = (var.zeros_like()?, var.zeros_like()?);
            Ok((name.clone(), Moments { first, second }))
        };
        Ok(Self {
            decay,
            moments: weights.iter().map(start).collect::<Result<_>>()?,
            steps: 0,
        })
    }

    /// One step down the gradients.
    pub(crate) fn step(
        &mut self,
        weights: &BTreeMap<String, Var>,
        gradients: &GradStore,
        rate: f64,
    ) -> Result<()> {
        self.steps += 1;
        let mut squares = 0f64;
        for gradient in weights
            .values()
            .filter_map(|var| gradients.get(var.as_tensor()))
        {
            squares += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
        let scale = (LARGEST / squares.sqrt().max(1e-12)).min(1.0);
        let corrections = (
            1.0 - BETAS.0.powi(self.steps),
            1.0 - BETAS.1.powi(self.steps),
        );
        for (name, var) in weights {
            let (Some(gradient), Some(moments)) =
                (gradients.get(var.as_tensor()), self.moments.get_mut(name))
            else {
                continue;
            };
            // Cut from the graph that it came from, or the means would keep every graph alive.
            let gradient = (gradient * scale)?.detach();
            moments.first = ((&moments.first * BETAS.0)? + (&gradient * (1.0 - BETAS.0))?)?;
            moments.second = ((&moments.second * BETAS.1)? + (gradient.sqr()? * (1.0 - BETAS.1))?)?;
            let width = ((&moments.second / corrections.1)?.sqrt()? + EPS)?;
            let step = ((&moments.first / corrections.0)? / width)?;
            let decay = if var.rank() > 1 {
                self.decay * rate
            } else {
                0.0
            };
            var.set(&((var.as_tensor() * (1.0 - decay))? - (step * rate)?)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    // torch.optim.AdamW([w], lr=0.1, weight_decay=0.01), three steps of (w ** 2).sum() from [[1.0, -2.0]], the gradient
    // clipped to norm 1 by torch.nn.utils.clip_grad_norm_  ->  printed with 6 decimals
    #[test]
    fn steps_are_those_of_torch() {
        let w = Var::new(&[[1.0f32, -2.0]], &Device::Cpu).unwrap();
        let weights = BTreeMap::from([("w".to_owned(), w.clone())]);
        let mut optimiser = AdamW::new(&weights, 0.01).unwrap();
        for _ in 0..3 {
            let loss = w.as_tensor().sqr().unwrap().sum_all().unwrap();
            optimiser
                .step(&weights, &loss.backward().unwrap(), 0.1)
                .unwrap();
        }
        let got = w.as_tensor().to_vec2::<f32>().unwrap();
        for (got, want) in got[0].iter().zip(TORCH) {
            assert!((got - want).abs() < 1e-5, "{got} {want}");
        }
    }

    const TORCH: [f32; 2] = [0.697852, -1.69421];
}
