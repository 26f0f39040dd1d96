//! Small reward models of our own, trained on preference pairs.
//!
//! ```text
//! pairs ──► vocabulary ──► plain network ──► pairwise loss ──► AdamW
//!                                │ best epoch on validation pairs
//!                                ▼
//!              folder in Hugging Face's layout: RewardModel and transformers read it
//! ```
//!
//! The loss is -ln sigmoid(reward of the chosen - reward of the rejected). Everything is drawn from a seed.

mod adamw;
mod loss;
mod save;
mod vocabulary;

use super::{
    batches,
    config::{Config, Positions},
    pairs::Pairs,
    plain::{Dropout, Plain},
};
use crate::error::{Error, Result};
use adamw::AdamW;
use candle_core::{Tensor, Var};
pub(crate) use loss::pairwise_loss;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{collections::BTreeMap, path::Path};

/// The sizes of a model to be trained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Pieces of the vocabulary, at most.
    pub vocabulary: usize,
    /// Width of the hidden state.
    pub width: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Width of the feed-forward part.
    pub inner: usize,
    /// The most tokens of a pair; longer ones are cut.
    pub context: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            vocabulary: 6000,
            width: 128,
            layers: 2,
            heads: 4,
            inner: 256,
            context: 192,
        }
    }
}

/// How a model is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The model's sizes.
    pub shape: Shape,
    /// How often all pairs are seen, at most; the epoch with the smallest loss on validation pairs is kept.
    pub epochs: usize,
    /// Preference pairs per step.
    pub batch: usize,
    /// The highest learning rate: it rises over the first tenth of the steps and falls to zero.
    pub rate: f64,
    /// Weight decay.
    pub decay: f64,
    /// Share of hidden numbers dropped.
    pub dropout: f32,
    /// All draws derive from it.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            shape: Shape::default(),
            epochs: 3,
            batch: 16,
            rate: 5e-4,
            decay: 0.01,
            dropout: 0.1,
            seed: 1,
        }
    }
}

/// A question with the answer that was preferred and the one that was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preference {
    /// The question.
    pub prompt: String,
    /// The answer preferred.
    pub chosen: String,
    /// The other answer.
    pub rejected: String,
}

/// How far training has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// The mean loss of this epoch so far.
    pub loss: f64,
    /// After the last step of an epoch: loss and share of right orders on validation pairs.
    pub validation: Option<(f64, f64)>,
}

/// A pair's two texts as tokens.
type Texts = [Vec<u32>; 2];

/// Trains a model on `pairs`, chooses the epoch on `validation`, and writes it to `dir`: weights, `config.json` and
/// tokeniser. `progress` says whether to go on.
///
/// # Errors
/// When there are no pairs, the sizes do not fit each other, `progress` says stop, or `dir` can not be written.
pub fn train(
    (pairs, validation): (&[Preference], &[Preference]),
    plan: &Plan,
    dir: &Path,
    progress: &mut dyn FnMut(Progress) -> bool,
) -> Result<()> {
    plan.check(pairs.len())?;
    save::make(dir)?;
    let texts = pairs
        .iter()
        .flat_map(|p| [p.prompt.as_str(), &p.chosen, &p.rejected]);
    let tokeniser =
        vocabulary::learn(texts.collect::<Vec<_>>().into_iter(), plan.shape.vocabulary)?;
    save::tokeniser(dir, &tokeniser, plan.shape.context)?;
    let encoder = Pairs::open(dir, plan.shape.context)?;
    let config = plan.config(encoder.vocabulary());
    let network = Plain::new(config, plan.seed)?;
    let run = Run {
        plan,
        network,
        training: encode(&encoder, pairs)?,
        validation: encode(&encoder, validation)?,
    };
    let best = run.train(progress)?;
    save::weights(dir, run.network.config(), &best)
}

impl Plan {
    fn check(&self, pairs: usize) -> Result<()> {
        let Shape {
            vocabulary,
            width,
            layers,
            heads,
            inner,
            context,
        } = self.shape;
        let wrong = |what: String| Err(Error::load(what));
        if pairs == 0 {
            return wrong("there are no pairs to train on".into());
        }
        if heads == 0 || !width.is_multiple_of(heads) || width == 0 {
            return wrong(format!(
                "a width of {width} can not be divided among {heads} heads"
            ));
        }
        for (name, value, least) in [
            ("vocabulary", vocabulary, 100),
            ("layers", layers, 1),
            ("inner", inner, 1),
            ("context", context, 16),
        ] {
            if value < least {
                return wrong(format!("{name} is {value}; at least {least} is needed"));
            }
        }
        if self.epochs == 0 || self.batch == 0 || self.rate.is_nan() || self.rate <= 0.0 {
            return wrong("epochs, batch and rate must be above 0".into());
        }
        Ok(())
    }

    fn config(&self, vocabulary: usize) -> Config {
        let shape = &self.shape;
        // As v3 has it: half of the distances near enough for a row of their own.
        let buckets = (shape.context / 2).next_multiple_of(2);
        Config {
            vocabulary,
            width: shape.width,
            layers: shape.layers,
            heads: shape.heads,
            inner: shape.inner,
            eps: 1e-7,
            context: shape.context,
            positions: Positions {
                span: buckets,
                buckets,
                longest: shape.context,
                c2p: true,
                p2c: true,
            },
            norm_positions: true,
            convolution: 0,
        }
    }
}

