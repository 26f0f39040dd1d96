//! The arguments, and the help that teaches them.

mod ask;
mod init;
mod tune;

pub use ask::{EvaluateArgs, RewriteArgs, RewriterArgs, ServeArgs};
pub use init::{InitArgs, Task};
pub use tune::{MergeArgs, TuneArgs};

use crate::{bus::BusArgs, client::Remote, site::Site};
use clap::{Args, Parser, Subcommand, ValueEnum};
use model::deberta::train::{Plan, Shape};
use model::deberta::{Numbers, Processor};
use std::{num::NonZeroU32, path::PathBuf, str::FromStr};

/// Better prompts by self-play: find the questions a model answers badly, rewrite them, try the rewrites, keep
/// what measurably helps.
///
/// Start with `promptimal run examples/quickstart.toml`, and with `promptimal init` for data of your own. Exit codes: 0 done; 1 a threshold was missed; 2 an error;
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
    /// Write a spec for your own data: a few questions, each of which is a flag too. `docs/init.md` shows it.
    ///
    ///   promptimal init                                   # asks
    ///   promptimal init --data mails.csv --yes            # takes what it proposes
    #[command(verbatim_doc_comment)]
    Init(InitArgs),
    /// Run the self-play loop of a spec; an unfinished run of the same spec goes on, a finished one prints its result.
    Run(RunArgs),
    /// Try your own prompts on models and data sets: a table, and an exit code for CI.
    Eval(RunArgs),
    /// Is a trained rewriter any good? It, its base and the proposer rewrite sealed prompts, and the target answers all.
    ///
    /// The spec says data, graders, target and proposer. `docs/evaluating.md` says what the numbers mean.
    Evaluate(Box<EvaluateArgs>),
    /// Go on with a run that stopped, here or (with --coordinator) on a cluster.
    Resume(ResumeArgs),
    /// Have a cluster run a spec. Files that it names are found below the coordinator's data root.
    Submit(SubmitArgs),
    /// Watch a run on a cluster until it stops, and print what came of it.
    Watch(WatchArgs),
    /// Give a run on a cluster up for good.
    Cancel(ActArgs),
    /// Stop a run on a cluster for now: what is under way is finished and kept.
    Pause(ActArgs),
    /// Try again what a run on a cluster gave up, and have it go on.
    Retry(ActArgs),
    /// List runs.
    Runs(RunsArgs),
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
    /// List or fetch public data sets that are known by name.
    ///
    ///   promptimal run examples/reference.toml --set datasets.humaneval.path=$(promptimal data fetch humaneval)
    #[command(verbatim_doc_comment)]
    Data(DataArgs),
    /// Score a file of questions with answers by a reward model. `docs/reward.md` says how to read the numbers.
    Score(ScoreArgs),
    /// Train a small reward model.
    Reward(RewardArgs),
    /// Train a small model to rewrite prompts, on pairs. `docs/training.md` says how.
    ///
    /// It writes a LoRA adapter in PEFT's layout. Ctrl-C stops it after a step, and the same command goes on from there,
    /// also after a crash: exit code 3 says that it stopped before its end.
    Train(Box<TuneArgs>),
    /// Have a trained rewriter improve prompts: one as an argument, or a file or standard input line by line.
    ///
    ///   promptimal rewrite --rewriter rewriter/ "tell me stuff on bees"
    ///   promptimal rewrite --rewriter last --file prompts.txt --json > better.jsonl
    ///
    /// The rewriter is a folder, or a run that ended with one. What comes out goes to standard output, in the order of what
    /// came in. Where the rewriter wrote nothing, declined, or answered instead of rewriting, the original is used, and
    /// standard error says so. Exit codes: 0 done, also where originals were kept; 2 an error; 3 stopped by Ctrl-C.
    #[command(verbatim_doc_comment)]
    Rewrite(RewriteArgs),
    /// Serve a local model, and a rewriter beside it, to clients of OpenAI's API. `docs/serving.md` says how.
    ///
    ///   promptimal serve --model smollm2-135m-instruct --adapter rewriter/
    ///   OPENAI_BASE_URL=http://127.0.0.1:7800/v1 OPENAI_API_KEY=none python3 your_program.py
    ///
    /// Chat completions and completions, streamed or not, and the list of models. Texts of all callers are written side by
    /// side, and one that nobody waits for any more is given up. Ctrl-C finishes what is in hand.
    #[command(verbatim_doc_comment)]
    Serve(ServeArgs),
    /// Merge an adapter into its base: a folder that needs no PEFT.
    Merge(MergeArgs),
    /// Run one Python program contained, as programs of models are: verdict, limits hit, time. `docs/sandbox.md` says how.
    ///
    /// Exit codes: 0 the program ended well, 1 it did not, 2 it could not be run here.
    Sandbox(SandboxArgs),
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
    /// Also draw the result into this folder: gains.svg, search.svg and front.svg where one instruction was searched, loss.svg
    /// where a rewriter was trained.
    #[arg(long, value_name = "DIR")]
    pub plots: Option<PathBuf>,
    /// How it is printed.
    #[command(flatten)]
    pub show: ShowFlags,
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
    #[arg(long, value_parser = dollars, allow_negative_numbers = true)]
    pub max_usd: Option<f64>,
    /// Also draw the result into this folder: gains.svg, search.svg and front.svg where one instruction was searched, loss.svg
    /// where a rewriter was trained.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    pub plots: Option<PathBuf>,
    /// Who is asked, where it is a cluster.
    #[command(flatten)]
    pub remote: Remote,
    /// How tasks travel.
    #[command(flatten)]
    pub bus: BusArgs,
    /// How it is printed.
    #[command(flatten)]
    pub show: ShowFlags,
}

