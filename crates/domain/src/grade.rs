//! Graders and grades.

use crate::{example::Reference, hash::Hash, judge};
use serde::{Deserialize, Serialize};

/// How an answer is graded. Each variant has a name and a version (see [`Grader::name`] and
/// [`Grader::version`]): a grade is keyed by `(answer, example, grader, version)`, so regrading costs nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Grader {
    /// Multiple choice: the letter the reply settles on.
    ChoiceLetter,
    /// Multiple choice: the choice whose text is the most probable per byte.
    ChoiceLoglik,
    /// A number: the last one in the reply, compared with the reference's.
    Numeric {
        /// The largest absolute difference that counts as equal.
        #[serde(default)]
        tolerance: f64,
    },
    /// The reply is the reference, to the letter (surrounding space aside).
    Exact,
    /// The reply is the reference, case, punctuation, articles and spacing aside.
    Normalised,
    /// The reply names exactly one of the labels, the right one.
    Label {
        /// All labels.
        labels: Vec<String>,
    },
    /// The reply contains the reference (case aside).
    Contains,
    /// The reply matches a regular expression; `{reference}` stands for the escaped reference.
    Regex {
        /// The expression.
        pattern: String,
    },
    /// The reply holds a JSON object: the share of the reference's fields that are equal in it (numbers by value, texts
    /// case and punctuation aside, lists in any order, null as absent).
    Json {
        /// The fields that count; all of the reference's where there are none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        fields: Vec<String>,
        /// Whether the reply must be the object and nothing else.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        only: bool,
    },
    /// The program's tests, which run in the sandbox beside the code that the reply has.
    Code,
    /// The log-likelihood of the reference text, per byte: a proxy for quality, and called one.
    ReferenceLoglik,
    /// A user's own program: one JSON line in, one JSON line `{score, feedback}` out.
    Program {
        /// Program and arguments.
        command: Vec<String>,
        /// Time limit for one answer, in seconds.
        #[serde(default = "default_timeout")]
        timeout_seconds: u64,
    },
    /// A user's own HTTP endpoint: JSON posted, `{score, feedback}` returned.
    Http {
        /// Where to post.
        url: String,
        /// Time limit for one answer, in seconds.
        #[serde(default = "default_timeout")]
        timeout_seconds: u64,
        /// Environment variable that holds a bearer token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token_env: Option<String>,
    },
    /// A reward model reads question and answer (see [`crate::reward`]). It grades in a step of its own, after the
    /// answers are there.
    Reward {
        /// Its name under `[models]`.
        #[serde(default = "default_reward")]
        model: String,
        /// What the model is. A spec does not say it: whoever looked at the weights fills it in.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        identity: String,
    },
    /// A language model says which of two answers is better: the candidate's, or that of the prompt it is compared with
    /// (see [`crate::judge`]). It is asked in a step of its own, after the answers are there.
    Judge {
        /// Its name under `[models]`.
        #[serde(default = "default_judge")]
        model: String,
        /// What it judges by; [`judge::RUBRIC`] where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rubric: Option<String>,
        /// What the model is, how it is asked, and which prompt's answers are compared with. A spec does not say it:
        /// whoever plans the run fills it in.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        identity: String,
    },
}

/// The name of the reward model where a grader gives none.
fn default_reward() -> String {
    "reward".to_owned()
}

/// The name of the judge's model where a grader gives none.
fn default_judge() -> String {
    "judge".to_owned()
}

fn default_timeout() -> u64 {
    30
}

impl Grader {
    /// The word used in the spec, in SQL and in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Grader::ChoiceLetter => "choice_letter",
            Grader::ChoiceLoglik => "choice_loglik",
            Grader::Numeric { .. } => "numeric",
            Grader::Exact => "exact",
            Grader::Normalised => "normalised",
            Grader::Label { .. } => "label",
            Grader::Contains => "contains",
            Grader::Regex { .. } => "regex",
            Grader::Json { .. } => "json",
            Grader::Code => "code",
            Grader::ReferenceLoglik => "reference_loglik",
            Grader::Program { .. } => "program",
            Grader::Http { .. } => "http",
            Grader::Reward { .. } => "reward",
            Grader::Judge { .. } => "judge",
        }
    }

    /// The version of the grading code and of its settings: the same answer may get another grade only
    /// under another version.
    pub fn version(&self) -> String {
        let settings = match self {
            // What it is, and not what a spec calls it.
            Grader::Reward { identity, .. } => identity.clone().into_bytes(),
            Grader::Judge {
                rubric, identity, ..
            } => {
                let rubric = rubric.as_deref().unwrap_or(judge::RUBRIC).trim();
                format!("{}\n{identity}\n{rubric}", judge::VERSION).into_bytes()
            }
            _ => serde_json::to_vec(self).unwrap_or_default(),
        };
        let digest = Hash::of([settings]).to_string();
        format!("1-{}", &digest[..8])
    }

    /// Whether the grader reads log-likelihoods instead of a written reply.
    pub fn wants_scores(&self) -> bool {
        matches!(self, Grader::ChoiceLoglik | Grader::ReferenceLoglik)
    }

    /// Whether it is a reward model: its grades are rewards, from another worker.
    pub fn is_reward(&self) -> bool {
        matches!(self, Grader::Reward { .. })
    }

    /// Whether it is a language model that compares two answers.
    pub fn is_judge(&self) -> bool {
        matches!(self, Grader::Judge { .. })
    }

    /// Whether its grades say how an answer compares with others to the same question, and nothing without those. Such
    /// grades come after the answers, in a step of their own.
    pub fn compares(&self) -> bool {
        self.is_reward() || self.is_judge()
    }

    /// Whether grading runs outside this process (so that its failure is an outage, never a 0).
    pub fn is_external(&self) -> bool {
        matches!(self, Grader::Program { .. } | Grader::Http { .. })
    }
}

/// What a grader needs beside the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GradeInput {
    /// The example's words, as shown to the model.
    pub input: String,
    /// Choices in the order shown to the model; empty where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The reference; a choice's index counts in the order shown.
    pub reference: Reference,
}

/// What a grader says of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    /// In `[0, 1]`. For a reward: its logistic, which says no more than the raw one does (see [`crate::reward`]).
    pub value: f64,
    /// A raw reward or log-likelihood, where the grader has one. For `reference_loglik`: nats per byte. For `reward`: the
    /// model's logit, which compares with those of other answers to the same question only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<f64>,
    /// How clear the decision was, for ranking among equal values: larger is better for the candidate
    /// (for `choice_loglik`: right choice's score minus the best wrong one's, in nats per byte).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// A sentence for people and operators: what was right or wrong. Never the reference itself.
    pub feedback: String,
}
