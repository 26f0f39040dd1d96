//! Which grader fits which data set and model.

use crate::{data::Dataset, model::Model};
use dataset::Format;
use domain::grade::Grader;

/// What a data set has to grade against, as far as the spec alone tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Has {
    pub(crate) choices: bool,
    pub(crate) reference: bool,
    pub(crate) tests: bool,
}

pub(crate) fn has(dataset: &Dataset) -> Has {
    let mapped = |f: fn(&dataset::FieldMap) -> bool| dataset.fields.as_ref().is_some_and(f);
    let (choices, reference, tests) = match dataset.format {
        Format::Mmlu | Format::Bbh => (true, true, false),
        Format::Alpaca | Format::Gsm8k | Format::Classification => (false, true, false),
        Format::Humaneval => (false, false, true),
        Format::Jsonl | Format::Csv => (
            mapped(|f| !f.choices.is_empty()),
            mapped(|f| f.reference.is_some()),
            false,
        ),
    };
    Has {
        choices,
        reference,
        tests,
    }
}

/// The grader of a data set that names none, or why there is no obvious one.
pub(crate) fn default(dataset: &Dataset, scores: bool) -> Result<Grader, String> {
    let choice = if scores {
        Grader::ChoiceLoglik
    } else {
        Grader::ChoiceLetter
    };
    let has = has(dataset);
    let ready = match dataset.format {
        Format::Humaneval => Grader::Code,
        Format::Mmlu => choice,
        // Some BBH tasks have options and some do not: the answer's text serves both.
        Format::Bbh => Grader::Normalised,
        Format::Gsm8k => Grader::Numeric { tolerance: 0.0 },
        Format::Alpaca if scores => Grader::ReferenceLoglik,
        Format::Classification if !dataset.labels.is_empty() => Grader::Label {
            labels: dataset.labels.clone(),
        },
        Format::Classification => {
            return Err("missing: say labels = [\"…\", \"…\"] for the label grader".to_owned());
        }
        Format::Jsonl | Format::Csv if has.choices => choice,
        Format::Jsonl | Format::Csv if has.reference => Grader::Normalised,
        Format::Alpaca => {
            let why = "reference_loglik needs log-likelihoods, which not all answering models give";
            return Err(say(why, has, scores));
        }
        Format::Jsonl | Format::Csv => {
            return Err(say("fields name no reference to compare with", has, scores));
        }
    };
    Ok(ready)
}

fn say(why: &str, has: Has, scores: bool) -> String {
    let can = usable(has, scores).join(", ");
    format!("missing, and {why}: say grader = {{ kind = \"…\" }} with one of {can}")
}

/// The kinds of graders that could grade this data set.
pub(crate) fn usable(has: Has, scores: bool) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    if has.choices {
        kinds.push("choice_letter");
        if scores {
            kinds.push("choice_loglik");
        }
    }
    if has.reference {
        kinds.extend([
            "numeric",
            "exact",
            "normalised",
            "label",
            "contains",
            "json",
        ]);
        if scores {
            kinds.push("reference_loglik");
        }
    }
    if has.tests {
        kinds.push("code");
    }
    kinds.extend(["regex", "program", "http"]);
    if !has.choices && !has.tests {
        kinds.extend(["reward", "judge"]);
    }
    kinds
}

/// Whether every one of these models gives log-likelihoods. Without any model (a mistake reported
/// elsewhere) nothing is held against the grader.
pub(crate) fn all_score<'m>(mut models: impl Iterator<Item = &'m Model>) -> bool {
    models.all(Model::scores)
}
