//! The arguments, and the help that teaches them.

use clap::Parser;
use runtime::service::{ArtefactArgs, BrokerArgs, ServiceArgs};
use std::{num::NonZeroUsize, path::PathBuf};

/// A worker of Promptimal: scores answers with a reward model.
///
/// It knows the broker and its reward models, nothing of the database: start as many as you like, on any host, and stop
/// any of them at any moment. SIGTERM lets it finish what it has in hand; a second one stops it at once, and the tasks
/// go to others.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// The broker.
    #[command(flatten)]
    pub broker: BrokerArgs,
    /// What is too large for it.
    #[command(flatten)]
    pub artefacts: ArtefactArgs,
    /// A TOML file with [models.NAME] as in a spec (a spec will do); of these, those with kind = "reward". Names do not
    /// matter here; a run's model is found by what it is.
    #[arg(
        long,
        value_name = "FILE",
        env = "PROMPTIMAL_MODELS",
        default_value = "models.toml"
    )]
    pub models: PathBuf,
    /// Tasks in hand at once: the answers of these are computed together.
    #[arg(
        long,
        value_name = "N",
        env = "PROMPTIMAL_CONCURRENCY",
        default_value = "8"
    )]
    pub concurrency: NonZeroUsize,
    /// Tokens computed at once: more take more memory, and on a few cores no less time.
    #[arg(
        long,
        value_name = "TOKENS",
        env = "PROMPTIMAL_BATCH_TOKENS",
        default_value = "4096"
    )]
    pub batch_tokens: NonZeroUsize,
    /// How long a drain may take before what is in hand is given back.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "PROMPTIMAL_DRAIN_SECONDS",
        default_value_t = 60
    )]
    pub drain_seconds: u64,
    /// How it tells of itself.
    #[command(flatten)]
    pub service: ServiceArgs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_make_sense() {
        Cli::command().debug_assert();
    }
}
