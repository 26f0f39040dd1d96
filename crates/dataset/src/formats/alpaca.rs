//! Alpaca: an instruction, maybe data that it speaks of, and a model answer.

use super::fields::Object;
use crate::error::Problem;
use domain::example::{Example, Reference};

pub(crate) fn parse(object: &Object) -> Result<Example, Problem> {
    let input = object.text("instruction")?.trim().to_owned();
    let context = object.optional_text("input")?.map(str::to_owned);
    // An empty answer is no mistake of the file: the row can still be graded without a reference.
    let reference = match object.optional_text("output")? {
        Some(text) => Reference::Text {
            text: text.to_owned(),
        },
        None => Reference::None,
    };
    Ok(Example {
        input,
        context,
        choices: Vec::new(),
        reference,
        group: None,
    })
}
