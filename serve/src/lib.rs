//! A local model, and a rewriter beside it, behind OpenAI's HTTP API.
//!
//! ```text
//! request ─► guard ─► body, fields ─► chat │ completions ─► drafts ─► desk: one thread, one running batch
//!                                              ▲                        │ a step: every text one token on
//!                                              └──── events, text by text ◄──┘
//! ```
//!
//! | file | what |
//! | --- | --- |
//! | `guard` | who may ask: whoever has the key; without one, this machine's own programs |
//! | `body`, `fields`, `fault` | what comes in, bounded and strict; what goes wrong, in OpenAI's shape |
//! | `chat`, `completions`, `models` | the endpoints |
//! | `sampling`, `voice` | how texts are drawn; the words that a model is asked in |
//! | `desk`, `pace` | texts join and leave the running batch; how much of a text is certain |
//! | `stream`, `told`, `reply` | what goes out |
//!
//! A caller who goes away drops the receiving end of its texts' events; the desk sees that before the next step and
//! gives the texts up.

mod body;
mod chat;
mod completions;
mod desk;
mod fault;
mod fields;
mod guard;
mod models;
mod pace;
mod reply;
mod sampling;
mod stream;
mod told;
mod voice;

pub use guard::{Token, guarded};
pub use voice::Words;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use desk::Desk;
use model::Engine;
use std::{
    io,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// What callers may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Texts side by side.
    pub rows: usize,
    /// Texts that may wait for a place beside them.
    pub queue: usize,
    /// Bytes of keys and values that are kept of what was read, for texts that begin alike.
    pub remembered: usize,
    /// The longest reply, in tokens.
    pub max_tokens: usize,
    /// The largest body, in bytes.
    pub body: usize,
}

/// What is served under which names.
#[derive(Clone, Debug)]
pub struct Names {
    /// The model itself.
    pub base: String,
    /// The model with its adapter, and the words that it is asked in.
    pub rewriter: Option<(String, Words)>,
}

/// A model at work.
#[derive(Clone)]
pub struct Service(Arc<Site>);

/// What the handlers share.
struct Site {
    desk: Desk,
    engine: Arc<Engine>,
    names: Names,
    limits: Limits,
    /// Since when, in seconds since 1970.
    since: u64,
}

impl Service {
    /// Starts the model's thread.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(engine: Engine, names: Names, limits: Limits) -> io::Result<Self> {
        let engine = Arc::new(engine);
        let desk = Desk::start(engine.clone(), &limits)?;
        Ok(Self(Arc::new(Site {
            desk,
            engine,
            names,
            limits,
            since: now(),
        })))
    }

    /// Whether it can do its work; else what it lacks.
    ///
    /// # Errors
    /// When the model's thread has ended.
    pub fn ready(&self) -> Result<(), String> {
        match self.0.desk.is_alive() {
            true => Ok(()),
            false => Err("the model's thread has ended: start the program again".to_owned()),
        }
    }

    /// The most tokens that the model reads.
    fn context(&self) -> usize {
        self.0.engine.description().context
    }

    /// The routes. Put [`guarded`] round them and whatever else is served.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/v1/chat/completions", post(chat::create))
            .route("/v1/completions", post(completions::create))
            .route("/v1/models", get(models::list))
            .route("/v1/models/{id}", get(models::one))
            .fallback(fault::no_route)
            .method_not_allowed_fallback(fault::no_method)
            .layer(DefaultBodyLimit::max(self.0.limits.body))
            .with_state(self.clone())
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
