//! Loss and gradients of a batch.
//!
//! The graph is cut where that saves memory: before the head, whose gradient is computed with the loss, a few rows at a
//! time, and, with checkpointing, between layers, of which only inputs are kept; each is computed again when its
//! gradient is due. Across a cut the gradient is carried as a number for each number: the sum of both multiplied has it as
//! its gradient.

use crate::{
    adapter::Adapter,
    batch::{Batch, Text},
    error::Result,
    frozen::Frozen,
    network::{Network, Pass},
    ops::exp,
};
use candle_core::{DType, Tensor, Var};
use rayon::prelude::*;
use std::{collections::BTreeMap, ops::Range};

/// Rows of logits held at a time: 128 of a vocabulary of 128 000 are 64 MB.
const ROWS: usize = 128;

/// Numbers worked on side by side, so that the compiler makes vectors of them.
const LANES: usize = 16;

/// The gradient of each tensor of an adapter, by its name.
pub type Gradients = BTreeMap<String, Tensor>;

/// What a batch is to be weighed and dropped by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// Each token's loss counts so much in the gradient.
    pub(crate) weight: f32,
    /// The seed of what is dropped.
    pub(crate) dropout: Option<u64>,
    /// Whether layers are computed twice to save memory.
    pub(crate) checkpointing: bool,
}

/// The sum of the losses of all tokens that are to be said; adds the gradient of `how.weight` times it to `gradients`.
pub(crate) fn gradients(
    network: &Network,
    adapter: &Adapter,
    batch: &Batch,
    how: How,
    gradients: &mut Gradients,
) -> Result<f64> {
    let pass = Pass::new(network, batch, adapter, how.dropout)?;
    let mut segments = segments(network.depth(), how.checkpointing);
    let last = segments.pop().unwrap_or_default();
    let mut inputs = vec![network.embed(batch)?];
    for segment in &segments {
        let x = network.run(segment.clone(), &inputs[inputs.len() - 1], &pass)?;
        inputs.push(x.detach());
    }
    let mut carry = Carry { adapter, gradients };
    let input = carry.input(inputs.pop(), segments.is_empty())?;
    let x = network.run(last, input.tensor(), &pass)?;
    let hidden = network.finish(&x, &batch.rows)?;
    let (loss, gradient) = head(
        network.head(),
        &hidden.detach(),
        &batch.wanted,
        Some(how.weight),
    )?;
    let mut gradient = match gradient {
        Some(gradient) => carry.back(&hidden, &gradient, &input)?,
        None => None,
    };
    drop((x, hidden));
    for (i, segment) in segments.into_iter().enumerate().rev() {
        let input = carry.input(inputs.pop(), i == 0)?;
        let x = network.run(segment, input.tensor(), &pass)?;
        gradient = match gradient {
            Some(gradient) => carry.back(&x, &gradient, &input)?,
            None => None,
        };
    }
    Ok(loss)
}

/// The mean loss of the tokens that some texts should say, and its gradient: for checks against other programs.
///
/// # Errors
/// When there is nothing to be said, or the arithmetic fails.
pub fn gradients_of(
    network: &Network,
    adapter: &Adapter,
    texts: &[&Text],
    checkpointing: bool,
) -> Result<(f64, Gradients)> {
    let batch = Batch::new(texts)?;
    let tokens = batch.wanted.len();
    let adapter = &adapter.to_device(network.device())?;
    let how = How {
        weight: 1.0 / tokens as f32,
        dropout: None,
        checkpointing,
    };
    let mut found = Gradients::new();
    let sum = gradients(network, adapter, &batch, how, &mut found)?;
    Ok((sum / tokens as f64, found))
}

/// The sum of the losses alone.
pub(crate) fn loss(network: &Network, adapter: &Adapter, batch: &Batch) -> Result<f64> {
    let pass = Pass::new(network, batch, adapter, None)?;
    let mut x = network.embed(batch)?;
    for layer in 0..network.depth() {
        // Cut layer by layer, or the graph would keep all of them.
        x = network.run(layer..layer + 1, &x, &pass)?.detach();
    }
    let hidden = network.finish(&x, &batch.rows)?.detach();
    Ok(head(network.head(), &hidden, &batch.wanted, None)?.0)
}

fn segments(depth: usize, checkpointing: bool) -> Vec<Range<usize>> {
    match checkpointing {
        true => (0..depth).map(|i| i..i + 1).collect(),
        false => std::iter::once(0..depth).collect(),
    }
}

/// What a segment reads: a variable where a segment before it wants the gradient.
enum Input {
    Constant(Tensor),
    Variable(Var),
}

impl Input {
    fn tensor(&self) -> &Tensor {
        match self {
            Self::Constant(tensor) => tensor,
            Self::Variable(var) => var.as_tensor(),
        }
    }
}

struct Carry<'a> {
    adapter: &'a Adapter,
    gradients: &'a mut Gradients,
}

impl Carry<'_> {
    fn input(&self, x: Option<Tensor>, first: bool) -> candle_core::Result<Input> {
        let x = x.ok_or_else(|| candle_core::Error::msg("a segment without an input"))?;
        match first {
            true => Ok(Input::Constant(x)),
            false => Ok(Input::Variable(Var::from_tensor(&x)?)),
        }
    }

    /// Collects the gradients of the segment that made `y`, and gives that of its input.
    fn back(
        &mut self,
        y: &Tensor,
        gradient: &Tensor,
        input: &Input,
    ) -> candle_core::Result<Option<Tensor>> {
        let found = y.mul(gradient)?.sum_all()?.backward()?;
        for (name, var) in self.adapter.tensors() {
            let Some(new) = found.get(var.as_tensor()) else {
                continue;
            };
            let sum = match self.gradients.get(&name) {
                Some(sum) => (sum + new)?,
                None => new.clone(),
            };
            // Cut from the graph that it came from, or that would stay in memory.
            self.gradients.insert(name, sum.detach());
        }
        Ok(match input {
            Input::Constant(_) => None,
            Input::Variable(var) => found.get(var.as_tensor()).map(Tensor::detach),
        })
    }
}