/// An amount that a cap can be.
fn dollars(text: &str) -> Result<f64, String> {
    let usd = text.trim().parse::<f64>().ok();
    let usd = usd.filter(|usd| usd.is_finite() && *usd >= 0.0);
    usd.ok_or_else(|| "give dollars, 0 or more: 12.50".to_owned())
}

/// How a result is printed.
#[derive(Clone, Copy, Debug)]
pub struct Show {
    /// As one JSON object.
    pub json: bool,
    /// Without progress.
    pub quiet: bool,
}

/// How progress and result are printed.
#[derive(Clone, Copy, Debug, Args)]
pub struct ShowFlags {
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
    /// No progress.
    #[arg(long, short)]
    pub quiet: bool,
}

impl ShowFlags {
    /// Who reads JSON watches no bars.
    pub fn how(self) -> Show {
        Show {
            json: self.json,
            quiet: self.quiet || self.json,
        }
    }
}

/// Arguments of `submit`.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// The spec, a TOML file.
    pub spec: PathBuf,
    /// Override a key of the spec: `--set search.hardest=8`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Try your own prompts, as `promptimal eval` does.
    #[arg(long)]
    pub eval: bool,
    /// Start afresh, also when a run of this spec exists. Stored answers are still not bought again.
    #[arg(long)]
    pub new: bool,
    /// Each step up doubles its share of the workers beside other runs: -30 to 30, 0 unless told.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i32>,
    /// Watch it until it stops, and print what came of it. Ctrl-C leaves it running.
    #[arg(long)]
    pub watch: bool,
    /// Who is asked.
    #[command(flatten)]
    pub remote: Remote,
    /// How it is printed.
    #[command(flatten)]
    pub show: ShowFlags,
}

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// The run: its id, the beginning of it, its name, or `last`.
    #[arg(default_value = "last")]
    pub run: String,
    /// Who is asked.
    #[command(flatten)]
    pub remote: Remote,
    /// How it is printed.
    #[command(flatten)]
    pub show: ShowFlags,
}

/// Arguments of `cancel`, `pause` and `retry`.
#[derive(Debug, Args)]
pub struct ActArgs {
    /// The run: its id, the beginning of it, its name, or `last`.
    pub run: String,
    /// Who is asked.
    #[command(flatten)]
    pub remote: Remote,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `runs`.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Who is asked, where it is a cluster.
    #[command(flatten)]
    pub remote: Remote,
    /// At most so many, the newest first; all unless told.
    #[arg(long, value_name = "N")]
    pub limit: Option<NonZeroU32>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
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
    /// Also draw the result into this folder: gains.svg, search.svg and front.svg where one instruction was searched, loss.svg
    /// where a rewriter was trained.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    pub plots: Option<PathBuf>,
    /// Who is asked, where it is a cluster.
    #[command(flatten)]
    pub remote: Remote,
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

impl From<What> for coordinator::export::What {
    fn from(what: What) -> Self {
        match what {
            What::Pairs => Self::Pairs,
            What::Candidates => Self::Candidates,
            What::Answers => Self::Answers,
        }
    }
}

impl From<ExportFormat> for coordinator::export::Format {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Jsonl => Self::Jsonl,
            ExportFormat::Csv => Self::Csv,
        }
    }
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
    /// Who is asked, where it is a cluster.
    #[command(flatten)]
    pub remote: Remote,
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

/// Arguments of `data`.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DataCommand,
}

/// What to do with data sets.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// List the data sets that can be fetched by name.
    List(Json),
    /// Fetch a data set into the cache, and print where it is.
    Fetch {
        /// Its name.
        name: String,
    },
}

