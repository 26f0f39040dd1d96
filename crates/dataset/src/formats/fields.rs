//! What the formats share: text out of bytes, fields out of JSON objects, choices named by letter.

use crate::error::{Problem, list};
use serde_json::{Map, Value};

/// Bytes as UTF-8.
pub(crate) fn text(bytes: Vec<u8>) -> Result<String, Problem> {
    String::from_utf8(bytes).map_err(|error| {
        let (at, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
        let start =
            String::from_utf8_lossy(&bytes[at.saturating_sub(20)..bytes.len().min(at + 20)]);
        Problem::found(&start, "not valid UTF-8: save the file as UTF-8")
    })
}

/// All fields as UTF-8.
pub(crate) fn texts(fields: Vec<Vec<u8>>) -> Result<Vec<String>, Problem> {
    fields.into_iter().map(text).collect()
}

/// A JSON object.
pub(crate) struct Object(pub(crate) Map<String, Value>);

impl Object {
    /// Reads an object that starts at this line.
    pub(crate) fn read(bytes: Vec<u8>, line: u64) -> Result<Self, Problem> {
        let text = text(bytes)?;
        match serde_json::from_str(&text) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(_) => Err(Problem::found(&text, "expected a JSON object")),
            Err(error) => Err(Problem::found(&text, not_json(&error, line))),
        }
    }

    /// A field's value; a missing one is an error that names those there are.
    pub(crate) fn get(&self, field: &str) -> Result<&Value, Problem> {
        self.lookup(field).ok_or_else(|| self.missing(field))
    }

    fn lookup(&self, field: &str) -> Option<&Value> {
        if let Some(value) = self.0.get(field) {
            return Some(value);
        }
        let mut steps = field.split('.');
        let first = self.0.get(steps.next()?)?;
        steps.try_fold(first, |value, step| match value {
            Value::Object(map) => map.get(step),
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }

    fn missing(&self, field: &str) -> Problem {
        let names: Vec<&String> = self.0.keys().collect();
        match names.is_empty() {
            true => Problem::field(field, "is missing: the object is empty"),
            false => Problem::field(
                field,
                format!("is missing: the row has {}", list(&names, 8)),
            ),
        }
    }

    /// A field that must be a text with something in it, as it is written.
    pub(crate) fn text(&self, field: &str) -> Result<&str, Problem> {
        match self.get(field)? {
            Value::String(text) if !text.trim().is_empty() => Ok(text),
            Value::String(text) => Err(Problem::value(field, text, "expected some text")),
            other => Err(Problem::value(
                field,
                &other.to_string(),
                "expected a text in quotes",
            )),
        }
    }

    /// A field that may be missing, null or empty.
    pub(crate) fn optional_text(&self, field: &str) -> Result<Option<&str>, Problem> {
        match self.lookup(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim()).filter(|t| !t.is_empty())),
            Some(other) => Err(Problem::value(
                field,
                &other.to_string(),
                "expected a text in quotes",
            )),
        }
    }
}

fn not_json(error: &serde_json::Error, line: u64) -> String {
    let said = error.to_string();
    let what = said.split(" at line ").next().unwrap_or(&said);
    let at = line + (error.line() as u64).saturating_sub(1);
    let whole = match error.is_eof() {
        true => "; a row must be one whole object on a line, or an element of an array",
        false => "",
    };
    format!(
        "not valid JSON: {what} (line {at}, column {}){whole}",
        error.column()
    )
}

/// The position that a letter names: `B`, `b`, `(B)`, `B.` and `B)` are 1.
pub(crate) fn letter(written: &str) -> Option<usize> {
    let bare = written
        .trim()
        .trim_start_matches('(')
        .trim_end_matches([')', '.']);
    let mut letters = bare.chars();
    let letter = letters.next()?.to_ascii_uppercase();
    let only = letters.next().is_none() && letter.is_ascii_uppercase();
    only.then(|| (letter as u8 - b'A') as usize)
}

/// "A to D", for messages.
pub(crate) fn letters(count: usize) -> String {
    let last = (b'A' + (count.clamp(1, 26) - 1) as u8) as char;
    format!("A to {last}")
}
