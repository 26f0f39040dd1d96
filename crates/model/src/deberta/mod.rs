//! A reward model: DeBERTa-v2 or -v3 (He et al. 2021) that reads a question with its answer and says one number.
//!
//! ```text
//! folder ──► config, weights ─► network ──► score(batch)
//!    │                             ▲
//!    └─────► pairs (spm) ──────────┘ token ids
//! ```
//!
//! [`RewardModel`] computes in f32 on the processor, without padding: a pair's reward has the same bits alone, in a
//! batch, and in any order. At another [`Place`] it computes with tensor operations: half precision, CUDA. [`train`]
//! makes small models of the same kind.

mod attention;
mod config;
mod dense;
mod hub;
mod network;
mod pairs;
mod plain;
mod spm;
pub mod train;
mod weights;

pub use crate::place::{Numbers, Place, Processor};
pub use hub::folder;
pub use pairs::Encoded;

use crate::{
    digest::sha256_files,
    error::{Error, Result},
};
use config::Config;
use network::Network;
use pairs::Pairs;
use plain::Plain;
use std::{
    path::{Path, PathBuf},
    time::Instant,
};
use weights::{Weights, weight_files};

/// Changes whenever the same model could give other bits.
const ENGINE: &str = concat!("promptimal-reward/", env!("CARGO_PKG_VERSION"), "+1");

/// What a loaded reward model is: everything here can change a reward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewardDescription {
    /// The folder's name.
    pub name: String,
    /// SHA-256 of the weight files.
    pub sha256: String,
    /// This code and its version, and where it computes.
    pub engine: String,
    /// The most tokens of a pair; longer ones are cut.
    pub context: usize,
}

impl RewardDescription {
    /// Of a folder that is not loaded: for whoever must know what a model is and has no need of it.
    ///
    /// # Errors
    /// When it has no configuration of a reward model, or no weights.
    pub fn of(dir: &Path, place: Place) -> Result<Self> {
        let (json, file) = weights::config(dir)?;
        let config = Config::read(&json, &file)?;
        Self::new(dir, &weight_files(dir)?, (config.context, place))
    }

    fn new(dir: &Path, files: &[PathBuf], (context, place): (usize, Place)) -> Result<Self> {
        let name = dir.canonicalize().ok();
        let name = name
            .as_deref()
            .unwrap_or(dir)
            .file_name()
            .unwrap_or_default();
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            sha256: sha256_files(files)?,
            engine: match place.is_quick() {
                true => ENGINE.to_owned(),
                false => format!("{ENGINE} {place}"),
            },
            context,
        })
    }
}

/// What computes rewards.
enum Engine {
    Quick(Box<Network>),
    Plain(Plain),
}

/// A loaded reward model.
pub struct RewardModel {
    engine: Engine,
    pairs: Pairs,
    description: RewardDescription,
}

impl RewardModel {
    /// Loads a Hugging Face folder: `config.json`, safetensors or PyTorch weights, `tokenizer.json` or `spm.model`.
    ///
    /// # Errors
    /// [`Error::Load`] says what was found and what is needed.
    pub fn load(dir: &Path) -> Result<Self> {
        Self::load_at(dir, Place::default())
    }

    /// The same at a place.
    ///
    /// # Errors
    /// As [`Self::load`], and when there is no such device or no room on it.
    pub fn load_at(dir: &Path, place: Place) -> Result<Self> {
        let started = Instant::now();
        if !dir.is_dir() {
            return Err(Error::load(format!(
                "{}: a reward model is a folder with config.json, weights and a tokeniser, and this is none",
                dir.display()
            )));
        }
        let (json, file) = weights::config(dir)?;
        let config = Config::read(&json, &file)?;
        let pairs = Pairs::open(dir, config.context)?;
        if pairs.vocabulary() > config.vocabulary {
            return Err(Error::load(format!(
                "{}: the tokeniser knows {} tokens and the model {}: they do not belong together",
                dir.display(),
                pairs.vocabulary(),
                config.vocabulary
            )));
        }
        let files = weight_files(dir)?;
        let description = RewardDescription::new(dir, &files, (config.context, place))?;
        let weights = &mut Weights::open(&files)?;
        let engine = match place.is_quick() {
            true => Engine::Quick(Box::new(Network::load(config, weights)?)),
            false => Engine::Plain(Plain::load(config, weights, place.open()?)?),
        };
        tracing::info!(
            model = description.name,
            %place,
            seconds = started.elapsed().as_secs_f64(),
            "loaded the reward model"
        );
        Ok(Self {
            engine,
            pairs,
            description,
        })
    }

    /// What was loaded.
    pub fn description(&self) -> &RewardDescription {
        &self.description
    }

    /// A question and its answer as the model reads them.
    ///
    /// # Errors
    /// When a text can not be encoded.
    pub fn encode(&self, question: &str, answer: &str) -> Result<Encoded> {
        self.pairs.encode(question, answer)
    }

    /// The reward of each pair, computed together. Give it one batch of [`batches`] at a time.
    ///
    /// # Errors
    /// When a pair has no tokens, or one that the model does not have. A reward that is no number is told as such: it
    /// is the caller's to refuse.
    pub fn score(&self, pairs: &[&[u32]]) -> Result<Vec<f32>> {
        match &self.engine {
            Engine::Quick(network) => network.forward(pairs),
            Engine::Plain(network) => network.score(pairs),
        }
    }
}

/// Places in `lengths`, by length, in batches of at most `budget` tokens (a longer one is alone). Texts of like length
/// come together; the longest first, so that memory shows its need at once.
pub fn batches(lengths: &[usize], budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by(|a, b| lengths[*b].cmp(&lengths[*a]).then(a.cmp(b)));
    let (mut out, mut tokens) = (Vec::<Vec<usize>>::new(), 0);
    for place in order {
        match out.last_mut().filter(|_| tokens + lengths[place] <= budget) {
            Some(batch) => batch.push(place),
            None => {
                out.push(vec![place]);
                tokens = 0;
            }
        }
        tokens += lengths[place];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_by_length_within_the_budget_and_hold_each_text_once() {
        let lengths = [5, 100, 7, 30, 30, 300, 1];
        let got = batches(&lengths, 60);
        assert_eq!(got, [vec![5], vec![1], vec![3, 4], vec![2, 0, 6]]);
        assert!(batches(&[], 10).is_empty());
    }
}
