//! What can go wrong, in the words a person needs.

use std::path::Path;

/// Why there is no adapter.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options can not be followed.
    #[error("{0}")]
    Plan(String),
    /// There is nothing, or not enough, to learn from.
    #[error("{0}")]
    Data(String),
    /// The base is no model that can be trained.
    #[error(transparent)]
    Base(#[from] model::Error),
    /// An adapter, a checkpoint or a folder for them can not be read or written.
    #[error("{0}")]
    Files(String),
    /// The memory that is free does not do.
    #[error("{0}")]
    Memory(String),
    /// The loss or a gradient is no number any more.
    #[error(
        "the {what} is no number after step {step}: train with a lower rate, a longer warm-up or f32 weights; \
         the last checkpoint is from before"
    )]
    Diverged {
        /// The loss, or a gradient.
        what: &'static str,
        /// Whole steps done before.
        step: usize,
    },
    /// Whoever watches said stop; the checkpoint is written.
    #[error("training was told to stop after step {step}; the same command goes on from there")]
    Stopped {
        /// Whole steps done.
        step: usize,
    },
    /// The arithmetic failed.
    #[error("the model failed to compute: {0}")]
    Compute(candle_core::Error),
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        // CUDA's name for it; candle has no kind of error for it.
        match error.to_string().contains("OUT_OF_MEMORY") {
            true => Self::Memory(
                "the device has no room left: keep the base smaller (--weights nf4), compute layers twice \
                 (--checkpointing), or take smaller batches (--batch, --max-tokens); [train] of a spec has the same \
                 options"
                    .to_owned(),
            ),
            false => Self::Compute(error),
        }
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn plan(message: impl Into<String>) -> Self {
        Self::Plan(message.into())
    }

    pub(crate) fn data(message: impl Into<String>) -> Self {
        Self::Data(message.into())
    }

    /// What failed at `path`.
    pub(crate) fn at(path: &Path, problem: impl std::fmt::Display) -> Self {
        Self::Files(format!("{}: {problem}", path.display()))
    }
}
