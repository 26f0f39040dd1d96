//! Which field of a row is what: by names that people give them, and by what stands in them.

use super::survey::{as_number, as_object};
use crate::cli::Task;
use dataset::{AnswerIs, FieldMap};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Names of questions, the likeliest first.
const INPUTS: &[&str] = &[
    "input",
    "question",
    "text",
    "prompt",
    "query",
    "problem",
    "sentence",
    "headline",
    "title",
    "review",
    "ticket",
    "message",
    "instruction",
    "content",
    "document",
    "body",
    "passage",
    "q",
];
/// Names of right answers, the likeliest first.
const REFERENCES: &[&str] = &[
    "reference",
    "label",
    "answer",
    "target",
    "expected",
    "output",
    "correct",
    "right",
    "gold",
    "solution",
    "category",
    "class",
    "topic",
    "sentiment",
    "result",
    "response",
    "reply",
    "completion",
    "json",
    "value",
    "score",
    "a",
];
/// Names of lists of choices.
const CHOICES: &[&str] = &[
    "choices",
    "options",
    "candidates",
    "answers",
    "alternatives",
];
/// Names that say which row it is, and nothing of it.
const IDS: &[&str] = &[
    "id", "_id", "idx", "index", "uuid", "key", "row", "n", "no", "number",
];

/// What people said already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'a> {
    /// The field of the question.
    pub input: Option<&'a str>,
    /// The field of the right answer.
    pub reference: Option<&'a str>,
    /// What an answer is.
    pub task: Option<Task>,
}

/// A role that no field has for certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclear {
    /// The flag that says it.
    pub flag: &'static str,
    /// The question.
    pub what: &'static str,
    /// The fields that it may be.
    pub fields: Vec<String>,
}

type Row = Map<String, Value>;

/// A field of all rows.
struct Field<'r> {
    path: String,
    values: Vec<&'r Value>,
}

impl Field<'_> {
    /// The last part of its path, as names are compared.
    fn name(&self) -> String {
        let last = self.path.rsplit('.').next().unwrap_or_default();
        last.to_lowercase()
    }

    fn rank(&self, names: &[&str]) -> Option<usize> {
        let name = self.name();
        names.iter().position(|known| *known == name)
    }

    fn all(&self, test: impl Fn(&Value) -> bool) -> bool {
        self.values.iter().all(|value| test(value))
    }

    fn length(&self) -> usize {
        let length = |value: &&&Value| value.as_str().map_or(0, |text| text.chars().count());
        self.values.iter().map(|v| length(&v)).sum()
    }
}

/// Guesses the mapping of some rows.
///
/// # Errors
/// [`Unclear`] where no field stands out.
pub fn guess(rows: &[Row], given: Given<'_>) -> Result<FieldMap, Unclear> {
    let fields = fields(rows);
    let choices = match given.task {
        None | Some(Task::Choice | Task::Rewrite) => choices(&fields),
        Some(_) => Vec::new(),
    };
    let input = match given.input {
        Some(path) => path.to_owned(),
        None => input(&fields, given.reference)?,
    };
    let rest = |field: &&Field<'_>| {
        field.path != input && !choices.contains(&field.path) && field.rank(IDS).is_none()
    };
    let rest: Vec<&Field<'_>> = fields.iter().filter(rest).collect();
    let reference = match given.reference {
        Some(path) => Some(path.to_owned()),
        None => reference(&rest, given.task, !choices.is_empty())?,
    };
    let answer_is = match (&reference, choices.as_slice()) {
        (Some(reference), [_, ..]) => answer_is(rows, &choices, reference),
        _ => AnswerIs::Text,
    };
    Ok(FieldMap {
        choices: reference.as_ref().map(|_| choices).unwrap_or_default(),
        input,
        reference,
        answer_is,
        ..FieldMap::default()
    })
}

/// The names of all fields, for people to choose from.
pub fn names(rows: &[Row]) -> Vec<String> {
    fields(rows).into_iter().map(|field| field.path).collect()
}

/// Fields that every row has: those of the row itself, then those one level below.
fn fields(rows: &[Row]) -> Vec<Field<'_>> {
    let Some(first) = rows.first() else {
        return Vec::new();
    };
    let mut paths: Vec<String> = first.keys().cloned().collect();
    for (key, value) in first {
        let below = value.as_object().into_iter().flat_map(Map::keys);
        paths.extend(below.map(|name| format!("{key}.{name}")));
    }
    let whole = |path: String| {
        let values: Vec<&Value> = rows.iter().filter_map(|row| value(row, &path)).collect();
        (values.len() == rows.len()).then_some(Field { path, values })
    };
    paths.into_iter().filter_map(whole).collect()
}

fn value<'r>(row: &'r Row, path: &str) -> Option<&'r Value> {
    row.get(path).or_else(|| {
        let (above, name) = path.split_once('.')?;
        row.get(above)?.get(name)
    })
}

fn has_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

