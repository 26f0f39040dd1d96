//! What is asked, as texts and in tokens.

use model::{Engine, Options, Precision};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

/// Texts, as the harness writes them.
#[derive(Deserialize)]
struct Texts {
    /// A text of at least [`READ`] tokens.
    read: String,
    /// Texts of at least [`BEGUN`] tokens, to be written on.
    begun: Vec<String>,
    /// Something short, for the check that both engines say the same.
    short: String,
    questions: Vec<Question>,
}

/// A question and its choices.
#[derive(Clone, Deserialize, Serialize)]
pub struct Question {
    pub prefix: String,
    pub choices: Vec<String>,
}

/// The same in tokens; questions have their texts beside, because ours takes texts.
#[derive(Deserialize, Serialize)]
pub struct Tasks {
    pub read: Vec<u32>,
    pub begun: Vec<Vec<u32>>,
    pub short: Vec<u32>,
    pub questions: Vec<Question>,
    pub asked: Vec<Asked>,
}

/// A question in tokens.
#[derive(Deserialize, Serialize)]
pub struct Asked {
    pub prefix: Vec<u32>,
    pub choices: Vec<Vec<u32>>,
}

/// How many tokens are read in one go.
const READ: usize = 512;
/// How many tokens stand before those that are written.
const BEGUN: usize = 128;

/// Writes the tasks of a file of texts.
pub fn write(model: &Path, texts: &str, file: &str) -> anyhow::Result<serde_json::Value> {
    let options = Options {
        precision: Precision::Native,
        ..Options::default()
    };
    let engine = Engine::load(model, options)?;
    let texts: Texts = serde_json::from_str(&fs::read_to_string(texts)?)?;
    let cut = |text: &String, count: usize| {
        let mut tokens = engine.encode_bare(text)?;
        anyhow::ensure!(
            tokens.len() >= count,
            "a text is shorter than {count} tokens"
        );
        tokens.truncate(count);
        Ok(tokens)
    };
    let begun = texts.begun.iter().map(|text| cut(text, BEGUN));
    let asked = texts.questions.iter().map(|question| {
        let encode = |choice: &String| engine.tokeniser().encode_continuation(choice);
        Ok(Asked {
            prefix: engine.encode_bare(&question.prefix)?,
            choices: question
                .choices
                .iter()
                .map(encode)
                .collect::<Result<_, _>>()?,
        })
    });
    let tasks = Tasks {
        read: cut(&texts.read, READ)?,
        begun: begun.collect::<anyhow::Result<_>>()?,
        short: engine.encode_bare(&texts.short)?,
        asked: asked.collect::<anyhow::Result<_>>()?,
        questions: texts.questions,
    };
    fs::write(file, serde_json::to_string(&tasks)?)?;
    let prefixes: Vec<usize> = tasks.asked.iter().map(|a| a.prefix.len()).collect();
    let choices = tasks
        .asked
        .iter()
        .flat_map(|a| a.choices.iter().map(Vec::len));
    let choices: Vec<usize> = choices.collect();
    Ok(serde_json::json!({ "prefixes": prefixes, "choices": choices }))
}