fn encode(encoder: &Pairs, pairs: &[Preference]) -> Result<Vec<Texts>> {
    let one = |p: &Preference| -> Result<Texts> {
        let text = |answer: &str| encoder.encode(&p.prompt, answer).map(|e| e.ids);
        Ok([text(&p.chosen)?, text(&p.rejected)?])
    };
    pairs.iter().map(one).collect()
}

/// A training under way.
struct Run<'a> {
    plan: &'a Plan,
    network: Plain,
    training: Vec<Texts>,
    validation: Vec<Texts>,
}

impl Run<'_> {
    /// The weights of the best epoch.
    fn train(
        &self,
        progress: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<BTreeMap<String, Tensor>> {
        let plan = self.plan;
        let mut draws = ChaCha8Rng::seed_from_u64(plan.seed ^ 0x7EA1);
        let mut dropout = Dropout::new(plan.dropout, plan.seed ^ 0xD20F);
        let mut optimiser = AdamW::new(self.network.weights(), plan.decay)?;
        let per_epoch = self.training.len().div_ceil(plan.batch);
        let steps = per_epoch * plan.epochs;
        let (mut step, mut best) = (0, None::<(f64, BTreeMap<String, Tensor>)>);
        for _ in 0..plan.epochs {
            let mut losses = 0.0;
            for (nth, batch) in self.epoch(&mut draws).into_iter().enumerate() {
                losses += self.step(
                    &batch,
                    &mut dropout,
                    &mut optimiser,
                    rate(plan.rate, step, steps),
                )?;
                step += 1;
                let loss = losses / (nth + 1) as f64;
                let last = nth + 1 == per_epoch;
                let validation = if last && !self.validation.is_empty() {
                    Some(self.validate()?)
                } else {
                    None
                };
                if !progress(Progress {
                    step,
                    steps,
                    loss,
                    validation,
                }) {
                    return Err(Error::job("training was told to stop"));
                }
                if last {
                    let loss = validation.map_or(loss, |(loss, _)| loss);
                    if best.as_ref().is_none_or(|(least, _)| loss < *least) {
                        best = Some((loss, self.copy()?));
                    }
                }
            }
        }
        best.map(|(_, weights)| weights)
            .ok_or_else(|| Error::job("no epoch ended with a loss that is a number"))
    }

    /// All pairs once, in batches of like length, in an order that is drawn.
    fn epoch(&self, draws: &mut ChaCha8Rng) -> Vec<Vec<&Texts>> {
        let mut order: Vec<usize> = (0..self.training.len()).collect();
        shuffle(&mut order, draws);
        // Likeness within a stretch, so that batches are others in each epoch.
        let stretch = self.plan.batch * 16;
        let mut batches: Vec<Vec<&Texts>> = Vec::new();
        for stretch in order.chunks_mut(stretch) {
            stretch.sort_by_key(|i| self.training[*i].iter().map(Vec::len).max());
            batches.extend(
                stretch
                    .chunks(self.plan.batch)
                    .map(|b| b.iter().map(|i| &self.training[*i]).collect()),
            );
        }
        shuffle(&mut batches, draws);
        batches
    }

    fn step(
        &self,
        batch: &[&Texts],
        dropout: &mut Dropout,
        optimiser: &mut AdamW,
        rate: f64,
    ) -> Result<f64> {
        let loss = self.loss(batch, dropout)?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        if !value.is_finite() {
            return Err(Error::job(
                "the loss is no number any more: train with a lower rate",
            ));
        }
        optimiser.step(self.network.weights(), &loss.backward()?, rate)?;
        Ok(value)
    }

    fn loss(&self, batch: &[&Texts], dropout: &mut Dropout) -> Result<Tensor> {
        let texts: Vec<&[u32]> = (0..2)
            .flat_map(|side| batch.iter().map(move |pair| pair[side].as_slice()))
            .collect();
        let rewards = self.network.forward(&texts, dropout)?;
        let (chosen, rejected) = (
            rewards.narrow(0, 0, batch.len())?,
            rewards.narrow(0, batch.len(), batch.len())?,
        );
        Ok(pairwise_loss(&chosen, &rejected)?)
    }

    /// Mean loss and share of right orders on the validation pairs.
    fn validate(&self) -> Result<(f64, f64)> {
        let lengths: Vec<usize> = self
            .validation
            .iter()
            .map(|p| p.iter().map(Vec::len).max().unwrap_or(0))
            .collect();
        let (mut losses, mut right) = (0.0, 0.0);
        for batch in batches(&lengths, self.plan.batch * self.plan.shape.context) {
            let texts = |side: usize| {
                batch
                    .iter()
                    .map(move |i| self.validation[*i][side].as_slice())
            };
            let texts: Vec<&[u32]> = texts(0).chain(texts(1)).collect();
            let rewards = self
                .network
                .forward(&texts, &mut Dropout::new(0.0, 0))?
                .to_vec1::<f32>()?;
            let (chosen, rejected) = rewards.split_at(batch.len());
            for (chosen, rejected) in chosen.iter().zip(rejected) {
                let lead = f64::from(chosen - rejected);
                losses += (1.0 + (-lead).exp()).ln();
                right += if lead > 0.0 {
                    1.0
                } else if lead == 0.0 {
                    0.5
                } else {
                    0.0
                };
            }
        }
        let count = self.validation.len() as f64;
        Ok((losses / count, right / count))
    }

    fn copy(&self) -> Result<BTreeMap<String, Tensor>> {
        let one = |(name, var): (&String, &Var)| -> Result<(String, Tensor)> {
            Ok((name.clone(), var.as_tensor().copy()?))
        };
        self.network.weights().iter().map(one).collect()
    }
}

