//! The arguments, and the help that teaches them.

use clap::Parser;
use runtime::service::{ArtefactArgs, BrokerArgs, ServiceArgs};
use std::path::PathBuf;
use train::{Numbers, Processor};

/// A worker of Promptimal: trains small models to rewrite prompts, one at a time, on all cores.
///
/// It knows the broker, its bases and the place of artefacts, nothing of the database. Stop it at any moment: SIGTERM lets
/// it write a checkpoint and give the training back, and whoever gets it next goes on from there, also after a kill.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// The broker.
    #[command(flatten)]
    pub broker: BrokerArgs,
    /// Where checkpoints and adapters are kept, beside what is too large for the broker.
    #[command(flatten)]
    pub artefacts: ArtefactArgs,
    /// A model that may learn here: a GGUF file, a folder in Hugging Face's layout, or a name of `promptimal models list`;
    /// any number of them. A run's base is found by what it is, not by its name.
    #[arg(
        long = "base",
        value_name = "MODEL",
        env = "PROMPTIMAL_BASES",
        value_delimiter = ',',
        required_unless_present = "healthcheck"
    )]
    pub bases: Vec<String>,
    /// A checkpoint is written so long after the one before: what a kill costs at most.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "PROMPTIMAL_SAVE_SECONDS",
        default_value_t = 300
    )]
    pub save_seconds: u64,
    /// Trainings have their folders here while they are under way; unless told, in the system's place for such. A training
    /// takes about four times what its adapter takes.
    #[arg(long, value_name = "DIR", env = "PROMPTIMAL_SCRATCH")]
    pub scratch: Option<PathBuf>,
    /// How long a drain may take, which is a step of a training and the checkpoint after it, before the training is given
    /// back as its last checkpoint has it.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "PROMPTIMAL_DRAIN_SECONDS",
        default_value_t = 120
    )]
    pub drain_seconds: u64,
    /// What computes: cpu, or cuda in a program that is built for it.
    #[arg(
        long,
        value_name = "DEVICE",
        env = "PROMPTIMAL_DEVICE",
        default_value = "cpu"
    )]
    pub device: Processor,
    /// What matrices are multiplied in: f32 or bf16; unless told, f32 on cpu and bf16 on cuda.
    #[arg(long, value_name = "TYPE", env = "PROMPTIMAL_DTYPE")]
    pub dtype: Option<Numbers>,
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
