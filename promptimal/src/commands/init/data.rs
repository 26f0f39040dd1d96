//! The data: looked at, shown, and mapped as a person or the flags say.

use crate::{
    cli::{InitArgs, Task},
    init::{
        ask::Asker,
        fields::{self, Given, Unclear},
        look::{Look, look},
        survey::{Survey, survey},
    },
    out,
};
use anyhow::{Context, bail};
use dataset::{FieldMap, Source};
use std::path::Path;

/// With fewer rows nothing is measured that counts.
const FEW_ROWS: u64 = 40;

/// Looks at the data, has the mapping confirmed, and reads them.
///
/// # Errors
/// When they cannot be read, or nobody says which field is what.
pub fn read(asker: Asker, args: &InitArgs, path: &Path) -> anyhow::Result<(Source, Survey)> {
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
