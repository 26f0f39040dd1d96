//! How a rewriter is trained: `[train]` of a spec, which travels with the task.

use serde::{Deserialize, Serialize};

/// The words around a pair.
pub const TEMPLATES: &[&str] = &["inst", "chat"];
/// How the base is kept in memory.
pub const WEIGHTS: &[&str] = &["f32", "bf16", "q8_0", "nf4"];
/// Which pairs of a run are learnt from: those whose gain passes the false discovery rate, or all whose rewrite did better
/// on the fresh draws, also where that may be chance.
pub const PAIRS: &[&str] = &["confirmed", "improved"];
/// The matrices that can have an adapter.
pub const TARGETS: &[&str] = &["q", "k", "v", "o", "gate", "up", "down"];

/// How a rewriter is trained. The names and defaults are those of the options of `promptimal train`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tuning {
    /// The model that learns, as the spec writes it: a name of the catalogue, a GGUF file, or a folder.
    pub base: String,
    /// One of [`PAIRS`].
    #[serde(skip_serializing_if = "is_confirmed")]
    pub pairs: String,
    /// With fewer pairs nothing is trained.
    pub min_pairs: usize,
    /// One of [`TEMPLATES`].
    pub template: String,
    /// Share of the originals that the learning is measured on.
    pub validation: f64,
    /// At most this share of the pairs are unchanged ones.
    pub unchanged: f64,
    /// Pairs of more tokens are left out.
    pub max_tokens: usize,
    /// Rank of the adapter.
    pub rank: usize,
    /// The adapter counts alpha / rank.
    pub alpha: f64,
    /// Share of the adapter's inputs dropped while training.
    pub dropout: f64,
    /// The adapter counts alpha / sqrt(rank).
    pub rslora: bool,
    /// Some of [`TARGETS`].
    pub targets: Vec<String>,
    /// One of [`WEIGHTS`].
    pub weights: String,
    /// Whether layers are computed twice to save memory.
    pub checkpointing: bool,
    /// How often all pairs are read.
    pub epochs: usize,
    /// Pairs side by side.
    pub batch: usize,
    /// Batches whose gradients make one step.
    pub accumulate: usize,
    /// The highest learning rate.
    pub rate: f64,
    /// Share of the steps over which the rate rises.
    pub warmup: f64,
    /// Weight decay.
    pub decay: f64,
    /// The largest norm of a step's gradient.
    pub clip: f64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            base: String::new(),
            pairs: PAIRS[0].to_owned(),
            min_pairs: 8,
            template: "inst".to_owned(),
            validation: 0.15,
            unchanged: 0.1,
            max_tokens: 1024,
            rank: 80,
            alpha: 16.0,
            dropout: 0.1,
            rslora: false,
            targets: ["q", "k", "v", "o"].map(str::to_owned).to_vec(),
            weights: "f32".to_owned(),
            checkpointing: false,
            epochs: 2,
            batch: 4,
            accumulate: 4,
            rate: 2e-4,
            warmup: 0.1,
            decay: 0.0,
            clip: 1.0,
        }
    }
}

/// What was always done is not written: keys of stored trainings stay what they are.
fn is_confirmed(pairs: &str) -> bool {
    pairs == PAIRS[0]
}

impl Tuning {
    /// Whether all pairs that did better are learnt from.
    pub fn all_improved(&self) -> bool {
        !is_confirmed(&self.pairs)
    }

    /// Whether `base` is a path rather than a name of the catalogue.
    pub fn base_is_path(&self) -> bool {
        self.base.contains(['/', '\\']) || self.base.ends_with(".gguf")
    }
}
