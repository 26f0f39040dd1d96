//! BIG-Bench Hard: an input and a target; where the target is a letter, the input ends in a list of
//! lettered options.

use super::fields::{Object, letter};
use crate::error::Problem;
use domain::example::{Example, Reference};

pub(crate) fn parse(object: &Object) -> Result<Example, Problem> {
    let input = object.text("input")?.trim();
    let target = object.text("target")?.trim();
    let Some(index) = lettered(target) else {
        let reference = Reference::Text {
            text: target.to_owned(),
        };
        return Ok(example(input, Vec::new(), reference));
    };
    let (question, choices) = options(input).ok_or_else(|| {
        let wanted =
            format!("target is {target}, so expected it to end in `Options:` and (A) … lines");
        Problem::value("input", input, wanted)
    })?;
    if index >= choices.len() {
        let wanted = format!("expected one of the {} options of the input", choices.len());
        return Err(Problem::value("target", target, wanted));
    }
    Ok(example(question, choices, Reference::Choice { index }))
}

fn example(input: &str, choices: Vec<String>, reference: Reference) -> Example {
    Example {
        input: input.to_owned(),
        context: None,
        choices,
        reference,
        group: None,
    }
}

/// The position that `(C)` names; a bare `C` may be an answer text.
fn lettered(target: &str) -> Option<usize> {
    letter(target.strip_prefix('(')?.strip_suffix(')')?)
}

/// The question and its options: everything before the last `Options:` line, and the lines after
/// it, which must be lettered from (A) on without a gap. A line without a letter goes on the one
/// above.
fn options(input: &str) -> Option<(&str, Vec<String>)> {
    let (question, list) = input.rsplit_once("\nOptions:")?;
    let mut choices: Vec<String> = Vec::new();
    for line in list.trim().lines() {
        let next = format!("({})", (b'A' + choices.len().min(25) as u8) as char);
        match (line.trim().strip_prefix(&next), choices.last_mut()) {
            (Some(choice), _) => choices.push(choice.trim().to_owned()),
            (None, Some(last)) if !line.trim_start().starts_with('(') => {
                last.push('\n');
                last.push_str(line.trim());
            }
            (None, _) => return None,
        }
    }
    let whole = choices.len() > 1 && choices.iter().all(|c| !c.is_empty());
    whole.then(|| (question.trim(), choices))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_off_the_question() {
        let input = "Pick.\nOptions: none yet\nSay which.\nOptions:\n(A) red\n(B) green\nor blue";
        let (question, choices) = options(input).unwrap();
        assert_eq!(question, "Pick.\nOptions: none yet\nSay which.");
        assert_eq!(choices, ["red", "green\nor blue"]);
    }

    #[test]
    fn gaps_and_blanks_are_no_options() {
        for bad in [
            "Q\nOptions:\n(A) x\n(C) y",
            "Q\nOptions:\n(A) x",
            "Q\nOptions:\n(A)\n(B) y",
            "Q",
        ] {
            assert!(options(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_a_letter_in_brackets_is_a_letter() {
        assert_eq!(lettered("(C)"), Some(2));
        assert_eq!(lettered("C"), None);
        assert_eq!(lettered("(Cat)"), None);
    }
}