/// Arguments of `score`.
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// The reward model: a folder in Hugging Face's layout, or a repository of the hub (owner/name).
    #[arg(long, value_name = "PATH")]
    pub model: String,
    /// A JSONL file of {"prompt", "answer"}, or of {"prompt", "chosen", "rejected"} and perhaps "source".
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// What computes: cpu, or cuda in a program that is built for it.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: Processor,
    /// In which numbers: f32, bf16, f16. Half precision is quick on a CUDA device, and slow elsewhere.
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub dtype: Numbers,
    /// How it is printed.
    #[command(flatten)]
    pub show: ShowFlags,
}

/// Arguments of `reward`.
#[derive(Debug, Args)]
pub struct RewardArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: RewardCommand,
}

/// What to do with reward models.
#[derive(Debug, Subcommand)]
pub enum RewardCommand {
    /// Train a small DeBERTa-v3-style model on preference pairs, and say what it is worth on pairs held out.
    Train(TrainArgs),
}

/// Arguments of `reward train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// A JSONL file of {"prompt", "chosen", "rejected"} and perhaps "source".
    #[arg(long, value_name = "FILE")]
    pub pairs: PathBuf,
    /// The folder that the model is written to; transformers reads it too.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Replace the model that the folder holds.
    #[arg(long)]
    pub replace: bool,
    /// Share of the conversations that the report is made on.
    #[arg(long, default_value_t = 0.2)]
    pub held_out: f64,
    /// Share of the conversations that choose the epoch.
    #[arg(long, default_value_t = 0.1)]
    pub validation: f64,
    /// All draws derive from it.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How often all pairs are seen, at most.
    #[arg(long, default_value_t = Plan::default().epochs)]
    pub epochs: usize,
    /// Pairs per step.
    #[arg(long, default_value_t = Plan::default().batch)]
    pub batch: usize,
    /// The highest learning rate.
    #[arg(long, default_value_t = Plan::default().rate)]
    pub rate: f64,
    /// Weight decay.
    #[arg(long, default_value_t = Plan::default().decay)]
    pub decay: f64,
    /// Share of hidden numbers dropped while training.
    #[arg(long, default_value_t = Plan::default().dropout)]
    pub dropout: f32,
    /// Pieces of the vocabulary, at most.
    #[arg(long, default_value_t = Plan::default().shape.vocabulary)]
    pub vocabulary: usize,
    /// Width of the hidden state.
    #[arg(long, default_value_t = Plan::default().shape.width)]
    pub width: usize,
    /// Layers.
    #[arg(long, default_value_t = Plan::default().shape.layers)]
    pub layers: usize,
    /// Attention heads.
    #[arg(long, default_value_t = Plan::default().shape.heads)]
    pub heads: usize,
    /// Width of the feed-forward part.
    #[arg(long, default_value_t = Plan::default().shape.inner)]
    pub inner: usize,
    /// The most tokens of a question with its answer.
    #[arg(long, default_value_t = Plan::default().shape.context)]
    pub context: usize,
    /// How it is printed.
    #[command(flatten)]
    pub show: ShowFlags,
}

impl TrainArgs {
    /// How the model is trained.
    pub fn plan(&self) -> Plan {
        Plan {
            shape: Shape {
                vocabulary: self.vocabulary,
                width: self.width,
                layers: self.layers,
                heads: self.heads,
                inner: self.inner,
                context: self.context,
            },
            epochs: self.epochs,
            batch: self.batch,
            rate: self.rate,
            decay: self.decay,
            dropout: self.dropout,
            seed: self.seed,
        }
    }
}

/// Arguments of `sandbox`.
#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// The program; - is standard input.
    pub file: PathBuf,
    /// The most seconds it may take, on the clock and of a processor.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// The most memory it may have, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(64..=65536))]
    pub memory: u64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
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
    fn a_cap_is_an_amount() {
        let cap = |text: &str| {
            let cli = Cli::try_parse_from(["promptimal", "resume", "last", "--max-usd", text]);
            cli.map(|cli| match cli.command {
                Command::Resume(args) => args.max_usd,
                _ => None,
            })
        };
        assert_eq!(cap("1.5").unwrap(), Some(1.5));
        assert_eq!(cap("0").unwrap(), Some(0.0));
        for wrong in ["-1", "inf", "nan", "1e999", "many"] {
            let error = cap(wrong).unwrap_err().to_string();
            assert!(
                error.contains("0 or more") && error.contains(wrong),
                "{error}"
            );
        }
    }

    #[test]
    fn ages_have_a_unit() {
        assert_eq!("90m".parse(), Ok(Age(5_400_000_000)));
        assert_eq!("2w".parse(), Ok(Age(14 * 86_400_000_000)));
        for wrong in ["", "30", "d", "-1d", "1.5h", "3y", "7é"] {
            assert!(wrong.parse::<Age>().is_err(), "{wrong}");
        }
    }
}
