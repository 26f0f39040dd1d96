//! JSONL and CSV with a field mapping.

use super::fields::{Object, letter, letters, texts};
use crate::error::{Problem, list};
use crate::records::{Body, Broken, CsvRecords};
use crate::source::{AnswerIs, FieldMap};
use domain::example::{Example, Reference};
use serde_json::Value;
use std::collections::BTreeMap;

/// The columns of a CSV file.
pub(crate) struct Header(Vec<String>);

impl Header {
    /// Reads the first record, which must name every mapped column.
    pub(crate) fn read(records: &mut CsvRecords, map: &FieldMap) -> Result<Self, Broken> {
        let (line, names) = Self::names(records)?;
        if names.is_empty() {
            return Ok(Self(names));
        }
        match map.names().find(|name| !names.iter().any(|n| n == name)) {
            None => Ok(Self(names)),
            Some(absent) => {
                let wanted = format!("is not a column: the header has {}", list(&names, 12));
                Err(Broken::fatal(line, Problem::field(absent, wanted)))
            }
        }
    }

    /// Reads the first record, whatever it names.
    pub(crate) fn any(records: &mut CsvRecords) -> Result<Self, Broken> {
        Self::names(records).map(|(_, names)| Self(names))
    }

    /// The names in the first record, and its line.
    pub(crate) fn names(records: &mut CsvRecords) -> Result<(u64, Vec<String>), Broken> {
        let (line, fields) = match records.next().transpose()? {
            Some(record) => match record.body {
                Body::Fields(fields) => (record.line, fields),
                Body::Bytes(_) => (record.line, Vec::new()),
            },
            None => return Ok((1, Vec::new())),
        };
        let names = texts(fields).map_err(|problem| Broken::fatal(line, problem))?;
        Ok((
            line,
            names.iter().map(|name| name.trim().to_owned()).collect(),
        ))
    }

    /// A row as an object.
    pub(crate) fn object(&self, fields: Vec<String>) -> Result<Object, Problem> {
        if fields.len() != self.0.len() {
            let (found, wanted) = (fields.len(), self.0.len());
            let what = format!("expected {wanted} fields as in the header, found {found}");
            return Err(Problem::found(
                fields.first().map_or("", String::as_str),
                what,
            ));
        }
        let pairs = self
            .0
            .iter()
            .cloned()
            .zip(fields.into_iter().map(Value::String));
        Ok(Object(pairs.collect()))
    }
}

pub(crate) fn parse(object: &Object, map: &FieldMap) -> Result<Example, Problem> {
    let input = written(object, &map.input)?
        .ok_or_else(|| Problem::field(&map.input, "is empty: expected the question"))?;
    let optional = |field: &Option<String>| match field {
        Some(field) => written(object, field),
        None => Ok(None),
    };
    let choices = choices(object, &map.choices)?;
    let reference = match &map.reference {
        Some(field) => reference(object, field, &choices, map.answer_is)?,
        None => Reference::None,
    };
    let (context, group) = (optional(&map.context)?, optional(&map.group)?);
    Ok(Example {
        input,
        context,
        choices,
        reference,
        group,
    })
}

/// A field as text, trimmed; `None` for null and for nothing but space.
fn written(object: &Object, field: &str) -> Result<Option<String>, Problem> {
    let text = plain(object.get(field)?).map_err(|found| {
        Problem::value(field, &found, "expected a text, a number or true/false")
    })?;
    Ok(Some(text.trim().to_owned()).filter(|t| !t.is_empty()))
}

/// A text, number or boolean as text; null as none; else what was found.
fn plain(value: &Value) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Array(_) | Value::Object(_) => Err(value.to_string()),
    }
}

fn choices(object: &Object, fields: &[String]) -> Result<Vec<String>, Problem> {
    let (name, mut choices) = match fields {
        [] => return Ok(Vec::new()),
        [one] => (one.clone(), array(object, one)?),
        many => {
            let texts: Result<Vec<_>, _> = many.iter().map(|f| written(object, f)).collect();
            (
                many.join(", "),
                texts?.into_iter().map(Option::unwrap_or_default).collect(),
            )
        }
    };
    // A table with a column a choice has blanks where a question has fewer choices.
    while choices.last().is_some_and(String::is_empty) {
        choices.pop();
    }
    if choices.iter().any(String::is_empty) {
        return Err(Problem::field(&name, "has an empty choice before the last"));
    }
    if choices.len() < 2 {
        return Err(Problem::field(
            &name,
            format!("has {} of the 2 or more choices expected", choices.len()),
        ));
    }
    Ok(choices)
}

/// A JSON array of plain values, or (in CSV) its text.
fn array(object: &Object, field: &str) -> Result<Vec<String>, Problem> {
    let value = object.get(field)?;
    let shown = || plain(value).unwrap_or_else(|found| found);
    let wrong = || Problem::value(field, &shown(), "expected a JSON array of choices");
    let items = match value {
        Value::Array(items) => items.clone(),
        Value::String(text) => serde_json::from_str(text).map_err(|_| wrong())?,
        _ => return Err(wrong()),
    };
    let texts = items
        .iter()
        .map(|item| plain(item).map(|t| t.trim().to_owned()));
    texts.collect::<Result<_, _>>().map_err(|_| wrong())
}

/// The same value, the keys of its objects in order: an example's id must not hang on how they were written.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let ordered: BTreeMap<_, _> = entries.iter().collect();
            let pairs = ordered.into_iter().map(|(k, v)| (k.clone(), sorted(v)));
            Value::Object(pairs.collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        plain => plain.clone(),
    }
}

fn reference(
    object: &Object,
    field: &str,
    choices: &[String],
    answer_is: AnswerIs,
) -> Result<Reference, Problem> {
    if let (Value::Object(_), []) = (object.get(field)?, choices) {
        let text = sorted(object.get(field)?).to_string();
        return Ok(Reference::Text { text });
    }
    let Some(text) = written(object, field)? else {
        return match choices {
            [] => Ok(Reference::None),
            _ => Err(Problem::field(field, "is empty: expected the right choice")),
        };
    };
    if choices.is_empty() {
        return Ok(Reference::Text { text });
    }
    let count = choices.len();
    let (index, wanted) = match answer_is {
        AnswerIs::Index => (
            text.parse().ok(),
            format!("a position from 0 to {}", count - 1),
        ),
        AnswerIs::Letter => (letter(&text), format!("a letter, {}", letters(count))),
        AnswerIs::Text => {
            let at = choices.iter().position(|c| *c == text);
            (at, format!("one of the choices: {}", list(choices, 6)))
        }
    };
    let index = index.filter(|i| *i < count);
    let wrong = || Problem::value(field, &text, format!("expected {wanted}"));
    index
        .map(|index| Reference::Choice { index })
        .ok_or_else(wrong)
}
