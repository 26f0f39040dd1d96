//! The grader of replies that are a JSON object.

use super::{GradeError, choice::thought_over, lacking, reference_text};
use domain::{
    grade::{Grade, GradeInput},
    proposal::fold,
};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

/// So many opening braces are tried: a reply of nothing else must not take all day.
const TRIES: usize = 1000;
/// So many names of a kind are said in feedback, each this long at most (in characters): they may be the model's words.
const NAMED: usize = 6;
const NAME_CHARS: usize = 40;

type Object = Map<String, Value>;

/// Grades a reply by the fields of its first JSON object: the share of the reference's that are equal.
pub fn grade(
    input: &GradeInput,
    fields: &[String],
    only: bool,
    reply: &str,
) -> Result<Grade, GradeError> {
    let reference = reference(input)?;
    let wanted = wanted(input, &reference, fields)?;
    let found = match only {
        true => whole(reply).ok_or("the reply is not one JSON object and nothing else"),
        false => first(thought_over(reply)).ok_or("no JSON object was found in the reply"),
    };
    Ok(match found {
        Ok(said) => compared(&wanted, &reference, &said),
        Err(feedback) => graded(0.0, feedback.to_owned()),
    })
}

fn reference(input: &GradeInput) -> Result<Object, GradeError> {
    whole(reference_text(input)?)
        .ok_or_else(|| lacking(input, "a reference that is one JSON object"))
}

/// The fields that count.
fn wanted<'r>(
    input: &GradeInput,
    reference: &'r Object,
    fields: &'r [String],
) -> Result<Vec<&'r str>, GradeError> {
    let all: Vec<&str> = match fields {
        [] => reference.keys().map(String::as_str).collect(),
        some => some.iter().map(String::as_str).collect(),
    };
    match all.iter().find(|name| !reference.contains_key(**name)) {
        Some(absent) => Err(lacking(
            input,
            &format!("the field {absent:?} in its reference"),
        )),
        None if all.is_empty() => Err(lacking(input, "a field in its reference")),
        None => Ok(all),
    }
}

/// A text that is one object and nothing else.
fn whole(text: &str) -> Option<Object> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// The first object that a text holds, whatever stands around it.
fn first(text: &str) -> Option<Object> {
    let starts = text.match_indices('{').take(TRIES);
    starts.map(|(at, _)| at).find_map(|at| {
        let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Object>();
        values.next()?.ok()
    })
}

fn compared(wanted: &[&str], reference: &Object, said: &Object) -> Grade {
    let (mut right, mut wrong, mut missing) = (0_u32, Vec::new(), Vec::new());
    for name in wanted {
        let (want, got) = (reference.get(*name), said.get(*name));
        match (want.filter(|v| !v.is_null()), got.filter(|v| !v.is_null())) {
            (None, None) => right += 1,
            (Some(want), Some(got)) if canonical(want) == canonical(got) => right += 1,
            (Some(want), Some(got)) => wrong.push(format!("{}{}", short(name), type_of(want, got))),
            (None, Some(_)) => wrong.push(short(name)),
            (Some(_), None) => missing.push(short(name)),
        }
    }
    let extra = said.keys().filter(|name| !reference.contains_key(*name));
    let extra: Vec<String> = extra.map(|name| short(name)).collect();
    let mut feedback = format!("{right} of {} fields are right", wanted.len());
    for (what, names) in [
        ("wrong", &wrong),
        ("missing", &missing),
        ("not asked for", &extra),
    ] {
        if !names.is_empty() {
            feedback.push_str(&format!("; {what}: {}", listed(names)));
        }
    }
    // A share of so few fields is exact enough in f64 for any order of addition.
    graded(f64::from(right) / wanted.len() as f64, feedback)
}

fn graded(value: f64, feedback: String) -> Grade {
    Grade {
        value,
        raw: None,
        margin: None,
        feedback,
    }
}

fn listed(names: &[String]) -> String {
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    format!("{}{more}", shown.join(", "))
}

/// A name as one line of a bounded length.
fn short(name: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut text: String = name.chars().take(NAME_CHARS).map(plain).collect();
    if name.chars().nth(NAME_CHARS).is_some() {
        text.push('…');
    }
    text
}

/// What is wrong with a value's type, where that is it.
fn type_of(want: &Value, got: &Value) -> String {
    let (want, got) = (called(want), called(got));
    match want == got {
        true => String::new(),
        false => format!(" (is {got}, and {want} is wanted)"),
    }
}

fn called(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value as text, the same for all that count as equal: numbers by value, texts folded, lists in any order, objects
/// without what is null.
fn canonical(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => by_value(number),
        Value::String(text) => format!("{:?}", looks_aside(text)),
        Value::Array(items) => {
            let mut items: Vec<String> = items.iter().map(canonical).collect();
            items.sort_unstable();
            format!("[{}]", items.join(","))
        }
        Value::Object(entries) => {
            let full = entries.iter().filter(|(_, value)| !value.is_null());
            let sorted: BTreeMap<&String, String> = full.map(|(k, v)| (k, canonical(v))).collect();
            format!("{sorted:?}")
        }
    }
}

/// A text that is punctuation and nothing else stays what it is.
fn looks_aside(text: &str) -> String {
    let folded = fold(text);
    match folded.is_empty() {
        true => text.trim().to_owned(),
        false => folded,
    }
}

/// `3`, `3.0` and `3e0` are one number.
fn by_value(number: &Number) -> String {
    let x = number.as_f64().unwrap_or(f64::NAN);
    // Whole numbers that f64 cannot tell apart are written as what they are.
    match number.is_f64() {
        true if x.fract() == 0.0 && x.abs() < 1e15 => (x as i64).to_string(),
        true => format!("{x:?}"),
        false => number.to_string(),
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
