//! HumanEval: the start of a Python program, the function to finish, and its tests.

use super::fields::Object;
use crate::error::Problem;
use domain::example::{Example, Reference};

pub(crate) fn parse(object: &Object) -> Result<Example, Problem> {
    let entry_point = object.text("entry_point")?.trim();
    let letters = |c: char| c == '_' || c.is_alphanumeric();
    if !entry_point.chars().all(letters) || entry_point.starts_with(|c: char| c.is_numeric()) {
        return Err(Problem::value(
            "entry_point",
            entry_point,
            "expected the name of a function",
        ));
    }
    // Leading and trailing space is part of a program that a model continues.
    let input = object.text("prompt")?.to_owned();
    let reference = Reference::Code {
        entry_point: entry_point.to_owned(),
        tests: object.text("test")?.to_owned(),
    };
    Ok(Example {
        input,
        context: None,
        choices: Vec::new(),
        reference,
        group: None,
    })
}
