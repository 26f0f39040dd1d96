//! `promptimal init`: a few questions, a commented spec.

use crate::{
    cli::{InitArgs, Task},
    init::{
        Data, Plan, Who,
        ask::Asker,
        fields::{self, Given, Unclear},
        look::{Look, look},
        spec::first_instruction,
        survey::{Survey, survey},
    },
    out,
};
use anyhow::{Context, anyhow, bail};
use dataset::{FieldMap, Source};
use spec::{Found, Purpose, SpecError};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// What is proposed where nobody says how many calls.
const CALLS: &str = "300";
/// Rewrites ask each question alone, which takes more.
const REWRITE_CALLS: &str = "5000";
/// With fewer rows nothing is measured that counts.
const FEW_ROWS: u64 = 40;

/// `promptimal init`
pub fn init(args: &InitArgs) -> anyhow::Result<()> {
    free(args)?;
    let asker = Asker::find(args.yes);
    let (plan, survey) = plan(asker, args)?;
    let file = args.file.display().to_string();
    let text = plan.spec(&file)?;
    let lacks = checked(&text, &args.file)?;
    fs::write(&args.file, &text).with_context(|| format!("cannot write {file}"))?;
    let next = format!("promptimal run {file} --dry-run");
    if args.json {
        return out::json(&serde_json::json!({
            "file": file, "mode": mode(plan.task), "task": plan.task.name(), "rows": survey.rows,
            "format": plan.data.format.name(), "labels": plan.data.labels, "calls": plan.calls,
            "missing": lacks, "next": next,
        }));
    }
    out::line(format!("{file} is written."));
    lacks
        .iter()
        .for_each(|what| out::line(format!("Before it runs: {what}")));
    out::line(format!("next: {next}"));
    Ok(())
}

fn mode(task: Task) -> &'static str {
    match task {
        Task::Rewrite => "rewrite",
        _ => "instruct",
    }
}

/// Whether the spec may be written, before anybody is asked anything.
fn free(args: &InitArgs) -> anyhow::Result<()> {
    let file = args.file.display();
    if args.file.is_dir() {
        bail!("{file} is a folder: name a file in it, such as {file}/promptimal.toml");
    }
    if args.file.exists() && !args.force {
        bail!("{file} exists: name another file, or replace it with --force");
    }
    let folder = args.file.parent().filter(|p| !p.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        bail!(
            "{file}: there is no folder {}: make it first",
            folder.display()
        );
    }
    if args.start.is_some() && args.task == Some(Task::Rewrite) {
        bail!(
            "--start is for tasks with one instruction, and --task rewrite has none: leave it out"
        );
    }
    Ok(())
}

fn plan(asker: Asker, args: &InitArgs) -> anyhow::Result<(Plan, Survey)> {
    let path = match &args.data {
        Some(path) => path.clone(),
        None => PathBuf::from(asker.text(("--data", "where are the data?"), None, there)?),
    };
    let (source, survey) = read(asker, args, &path)?;
    let task = task(asker, args, &survey)?;
    survey.suits(task)?;
    let labels = match task {
        Task::Label => survey.labels.clone(),
        Task::Rewrite if survey.task() == Task::Label => survey.labels.clone(),
        _ => Vec::new(),
    };
    let mut plan = Plan {
        name: name(&path),
        task,
        kind: survey.kind,
        data: Data {
            path: as_written(&path, &args.file)?,
            format: source.format,
            fields: source.fields,
            labels,
            objects: survey.objects.clone(),
            longest: survey.longest,
        },
        model: who(asker, args)?,
        calls: calls(asker, args, task)?,
        start: String::new(),
    };
    if task != Task::Rewrite {
        plan.start = start(asker, args, &plan)?;
    } else if args.start.is_some() {
        bail!(
            "--start is for tasks with one instruction, and these data are for --task rewrite: leave it out"
        );
    }
    Ok((plan, survey))
}

