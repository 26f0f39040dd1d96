//! A loaded model: files to network, tokeniser and chat template.

use crate::{
    chat::{Template, Turn},
    config::Config,
    digest::sha256_files,
    error::{Error, Result},
    gguf::Gguf,
    linear::Precision,
    llama::{Llama, Segment},
    safetensors::{Directory, read_json, weight_files},
    tokeniser::Tokeniser,
    weights::Weights,
};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// How a model is loaded and run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How weights are kept.
    pub precision: Precision,
    /// The most texts that are written side by side.
    pub max_rows: usize,
    /// The most tokens that are read in one go: bounds the memory of hidden states.
    pub read_tokens: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            precision: Precision::Auto,
            max_rows: 16,
            read_tokens: 1024,
        }
    }
}

/// What a loaded model is: everything here can change an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The name in the file, or the file's own.
    pub name: String,
    /// SHA-256 of the weight files.
    pub sha256: String,
    /// How the weights are kept, never `auto`.
    pub precision: Precision,
    /// This code and its version.
    pub engine: &'static str,
    /// The longest text, in tokens.
    pub context: usize,
}

/// Changes whenever the same model could give other bits.
const ENGINE: &str = concat!("promptimal-model/", env!("CARGO_PKG_VERSION"), "+1");

/// A model that answers blocks of jobs. One block at a time: give it a thread of its own.
pub struct Engine {
    pub(crate) network: Llama,
    pub(crate) tokeniser: Tokeniser,
    pub(crate) options: Options,
    template: Option<Template>,
    description: Description,
    stop: Arc<AtomicBool>,
}

impl Engine {
    /// Loads a GGUF file, or a Hugging Face directory with safetensors.
    ///
    /// # Errors
    /// [`Error::Load`] says what was found and what is needed.
    pub fn load(path: &Path, options: Options) -> Result<Self> {
        let started = std::time::Instant::now();
        let engine = if path.is_dir() {
            Self::load_directory(path, options)?
        } else {
            Self::load_gguf(path, options)?
        };
        tracing::info!(
            model = engine.description.name,
            precision = %engine.description.precision,
            seconds = started.elapsed().as_secs_f64(),
            "loaded the local model"
        );
        Ok(engine)
    }

    fn load_gguf(path: &Path, options: Options) -> Result<Self> {
        let mut gguf = Gguf::open(path)?;
        let factors = gguf.tensor("rope_freqs.weight")?;
        let factors = factors.map(|f| f.dequantize(&candle_core::Device::Cpu)?.to_vec1());
        let config = Config::from_gguf(&gguf.header, factors.transpose()?)?;
        let tokeniser = Tokeniser::from_gguf(&gguf.header)?;
        let template = gguf.header.text("tokenizer.chat_template").ok();
        let name = gguf
            .header
            .text("general.name")
            .unwrap_or_else(|_| file_name(path));
        let elements = gguf.elements();
        let files = [path.to_owned()];
        let weights = Weights::Gguf(Box::new(gguf));
        let parts = Parts {
            config,
            weights,
            tokeniser,
            template,
            name,
            elements,
        };
        parts.assemble(&files, options)
    }

    fn load_directory(dir: &Path, options: Options) -> Result<Self> {
        let file = dir.join("config.json");
        let config_json = read_json(&file)?;
        let config = Config::from_hf(&config_json, &file.display().to_string())?;
        let (tokeniser, template) = read_tokeniser(dir, &config_json)?;
        let files = weight_files(dir)?;
        let weights = Directory::open(dir)?;
        let elements = weights.elements();
        let (weights, name) = (Weights::Safetensors(weights), file_name(dir));
        Parts {
            config,
            weights,
            tokeniser,
            template,
            name,
            elements,
        }
        .assemble(&files, options)
    }

    /// The tokeniser of a GGUF file alone, perhaps with another way (`pre`) of cutting text into words
    /// than the file says: for checks against other tokenisers.
    ///
    /// # Errors
    /// [`Error::Load`] when the file or the way is not supported.
    pub fn tokeniser_of(path: &Path, pre: Option<&str>) -> Result<Tokeniser> {
        let mut gguf = Gguf::open(path)?;
        if let Some(pre) = pre {
            gguf.header.set_text("tokenizer.ggml.pre", pre);
        }
        Tokeniser::from_gguf(&gguf.header)
    }

    /// What was loaded.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The tokeniser.
    pub fn tokeniser(&self) -> &Tokeniser {
        &self.tokeniser
    }

    /// A flag that another thread may raise to end the current block and all later ones with errors.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Reads the segments, unless the engine has been told to stop.
    pub(crate) fn forward(&self, segments: &mut [Segment<'_>]) -> Result<Vec<f32>> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::job("the model was told to stop"));
        }
        self.network.forward(segments)
    }

