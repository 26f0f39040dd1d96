//! What can go wrong, in the words a person needs.

/// Why a model could not be fetched, loaded or asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The model could not be got: every way that was tried is in the text.
    #[error("{0}")]
    Fetch(String),
    /// The files are not a model that we can run.
    #[error("{0}")]
    Load(String),
    /// This one job can not be answered; its neighbours are not touched.
    #[error("{0}")]
    Job(String),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn load(message: impl Into<String>) -> Self {
        Self::Load(message.into())
    }

    pub(crate) fn job(message: impl Into<String>) -> Self {
        Self::Job(message.into())
    }
}

/// Failures of candle while computing are failures of the job at hand.
impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Job(format!("the model failed to compute: {error}"))
    }
}
