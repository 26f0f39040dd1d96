//! The arguments of `init`.

use clap::{Args, ValueEnum};
use std::{num::NonZeroU64, path::PathBuf};

/// Arguments of `init`. Each of its questions is a flag.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The spec to write.
    #[arg(default_value = "promptimal.toml")]
    pub file: PathBuf,
    /// What an answer is: a label, a number, a text, a JSON object, a choice; or rewrite: every hard question gets a better
    /// wording of its own, instead of one instruction for all.
    #[arg(long, value_enum)]
    pub task: Option<Task>,
    /// The data: a file or folder (CSV, JSON, JSON lines, or text TAB label).
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// The field of the data that holds the question or text.
    #[arg(long, value_name = "FIELD")]
    pub input: Option<String>,
    /// The field of the data that holds the right answer.
    #[arg(long, value_name = "FIELD")]
    pub reference: Option<String>,
    /// The model: a name of `promptimal models list` or a path; with --url, the name that the server knows.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// An OpenAI-compatible server, up to and including the version: https://api.openai.com/v1
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The environment variable that holds the server's key. Never the key itself.
    #[arg(long, value_name = "NAME", requires = "url")]
    pub key_env: Option<String>,
    /// How many calls of the model may be made.
    #[arg(long, value_name = "N")]
    pub calls: Option<NonZeroU64>,
    /// The instruction to begin with. Not for --task rewrite.
    #[arg(long, value_name = "TEXT")]
    pub start: Option<String>,
    /// Ask nothing: take what is proposed wherever no flag says otherwise.
    #[arg(long, short)]
    pub yes: bool,
    /// Replace the spec if there is one.
    #[arg(long)]
    pub force: bool,
    /// Print what was written as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// One of a few labels.
    Label,
    /// A number.
    Number,
    /// A text that is the reference, looks aside.
    Text,
    /// A JSON object.
    Json,
    /// One of the choices that each question has.
    Choice,
    /// Whatever the data have: each hard question gets a better wording of its own.
    Rewrite,
}

impl Task {
    /// All of them, as they are asked for.
    pub const ALL: [Task; 6] = [
        Task::Label,
        Task::Number,
        Task::Text,
        Task::Json,
        Task::Choice,
        Task::Rewrite,
    ];

    /// The word of the flag.
    pub fn name(self) -> &'static str {
        match self {
            Task::Label => "label",
            Task::Number => "number",
            Task::Text => "text",
            Task::Json => "json",
            Task::Choice => "choice",
            Task::Rewrite => "rewrite",
        }
    }
}
