//! A model in this process, on a thread of its own.
//!
//! Blocks are computed one at a time in the order they arrive, so the same block gives the same bits
//! whatever else runs. A panic while computing becomes the error of its block; dropping the model stops
//! the block that is being computed and waits for the thread.

use crate::{ErrorKind, Identity, LanguageModel, ModelError, Paid, Request, WorstCase};
use async_trait::async_trait;
use domain::call::{Answer, Call, Message, Reply, Role, Score, Usage};
use model::{
    Description, Engine, Finish, GenerateJob, Generated, LoglikJob, Options, Scored, Turn, Words,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};
use tokio::sync::oneshot;

pub use model::{Precision, catalogue};

/// Which model, and how it answers.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// A GGUF file or a Hugging Face folder; [`catalogue::fetch`] turns a name into one.
    pub path: PathBuf,
    /// How weights are kept.
    pub precision: Precision,
    /// The folder of an adapter: the model is its base.
    pub adapter: Option<PathBuf>,
    /// How a conversation of one message is put to the model.
    pub words: Words,
    /// The most replies written side by side.
    pub max_rows: usize,
    /// Whether a reply that reached its longest length is a reply; else it is an error.
    pub truncation_ok: bool,
}

impl LocalOptions {
    /// The usual options for the model at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let Options {
            precision,
            max_rows,
            ..
        } = Options::default();
        Self {
            path: path.into(),
            precision,
            adapter: None,
            words: Words::Chat,
            max_rows,
            truncation_ok: false,
        }
    }
}

type Answers = Vec<Result<Answer, ModelError>>;

struct Block {
    requests: Vec<Request>,
    reply: oneshot::Sender<Answers>,
}

/// What a planner must know of a local model. It outlives the model: who only plans need not keep the weights.
#[derive(Clone, Debug)]
pub struct LocalFacts {
    /// What the model is.
    pub identity: Identity,
    /// Tokens that the chat template adds around a conversation.
    overhead: u64,
}

impl LocalFacts {
    /// An upper bound for one call, as [`LanguageModel::worst_case`].
    pub fn worst_case(&self, call: &Call) -> WorstCase {
        // Byte-level tokens are never more than bytes; a start token or a first space may join them.
        let read = call.prompt_bytes() as u64 + self.overhead + 2;
        let written = match call {
            Call::Generate { sampling, .. } => u64::from(sampling.max_tokens),
            Call::Loglik { .. } => 0,
        };
        WorstCase {
            tokens: read + written,
            cost_micros: 0,
        }
    }
}

/// A handle to the model's thread.
#[derive(Debug)]
pub struct LocalModel {
    facts: LocalFacts,
    // Behind a lock because a std sender is cheap to clone but the handle is shared by reference.
    blocks: Mutex<Option<mpsc::Sender<Block>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread says once it has loaded the model.
struct Loaded {
    description: Description,
    overhead: u64,
    stop: Arc<AtomicBool>,
}

impl LocalModel {
    /// Starts the thread and loads the model on it.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when the files are not a model that can be run here.
    pub async fn load(options: LocalOptions) -> Result<Self, ModelError> {
        let (blocks, inbox) = mpsc::channel();
        let (ready, loaded) = oneshot::channel();
        let (truncation_ok, words) = (options.truncation_ok, options.words);
        let thread = std::thread::Builder::new().name("local-model".into());
        let thread = thread
            .spawn(move || run(&options, ready, &inbox))
            .map_err(|e| {
                ModelError::new(
                    ErrorKind::Model,
                    format!("no thread for the local model: {e}"),
                )
            })?;
        let Loaded {
            description,
            overhead,
            stop,
        } = loaded
            .await
            .unwrap_or_else(|_| Err(model::Error::Load("the model's thread died".into())))
            .map_err(|e| ModelError::new(ErrorKind::Model, e.to_string()))?;
        let Description {
            name,
            sha256,
            precision,
            engine,
            adapter,
            ..
        } = description;
        // Where a cut reply counts, it must not be found by those for whom it does not.
        let cut = if truncation_ok { ":cut" } else { "" };
        let adapter = adapter.map_or(String::new(), |sha256| format!(":adapter {sha256}"));
        let words = match words {
            Words::Chat => "",
            Words::Inst => ":inst",
        };
        let key = format!("local:{sha256}:{precision}:{engine}{adapter}{words}{cut}");
        let identity = Identity {
            key,
            name,
            scores: true,
        };
        let blocks = Mutex::new(Some(blocks));
        Ok(Self {
            facts: LocalFacts { identity, overhead },
            blocks,
            stop,
            thread: Some(thread),
        })
    }

    /// What a planner must know of it.
    pub fn facts(&self) -> LocalFacts {
        self.facts.clone()
    }

    /// Sends a block to the thread; `None` when the thread is gone.
    fn send(&self, requests: Vec<Request>) -> Option<oneshot::Receiver<Answers>> {
        let (reply, answers) = oneshot::channel();
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.as_ref()?.send(Block { requests, reply }).ok()?;
        Some(answers)
    }
}

impl Drop for LocalModel {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.blocks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = self.thread.take() {
            // Its panics were answered block by block: there is nothing left to say.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl LanguageModel for LocalModel {
    fn identity(&self) -> &Identity {
        &self.facts.identity
    }

    async fn call(&self, block: Vec<Request>) -> Vec<Result<Answer, ModelError>> {
        let count = block.len();
        let answers = match self.send(block) {
            Some(answers) => answers.await.ok(),
            None => None,
        };
        answers.unwrap_or_else(|| {
            let gone = ModelError::new(ErrorKind::Model, "the local model's thread has ended");
            vec![Err(gone); count]
        })
    }

