//! The arguments of `rewrite`.

use super::ShowFlags;
use clap::Args;
use model::Precision;
use std::{num::NonZeroUsize, path::PathBuf};
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
    /// How weights are kept: auto, f32 (quickest), q8_0, native or mixed (smallest).
    #[arg(long, default_value_t = Precision::Auto)]
    pub precision: Precision,
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
