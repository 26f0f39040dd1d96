//! The arguments of `evaluate`, `rewrite` and `serve`.

use super::{RunArgs, ShowFlags};
use clap::Args;
use model::Precision;
use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf};
use train::pairs::Template;

/// Which rewriter, and in which words it is asked.
#[derive(Debug, Args)]
pub struct RewriterArgs {
    /// The rewriter: the folder that `promptimal train` or `promptimal merge` wrote, an adapter of PEFT's, or a run that
    /// trained one, by its id, its name, or last.
    #[arg(long, value_name = "RUN|DIR")]
    pub rewriter: String,
    /// The model that the adapter was trained on, where it does not say or that has moved: a GGUF file, a folder in
    /// Hugging Face's layout, or a name of `promptimal models list`.
    #[arg(long, value_name = "MODEL")]
    pub base: Option<String>,
    /// The words to ask in, inst or chat: those that it was trained with, unless told.
    #[arg(long)]
    pub template: Option<Template>,
    /// How weights are kept: auto, f32, q8_0, native or mixed.
    #[arg(long, default_value_t = Precision::Auto)]
    pub precision: Precision,
}

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// The spec, and how the evaluation is run and printed.
    #[command(flatten)]
    pub run: RunArgs,
    /// The rewriter.
    #[command(flatten)]
    pub rewriter: RewriterArgs,
    /// Fresh draws of each prompt; fewer than four claim nothing.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub repeats: u32,
    /// Which part of the data: train, validation, test, or all. No search has seen test.
    #[arg(long, value_name = "PART", default_value = "test")]
    pub split: String,
}

/// Arguments of `rewrite`.
#[derive(Debug, Args)]
pub struct RewriteArgs {
    /// The prompt. Without it and without --file, standard input is read: one prompt a line.
    #[arg(conflicts_with = "file")]
    pub text: Option<String>,
    /// A file of prompts, one a line.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Who rewrites.
    #[command(flatten)]
    pub rewriter: RewriterArgs,
    /// 0 always takes the likeliest word; with more, other seeds give other rewrites.
    #[arg(long, default_value_t = 0.0, value_name = "NUMBER")]
    pub temperature: f64,
    /// Only the likeliest words that have so much of the probability together are drawn.
    #[arg(long, default_value_t = 0.95, value_name = "SHARE")]
    pub top_p: f64,
    /// So many rewrites of each prompt; more than one needs a temperature.
    #[arg(long, default_value = "1", value_name = "N")]
    pub candidates: NonZeroUsize,
    /// A rewrite that is longer is not used.
    #[arg(long, default_value = "256", value_name = "TOKENS")]
    pub max_tokens: NonZeroUsize,
    /// All draws derive from it.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How it is printed; JSON is one object a line.
    #[command(flatten)]
    pub show: ShowFlags,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The model: a name of `promptimal models list`, a GGUF file, or a folder in Hugging Face's layout.
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// An adapter to serve beside it, under the name `rewriter`: the folder that `promptimal train` wrote, or a run that
    /// trained one, by its id, its name, or last.
    #[arg(long, value_name = "RUN|DIR")]
    pub adapter: Option<String>,
    /// The words in which the adapter is asked, inst or chat: those that it was trained with, unless told.
    #[arg(long, requires = "adapter")]
    pub template: Option<Template>,
    /// Where to listen. Any other address than one of this machine's own (127.0.0.1, [::1]) needs a key.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7800")]
    pub listen: SocketAddr,
    /// The file that holds the key which callers must show.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The variable that holds the key, where there is no file. Without a key, only this machine is answered.
    #[arg(long, value_name = "NAME", default_value = "PROMPTIMAL_SERVE_KEY")]
    pub key_env: String,
    /// The most texts that are written side by side.
    #[arg(long, value_name = "N", default_value = "16")]
    pub rows: NonZeroUsize,
    /// Texts that may wait for their turn; who comes when all places are taken is told to try later (429).
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub queue: usize,
    /// Memory for what was read, so that a text which begins as another did is read from there on; 0 remembers nothing.
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(0..=1 << 20))]
    pub prefix_memory: u32,
    /// The longest reply that may be asked for.
    #[arg(long, value_name = "TOKENS", default_value = "1024")]
    pub max_tokens: NonZeroUsize,
    /// The largest body of a request.
    #[arg(long, value_name = "BYTES", default_value = "1048576")]
    pub max_body: NonZeroUsize,
    /// How weights are kept: auto, f32, q8_0, native or mixed.
    #[arg(long, default_value_t = Precision::Auto)]
    pub precision: Precision,
}
