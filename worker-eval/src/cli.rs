//! The arguments, and the help that teaches them.

use clap::Parser;
use runtime::service::{ArtefactArgs, BrokerArgs, ServiceArgs};
use std::{num::NonZeroUsize, path::PathBuf};

/// A worker of Promptimal: calls language models and grades their answers.
///
/// It knows the broker and the models it may call, nothing of the database: start as many as you like, on any host,
/// and stop any of them at any moment. SIGTERM lets it finish what it has in hand; a second one stops it at once, and
/// the tasks go to others.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// The broker.
    #[command(flatten)]
    pub broker: BrokerArgs,
    /// What is too large for it.
    #[command(flatten)]
    pub artefacts: ArtefactArgs,
    /// A TOML file with [models.NAME] as in a spec (a spec will do): the models that this worker may call. Names do
    /// not matter here; a run's model is found by what it is.
    #[arg(
        long,
        value_name = "FILE",
        env = "PROMPTIMAL_MODELS",
        default_value = "models.toml"
    )]
    pub models: PathBuf,
    /// Blocks in hand at once.
    #[arg(
        long,
        value_name = "N",
        env = "PROMPTIMAL_CONCURRENCY",
        default_value = "4"
    )]
    pub concurrency: NonZeroUsize,
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
