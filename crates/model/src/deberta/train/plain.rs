//! The network once more, in operations that have gradients: for training, and as a check of the quick one.
//!
//! Texts are padded to a rectangle. Weights are kept under the names that they have in a file.

use super::super::config::{Config, Positions};
use candle_core::{D, DType, Device, Result, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// A score that becomes no probability.
const HIDDEN: f32 = -1e9;

/// The weights being trained, by name.
pub(crate) struct Plain {
    config: Config,
    weights: BTreeMap<String, Var>,
}

/// What is dropped while training: a share, drawn from a seed.
pub(crate) struct Dropout {
    share: f32,
    draws: ChaCha8Rng,
}

impl Dropout {
    /// Drops `share` of the numbers.
    pub(crate) fn new(share: f32, seed: u64) -> Self {
        Self {
            share,
            draws: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    fn apply(&mut self, x: &Tensor) -> Result<Tensor> {
        if self.share <= 0.0 {
            return Ok(x.clone());
        }
        let keep = 1.0 / (1.0 - self.share);
        let bar = (f64::from(self.share) * f64::from(u32::MAX)) as u32;
        let mask = (0..x.elem_count()).map(|_| {
            if self.draws.next_u32() < bar {
                0.0
            } else {
                keep
            }
        });
        x.mul(&Tensor::from_vec(
            mask.collect::<Vec<f32>>(),
            x.shape(),
            &Device::Cpu,
        )?)
    }
}

/// A rectangle of texts.
struct Batch {
    ids: Tensor,
    /// `[batch, 1, 1, longest]`: added to scores.
    mask: Tensor,
    /// `[longest, longest]`: the row of the table for a query (down) and a key (across), less the first used one.
    rows: Tensor,
    first_row: usize,
    used_rows: usize,
    size: usize,
    longest: usize,
}

impl Batch {
    fn new(texts: &[&[u32]], positions: Positions) -> Result<Self> {
        let longest = texts.iter().map(|t| t.len()).max().unwrap_or(0);
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for text in texts {
            ids.extend_from_slice(text);
            ids.resize(ids.len() + longest - text.len(), 0);
            mask.extend((0..longest).map(|i| if i < text.len() { 0.0 } else { HIDDEN }));
        }
        let row = |i: usize, j: usize| positions.row(i as isize - j as isize);
        let (first_row, last_row) = (row(0, longest - 1), row(longest - 1, 0));
        let rows =
            (0..longest).flat_map(|i| (0..longest).map(move |j| (row(i, j) - first_row) as u32));
        let device = &Device::Cpu;
        Ok(Self {
            ids: Tensor::from_vec(ids, texts.len() * longest, device)?,
            mask: Tensor::from_vec(mask, (texts.len(), 1, 1, longest), device)?,
            rows: Tensor::from_vec(rows.collect::<Vec<u32>>(), (longest, longest), device)?,
            first_row,
            used_rows: last_row - first_row + 1,
            size: texts.len(),
            longest,
        })
    }
}

impl Plain {
    /// New weights, drawn from a seed.
    pub(crate) fn new(config: Config, seed: u64) -> Result<Self> {
        let mut draws = ChaCha8Rng::seed_from_u64(seed);
        let mut weights = BTreeMap::new();
        for (name, shape) in shapes(&config) {
            let count = shape.iter().product();
            let values: Vec<f32> = match (name.contains("LayerNorm.weight"), name.ends_with("bias"))
            {
                (true, _) => vec![1.0; count],
                (_, true) => vec![0.0; count],
                // Uniform, with the standard deviation that the original draws with.
                _ => (0..count)
                    .map(|_| (unit(&mut draws) - 0.5) * 0.02 * 12f32.sqrt())
                    .collect(),
            };
            weights.insert(name, Var::from_vec(values, shape, &Device::Cpu)?);
        }
        Ok(Self { config, weights })
    }

    /// The weights by name.
    pub(crate) fn weights(&self) -> &BTreeMap<String, Var> {
        &self.weights
    }

    /// The architecture.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The rewards of texts, `[texts]`.
    pub(crate) fn forward(&self, texts: &[&[u32]], dropout: &mut Dropout) -> Result<Tensor> {
        let batch = Batch::new(texts, self.config.positions)?;
        let (size, longest, width) = (batch.size, batch.longest, self.config.width);
        let x = self
            .weight("deberta.embeddings.word_embeddings.weight")
            .index_select(&batch.ids, 0)?;
        let x = self.norm(
            &x.reshape((size, longest, width))?,
            "deberta.embeddings.LayerNorm",
        )?;
        let mut x = dropout.apply(&x)?;
        let table = self
            .weight("deberta.encoder.rel_embeddings.weight")
            .narrow(0, batch.first_row, batch.used_rows)?;
        let table = self.norm(&table, "deberta.encoder.LayerNorm")?;
        for i in 0..self.config.layers {
            // The last layer's other rows are not looked at.
            let asked = if i + 1 == self.config.layers {
                1
            } else {
                longest
            };
            x = self.layer(i, &x, &table, (&batch, asked), dropout)?;
        }
        let first = x.narrow(1, 0, 1)?.squeeze(1)?;
        let pooled = self.linear(&first, "pooler.dense")?.gelu_erf()?;
        self.linear(&pooled, "classifier")?.squeeze(1)
    }

    fn layer(
        &self,
        i: usize,
        x: &Tensor,
        table: &Tensor,
        (batch, asked): (&Batch, usize),
        dropout: &mut Dropout,
    ) -> Result<Tensor> {
        let name = |part: &str| format!("deberta.encoder.layer.{i}.{part}");
        let residual = x.narrow(1, 0, asked)?.contiguous()?;
        let mixed = self.attention(i, (x, &residual), table, batch)?;
        let out = dropout.apply(&self.linear(&mixed, &name("attention.output.dense"))?)?;
        let x = self.norm(&(out + residual)?, &name("attention.output.LayerNorm"))?;
        let up = self.linear(&x, &name("intermediate.dense"))?.gelu_erf()?;
        let down = dropout.apply(&self.linear(&up, &name("output.dense"))?)?;
        self.norm(&(down + x)?, &name("output.LayerNorm"))
    }

    fn attention(
        &self,
        i: usize,
        (x, asking): (&Tensor, &Tensor),
        table: &Tensor,
        batch: &Batch,
    ) -> Result<Tensor> {
        let (heads, size, longest) = (self.config.heads, batch.size, batch.longest);
        let (dim, asked) = (self.config.width / heads, asking.dim(1)?);
        let own = |part: &str| format!("deberta.encoder.layer.{i}.attention.self.{part}_proj");
        // Heads first: [heads, batch, rows, dim].
        let split = |y: Tensor, rows: usize| {
            y.reshape((size, rows, heads, dim))?
                .permute((2, 0, 1, 3))?
                .contiguous()
        };
        let query = split(self.linear(asking, &own("query"))?, asked)?;
        let key = split(self.linear(x, &own("key"))?, longest)?;
        let value = split(self.linear(x, &own("value"))?, longest)?;
        let mut scores = query.matmul(&key.t()?)?;
        let Positions { c2p, p2c, .. } = self.config.positions;
        let shape = |rows: usize, across: usize| (heads, size, rows, across);
        let with_table = |y: &Tensor, rows: usize, name: &str| -> Result<Tensor> {
            let table = self
                .linear(table, &own(name))?
                .reshape((batch.used_rows, heads, dim))?
                .permute((1, 2, 0))?;
            y.reshape((heads, size * rows, dim))?
                .matmul(&table.contiguous()?)?
                .reshape(shape(rows, batch.used_rows))
        };
        if c2p {
            let rows = batch
                .rows
                .narrow(0, 0, asked)?
                .broadcast_as(shape(asked, longest))?
                .contiguous()?;
            scores = (scores + with_table(&query, asked, "key")?.gather(&rows, D::Minus1)?)?;
        }
        if p2c {
            let rows = batch
                .rows
                .narrow(0, 0, asked)?
                .t()?
                .broadcast_as(shape(longest, asked))?
                .contiguous()?;
            let products = with_table(&key, longest, "query")?.gather(&rows, D::Minus1)?;
            scores = (scores + products.transpose(2, 3)?)?;
        }
        let terms = 1 + usize::from(c2p) + usize::from(p2c);
        let scores = (scores * (1.0 / ((dim * terms) as f64).sqrt()))?;
        let scores = scores.broadcast_add(&batch.mask.reshape((1, size, 1, longest))?)?;
        let mixed = softmax(&scores)?.matmul(&value)?;
        mixed
            .permute((1, 2, 0, 3))?
            .reshape((size, asked, heads * dim))
    }

    fn weight(&self, name: &str) -> &Tensor {
        // Every name asked for is one of `shapes`.
        self.weights[name].as_tensor()
    }

    fn linear(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let weight = self.weight(&format!("{name}.weight"));
        let (rows, columns) = weight.dims2()?;
        let mut shape = x.dims().to_vec();
        let flat = x.reshape((x.elem_count() / columns, columns))?;
        let out = flat
            .matmul(&weight.t()?)?
            .broadcast_add(self.weight(&format!("{name}.bias")))?;
        if let Some(last) = shape.last_mut() {
            *last = rows;
        }
        out.reshape(shape)
    }

    fn norm(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normed = centred.broadcast_div(&(variance + f64::from(self.config.eps))?.sqrt()?)?;
        let scaled = normed.broadcast_mul(self.weight(&format!("{name}.weight")))?;
        scaled.broadcast_add(self.weight(&format!("{name}.bias")))
    }
}

fn softmax(scores: &Tensor) -> Result<Tensor> {
    let top = scores.max_keepdim(D::Minus1)?.detach();
    let raised = scores.broadcast_sub(&top)?.exp()?;
    raised.broadcast_div(&raised.sum_keepdim(D::Minus1)?)
}

/// In [0, 1).
fn unit(draws: &mut ChaCha8Rng) -> f32 {
    (draws.next_u32() >> 8) as f32 / 16_777_216.0
}

/// Every weight's name and shape.
fn shapes(config: &Config) -> Vec<(String, Vec<usize>)> {
    let (width, inner) = (config.width, config.inner);
    let mut out = vec![
        (
            "deberta.embeddings.word_embeddings.weight".to_owned(),
            vec![config.vocabulary, width],
        ),
        (
            "deberta.encoder.rel_embeddings.weight".to_owned(),
            vec![2 * config.positions.span, width],
        ),
    ];
    let mut both = |name: String, rows: usize, columns: Option<usize>| {
        let matrix = [Some(rows), columns].into_iter().flatten().collect();
        out.push((format!("{name}.weight"), matrix));
        out.push((format!("{name}.bias"), vec![rows]));
    };
    for norm in ["deberta.embeddings.LayerNorm", "deberta.encoder.LayerNorm"] {
        both(norm.to_owned(), width, None);
    }
    for i in 0..config.layers {
        let name = |part: &str| format!("deberta.encoder.layer.{i}.{part}");
        for part in ["query", "key", "value"] {
            both(
                name(&format!("attention.self.{part}_proj")),
                width,
                Some(width),
            );
        }
        both(name("attention.output.dense"), width, Some(width));
        both(name("attention.output.LayerNorm"), width, None);
        both(name("intermediate.dense"), inner, Some(width));
        both(name("output.dense"), width, Some(inner));
        both(name("output.LayerNorm"), width, None);
    }
    both("pooler.dense".to_owned(), width, Some(width));
    both("classifier".to_owned(), 1, Some(width));
    out
}

/// The mean of -ln sigmoid(chosen - rejected): the loss of pairs under the model of Bradley and Terry.
pub(crate) fn pairwise_loss(chosen: &Tensor, rejected: &Tensor) -> Result<Tensor> {
    let lead = (chosen - rejected)?;
    // ln(1 + e^-x) = max(-x, 0) + ln(1 + e^-|x|): no overflow either way.
    let far = lead.neg()?.relu()?;
    let near = (lead.abs()?.neg()?.exp()? + 1.0)?.log()?;
    (far + near)?.to_dtype(DType::F32)?.mean_all()
}

#[cfg(test)]
mod tests {
    use super::super::super::{config::tests::small, network::Network, weights::Weights};
    use super::*;
    use std::collections::HashMap;

    /// A random network both ways, with weights large enough that attention matters.
    fn both() -> (Plain, Network) {
        let config = Config::read(&small(), "config.json").unwrap();
        let plain = Plain::new(config.clone(), 5).unwrap();
        for (name, var) in plain.weights() {
            let noise = Dropout::new(0.5, name.len() as u64)
                .apply(&Tensor::ones(var.shape(), DType::F32, &Device::Cpu).unwrap())
                .unwrap();
            let wider = if name.contains("LayerNorm") || name.ends_with("bias") {
                (var.as_tensor() + (noise * 0.1).unwrap()).unwrap()
            } else {
                (var.as_tensor() * 15.0).unwrap()
            };
            var.set(&wider).unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("model.safetensors");
        let tensors: HashMap<&str, Tensor> = plain
            .weights()
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_tensor().clone()))
            .collect();
        candle_core::safetensors::save(&tensors, &file).unwrap();
        let network = Network::load(config, &mut Weights::open(&[file]).unwrap()).unwrap();
        (plain, network)
    }

    fn texts() -> Vec<Vec<u32>> {
        [1usize, 3, 40, 64, 17]
            .iter()
            .map(|n| (0..*n as u32).map(|i| (i * i + 7 * i + 3) % 50).collect())
            .collect()
    }

    #[test]
    fn it_gives_what_the_quick_network_gives() {
        let (plain, network) = both();
        let texts = texts();
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let quick = network.forward(&texts).unwrap();
        let slow = plain
            .forward(&texts, &mut Dropout::new(0.0, 1))
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        assert!(
            quick.iter().any(|r| (r - quick[0]).abs() > 1e-3),
            "all alike: {quick:?}"
        );
        for (quick, slow) in quick.iter().zip(&slow) {
            assert!((quick - slow).abs() < 1e-5, "{quick} {slow}");
        }
    }

    #[test]
    fn every_weight_has_the_gradient_that_differences_show() {
        let (plain, _) = both();
        let texts = texts();
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let loss = || {
            let rewards = plain.forward(&texts, &mut Dropout::new(0.0, 1)).unwrap();
            pairwise_loss(
                &rewards.narrow(0, 0, 2).unwrap(),
                &rewards.narrow(0, 2, 2).unwrap(),
            )
            .unwrap()
        };
        let gradients = loss().backward().unwrap();
        for (name, var) in plain.weights() {
            let gradient = gradients
                .get(var.as_tensor())
                .unwrap_or_else(|| panic!("{name} has no gradient"));
            let gradient = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let place = (0..gradient.len())
                .max_by(|a, b| gradient[*a].abs().total_cmp(&gradient[*b].abs()))
                .unwrap();
            let original = var.as_tensor().copy().unwrap();
            let moved = |step: f32| {
                let mut values = original.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                values[place] += step;
                var.set(&Tensor::from_vec(values, original.shape(), &Device::Cpu).unwrap())
                    .unwrap();
                f64::from(loss().to_scalar::<f32>().unwrap())
            };
            let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            var.set(&original).unwrap();
            // The classifier's bias lifts chosen and rejected alike.
            let (got, bar) = (f64::from(gradient[place]), 2e-3 + 0.05 * slope.abs());
            assert!((slope - got).abs() < bar, "{name}: {slope} {got}");
        }
    }

    #[test]
    fn the_loss_is_the_logistic_one_without_overflow() {
        let device = &Device::Cpu;
        let chosen = Tensor::new(&[1.0f32, -300.0, 300.0], device).unwrap();
        let rejected = Tensor::new(&[0.5f32, 300.0, -300.0], device).unwrap();
        let loss = pairwise_loss(&chosen, &rejected)
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        let want = ((1.0 + (-0.5f32).exp()).ln() + 600.0) / 3.0;
        assert!((loss - want).abs() < 1e-3, "{loss} {want}");
    }
}
