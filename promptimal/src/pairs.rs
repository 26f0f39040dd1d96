//! Files of questions with answers: `{prompt, answer}`, or `{prompt, chosen, rejected}` with a source.

use anyhow::{Context, bail};
use serde::Deserialize;
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

/// The source of a row that names none.
const NAMELESS: &str = "all";

/// A row of a file, with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A question with an answer.
    Answer { prompt: String, answer: String },
    /// A question with the answer that was preferred and the one that was not.
    Preference(Preference),
}

/// A preference pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preference {
    /// Where it comes from.
    pub source: String,
    /// The question.
    pub prompt: String,
    /// The answer preferred.
    pub chosen: String,
    /// The other answer.
    pub rejected: String,
}

/// A row as it is written; other fields are left alone.
#[derive(Deserialize)]
struct Written {
    source: Option<String>,
    prompt: Option<String>,
    answer: Option<String>,
    chosen: Option<String>,
    rejected: Option<String>,
}

/// Reads a JSONL file. All rows are of one kind.
///
/// # Errors
/// When it cannot be read, or a row is of neither kind or of another kind than the first; the line is named.
pub fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    let mut rows = Vec::new();
    for (i, line) in BufReader::new(file).lines().enumerate() {
        let line = line.with_context(|| format!("cannot read {shown}"))?;
        if line.trim().is_empty() {
            continue;
        }
        let row = row(&line).map_err(|e| anyhow::anyhow!("{shown}:{}: {e}", i + 1))?;
        let alike = rows
            .first()
            .is_none_or(|first| std::mem::discriminant(first) == std::mem::discriminant(&row));
        if !alike {
            bail!(
                "{shown}:{}: the rows before it are of the other kind: keep answers and preferences in files of their own",
                i + 1
            );
        }
        rows.push(row);
    }
    if rows.is_empty() {
        bail!("{shown} has no rows");
    }
    Ok(rows)
}

fn row(line: &str) -> Result<Row, String> {
    let written: Written = serde_json::from_str(line).map_err(|e| format!("not a row: {e}"))?;
    match written {
        Written { prompt: Some(prompt), chosen: Some(chosen), rejected: Some(rejected), source, .. } => {
            let source = source.unwrap_or_else(|| NAMELESS.to_owned());
            Ok(Row::Preference(Preference { source, prompt, chosen, rejected }))
        }
        Written { prompt: Some(prompt), answer: Some(answer), .. } => Ok(Row::Answer { prompt, answer }),
        _ => Err("a row is {\"prompt\", \"answer\"} or {\"prompt\", \"chosen\", \"rejected\"}, all of them texts".to_owned()),
    }
}

/// The preference pairs of a file.
///
/// # Errors
/// As [`read`], and when its rows are answers.
pub fn preferences(path: &Path) -> anyhow::Result<Vec<Preference>> {
    let rows = read(path)?.into_iter().map(|row| match row {
        Row::Preference(pair) => Some(pair),
        Row::Answer { .. } => None,
    });
    let pairs: Option<Vec<Preference>> = rows.collect();
    pairs.with_context(|| {
        format!(
            "{}: preference pairs are needed: {{\"prompt\", \"chosen\", \"rejected\"}}",
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> anyhow::Result<Vec<Row>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pairs.jsonl");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn rows_of_both_kinds_are_read() {
        let rows =
            file("{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\", \"id\": 3}\n\n")
                .unwrap();
        let [Row::Preference(pair)] = rows.as_slice() else {
            panic!("{rows:?}")
        };
        assert_eq!((pair.source.as_str(), pair.chosen.as_str()), ("all", "b"));
        let rows = file("{\"prompt\": \"a\", \"answer\": \"b\"}").unwrap();
        assert!(matches!(&rows[0], Row::Answer { answer, .. } if answer == "b"));
    }

    #[test]
    fn a_bad_row_is_named_by_its_line() {
        for (text, part) in [
            (
                "{\"prompt\": \"a\", \"answer\": \"b\"}\n{\"prompt\": 3}",
                "pairs.jsonl:2: not a row",
            ),
            ("{\"prompt\": \"a\"}", "pairs.jsonl:1: a row is"),
            (
                "{\"prompt\": \"a\", \"answer\": \"b\"}\n{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}",
                "pairs.jsonl:2: the rows before",
            ),
            ("\n", "has no rows"),
        ] {
            let say = file(text).unwrap_err().to_string();
            assert!(say.contains(part), "{say}");
        }
    }
}