    /// The tokens of a conversation up to where the reply starts.
    ///
    /// # Errors
    /// When the model has no chat template, or the template refuses the conversation.
    pub fn encode_chat(&self, turns: &[Turn]) -> Result<Vec<u32>> {
        let template = self.template.as_ref().ok_or_else(|| {
            let name = &self.description.name;
            Error::job(format!(
                "{name} has no chat template: it is not a chat model"
            ))
        })?;
        template.encode(turns, &self.tokeniser)
    }

    /// The tokens of bare text, with the model's start token where it expects one.
    pub(crate) fn encode_bare(&self, text: &str) -> Result<Vec<u32>> {
        let start = self.tokeniser.bos.filter(|_| self.tokeniser.add_bos);
        let mut ids: Vec<u32> = start.into_iter().collect();
        ids.extend(self.tokeniser.encode(text)?);
        Ok(ids)
    }

    /// Logits after every token of `tokens`, `[n, vocabulary]`: for checks against other engines.
    ///
    /// # Errors
    /// When the tokens are not in the vocabulary or too many.
    pub fn logits(&self, tokens: &[u32]) -> Result<Vec<Vec<f32>>> {
        self.check_length("the text", tokens.len())?;
        self.check_tokens(tokens)?;
        let mut sequence = self.network.sequence();
        let mut segments = [Segment {
            sequence: &mut sequence,
            tokens,
        }];
        let hidden = self.forward(&mut segments)?;
        let logits = self.network.logits(&hidden)?;
        Ok(logits
            .chunks(self.network.vocabulary())
            .map(<[f32]>::to_vec)
            .collect())
    }

    /// Refuses tokens that the embedding does not have.
    pub(crate) fn check_tokens(&self, tokens: &[u32]) -> Result<()> {
        let size = self.network.vocabulary();
        match tokens.iter().find(|t| **t as usize >= size) {
            Some(t) => Err(Error::job(format!(
                "token {t} is outside the vocabulary of {size}"
            ))),
            None => Ok(()),
        }
    }

    /// Refuses texts longer than the model can read.
    pub(crate) fn check_length(&self, what: &str, tokens: usize) -> Result<()> {
        let context = self.description.context;
        if tokens > context {
            return Err(Error::job(format!(
                "{what} has {tokens} tokens, and the model reads at most {context}"
            )));
        }
        Ok(())
    }
}

/// Everything read from a model's files.
struct Parts {
    config: Config,
    weights: Weights,
    tokeniser: Tokeniser,
    template: Option<String>,
    name: String,
    elements: usize,
}

impl Parts {
    fn assemble(mut self, files: &[PathBuf], options: Options) -> Result<Engine> {
        let precision = options.precision.resolve(self.elements);
        let context = self.config.context;
        let sha256 = sha256_files(files)?;
        let network = Llama::load(self.config, &mut self.weights, precision)?;
        let description = Description {
            name: self.name,
            sha256,
            precision,
            engine: ENGINE,
            context,
        };
        let template = self.template.map(Template::new).transpose()?;
        let (tokeniser, stop) = (self.tokeniser, Arc::default());
        Ok(Engine {
            network,
            tokeniser,
            options,
            template,
            description,
            stop,
        })
    }
}

fn file_name(path: &Path) -> String {
    path.file_stem().map_or_else(
        || "model".into(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Reads `tokenizer.json` and its neighbours: special texts, end tokens, the chat template.
fn read_tokeniser(dir: &Path, config: &Value) -> Result<(Tokeniser, Option<String>)> {
    let optional = |name: &str| {
        let path = dir.join(name);
        if path.is_file() {
            read_json(&path)
        } else {
            Ok(Value::Null)
        }
    };
    let file = dir.join("tokenizer.json");
    if !file.is_file() {
        return Err(Error::load(format!(
            "{}: tokenizer.json is missing",
            dir.display()
        )));
    }
    let (side, generation) = (
        optional("tokenizer_config.json")?,
        optional("generation_config.json")?,
    );
    // A special token stands there as a text or as an object with `content`.
    let special = |key: &str| side[key].as_str().or(side[key]["content"].as_str());
    let ends: Vec<u32> = [&generation["eos_token_id"], &config["eos_token_id"]]
        .into_iter()
        .flat_map(|v| v.as_array().cloned().unwrap_or_else(|| vec![v.clone()]))
        .filter_map(|v| v.as_u64().and_then(|id| u32::try_from(id).ok()))
        .collect();
    let tokeniser = Tokeniser::from_json(&file, special("bos_token"), special("eos_token"), &ends)?;
    let template = match std::fs::read_to_string(dir.join("chat_template.jinja")) {
        Ok(template) => Some(template),
        Err(_) => side["chat_template"].as_str().map(str::to_owned),
    };
    Ok((tokeniser, template))
}
