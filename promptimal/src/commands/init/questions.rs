//! What is asked beside the data.

use crate::{
    cli::{InitArgs, Task},
    init::{Plan, Who, ask::Asker, spec::first_instruction, survey::Survey},
};
use anyhow::{Context, anyhow};
use std::path::Path;

/// What is proposed where nobody says how many calls.
const CALLS: &str = "300";
/// Rewrites ask each question alone, which takes more.
const REWRITE_CALLS: &str = "5000";

/// What an answer is.
///
/// # Errors
/// When nobody says.
pub fn task(asker: Asker, args: &InitArgs, survey: &Survey) -> anyhow::Result<Task> {
    if let Some(task) = args.task {
        return Ok(task);
    }
    let says = |task: Task| match task {
        Task::Label => "label: an answer is one of a few labels",
        Task::Number => "number: an answer is a number",
        Task::Text => "text: an answer is a text",
        Task::Json => "json: an answer is a JSON object",
        Task::Choice => "choice: each question has choices",
        Task::Rewrite => "rewrite: each hard question gets a better wording of its own",
    };
    let options = Task::ALL.map(|task| says(task).to_owned());
    let likely = Task::ALL.iter().position(|task| *task == survey.task());
    let index = asker.choose(("--task", "what is an answer?"), &options, likely)?;
    Task::ALL.get(index).copied().context("no such task")
}

/// Who answers.
///
/// # Errors
/// When nobody says.
pub fn who(asker: Asker, args: &InitArgs) -> anyhow::Result<Who> {
    if let Some(url) = &args.url {
        return server(asker, args, url.clone());
    }
    if let Some(model) = &args.model {
        return Ok(Who::Local {
            model: model.clone(),
        });
    }
    let small = spec::CATALOGUE
        .first()
        .copied()
        .context("no model is known by name")?;
    let options = [
        format!("{small}: small, on this machine, fetched once"),
        "another model on this machine: a .gguf file or a folder".to_owned(),
        "a server that speaks OpenAI's API".to_owned(),
    ];
    match asker.choose(("--model", "which model?"), &options, Some(0))? {
        0 => Ok(Who::Local {
            model: small.to_owned(),
        }),
        1 => Ok(Who::Local {
            model: asker.text(("--model", "where is it?"), None, there)?,
        }),
        _ => {
            let proposed = Some("https://api.openai.com/v1");
            let url = asker.text(("--url", "which server?"), proposed, filled)?;
            server(asker, args, url)
        }
    }
}

fn server(asker: Asker, args: &InitArgs, url: String) -> anyhow::Result<Who> {
    let model = match &args.model {
        Some(model) => model.clone(),
        None => asker.text(
            ("--model", "what does the server call the model?"),
            None,
            filled,
        )?,
    };
    let key_env = match (&args.key_env, asker) {
        (Some(name), _) => Some(name.clone()),
        (None, Asker::Person) => {
            let question = "which environment variable holds the key? (empty: none)";
            let check = |name: &str| match name {
                "" => Ok(()),
                name => variable(name),
            };
            Some(asker.text(("--key-env", question), Some(""), check)?)
        }
        (None, _) => None,
    };
    let key_env = key_env.filter(|name| !name.is_empty());
    if let Some(name) = &key_env {
        variable(name).map_err(|why| anyhow!("--key-env {why}"))?;
    }
    Ok(Who::Server {
        url,
        model,
        key_env,
    })
}

/// Whether a path leads somewhere.
///
/// # Errors
/// When it does not.
pub fn there(path: &str) -> Result<(), String> {
    match Path::new(path).exists() {
        true => Ok(()),
        false => Err("no such file or folder".to_owned()),
    }
}

/// Whether this names a variable. A key that was pasted must not get into a file, nor into a message.
fn variable(name: &str) -> Result<(), String> {
    let word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let plain = name.chars().all(word) && !name.starts_with(|c: char| c.is_ascii_digit());
    match plain || std::env::var_os(name).is_some() {
        true => Ok(()),
        false => Err(
            "names no environment variable (not shown, it might be the key itself): give the name of one, such as \
             OPENAI_API_KEY, and export the key under it"
                .to_owned(),
        ),
    }
}

fn filled(text: &str) -> Result<(), String> {
    match text.is_empty() {
        true => Err("say something".to_owned()),
        false => Ok(()),
    }
}

/// How many calls of the model may be made.
///
/// # Errors
/// When nobody says a number.
pub fn calls(asker: Asker, args: &InitArgs, task: Task) -> anyhow::Result<u64> {
    if let Some(calls) = args.calls {
        return Ok(calls.get());
    }
    let proposed = match task {
        Task::Rewrite => REWRITE_CALLS,
        _ => CALLS,
    };
    let number = |text: &str| text.parse::<u64>().ok().filter(|n| *n > 0);
    let check = |text: &str| {
        number(text)
            .map(|_| ())
            .ok_or("give a whole number above 0".to_owned())
    };
    let said = asker.text(
        ("--calls", "how many calls of the model at most?"),
        Some(proposed),
        check,
    )?;
    number(&said).ok_or_else(|| anyhow!("--calls {said}: give a whole number above 0"))
}

/// The instruction to begin with.
///
/// # Errors
/// When nobody says one.
pub fn start(asker: Asker, args: &InitArgs, plan: &Plan) -> anyhow::Result<String> {
    let given = match &args.start {
        Some(text) => text.trim().to_owned(),
        None => {
            let proposed =
                first_instruction(plan.graded_as(), &plan.data.labels, &plan.data.objects);
            asker.text(
                ("--start", "which instruction to begin with?"),
                Some(&proposed),
                filled,
            )?
        }
    };
    filled(&given).map_err(|why| anyhow!("--start is empty: {why}, or leave it out"))?;
    Ok(given)
}
