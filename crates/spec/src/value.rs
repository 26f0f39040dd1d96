//! One value against what its key may hold.

use crate::{
    hint::nearest,
    keys::Kind,
    tree::{Node, Value},
};
use serde_json::{Value as Json, json};

/// What people call such a value.
pub(crate) fn name(value: &Value) -> &'static str {
    match value {
        Value::Text(_) => "text",
        Value::Whole(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Flag(_) => "true or false",
        Value::Other(_, name) => name,
        Value::List(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// A value of this kind as JSON, or what is wrong with it.
pub(crate) fn value(value: &Value, kind: Kind, key: &str) -> Result<Json, String> {
    let wrong_type = |wanted: &str| {
        let hint = match value {
            Value::Text(text) if is_quoted(text, kind) => ": leave out the quotes",
            _ => "",
        };
        Err(format!("is {}, and {wanted} is wanted{hint}", name(value)))
    };
    match (kind, value) {
        (Kind::Text, Value::Text(text)) => full(text),
        (Kind::Text, _) => wrong_type("text in quotes"),
        (Kind::Word(words), Value::Text(word)) => one_of(word, words, key),
        (Kind::Word(words), _) => wrong_type(&format!("one of {}", words.join(", "))),
        (Kind::Flag, Value::Flag(flag)) => Ok(json!(flag)),
        (Kind::Flag, _) => wrong_type("true or false"),
        (Kind::Count(low, high), Value::Whole(n)) => count(*n, low, high),
        (Kind::Count(..), _) => wrong_type("a whole number"),
        (Kind::Number(low, high), Value::Whole(_) | Value::Float(_)) => {
            number(as_float(value), low, high, false)
        }
        (Kind::Positive(high), Value::Whole(_) | Value::Float(_)) => {
            number(as_float(value), 0.0, high, true)
        }
        (Kind::Number(..) | Kind::Positive(_), _) => wrong_type("a number"),
        (Kind::TextOrTexts, Value::Text(text)) => full(text).map(|text| json!([text])),
        (Kind::Texts | Kind::TextOrTexts, Value::List(items)) => texts(items),
        (Kind::Texts | Kind::TextOrTexts, _) => wrong_type("a list of texts"),
    }
}

/// Whether a text would be right without its quotes.
fn is_quoted(text: &str, kind: Kind) -> bool {
    match kind {
        Kind::Count(..) => text.trim().parse::<i64>().is_ok(),
        Kind::Number(..) | Kind::Positive(_) => text.trim().parse::<f64>().is_ok(),
        Kind::Flag => text.trim().parse::<bool>().is_ok(),
        _ => false,
    }
}

fn full(text: &str) -> Result<Json, String> {
    match text.trim() {
        "" => Err("is empty".to_owned()),
        _ => Ok(json!(text)),
    }
}

fn texts(items: &[Node]) -> Result<Json, String> {
    let text = |(i, item): (usize, &Node)| match &item.value {
        // A stop text may well be a line break.
        Value::Text(text) if !text.is_empty() => Ok(json!(text)),
        Value::Text(_) => Err(format!("its element {i} is empty")),
        other => Err(format!(
            "its element {i} is {}, and text in quotes is wanted",
            name(other)
        )),
    };
    items
        .iter()
        .enumerate()
        .map(text)
        .collect::<Result<_, _>>()
        .map(Json::Array)
}

fn one_of(word: &str, words: &[&str], key: &str) -> Result<Json, String> {
    if words.contains(&word) {
        return Ok(json!(word));
    }
    let guess = nearest(word, words.iter().copied());
    let hint = guess
        .map(|g| format!(", did you mean \"{g}\"?"))
        .unwrap_or_default();
    Err(format!("unknown {key}{hint} (one of {})", words.join(", ")))
}

fn count(n: i64, low: i64, high: i64) -> Result<Json, String> {
    match n {
        _ if n < low => Err(format!("is too small: at least {low}")),
        _ if n > high => Err(format!("is too large: at most {high}")),
        _ => Ok(json!(n)),
    }
}

fn as_float(value: &Value) -> f64 {
    match value {
        Value::Whole(n) => *n as f64,
        Value::Float(x) => *x,
        _ => f64::NAN,
    }
}

fn number(x: f64, low: f64, high: f64, open: bool) -> Result<Json, String> {
    let fits = x.is_finite() && x <= high && if open { x > low } else { x >= low };
    // People write shares as percentages.
    let percent = high <= 1.0 && x > 1.0 && x <= 100.0;
    let hint = match percent {
        true => format!(" ({x}% is {})", x / 100.0),
        false => String::new(),
    };
    match (fits, open) {
        (true, _) => Ok(json!(x)),
        (false, true) => Err(format!(
            "is out of range: above {low}, at most {high}{hint}"
        )),
        (false, false) => Err(format!("is out of range: {low} to {high}{hint}")),
    }
}

/// A value that stands in for a missing or unsound one.
pub(crate) fn placeholder(kind: Kind) -> Json {
    match kind {
        Kind::Text => json!("?"),
        Kind::Word(words) => json!(words.first()),
        Kind::Flag => json!(false),
        Kind::Count(low, _) => json!(low),
        Kind::Number(low, _) => json!(low),
        Kind::Positive(high) => json!(high),
        Kind::Texts | Kind::TextOrTexts => json!([]),
    }
}
