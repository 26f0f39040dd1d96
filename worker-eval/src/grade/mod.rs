//! Grading answers: one [`GraderRuntime`] for each [`Grader`] of a run.
//!
//! | file | graders |
//! | --- | --- |
//! | `choice` | `choice_letter` |
//! | `loglik` | `choice_loglik`, `reference_loglik` |
//! | `number` | `numeric` |
//! | `text` | `exact`, `normalised`, `label`, `contains`, `regex` |
//! | `json` | `json` |
//! | `code` | `code`, in the sandbox |
//! | `program`, `http` | the user's own, both speaking the JSON of `external` |
//!
//! Two promises. What goes wrong with grading itself (a dead program, a reply of the wrong kind, an
//! example without a reference) is a [`GradeError`] and never a grade. And feedback says what came out,
//! never what would have been right: operators read it.

mod choice;
mod code;
mod external;
mod http;
mod json;
mod loglik;
mod number;
mod program;
mod text;

pub use code::refused;

use domain::{
    call::{Call, Reply},
    example::Reference,
    grade::{Grade, GradeInput, Grader},
};

/// Why there is no grade. Never a grade of 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct GradeError {
    /// One sentence naming the grader, what came, and the way out. Holds no secret.
    pub message: String,
    /// Whether grading the same answer again may work.
    pub retryable: bool,
}

impl GradeError {
    /// Something outside failed and may recover.
    fn outage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retryable: true,
        }
    }

    /// It fails again however often it is tried.
    fn lasting(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retryable: false,
        }
    }
}

/// A grader, ready to grade: patterns compiled, the user's program found. It may be shared between tasks;
/// a program answers one question at a time.
#[derive(Debug)]
pub struct GraderRuntime(Kind);

#[derive(Debug)]
enum Kind {
    ChoiceLetter,
    ChoiceLoglik,
    ReferenceLoglik,
    Numeric { tolerance: f64 },
    Text(text::TextGrader),
    Json { fields: Vec<String>, only: bool },
    Code(code::Code),
    Program(Box<program::Program>),
    Http(Box<http::Http>),
}

impl GraderRuntime {
    /// Prepares a grader.
    ///
    /// # Errors
    /// A pattern that is no regular expression, labels that cannot be told apart, a program that does not
    /// exist, a URL that is none, a token variable that is not set.
    pub fn new(grader: &Grader) -> Result<Self, GradeError> {
        Ok(Self(match grader {
            Grader::ChoiceLetter => Kind::ChoiceLetter,
            Grader::ChoiceLoglik => Kind::ChoiceLoglik,
            Grader::ReferenceLoglik => Kind::ReferenceLoglik,
            Grader::Numeric { tolerance } => Kind::Numeric {
                tolerance: *tolerance,
            },
            Grader::Exact => Kind::Text(text::TextGrader::Exact),
            Grader::Normalised => Kind::Text(text::TextGrader::Normalised),
            Grader::Contains => Kind::Text(text::TextGrader::Contains),
            Grader::Label { labels } => Kind::Text(text::TextGrader::label(labels)?),
            Grader::Regex { pattern } => Kind::Text(text::TextGrader::regex(pattern)?),
            Grader::Json { fields, only } => Kind::Json {
                fields: fields.clone(),
                only: *only,
            },
            Grader::Code => Kind::Code(code::Code::default()),
            Grader::Program {
                command,
                timeout_seconds,
            } => Kind::Program(Box::new(program::Program::new(command, *timeout_seconds)?)),
            Grader::Http {
                url,
                timeout_seconds,
                token_env,
            } => Kind::Http(Box::new(http::Http::new(
                url,
                *timeout_seconds,
                token_env.as_deref(),
            )?)),
            Grader::Judge { .. } => {
                return Err(GradeError::lasting(
                    "a judge grades in steps of its own, after the answers: its items bring what it said",
                ));
            }
            Grader::Reward { .. } => {
                return Err(GradeError::lasting(
                    "a reward model grades in a step of its own, after the answers: no worker that asks has it",
                ));
            }
        }))
    }

    /// Grades one reply to one call.
    ///
    /// # Errors
    /// A reply of the wrong kind (text where log-likelihoods are read, or the other way round), an example
    /// without what the grader needs, or a user's program or endpoint that fails.
    pub async fn grade(
        &self,
        input: &GradeInput,
        call: &Call,
        reply: &Reply,
    ) -> Result<Grade, GradeError> {
        match &self.0 {
            Kind::ChoiceLetter => choice::letter(input, written(reply)?),
            Kind::ChoiceLoglik => loglik::choice(input, call, reply),
            Kind::ReferenceLoglik => loglik::reference(input, call, reply),
            Kind::Numeric { tolerance } => number::grade(input, *tolerance, written(reply)?),
            Kind::Text(grader) => grader.grade(input, written(reply)?),
            Kind::Json { fields, only } => json::grade(input, fields, *only, written(reply)?),
            Kind::Code(code) => code.grade(input, written(reply)?).await,
            Kind::Program(program) => program.grade(input, written(reply)?).await,
            Kind::Http(http) => http.grade(input, written(reply)?).await,
        }
    }
}

fn written(reply: &Reply) -> Result<&str, GradeError> {
    match reply {
        Reply::Text { text } => Ok(text),
        Reply::Scores { .. } => Err(GradeError::lasting(
            "this grader reads a written reply, but log-likelihoods came: \
             use choice_loglik or reference_loglik, or ask for text",
        )),
    }
}

/// The reference as the text a model would have to say.
fn reference_text(input: &GradeInput) -> Result<&str, GradeError> {
    let text = match &input.reference {
        Reference::Choice { index } => input.choices.get(*index).map(String::as_str),
        Reference::Text { text } => Some(text.as_str()),
        Reference::Code { .. } | Reference::None => None,
    };
    text.map(str::trim)
        .filter(|t| !t.is_empty())
        .ok_or_else(|| lacking(input, "a reference text"))
}

/// The index of the right choice, in the order shown.
fn right_choice(input: &GradeInput) -> Result<usize, GradeError> {
    match input.reference {
        Reference::Choice { index } if index < input.choices.len() && input.choices.len() > 1 => {
            Ok(index)
        }
        _ => Err(lacking(
            input,
            "two or more choices and the right one among them",
        )),
    }
}

fn lacking(input: &GradeInput, what: &str) -> GradeError {
    let beginning: String = input.input.chars().take(60).collect();
    GradeError::lasting(format!(
        "the example {beginning:?} lacks {what}: choose another grader or mend the dataset"
    ))
}

/// A grade that is right or wrong and nothing between.
fn right_or_wrong(right: bool, feedback: impl Into<String>) -> Grade {
    Grade {
        value: if right { 1.0 } else { 0.0 },
        raw: None,
        margin: None,
        feedback: feedback.into(),
    }
}

/// `right` or `wrong`, for sentences.
fn word(right: bool) -> &'static str {
    if right { "right" } else { "wrong" }
}

/// A regular expression of ours, compiled once on first use.
macro_rules! regex {
    ($($part:literal),+ $(,)?) => {{
        static COMPILED: std::sync::LazyLock<regex::Regex> = std::sync::LazyLock::new(|| {
            #[allow(clippy::unwrap_used, reason = "a constant, compiled by the tests")]
            regex::Regex::new(concat!($($part),+)).unwrap()
        });
        &*COMPILED
    }};
}
use regex;
