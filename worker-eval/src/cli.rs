//! The arguments, and the help that teaches them.

use clap::Parser;
use queue::amqp;
use runtime::service::ServiceArgs;
use std::{num::NonZeroUsize, path::PathBuf};

/// A worker of Promptimal: calls language models and grades their answers.
///
/// It knows the broker and the models it may call, nothing of the database: start as many as you like, on any host,
/// and stop any of them at any moment. SIGTERM lets it finish what it has in hand; a second one stops it at once, and
/// the tasks go to others.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// The broker: amqp://user:password@host:port/vhost, or amqps:// for TLS.
    #[arg(
        long,
        value_name = "URL",
        env = "PROMPTIMAL_AMQP_URL",
        hide_env_values = true,
        required_unless_present = "healthcheck"
    )]
    amqp_url: Option<String>,
    /// The beginning of all names on the broker; coordinator and workers have the same.
    #[arg(long, value_name = "WORD", env = "PROMPTIMAL_QUEUE_PREFIX", default_value = amqp::DEFAULT_PREFIX)]
    queue_prefix: String,
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

impl Cli {
    /// How the broker is used.
    ///
    /// # Errors
    /// When the URL is none; the error does not repeat it.
    pub fn queue_config(&self) -> anyhow::Result<amqp::Config> {
        let url = self.amqp_url.as_deref().unwrap_or_default();
        let mut config = amqp::Config::new(url.parse()?);
        config.prefix.clone_from(&self.queue_prefix);
        config.name = "worker-eval".to_owned();
        Ok(config)
    }
}
