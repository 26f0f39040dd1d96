//! The format of a file or folder, by its name and its first rows.

use anyhow::{Context, bail};
use dataset::{Format, OnBadRow, Source, columns, open, peek};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// So many rows are looked at.
const ROWS: usize = 50;

/// What data seem to be.
#[derive(Debug)]
pub struct Look {
    /// The layout.
    pub format: Format,
    /// The first rows, where their fields have to be mapped.
    pub rows: Vec<Map<String, Value>>,
}

/// Looks at a file or folder.
///
/// # Errors
/// When there is nothing, or nothing that we read.
pub fn look(path: &Path) -> anyhow::Result<Look> {
    let shown = path.display();
    let kind = std::fs::metadata(path);
    let kind = kind.with_context(|| format!("--data {shown}: no file or folder to read there"))?;
    if !kind.is_dir() {
        return file(path);
    }
    if ["test", "dev", "val"]
        .iter()
        .any(|part| path.join(part).is_dir())
    {
        return Ok(named(Format::Mmlu));
    }
    let first = first_file(path)?;
    file(&first)
}

fn named(format: Format) -> Look {
    Look {
        format,
        rows: Vec::new(),
    }
}

/// The first file of a folder by name that has an ending of ours.
fn first_file(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file() && ending(path).is_some())
        .collect();
    files.sort();
    let none = || {
        format!(
            "--data {}: the folder has no file that ends with .csv, .tsv, .txt, .json or .jsonl (or .gz of it)",
            folder.display()
        )
    };
    files.into_iter().next().with_context(none)
}

/// How a file's name ends, `.gz` aside, where that is an ending of ours.
fn ending(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let ours = [".csv", ".tsv", ".txt", ".json", ".jsonl"];
    let hidden = name.starts_with('.');
    ours.into_iter()
        .find(|ending| !hidden && name.ends_with(ending))
}

fn file(path: &Path) -> anyhow::Result<Look> {
    let shown = path.display();
    match ending(path) {
        Some(".csv") => csv(path),
        Some(".tsv" | ".txt") => {
            let look = named(Format::Classification);
            if reads(path, look.format) {
                return Ok(look);
            }
            bail!(
                "--data {shown}: a .tsv or .txt file has lines of text, a tab and a label, and its first has not: \
                 make it a .csv with a header, or .jsonl"
            )
        }
        Some(_) => json(path),
        None => bail!(
            "--data {shown}: data end with .csv, .tsv, .txt, .json or .jsonl (or .gz of it): rename the file, or convert it"
        ),
    }
}

/// Whether the first row is good.
fn reads(path: &Path, format: Format) -> bool {
    let source = Source {
        on_bad_row: OnBadRow::Fail,
        ..Source::new("data", format, path)
    };
    open(&source).is_ok_and(|mut rows| rows.next().is_some_and(|row| row.is_ok()))
}

/// Without a header, in MMLU's columns, or with one.
fn csv(path: &Path) -> anyhow::Result<Look> {
    let header = columns(path).map_err(|e| anyhow::anyhow!("--data {e}"))?;
    let letter = |name: &String| ["A", "B", "C", "D"].contains(&name.as_str());
    if header.len() == 6 && header.last().is_some_and(letter) {
        return Ok(named(Format::Mmlu));
    }
    mapped(path, Format::Csv)
}

fn mapped(path: &Path, format: Format) -> anyhow::Result<Look> {
    let rows = peek(path, ROWS).map_err(|e| anyhow::anyhow!("--data {e}"))?;
    if rows.is_empty() {
        bail!("--data {}: no row with fields was found", path.display());
    }
    Ok(Look { format, rows })
}

fn json(path: &Path) -> anyhow::Result<Look> {
    // A file of `{"examples": [...]}` is no list of rows.
    let Look { rows, .. } = match mapped(path, Format::Jsonl) {
        Ok(look) => look,
        Err(_) if reads(path, Format::Bbh) => return Ok(named(Format::Bbh)),
        Err(e) => return Err(e),
    };
    let format = rows.first().map_or(Format::Jsonl, of_row);
    match format {
        Format::Jsonl => Ok(Look { format, rows }),
        known if reads(path, known) => Ok(named(known)),
        _ => Ok(Look {
            format: Format::Jsonl,
            rows,
        }),
    }
}

/// The format whose fields a row has.
fn of_row(row: &Map<String, Value>) -> Format {
    let has = |names: &[&str]| names.iter().all(|name| row.contains_key(*name));
    let marked = |name: &str| {
        let text = row.get(name).and_then(Value::as_str);
        text.is_some_and(|text| text.contains("####"))
    };
    match () {
        () if has(&["examples"]) => Format::Bbh,
        () if has(&["input", "target"]) && row.len() == 2 => Format::Bbh,
        () if has(&["prompt", "entry_point", "test"]) => Format::Humaneval,
        () if has(&["question"]) && marked("answer") => Format::Gsm8k,
        () if has(&["instruction", "output"]) => Format::Alpaca,
        () => Format::Jsonl,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str) -> &'static str {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data");
        look(&data.join(name)).unwrap().format.name()
    }

    #[test]
    fn our_own_data_are_known_by_their_looks() {
        for (name, format) in [
            ("quickstart/mmlu", "mmlu"),
            ("quickstart/mmlu/test", "mmlu"),
            ("quickstart/alpaca.json", "alpaca"),
            ("quickstart/humaneval.jsonl", "humaneval"),
            ("instruct/gsm8k.jsonl", "gsm8k"),
            ("instruct/sentiment.jsonl", "jsonl"),
            ("sentiment.tsv", "classification"),
            ("trivia.csv", "csv"),
        ] {
            assert_eq!(seen(name), format, "{name}");
        }
    }

    #[test]
    fn what_is_no_data_is_named_with_a_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let said = |name: &str, text: Option<&str>| {
            let path = dir.path().join(name);
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            let error = look(&path).unwrap_err();
            format!("{error:#}")
        };
        assert!(said("absent.csv", None).contains("no file or folder"));
        assert!(said("a.xlsx", Some("x")).contains("convert it"));
        assert!(said("a.txt", Some("no tab\n")).contains("make it a .csv"));
        assert!(said("a.json", Some("[]")).contains("no row"));
        assert!(said("b.json", Some("hello")).contains("b.json:1"));
        let folder = dir.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        assert!(format!("{:#}", look(&folder).unwrap_err()).contains("the folder has no file"));
    }

    #[test]
    fn a_file_of_examples_is_a_task_of_bbh() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("task.json");
        let text = "{\n\"examples\": [\n{\"input\": \"not True is\", \"target\": \"False\"}]}";
        std::fs::write(&path, text).unwrap();
        assert_eq!(look(&path).unwrap().format, Format::Bbh);
        std::fs::write(
            &path,
            "{\"examples\": [{\"input\": \"a\", \"target\": \"b\"}]}",
        )
        .unwrap();
        assert_eq!(look(&path).unwrap().format, Format::Bbh);
    }
}
