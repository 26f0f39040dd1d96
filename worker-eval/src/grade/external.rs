//! What a user's own grader is asked and what it says, the same for programs and HTTP endpoints.
//!
//! Asked: `{"id", "input", "choices", "reference", "answer"}`. The reference is the text (for a multiple-choice
//! question the right choice's), `{"entry_point", "tests"}` for code, or null. Said: `{"id", "score",
//! "feedback"}` with a score in `[0, 1]`; feedback may be left out.

use super::GradeError;
use domain::{
    example::Reference,
    grade::{Grade, GradeInput},
    hash::Hash,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The largest line or body that is read.
pub const MAX_REPLY_BYTES: u64 = 1 << 20;
const FEEDBACK_CHARS: usize = 500;

/// One question to a user's grader.
#[derive(Debug, Serialize)]
pub struct Question<'a> {
    /// A hash of all the rest: the same answer has the same id in every run of the program.
    pub id: String,
    input: &'a str,
    choices: &'a [String],
    reference: Value,
    answer: &'a str,
}

impl<'a> Question<'a> {
    /// Puts an answer to the grader.
    pub fn new(input: &'a GradeInput, answer: &'a str) -> Self {
        let reference = reference(input);
        let whole = json!([input.input, input.choices, reference, answer]);
        Self {
            id: Hash::of([whole.to_string()]).to_string(),
            input: &input.input,
            choices: &input.choices,
            reference,
            answer,
        }
    }
}

fn reference(input: &GradeInput) -> Value {
    match &input.reference {
        Reference::Choice { index } => json!(input.choices.get(*index)),
        Reference::Text { text } => json!(text),
        Reference::Code { entry_point, tests } => {
            json!({"entry_point": entry_point, "tests": tests})
        }
        Reference::None => Value::Null,
    }
}

#[derive(Deserialize)]
struct Verdict {
    id: Option<String>,
    score: f64,
    feedback: Option<String>,
}

/// Reads what the grader said. `who` begins the error message; the id must come back where `must_echo`.
pub fn verdict(
    who: &str,
    said: &[u8],
    question: &Question<'_>,
    must_echo: bool,
) -> Result<Grade, GradeError> {
    let bad = |what: String| {
        let said: String = String::from_utf8_lossy(said)
            .trim()
            .chars()
            .take(200)
            .collect();
        GradeError::lasting(format!(
            "{who} said {said:?}: {what}; one JSON object {{\"id\", \"score\", \"feedback\"}} with \
             a score from 0 to 1 is wanted"
        ))
    };
    let verdict: Verdict = serde_json::from_slice(said).map_err(|e| bad(e.to_string()))?;
    let same = verdict.id.as_deref() == Some(&question.id);
    if !same && (must_echo || verdict.id.is_some()) {
        return Err(bad(format!("the id must be {}", question.id)));
    }
    if !(0.0..=1.0).contains(&verdict.score) {
        return Err(bad(format!("{} is no score", verdict.score)));
    }
    let feedback = verdict.feedback.unwrap_or_default();
    Ok(Grade {
        value: verdict.score,
        raw: None,
        margin: None,
        feedback: fit_for_operators(&feedback, &question.reference),
    })
}

/// Feedback without control characters, of bounded length, and with the reference blotted out wherever it
/// stands as words of its own: graders like to say "expected 42", and operators must not read that.
fn fit_for_operators(feedback: &str, reference: &Value) -> String {
    let visible: String = feedback
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let visible = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    let hidden = match reference.as_str().map(str::trim) {
        Some(reference) if !reference.is_empty() => without(&visible, reference),
        _ => visible,
    };
    hidden.chars().take(FEEDBACK_CHARS).collect()
}

fn without(feedback: &str, reference: &str) -> String {
    let words: Vec<String> = reference.split_whitespace().map(regex::escape).collect();
    let begins = if reference.starts_with(|c: char| c.is_alphanumeric()) {
        r"\b"
    } else {
        ""
    };
    let ends = if reference.ends_with(|c: char| c.is_alphanumeric()) {
        r"\b"
    } else {
        ""
    };
    let pattern = format!("(?i){begins}{}{ends}", words.join(" "));
    match regex::Regex::new(&pattern) {
        Ok(pattern) => pattern.replace_all(feedback, "[reference]").into_owned(),
        // A reference too long for a pattern: rather no feedback than the reference.
        Err(_) if feedback.len() >= reference.len() => String::new(),
        Err(_) => feedback.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(reference: Reference) -> GradeInput {
        GradeInput {
            input: "2+2?".into(),
            choices: vec!["3".into(), "4".into()],
            reference,
        }
    }

    #[test]
    fn the_question_as_sent() {
        let input = input(Reference::Choice { index: 1 });
        let question = Question::new(&input, "four");
        let sent = serde_json::to_string(&question).unwrap();
        insta::assert_snapshot!(sent.replace(&question.id, "ID"), @r#"{"id":"ID","input":"2+2?","choices":["3","4"],"reference":"4","answer":"four"}"#);
        assert_eq!(question.id, Question::new(&input, "four").id);
        assert_ne!(question.id, Question::new(&input, "five").id);
    }

    #[test]
    fn a_verdict_is_read_and_bounded() {
        let input = input(Reference::Text { text: "4".into() });
        let question = Question::new(&input, "5");
        let said = format!(
            r#"{{"id":"{}","score":0.25,"feedback":"expected 4,\n got 5 of 44"}}"#,
            question.id
        );
        let grade = verdict("g", said.as_bytes(), &question, true).unwrap();
        assert_eq!((grade.value, grade.raw), (0.25, None));
        insta::assert_snapshot!(grade.feedback, @"expected [reference], got 5 of 44");
        let long = format!(r#"{{"score":1,"feedback":"{}"}}"#, "x".repeat(9000));
        let grade = verdict("g", long.as_bytes(), &question, false).unwrap();
        assert_eq!(grade.feedback.len(), FEEDBACK_CHARS);
    }

    #[test]
    fn garbage_is_no_grade() {
        let input = input(Reference::None);
        let question = Question::new(&input, "5");
        let id = &question.id;
        let said = [
            "".to_owned(),
            "fine".into(),
            "[]".into(),
            format!(r#"{{"id":"{id}"}}"#),
            format!(r#"{{"id":"{id}","score":"1"}}"#),
            format!(r#"{{"id":"{id}","score":1.01}}"#),
            format!(r#"{{"id":"{id}","score":-0.01}}"#),
            format!(r#"{{"id":"{id}","score":null}}"#),
            r#"{"score":1}"#.into(),
            r#"{"id":"other","score":1}"#.into(),
        ];
        for said in said {
            let error = verdict("g", said.as_bytes(), &question, true).unwrap_err();
            assert!(
                !error.retryable && error.message.starts_with("g said"),
                "{error}"
            );
        }
    }
}
