//! Training the rewriter: a LoRA adapter for a LLaMA-architecture model, from pairs of prompts.
//!
//! ```text
//! pairs ──► hygiene ──► template ──► texts ──► order ─► batches ─► gradients ─► AdamW
//!                                                                     │            │ every few minutes
//!                       base (frozen: f32, bf16, Q8_0, NF4) ──────────┘            ▼
//!                                                                   checkpoint, adapter in PEFT's layout
//! ```
//!
//! Every draw derives from the seed and the place in the data, so a training that was killed goes on from its last
//! checkpoint to the same end. It runs on the processor in f32, or on a CUDA device, where matrices are multiplied in bf16
//! and all else is f32.

mod adapter;
mod batch;
mod checkpoint;
mod error;
mod folder;
mod frozen;
mod fused;
mod given;
mod gradient;
mod memory;
mod merge;
mod network;
mod nf4;
mod ops;
mod optimiser;
mod order;
pub mod pairs;
pub mod peft;
mod plan;
mod prepare;
mod seen;
mod trainer;

pub use adapter::Adapter;
pub use batch::Text;
pub use checkpoint::{FILE as CHECKPOINT, History};
pub use error::{Error, Result};
pub use frozen::Keep;
pub use given::{Model, Texts};
pub use gradient::{Gradients, gradients_of};
pub use memory::Memory;
pub use merge::merge;
pub use model::{
    lora::{Lora, Target},
    place::{Numbers, Place, Processor},
};
pub use network::Network;
pub use order::Order;
pub use plan::Plan;
pub use prepare::{Prepared, place, prepare};
pub use seen::{SEEN, note_seen, seen};
pub use trainer::{Progress, Saving, Trained, forget, train, unfinished};