/// Looks at the data, has the mapping confirmed, and reads them.
fn read(asker: Asker, args: &InitArgs, path: &Path) -> anyhow::Result<(Source, Survey)> {
    let Look { format, rows } = look(path)?;
    let mut source = Source::new("data", format, path);
    if rows.is_empty() {
        if let Some(flag) = mapped(args) {
            let format = format.name();
            bail!(
                "{flag}: the data are in the layout {format}, which names its own fields: leave it out"
            );
        }
        let survey = survey(&source)?;
        show(&source, &survey, args.json);
        return Ok((source, survey));
    }
    let names = fields::names(&rows);
    let (mut input, mut reference) = (args.input.clone(), args.reference.clone());
    known(&names, "--input", input.as_deref())?;
    known(&names, "--reference", reference.as_deref())?;
    loop {
        let given = Given {
            input: input.as_deref(),
            reference: reference.as_deref(),
            task: args.task,
        };
        let map = match fields::guess(&rows, given) {
            Ok(map) => map,
            Err(unclear) => {
                let field = Some(pick(asker, &unclear)?);
                match unclear.flag {
                    "--input" => input = field,
                    _ => reference = field,
                }
                continue;
            }
        };
        source.fields = Some(map.clone());
        let survey = survey(&source)?;
        show(&source, &survey, args.json);
        if asker.agrees("--input", "Is that right?")? {
            return Ok((source, survey));
        }
        let (asked, right) = again(asker, &names, &map)?;
        (input, reference) = (Some(asked), Some(right));
    }
}

/// The flag that names a field, if there is one.
fn mapped(args: &InitArgs) -> Option<&'static str> {
    let input = args.input.as_ref().map(|_| "--input");
    input.or(args.reference.as_ref().map(|_| "--reference"))
}

fn known(names: &[String], flag: &str, given: Option<&str>) -> anyhow::Result<()> {
    match given {
        Some(field) if !names.iter().any(|name| name == field) => {
            bail!(
                "{flag} {field}: not all rows have such a field; they have {}",
                names.join(", ")
            )
        }
        _ => Ok(()),
    }
}

fn pick(asker: Asker, unclear: &Unclear) -> anyhow::Result<String> {
    let Unclear { flag, what, fields } = unclear;
    if fields.is_empty() {
        bail!("{flag}: {what} there are no fields that all rows have");
    }
    let of = format!("{what} The data have {}", fields.join(", "));
    let question = match asker {
        Asker::Person => *what,
        _ => of.as_str(),
    };
    let index = asker.choose((flag, question), fields, None)?;
    fields.get(index).cloned().context("no such field")
}

/// Both fields, as a person says who found the guess wrong.
fn again(asker: Asker, names: &[String], map: &FieldMap) -> anyhow::Result<(String, String)> {
    let at = |field: Option<&String>| names.iter().position(|name| Some(name) == field);
    let choose = |flag: &str, question: &str, proposed: Option<usize>| {
        let index = asker.choose((flag, question), names, proposed.or(Some(0)))?;
        names.get(index).cloned().context("no such field")
    };
    let input = choose(
        "--input",
        "Which field holds the question or text?",
        at(Some(&map.input)),
    )?;
    let reference = choose(
        "--reference",
        "Which field holds the right answer?",
        at(map.reference.as_ref()),
    )?;
    Ok((input, reference))
}

