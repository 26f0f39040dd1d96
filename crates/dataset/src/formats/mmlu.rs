//! MMLU: question, four choices, the right one's letter; no header.

use super::fields::{letter, letters};
use crate::error::Problem;
use domain::example::{Example, Reference};

const NAMES: [&str; 6] = ["question", "A", "B", "C", "D", "answer"];
const CHOICES: usize = 4;

pub(crate) fn parse(fields: &[String]) -> Result<Example, Problem> {
    let [question, choices @ .., answer] = fields else {
        return Err(count(fields));
    };
    if choices.len() != CHOICES {
        return Err(count(fields));
    }
    if let Some(empty) = fields.iter().position(|f| f.trim().is_empty()) {
        return Err(Problem::field(NAMES[empty], "is empty: expected some text"));
    }
    let index = letter(answer).filter(|i| *i < CHOICES).ok_or_else(|| {
        let mut wanted = format!("expected a letter, {}", letters(CHOICES));
        if answer.trim().eq_ignore_ascii_case("answer") {
            wanted += "; a file with a header is read by format csv";
        }
        Problem::value("answer", answer, wanted)
    })?;
    Ok(Example {
        input: question.trim().to_owned(),
        context: None,
        choices: choices.iter().map(|c| c.trim().to_owned()).collect(),
        reference: Reference::Choice { index },
        group: None,
    })
}

fn count(fields: &[String]) -> Problem {
    let first = fields.first().map_or("", String::as_str);
    let wanted = "expected 6 fields (question,A,B,C,D,answer), found";
    Problem::found(first, format!("{wanted} {}", fields.len()))
}
