//! The arguments of `train` and `merge`.

use super::{Age, ShowFlags};
use clap::Args;
use std::{path::PathBuf, time::Duration};
use train::{
    Error, Keep, Lora, Numbers, Place, Plan, Processor, Saving, Target,
    pairs::{Cleaning, Fields, Template},
};

/// Where pairs come from: one of the two.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct PairSource {
    /// The pairs: JSON lines of {"original", "improved"} (what `promptimal export RUN pairs` writes), CSV of two columns,
    /// or CSV of one column of `[INST] original [/INST] improved`.
    #[arg(long, value_name = "FILE")]
    pub pairs: Option<PathBuf>,
    /// The pairs of a finished run: its id, the beginning of it, its name, or `last`.
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
}

/// Arguments of `train`.
#[derive(Debug, Args)]
pub struct TuneArgs {
    /// Where the pairs come from.
    #[command(flatten)]
    pub source: PairSource,
    /// The model that learns: a GGUF file, a folder in Hugging Face's layout, or a name of `promptimal models list`.
    #[arg(long, value_name = "MODEL")]
    pub base: String,
    /// The folder that the adapter is written to, in PEFT's layout. A training that stopped there goes on.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Begin anew, whatever adapter or checkpoint the folder holds.
    #[arg(long)]
    pub replace: bool,
    /// An adapter to go on from, trained before with the same rank, alpha, dropout and targets.
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// The fields or columns of the original and the improved prompt, where they have other names.
    #[arg(
        long,
        value_name = "ORIGINAL,IMPROVED",
        value_delimiter = ',',
        num_args = 1,
        conflicts_with = "run"
    )]
    pub fields: Vec<String>,
    /// The field with the right answer, where there is one: an improved prompt that gives it away is left out.
    #[arg(long, value_name = "FIELD", conflicts_with = "run")]
    pub answer: Option<String>,
    /// The words around a pair: inst (`<s>[INST] original [/INST] improved </s>`), or chat (the model's own template).
    #[arg(long, default_value_t = Template::default())]
    pub template: Template,
    /// Share of the originals that the learning is measured on; near-duplicates are on one side.
    #[arg(long, default_value_t = Cleaning::default().validation)]
    pub validation: f64,
    /// At most this share of the pairs are unchanged ones: they teach to leave good prompts alone.
    #[arg(long, default_value_t = Cleaning::default().unchanged)]
    pub unchanged: f64,
    /// Longer pairs are left out.
    #[arg(long, default_value_t = 1024, value_name = "TOKENS")]
    pub max_tokens: usize,
    /// Rank of the adapter.
    #[arg(long, default_value_t = Lora::default().rank)]
    pub rank: usize,
    /// The adapter counts alpha / rank.
    #[arg(long, default_value_t = Lora::default().alpha)]
    pub alpha: f64,
    /// Share of the adapter's inputs dropped while training.
    #[arg(long, default_value_t = Lora::default().dropout)]
    pub dropout: f64,
    /// The adapter counts alpha / sqrt(rank), which keeps large ranks learning.
    #[arg(long)]
    pub rslora: bool,
    /// The matrices with an adapter: any of q, k, v, o, gate, up, down.
    #[arg(long, value_delimiter = ',', default_value = "q,k,v,o")]
    pub targets: Vec<Target>,
    /// How the base is kept in memory: f32 (4 bytes a number), bf16 (2), q8_0 (1.06) or nf4 (0.52).
    #[arg(long, default_value_t = Keep::default())]
    pub weights: Keep,
    /// Compute layers twice instead of keeping what they computed: less than half the memory, a third more time.
    #[arg(long)]
    pub checkpointing: bool,
    /// What computes: cpu, or cuda in a program that is built for it.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: Processor,
    /// What matrices are multiplied in: f32 or bf16; unless told, f32 on cpu and bf16 on cuda.
    #[arg(long, value_name = "TYPE")]
    pub dtype: Option<Numbers>,
    /// How often all pairs are read.
    #[arg(long, default_value_t = Plan::default().epochs)]
    pub epochs: usize,
    /// Pairs side by side.
    #[arg(long, default_value_t = Plan::default().batch)]
    pub batch: usize,
    /// Batches whose gradients make one step.
    #[arg(long, default_value_t = Plan::default().accumulate)]
    pub accumulate: usize,
    /// The highest learning rate.
    #[arg(long, default_value_t = Plan::default().rate)]
    pub rate: f64,
    /// Share of the steps over which the rate rises.
    #[arg(long, default_value_t = Plan::default().warmup)]
    pub warmup: f64,
    /// Weight decay.
    #[arg(long, default_value_t = Plan::default().decay)]
    pub decay: f64,
    /// The largest norm of a step's gradient.
    #[arg(long, default_value_t = Plan::default().clip)]
    pub clip: f64,
    /// All draws derive from it.
    #[arg(long, default_value_t = Plan::default().seed)]
    pub seed: u64,
    /// A checkpoint is written so often: `5m`, `1h`.
    #[arg(long, default_value = "5m", value_name = "TIME")]
    pub save_every: Age,
    /// How it is printed.
    #[command(flatten)]
    pub show: ShowFlags,
}

impl TuneArgs {
    /// Where it is computed.
    pub fn place(&self) -> Result<Place, Error> {
        train::place(self.device, self.dtype)
    }

    /// How the adapter is trained.
    pub fn plan(&self) -> Plan {
        Plan {
            lora: Lora {
                rank: self.rank,
                alpha: self.alpha,
                dropout: self.dropout,
                rslora: self.rslora,
                targets: self.targets.iter().copied().collect(),
            },
            keep: self.weights,
            epochs: self.epochs,
            batch: self.batch,
            accumulate: self.accumulate,
            rate: self.rate,
            warmup: self.warmup,
            decay: self.decay,
            clip: self.clip,
            checkpointing: self.checkpointing,
            seed: self.seed,
            ..Plan::default()
        }
    }

    /// How pairs are cleaned and divided.
    pub fn cleaning(&self) -> Cleaning {
        Cleaning {
            unchanged: self.unchanged,
            validation: self.validation,
            seed: self.seed,
        }
    }

    /// Which field is what, where it was said.
    ///
    /// # Errors
    /// When only one of the two fields is named.
    pub fn fields(&self) -> anyhow::Result<Option<Fields>> {
        let known = Fields::default();
        let (original, improved) = match self.fields.as_slice() {
            [] if self.answer.is_none() => return Ok(None),
            [] => (known.original, known.improved),
            [original, improved] => (original.clone(), improved.clone()),
            other => anyhow::bail!(
                "--fields has {} names: give two, --fields original,improved",
                other.len()
            ),
        };
        let answer = self.answer.clone();
        Ok(Some(Fields {
            original,
            improved,
            answer,
        }))
    }

    /// When checkpoints are written.
    pub fn saving(&self) -> Saving {
        let micros = u64::try_from(self.save_every.0).unwrap_or_default();
        Saving {
            after: Duration::from_micros(micros),
            steps: None,
        }
    }
}

/// Arguments of `merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The base: a folder in Hugging Face's layout, a GGUF file, or a name of `promptimal models list`.
    #[arg(long, value_name = "MODEL")]
    pub base: String,
    /// The adapter, a folder in PEFT's layout.
    #[arg(long, value_name = "DIR")]
    pub adapter: PathBuf,
    /// Where the merged model goes, which must be new: a folder where the base is one, a file that ends in .gguf where
    /// the base is a GGUF file.
    #[arg(long, value_name = "PATH")]
    pub out: PathBuf,
}
