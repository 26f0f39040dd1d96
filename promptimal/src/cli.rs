//! The arguments, and the help that teaches them.

use crate::{bus::BusArgs, site::Site};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{path::PathBuf, str::FromStr};

/// Better prompts by self-play: find the questions a model answers badly, rewrite them, try the rewrites, keep
/// what measurably helps.
///
/// Start with `promptimal run examples/quickstart.toml`. Exit codes: 0 done; 1 a threshold was missed; 2 an error;
/// 3 the run stopped before its end and can be resumed.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub struct Cli {
    /// Where runs are stored.
    #[command(flatten)]
    pub site: Site,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the self-play loop of a spec; an unfinished run of the same spec goes on, a finished one prints its result.
    Run(RunArgs),
    /// Try your own prompts on models and data sets: a table, and an exit code for CI.
    Eval(RunArgs),
    /// Go on with a run that stopped.
    Resume(ResumeArgs),
    /// List runs.
    Runs(Json),
    /// Show a run: its numbers so far, or its result.
    Show(ShowArgs),
    /// Put two runs side by side.
    Compare(CompareArgs),
    /// Print the best prompts of a run.
    Best(BestArgs),
    /// Write a run's pairs, candidates or answers to a file.
    Export(ExportArgs),
    /// Ask the history in SQL (read-only). `docs/sql.md` is a cookbook.
    Sql(SqlArgs),
    /// Delete what runs that are over left behind; what they cost stays on record, and answers stay for later runs.
    Prune(PruneArgs),
    /// List or fetch local models.
    Models(ModelsArgs),
    /// Print a commented spec with every key.
    Spec,
    /// Check this machine: python, model, disk, keys; says what to do.
    Doctor(DoctorArgs),
    /// Print shell completions.
    Completions {
        /// For this shell.
        shell: clap_complete::Shell,
    },
}

/// Arguments of `run` and `eval`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The spec, a TOML file.
    pub spec: PathBuf,
    /// Override a key of the spec: `--set search.hardest=8`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Start afresh, also when a run of this spec exists. Stored answers are still not bought again.
    #[arg(long)]
    pub new: bool,
    /// How tasks travel.
    #[command(flatten)]
    pub bus: BusArgs,
    /// Print the plan (calls for each stage, tokens, cost, time) and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
    /// No progress.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Arguments of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The run: its id, the beginning of it, its name, or `last`.
    pub run: String,
    /// Raise the cap on model calls.
    #[arg(long)]
    pub max_calls: Option<u64>,
    /// Raise the cap on tokens.
    #[arg(long)]
    pub max_tokens: Option<u64>,
    /// Raise the cap on US dollars.
    #[arg(long)]
    pub max_usd: Option<f64>,
    /// How tasks travel.
    #[command(flatten)]
    pub bus: BusArgs,
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
    /// No progress.
    #[arg(long, short)]
    pub quiet: bool,
}

/// `--json` alone.
#[derive(Debug, Args)]
pub struct Json {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The run: its id, the beginning of it, its name, or `last`.
    #[arg(default_value = "last")]
    pub run: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// One run.
    pub left: String,
    /// Another.
    pub right: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `best`.
#[derive(Debug, Args)]
pub struct BestArgs {
    /// The run: its id, the beginning of it, its name, or `last`.
    #[arg(default_value = "last")]
    pub run: String,
    /// At most this many.
    #[arg(long, default_value_t = 10)]
    pub limit: usize,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Confirmed pairs (original, improved), what training reads.
    Pairs,
    /// Every candidate with its lineage and verdict.
    Candidates,
    /// Every answer with its grade.
    Answers,
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated, with a header.
    Csv,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The run: its id, the beginning of it, its name, or `last`.
    pub run: String,
    /// What to write.
    pub what: What,
    /// How.
    #[arg(long, value_enum, default_value = "jsonl")]
    pub format: ExportFormat,
    /// Where; standard output unless told.
    #[arg(long, short)]
    pub output: Option<PathBuf>,
}

/// Arguments of `sql`.
#[derive(Debug, Args)]
pub struct SqlArgs {
    /// The query.
    pub query: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// The runs: ids, beginnings of them, names, or `last`. None: all that are over and old enough.
    pub runs: Vec<String>,
    /// Only runs that ended so long ago: `30d`, `12h`, `8w`.
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<Age>,
    /// Give the named runs up first, where they are paused.
    #[arg(long, requires = "runs")]
    pub cancel: bool,
    /// Also answers, grades and examples that no run refers to any more. Later runs would have reused them.
    #[arg(long)]
    pub answers: bool,
    /// Also the runs themselves, with their summaries and the record of what they cost.
    #[arg(long)]
    pub everything: bool,
    /// Print what would be deleted, and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// A length of time, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub i64);

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unit = text.chars().last().unwrap_or_default();
        let seconds = match unit {
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => 0_i64,
        };
        let number = text.strip_suffix(unit).and_then(|n| n.parse::<u32>().ok());
        match number {
            Some(n) if seconds > 0 => Ok(Self(i64::from(n) * seconds * 1_000_000)),
            _ => Err("an age is a whole number with m, h, d or w behind it: 30d".to_owned()),
        }
    }
}

/// Arguments of `models`.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ModelsCommand,
}

/// What to do with models.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List the models that can be fetched by name.
    List(Json),
    /// Fetch a model into the cache.
    Fetch {
        /// Its name.
        name: String,
    },
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Also check what this spec needs.
    pub spec: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_a_unit() {
        assert_eq!("90m".parse(), Ok(Age(5_400_000_000)));
        assert_eq!("2w".parse(), Ok(Age(14 * 86_400_000_000)));
        for wrong in ["", "30", "d", "-1d", "1.5h", "3y", "7é"] {
            assert!(wrong.parse::<Age>().is_err(), "{wrong}");
        }
    }
}