/// Up to `highest` over the first tenth of the steps, then down to zero.
fn rate(highest: f64, step: usize, steps: usize) -> f64 {
    let warm = (steps / 10).max(1);
    let up = (step + 1) as f64 / warm as f64;
    let down = (steps - step) as f64 / (steps - warm).max(1) as f64;
    highest * up.min(down).min(1.0)
}

fn shuffle<T>(items: &mut [T], draws: &mut ChaCha8Rng) {
    for i in (1..items.len()).rev() {
        items.swap(i, (draws.next_u64() % (i as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deberta::RewardModel;

    /// Answers that thank are preferred; length says nothing.
    fn pairs(count: usize, salt: usize) -> Vec<Preference> {
        let words = [
            "rain", "kettle", "window", "river", "stone", "lamp", "paper", "garden",
        ];
        let word = |i: usize| words[(i * 7 + salt) % words.len()];
        let one = |i: usize| Preference {
            prompt: format!("What about the {} and the {}?", word(i), word(i + 3)),
            chosen: format!("Thank you, the {} is fine.", word(i + 1)),
            rejected: format!("Go away, the {} is bad.", word(i + 1)),
        };
        (0..count).map(one).collect()
    }

    fn plan() -> Plan {
        let shape = Shape {
            vocabulary: 120,
            width: 32,
            layers: 2,
            heads: 2,
            inner: 48,
            context: 48,
        };
        Plan {
            shape,
            epochs: 4,
            batch: 8,
            rate: 2e-3,
            ..Plan::default()
        }
    }

    #[test]
    fn a_model_learns_what_is_preferred_and_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("reward");
        let mut last = None;
        let (pairs_in, held) = (pairs(64, 0), pairs(16, 1));
        train((&pairs_in, &held), &plan(), &dir, &mut |p| {
            last = p.validation.or(last);
            true
        })
        .unwrap();
        assert_eq!(last.unwrap().1, 1.0, "{last:?}");
        let model = RewardModel::load(&dir).unwrap();
        for pair in pairs(16, 2) {
            let chosen = model.encode(&pair.prompt, &pair.chosen).unwrap();
            let rejected = model.encode(&pair.prompt, &pair.rejected).unwrap();
            let rewards = model.score(&[&chosen.ids, &rejected.ids]).unwrap();
            assert!(rewards[0] > rewards[1], "{rewards:?}");
        }
        let long = "the rain and the kettle ".repeat(40);
        let cut = model.encode(&long, &long).unwrap();
        assert!(cut.cut > 0 && cut.ids.len() == 48, "{cut:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_model() {
        let weights = |seed: u64| {
            let dir = tempfile::tempdir().unwrap();
            let plan = Plan {
                seed,
                epochs: 1,
                ..plan()
            };
            train((&pairs(24, 0), &[]), &plan, dir.path(), &mut |_| true).unwrap();
            std::fs::read(dir.path().join("model.safetensors")).unwrap()
        };
        assert!(weights(1) == weights(1));
        assert!(weights(1) != weights(2));
    }

    #[test]
    fn what_can_not_be_trained_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let say = |change: fn(&mut Plan), pairs: &[Preference]| {
            let mut plan = plan();
            change(&mut plan);
            train((pairs, &[]), &plan, dir.path(), &mut |_| true)
                .unwrap_err()
                .to_string()
        };
        let some = pairs(8, 0);
        assert!(say(|_| (), &[]).contains("no pairs"));
        assert!(say(|p| p.shape.heads = 3, &some).contains("32 can not be divided among 3"));
        assert!(say(|p| p.shape.layers = 0, &some).contains("layers is 0"));
        assert!(say(|p| p.rate = 0.0, &some).contains("rate"));
        let stopped = train((&some, &[]), &plan(), dir.path(), &mut |p| p.step < 1);
        assert!(stopped.unwrap_err().to_string().contains("told to stop"));
    }

    #[test]
    fn the_rate_rises_and_falls() {
        let rates: Vec<f64> = (0..100).map(|step| rate(1.0, step, 100)).collect();
        assert!(rates[..10].is_sorted() && rates[10..].is_sorted_by(|a, b| a >= b));
        assert!((rates[9] - 1.0).abs() < 1e-9 && rates[99] < 0.02);
        assert!(rate(1.0, 0, 1) > 0.0);
    }
}