/// The sum of the losses of `wanted` after hidden states `[n, width]`, and, given what each counts, its gradient.
fn head(
    head: &Frozen,
    hidden: &Tensor,
    wanted: &[u32],
    weight: Option<f32>,
) -> Result<(f64, Option<Tensor>)> {
    // Once for all rows: a copy, where the matrix is not kept in f32.
    let dense = head.dense()?;
    let (mut loss, mut gradients) = (0.0, Vec::new());
    for (chunk, wanted) in wanted.chunks(ROWS).enumerate() {
        let rows = hidden.narrow(0, chunk * ROWS, wanted.len())?;
        let logits = rows.to_dtype(dense.dtype())?.matmul(&dense.t()?)?;
        let logits = logits.to_dtype(DType::F32)?;
        let (sum, gradient) = match logits.device().is_cpu() {
            true => here(&logits, wanted, weight)?,
            false => there(&logits, wanted, weight)?,
        };
        loss += sum;
        if let Some(gradient) = gradient {
            let gradient = gradient.to_dtype(dense.dtype())?.matmul(&dense)?;
            gradients.push(gradient.to_dtype(DType::F32)?);
        }
    }
    let gradient = match gradients.is_empty() {
        true => None,
        false => Some(Tensor::cat(&gradients, 0)?),
    };
    Ok((loss, gradient))
}

/// The sum of the losses of some rows of logits and, given what each counts, the gradient of every logit: on the
/// processor, in the place of a copy.
fn here(
    logits: &Tensor,
    wanted: &[u32],
    weight: Option<f32>,
) -> candle_core::Result<(f64, Option<Tensor>)> {
    let vocabulary = logits.dim(1)?;
    let mut numbers = logits.flatten_all()?.to_vec1::<f32>()?;
    let rows = numbers.par_chunks_mut(vocabulary).zip(wanted);
    let losses: Vec<f64> = rows
        .map(|(row, wanted)| cross_entropy(row, *wanted as usize, weight))
        .collect();
    let gradient = weight.map(|_| Tensor::from_vec(numbers, logits.shape(), logits.device()));
    Ok((losses.iter().sum(), gradient.transpose()?))
}

/// The same by the operations that every device has.
fn there(
    logits: &Tensor,
    wanted: &[u32],
    weight: Option<f32>,
) -> candle_core::Result<(f64, Option<Tensor>)> {
    let wanted = Tensor::new(wanted, logits.device())?.unsqueeze(1)?;
    let shifted = logits.broadcast_sub(&logits.max_keepdim(1)?)?;
    let grown = shifted.exp()?;
    let sums = grown.sum_keepdim(1)?;
    let losses = (sums.log()? - shifted.gather(&wanted, 1)?)?;
    // Added up where there are 64 bits.
    let losses = losses.flatten_all()?.to_vec1::<f32>()?;
    let gradient = weight.map(|weight| {
        let said = Tensor::full(-weight, wanted.shape(), logits.device())?;
        let all = (grown.broadcast_div(&sums)? * f64::from(weight))?;
        all.scatter_add(&wanted, &said, 1)
    });
    Ok((
        losses.into_iter().map(f64::from).sum(),
        gradient.transpose()?,
    ))
}

/// -ln of the probability of `wanted`; given a weight, puts the weighed gradient in the logits' place.
fn cross_entropy(logits: &mut [f32], wanted: usize, weight: Option<f32>) -> f64 {
    let mut tops = [f32::NEG_INFINITY; LANES];
    for chunk in logits.chunks(LANES) {
        for (top, logit) in tops.iter_mut().zip(chunk) {
            *top = if logit > top { *logit } else { *top };
        }
    }
    let most = tops.into_iter().fold(f32::NEG_INFINITY, f32::max);
    let said = logits[wanted];
    let mut sums = [0f64; LANES];
    for chunk in logits.chunks_mut(LANES) {
        for (sum, logit) in sums.iter_mut().zip(chunk) {
            *logit = exp(*logit - most);
            *sum += f64::from(*logit);
        }
    }
    let sum: f64 = sums.into_iter().sum();
    if let Some(weight) = weight {
        let scale = weight / sum as f32;
        logits.iter_mut().for_each(|p| *p *= scale);
        logits[wanted] -= weight;
    }
    sum.ln() - f64::from(said - most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn losses_are_the_same_here_and_there() {
        let number = |i: usize| ((i * 7919 % 1000) as f32 / 500.0 - 1.0) * 3.0;
        let numbers: Vec<f32> = (0..5 * 40).map(number).collect();
        let logits = Tensor::from_vec(numbers, (5, 40), &Device::Cpu).unwrap();
        let wanted = [3, 39, 0, 17, 17];
        for weight in [None, Some(0.2)] {
            let (loss, gradient) = here(&logits, &wanted, weight).unwrap();
            let (same, like) = there(&logits, &wanted, weight).unwrap();
            assert!((loss - same).abs() < 1e-5, "{loss} {same}");
            assert_eq!(gradient.is_some(), weight.is_some());
            if let (Some(a), Some(b)) = (gradient, like) {
                let apart = (a - b).unwrap().abs().unwrap().max_all().unwrap();
                assert!(apart.to_scalar::<f32>().unwrap() < 1e-6);
            }
        }
    }
}
