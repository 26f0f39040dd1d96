//! A loaded model: files to network, tokeniser and chat template.

use crate::{
    base::Base,
    chat::{Template, Turn},
    digest::sha256_files,
    error::{Error, Result},
    gguf::Gguf,
    linear::Precision,
    llama::{Llama, Segment},
    lora,
    tokeniser::Tokeniser,
};
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
    /// An adapter in PEFT's layout: its folder. It takes part in everything that does not leave it out.
    pub adapter: Option<PathBuf>,
    /// How a conversation that is one message of the user is put to the model.
    pub words: Words,
}

/// The words around what the user says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Words {
    /// Those of the model's chat template.
    #[default]
    Chat,
    /// `[INST] … [/INST]`, as rewriters are trained with.
    Inst,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            precision: Precision::Auto,
            max_rows: 16,
            read_tokens: 1024,
            adapter: None,
            words: Words::Chat,
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
    /// SHA-256 of the adapter's matrices, where there is one.
    pub adapter: Option<String>,
}

/// Changes whenever the same model could give other bits.
const ENGINE: &str = concat!("promptimal-model/", env!("CARGO_PKG_VERSION"), "+2");

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
        let engine = Self::assemble(Base::open(path)?, options)?;
        tracing::info!(
            model = engine.description.name,
            precision = %engine.description.precision,
            seconds = started.elapsed().as_secs_f64(),
            "loaded the local model"
        );
        Ok(engine)
    }

    fn assemble(mut base: Base, options: Options) -> Result<Self> {
        let precision = options
            .precision
            .resolve(base.elements, base.weights.are_quants());
        let context = base.config.context;
        let sha256 = sha256_files(&base.files)?;
        let adapter = options.adapter.as_deref();
        let adapter = adapter
            .map(|dir| lora::read(dir, &base.config))
            .transpose()?;
        let network = Llama::load(base.config, &mut base.weights, precision, adapter.as_ref())?;
        let description = Description {
            name: base.name,
            sha256,
            precision,
            engine: ENGINE,
            context,
            adapter: adapter.map(|adapter| adapter.sha256),
        };
        let (tokeniser, template) = (base.tokeniser, base.template);
        Ok(Self {
            network,
            tokeniser,
            options,
            template,
            description,
            stop: Arc::default(),
        })
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
        // On a thread of the pool: from any other each product would wait for one to be woken.
        rayon::scope(|_| self.network.forward(segments))
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
        template.encode(turns, &self.tokeniser, true)
    }

    /// The tokens of bare text, with the model's start token where it expects one.
    ///
    /// # Errors
    /// When the text can not be encoded.
    pub fn encode_bare(&self, text: &str) -> Result<Vec<u32>> {
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
    ///
    /// # Errors
    /// Names the first.
    pub fn check_tokens(&self, tokens: &[u32]) -> Result<()> {
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
