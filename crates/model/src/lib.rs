//! Language models in this process: the only crate that names candle.
//!
//! ```text
//! catalogue ──► file or directory ──► Engine ──► generate(block), loglik(block)
//!                gguf │ safetensors      │
//!                     ▼                  ├── tokeniser, chat: words to tokens
//!              config, weights ─► llama ─┤
//!                adapter (lora) ─►       └── generate, loglik, writing: what to read and write
//!                                            prefixes: what need not be read again
//! ```
//!
//! An [`Engine`] computes one block, or one step of a running batch, at a time. The same block gives the
//! same bits whatever else the machine does and however many threads it has. With weights in f32
//! or in blocks of whole numbers a text gets the same bits in any company; for other blocks candle's kernels promise no
//! such thing.

mod attention;
pub mod base;
mod block;
mod cache;
pub mod catalogue;
mod chat;
mod config;
pub mod deberta;
mod digest;
mod engine;
mod error;
mod fetch;
mod generate;
mod gguf;
mod kernels;
mod linear;
mod llama;
mod loglik;
pub mod lora;
mod packed;
pub mod place;
mod prefixes;
mod quants;
mod safetensors;
mod sample;
mod sentencepiece;
mod tokeniser;
mod told;
mod weights;
mod writing;

pub use chat::Turn;
pub use engine::{Description, Engine, Options, Words};
pub use error::{Error, Result};
pub use generate::{GenerateJob, Generated};
pub use linear::Precision;
pub use loglik::{LoglikJob, Scored, Weighed};
pub use prefixes::Prefixes;
pub use tokeniser::Tokeniser;
pub use told::Told;
pub use writing::{Draft, Finish, Writing};