/// What was found in the data, for people.
fn show(source: &Source, survey: &Survey, json: bool) {
    if json {
        return;
    }
    let rows = survey.rows;
    let format = source.format.name();
    out::note(format!(
        "{}: {rows} rows, read as {format}",
        source.path.display()
    ));
    if let Some(fields) = &source.fields {
        let reference = fields.reference.as_deref().unwrap_or("nothing");
        out::note(format!(
            "  the text is in {}, the right answer in {reference}",
            fields.input
        ));
    }
    out::note(format!("  first text:   {}", short(&survey.first.input)));
    if let Some(reference) = survey.first.reference_text() {
        out::note(format!("  first answer: {}", short(reference)));
    }
    if survey.task() == Task::Label {
        out::note(format!("  labels: {}", survey.labels.join(", ")));
    }
    if let (n @ 1.., Some(first)) = (survey.bad.0, &survey.bad.1) {
        out::note(format!(
            "  {n} bad rows, which stop a run unless on_bad_row = \"skip\" is said; the first: {first}"
        ));
    }
    if rows < FEW_ROWS {
        out::note(format!(
            "  {rows} rows are few: differences below a fifth will hardly be told from chance"
        ));
    }
}

fn short(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    match line.char_indices().nth(100) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

fn task(asker: Asker, args: &InitArgs, survey: &Survey) -> anyhow::Result<Task> {
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

fn who(asker: Asker, args: &InitArgs) -> anyhow::Result<Who> {
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
            let said = asker.text(("--key-env", question), Some(""), |_| Ok(()))?;
            Some(said).filter(|name| !name.is_empty())
        }
        (None, _) => None,
    };
    Ok(Who::Server {
        url,
        model,
        key_env,
    })
}

fn there(path: &str) -> Result<(), String> {
    match Path::new(path).exists() {
        true => Ok(()),
        false => Err("no such file or folder".to_owned()),
    }
}

fn filled(text: &str) -> Result<(), String> {
    match text.is_empty() {
        true => Err("say something".to_owned()),
        false => Ok(()),
    }
}

fn calls(asker: Asker, args: &InitArgs, task: Task) -> anyhow::Result<u64> {
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

fn start(asker: Asker, args: &InitArgs, plan: &Plan) -> anyhow::Result<String> {
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

/// A name for data and run, after the file or folder.
fn name(path: &Path) -> String {
    let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let stem = whole
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let stem = stem
        .split('.')
        .find(|part| !part.is_empty())
        .unwrap_or("data");
    let plain = |c: char| if c.is_control() { '-' } else { c };
    stem.chars().take(60).map(plain).collect()
}

/// The data's path as it is found from the spec: relative where the data lie below the spec's folder, else absolute.
fn as_written(data: &Path, file: &Path) -> anyhow::Result<String> {
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = match folder {
        Some(folder) => fs::canonicalize(folder)?,
        None => env::current_dir()?.canonicalize()?,
    };
    let whole = fs::canonicalize(data)?;
    let below = whole
        .strip_prefix(&folder)
        .ok()
        .filter(|p| !p.as_os_str().is_empty());
    let written = below.unwrap_or(&whole);
    let text = written.to_str().map(str::to_owned);
    text.with_context(|| format!("--data {}: the path is no UTF-8: rename it", data.display()))
}

/// Loads the text as a run would. What is only missing on this machine is returned, one line each.
fn checked(text: &str, file: &Path) -> anyhow::Result<Vec<String>> {
    let Err(first) = spec::load_text(text, file, &[], Purpose::Run, &spec::Machine) else {
        return Ok(Vec::new());
    };
    // With every variable set, what is left is wrong with the spec itself.
    match spec::load_text(text, file, &[], Purpose::Run, &Keyed) {
        Ok(_) => Ok(first.problems.into_iter().map(|p| p.message).collect()),
        Err(error) => Err(unfit(error)),
    }
}

/// This machine with every environment variable set.
struct Keyed;

impl spec::Environment for Keyed {
    fn is_set(&self, _: &str) -> bool {
        true
    }

    fn find(&self, path: &Path) -> Found {
        spec::Machine.find(path)
    }

    fn current_dir(&self) -> PathBuf {
        spec::Machine.current_dir()
    }
}

fn unfit(error: SpecError) -> anyhow::Error {
    anyhow!("with these answers the spec would not load, and nothing is written:\n{error}")
}