    fn worst_case(&self, call: &Call) -> WorstCase {
        self.facts.worst_case(call)
    }
}

/// The thread: loads, says so, answers blocks until the handle is gone.
fn run(
    options: &LocalOptions,
    ready: oneshot::Sender<model::Result<Loaded>>,
    inbox: &mpsc::Receiver<Block>,
) {
    let settings = Options {
        precision: options.precision,
        max_rows: options.max_rows,
        adapter: options.adapter.clone(),
        words: options.words,
        ..Options::default()
    };
    let loading = || Engine::load(&options.path, settings);
    let loaded = catch_unwind(AssertUnwindSafe(loading));
    let mut engine = match loaded.unwrap_or_else(|panic| Err(model::Error::Load(said(&*panic)))) {
        Ok(engine) => engine,
        Err(error) => {
            // Nobody waits for a model any more if this fails.
            let _ = ready.send(Err(error));
            return;
        }
    };
    let overhead = template_tokens(&engine);
    let (description, stop) = (engine.description().clone(), engine.stop_flag());
    if ready
        .send(Ok(Loaded {
            description,
            overhead,
            stop,
        }))
        .is_err()
    {
        return;
    }
    while let Ok(Block { requests, reply }) = inbox.recv() {
        // A caller that has gone away needs no answers.
        if reply.is_closed() {
            continue;
        }
        let answer = || answer(&mut engine, options.truncation_ok, &requests);
        let answers = catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|panic| {
            let error = ModelError::new(ErrorKind::Call, said(&*panic));
            vec![Err(error); requests.len()]
        });
        let _ = reply.send(answers);
    }
}

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text
        .or(panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("nothing");
    format!("the local model panicked: {text}")
}

/// The most tokens that the template puts around a conversation of one or two messages.
fn template_tokens(engine: &Engine) -> u64 {
    let user = Turn::new("user", "");
    let both = [Turn::new("system", ""), user.clone()];
    let len = |turns: &[Turn]| engine.encode_chat(turns).map_or(0, |ids| ids.len());
    len(&[user]).max(len(&both)) as u64
}

/// Answers a block: its replies are written side by side, its scores weighed side by side.
fn answer(engine: &mut Engine, truncation_ok: bool, requests: &[Request]) -> Answers {
    let (mut writes, mut weighs) = (Vec::new(), Vec::new());
    for request in requests {
        match &request.call {
            Call::Generate { messages, sampling } => writes.push(GenerateJob {
                messages: turns(messages),
                max_tokens: sampling.max_tokens as usize,
                temperature: sampling.temperature,
                top_p: sampling.top_p,
                stop: sampling.stop.clone(),
                seed: request.key.seed(),
            }),
            Call::Loglik {
                messages,
                prefix,
                continuations,
            } => weighs.push(LoglikJob {
                messages: turns(messages),
                prefix: prefix.clone(),
                continuations: continuations.clone(),
            }),
        }
    }
    let mut written = engine.generate(&writes).into_iter();
    let mut weighed = engine.loglik(&weighs).into_iter();
    let mut next = |request: &Request| match &request.call {
        Call::Generate { sampling, .. } => written
            .next()
            .map(|r| text_answer(r?, truncation_ok || sampling.as_it_is, sampling.as_it_is)),
        Call::Loglik { .. } => weighed.next().map(|r| Ok(score_answer(r?))),
    };
    let missing = || {
        Err(ModelError::new(
            ErrorKind::Call,
            "the local model left this call out",
        ))
    };
    requests
        .iter()
        .map(|request| next(request).unwrap_or_else(missing))
        .collect()
}

fn turns(messages: &[Message]) -> Vec<Turn> {
    let role = |role| match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    messages
        .iter()
        .map(|m| Turn::new(role(m.role), m.content.clone()))
        .collect()
}

impl From<model::Error> for ModelError {
    fn from(error: model::Error) -> Self {
        let kind = match &error {
            model::Error::Job(_) => ErrorKind::Call,
            model::Error::Fetch(_) | model::Error::Load(_) => ErrorKind::Model,
        };
        Self::new(kind, error.to_string())
    }
}

/// A whole, non-empty reply is an answer; another is an error that was paid for, unless it counts.
fn text_answer(
    written: Generated,
    truncation_ok: bool,
    empty_ok: bool,
) -> Result<Answer, ModelError> {
    let usage = Usage {
        prompt_tokens: written.prompt_tokens as u64,
        completion_tokens: written.completion_tokens as u64,
    };
    let paid = Some(Paid {
        usage,
        cost_micros: 0,
    });
    let refuse = |message| {
        Err(ModelError {
            kind: ErrorKind::Call,
            message,
            paid,
        })
    };
    if written.finish == Finish::Length && !truncation_ok {
        let tokens = written.completion_tokens;
        return refuse(format!(
            "the reply was cut off at max_tokens = {tokens}: raise it"
        ));
    }
    if written.text.trim().is_empty() && !empty_ok {
        return refuse("the local model wrote an empty reply".into());
    }
    Ok(Answer {
        reply: Reply::Text { text: written.text },
        usage,
        cost_micros: 0,
    })
}

fn score_answer(scored: Scored) -> Answer {
    let score = |s: model::Weighed| Score {
        logprob: s.logprob,
        tokens: s.tokens as u32,
    };
    let scores = scored.scores.into_iter().map(score).collect();
    let usage = Usage {
        prompt_tokens: scored.prompt_tokens as u64,
        completion_tokens: 0,
    };
    Answer {
        reply: Reply::Scores { scores },
        usage,
        cost_micros: 0,
    }
}
