//! The models of a spec: `[models.target]`, `[models.proposer]`, `[models.<any name>]`.

use domain::call::Sampling;
use serde::{Deserialize, Deserializer, Serialize};

/// A language model, or the reward model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Model {
    /// A GGUF or safetensors model in this process.
    Local(Local),
    /// Any OpenAI-compatible server.
    Http(Http),
    /// A reward model.
    Reward(Reward),
}

impl Model {
    /// Whether the model gives log-likelihoods of continuations.
    pub fn scores(&self) -> bool {
        match self {
            Model::Local(_) => true,
            Model::Http(http) => http.score_endpoint,
            Model::Reward(_) => false,
        }
    }

    /// How its replies are sampled; a reward model writes none.
    pub fn sampling(&self) -> Option<&Sampling> {
        match self {
            Model::Local(local) => Some(&local.sampling),
            Model::Http(http) => Some(&http.sampling),
            Model::Reward(_) => None,
        }
    }

    /// Whether it is the same weights, or the same model of the same server, as far as a spec tells.
    pub fn is_same_as(&self, other: &Model) -> bool {
        match (self, other) {
            (Model::Local(a), Model::Local(b)) => (&a.model, &a.adapter) == (&b.model, &b.adapter),
            (Model::Http(a), Model::Http(b)) => (&a.base_url, &a.model) == (&b.base_url, &b.model),
            _ => false,
        }
    }

    /// What it costs, in US dollars per million tokens (read, written).
    pub fn prices(&self) -> (f64, f64) {
        match self {
            Model::Http(http) => (
                http.price_in_usd_per_million,
                http.price_out_usd_per_million,
            ),
            Model::Local(_) | Model::Reward(_) => (0.0, 0.0),
        }
    }
}

/// A model in this process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Local {
    /// A name of the catalogue, or the path of a `.gguf` file or of a folder with safetensors.
    pub model: String,
    /// The folder of an adapter that was trained to rewrite, as the spec writes it: `model` is its base, and is asked
    /// with a prompt's words alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// What the weights are computed in.
    #[serde(default)]
    pub precision: Precision,
    /// How replies are sampled.
    #[serde(default, deserialize_with = "partial")]
    pub sampling: Sampling,
}

impl Local {
    /// Whether `model` is a path rather than a name of the catalogue.
    pub fn is_path(&self) -> bool {
        let ending = [".gguf", ".safetensors"];
        self.model.contains(['/', '\\']) || ending.iter().any(|e| self.model.ends_with(e))
    }
}

/// What a local model's weights are computed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// What is fastest on this machine without changing the file's precision for the worse.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// 8-bit blocks of 32.
    #[serde(rename = "q8_0")]
    Q8,
    /// As the file has it.
    Native,
}

impl Precision {
    /// The word used in the spec.
    pub fn as_str(&self) -> &'static str {
        match self {
            Precision::Auto => "auto",
            Precision::F32 => "f32",
            Precision::Q8 => "q8_0",
            Precision::Native => "native",
        }
    }
}

/// An OpenAI-compatible server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Http {
    /// Up to and including the version: `https://api.openai.com/v1`.
    pub base_url: String,
    /// The model's name as the server knows it.
    pub model: String,
    /// The environment variable that holds the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// The file that holds the key, as the spec writes its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<String>,
    /// Time limit for a connection.
    #[serde(default = "defaults::connect_timeout_seconds")]
    pub connect_timeout_seconds: f64,
    /// Time limit for a whole call.
    #[serde(default = "defaults::call_timeout_seconds")]
    pub call_timeout_seconds: f64,
    /// How often a failed call is tried again.
    #[serde(default = "defaults::retries")]
    pub retries: u32,
    /// Calls under way at once.
    #[serde(default = "defaults::concurrency")]
    pub concurrency: usize,
    /// At most so many calls a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// At most so many tokens a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// US dollars for a million tokens read.
    #[serde(default)]
    pub price_in_usd_per_million: f64,
    /// US dollars for a million tokens written.
    #[serde(default)]
    pub price_out_usd_per_million: f64,
    /// Whether the seed is sent (some servers refuse it).
    #[serde(default = "defaults::yes")]
    pub send_seed: bool,
    /// Whether the server's `/completions` gives log-probabilities of a given text.
    #[serde(default)]
    pub score_endpoint: bool,
    /// How replies are sampled.
    #[serde(default, deserialize_with = "partial")]
    pub sampling: Sampling,
}

/// A reward model, in this process or that of a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reward {
    /// The path of a folder with config.json, weights and tokeniser, as the spec writes it, or a repository of the
    /// Hugging Face hub.
    pub model: String,
    /// What computes it.
    #[serde(default)]
    pub device: Device,
    /// What weights and products are computed in.
    #[serde(default)]
    pub dtype: Dtype,
}

/// What computes a reward model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// The machine's processor.
    #[default]
    Cpu,
    /// The first CUDA device of the process that scores.
    Cuda,
}

/// What numbers are computed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with the range of f32.
    Bf16,
    /// 16 bits of IEEE 754.
    F16,
}

impl Reward {
    /// Whether `model` may be `owner/name` on the hub; a folder of that path goes before.
    pub fn is_repository(&self) -> bool {
        let plain = |part: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(known)
        };
        let parts = self.model.split_once('/');
        parts.is_some_and(|(owner, name)| plain(owner) && plain(name))
    }
}

mod defaults {
    pub(super) fn connect_timeout_seconds() -> f64 {
        10.0
    }
    pub(super) fn call_timeout_seconds() -> f64 {
        120.0
    }
    pub(super) fn retries() -> u32 {
        5
    }
    pub(super) fn concurrency() -> usize {
        16
    }
    pub(super) fn yes() -> bool {
        true
    }
}

/// A sampling table that may leave out any of its keys.
fn partial<'de, D: Deserializer<'de>>(d: D) -> Result<Sampling, D::Error> {
    #[derive(Deserialize)]
    struct Partial {
        max_tokens: Option<u32>,
        temperature: Option<f64>,
        top_p: Option<f64>,
        stop: Option<Vec<String>>,
    }
    let given = Partial::deserialize(d)?;
    let default = Sampling::default();
    Ok(Sampling {
        max_tokens: given.max_tokens.unwrap_or(default.max_tokens),
        temperature: given.temperature.unwrap_or(default.temperature),
        top_p: given.top_p.unwrap_or(default.top_p),
        stop: given.stop.unwrap_or(default.stop),
        as_it_is: false,
    })
}