fn input(fields: &[Field<'_>], taken: Option<&str>) -> Result<String, Unclear> {
    let texts = fields
        .iter()
        .filter(|field| field.all(has_text) && Some(field.path.as_str()) != taken);
    let texts: Vec<&Field<'_>> = texts.collect();
    let named = texts
        .iter()
        .filter_map(|field| Some((field.rank(INPUTS)?, field)));
    let named = named.min_by_key(|(rank, field)| (field.path.contains('.'), *rank));
    let longest = || texts.iter().max_by_key(|field| field.length());
    match named.map(|(_, field)| field).or_else(longest) {
        Some(field) => Ok(field.path.clone()),
        None => Err(Unclear {
            flag: "--input",
            what: "which field holds the question or text?",
            fields: fields.iter().map(|field| field.path.clone()).collect(),
        }),
    }
}

/// By its name, or because it is the only one left that can be it.
fn reference(
    rest: &[&Field<'_>],
    task: Option<Task>,
    choices: bool,
) -> Result<Option<String>, Unclear> {
    let fitting: Vec<&&Field<'_>> = rest.iter().filter(|field| fits(field, task)).collect();
    let pool: Vec<&Field<'_>> = match fitting.is_empty() {
        true => rest.to_vec(),
        false => fitting.into_iter().copied().collect(),
    };
    let named = pool
        .iter()
        .filter_map(|field| Some((field.rank(REFERENCES)?, field)));
    let named = named.min_by_key(|(rank, field)| (field.path.contains('.'), *rank));
    if let Some((_, field)) = named {
        return Ok(Some(field.path.clone()));
    }
    let own: Vec<&&Field<'_>> = pool.iter().filter(|f| !f.path.contains('.')).collect();
    match (own.as_slice(), choices) {
        ([], false) => Ok(None),
        ([one], _) => Ok(Some(one.path.clone())),
        _ => Err(Unclear {
            flag: "--reference",
            what: "which field holds the right answer?",
            fields: pool.iter().map(|field| field.path.clone()).collect(),
        }),
    }
}

/// Whether what stands in a field can be what a task's answers are.
fn fits(field: &Field<'_>, task: Option<Task>) -> bool {
    match task {
        Some(Task::Number) => field.all(|value| as_number(&plain(value)).is_some()),
        Some(Task::Json) => field.all(|value| as_object(&plain(value)).is_some()),
        Some(Task::Label) => {
            let distinct: BTreeSet<String> = field.values.iter().map(|v| plain(v)).collect();
            distinct.len() > 1 && distinct.len() * 2 <= field.values.len()
        }
        _ => field.all(|value| !value.is_array()),
    }
}

/// A value as a data set reads it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    }
}

/// One field with a list in each row, or a column for each choice.
fn choices(fields: &[Field<'_>]) -> Vec<String> {
    let lists = fields
        .iter()
        .filter(|field| field.all(|v| list(v).len() > 1));
    let list = lists.min_by_key(|field| field.rank(CHOICES).unwrap_or(CHOICES.len()));
    if let Some(field) = list {
        return vec![field.path.clone()];
    }
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for field in fields.iter().filter(|f| !f.path.contains('.')) {
        let name = field.name();
        let stem = ["option", "choice"].iter().find(|stem| {
            let rest = name.strip_prefix(**stem);
            rest.is_some_and(|rest| rest.trim_start_matches(['_', ' ', '-']).chars().count() == 1)
        });
        let letter = ["a", "b", "c", "d", "e"].contains(&name.as_str());
        if let Some(stem) = stem.copied().or(letter.then_some("")) {
            columns
                .entry(stem.to_owned())
                .or_default()
                .push(field.path.clone());
        }
    }
    let many = columns.into_values().find(|paths| paths.len() > 1);
    many.map(|mut paths| {
        paths.sort();
        paths
    })
    .unwrap_or_default()
}

/// The elements of a list, or of a text that holds one.
fn list(value: &Value) -> Vec<String> {
    let items = match value {
        Value::Array(items) => items.clone(),
        Value::String(text) if text.trim_start().starts_with('[') => {
            serde_json::from_str(text).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let simple = items
        .iter()
        .all(|item| !item.is_object() && !item.is_array());
    match simple {
        true => items.iter().map(plain).collect(),
        false => Vec::new(),
    }
}

/// How references name the right choice: by its text if they can, by letter, or by position.
fn answer_is(rows: &[Row], choices: &[String], reference: &str) -> AnswerIs {
    let of = |row: &Row| -> Vec<String> {
        match choices {
            [one] => value(row, one).map(list).unwrap_or_default(),
            many => many
                .iter()
                .filter_map(|c| value(row, c))
                .map(plain)
                .collect(),
        }
    };
    let said = |row: &Row| value(row, reference).map(plain).unwrap_or_default();
    let letter = |text: &str| {
        let bare = text.trim_matches(['(', ')', '.']);
        bare.chars().count() == 1 && bare.chars().all(|c| c.is_ascii_alphabetic())
    };
    if rows.iter().all(|row| of(row).contains(&said(row))) {
        AnswerIs::Text
    } else if rows.iter().all(|row| letter(&said(row))) {
        AnswerIs::Letter
    } else if rows
        .iter()
        .all(|row| said(row).parse::<usize>().is_ok_and(|i| i < of(row).len()))
    {
        AnswerIs::Index
    } else {
        AnswerIs::Text
    }
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
