//! The leak guard: does a rewrite give the answer away?
//!
//! In `rewrite` mode a model rewrites a question's own words. A rewrite that smuggles the answer in would
//! look like a gain and be worth nothing, so every candidate passes two tests before it is tried:
//!
//! 1. [`text_rules`] compares what the rewrite adds with the right answer, in this process and in microseconds;
//! 2. the probability probe asks a language model whether the added words ([`added_words`]), read after the
//!    question, make the reference more probable: the [`lift`], judged by [`probe`] against the [`threshold`] seen
//!    with mismatched questions.
//!
//! The rules are measured on a corpus that was written before them (`tests/leak_corpus`); the figures are in
//! `docs/leak-guard.md`. Nothing here reads the right answer out: a [`Leak`] says which rule fired and why,
//! never the reference.
//!
//! | module | what |
//! | --- | --- |
//! | `text` | folding (case, accents, look-alikes, invisible characters) and words |
//! | `view` | a case taken apart once, for all rules |
//! | `lexicon`, `number` | word lists, stems, numbers as digits and words |
//! | `verbatim`, `paraphrase`, … | one rule a file |
//! | `probe` | the probability probe's arithmetic |

mod added;
mod announced;
mod by_example;
mod cipher;
mod elimination;
mod encoding;
pub(crate) mod lexicon;
pub(crate) mod number;
mod paraphrase;
mod position;
mod probe;
mod spelled;
pub(crate) mod text;
mod translation;
mod verbatim;
mod view;

pub use added::added_words;
pub use probe::{MIN_MISMATCHED, lift, probe, threshold};

use crate::example::{Example, Reference};
use view::View;

/// What the guard looks at: a question, its rewrite, and what a right answer is.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The question's own words before the rewrite.
    pub original: &'a str,
    /// The words after it.
    pub rewrite: &'a str,
    /// Data the question speaks of, which is shown beside it and not rewritten.
    pub context: Option<&'a str>,
    /// The choices, in their original order; empty for an open question.
    pub choices: &'a [String],
    /// The index of the right choice, from 0.
    pub right: Option<usize>,
    /// The reference text of an open question.
    pub reference: Option<&'a str>,
}

impl<'a> Case<'a> {
    /// The case of an example and a rewrite of its input.
    pub fn of(example: &'a Example, rewrite: &'a str) -> Self {
        let (right, reference) = match &example.reference {
            Reference::Choice { index } => (Some(*index), None),
            Reference::Text { text } => (None, Some(text.as_str())),
            Reference::Code { .. } | Reference::None => (None, None),
        };
        Self {
            original: &example.input,
            rewrite,
            context: example.context.as_deref(),
            choices: &example.choices,
            right,
            reference,
        }
    }
}

/// What a rewrite was rejected by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The answer, or a stretch of the reference, is stated.
    Verbatim,
    /// The content words of the answer are there in another form or order.
    Paraphrase,
    /// Wrong choices are named and the right one is not, or wrong ones are ruled out.
    Elimination,
    /// Words of another language or script were added where there were none.
    Translation,
    /// Something added decodes to the answer, or to text at all.
    Encoding,
    /// The place of the right choice is pointed at.
    Position,
    /// The answer is spelled out: letters, gaps, initials, rhymes, lengths.
    Spelled,
    /// A worked example holds the answer.
    Example,
    /// "The correct answer is …" was added, whatever follows.
    Announced,
    /// The added words make the reference more probable than chance does.
    Probability,
}

impl Rule {
    /// The word used in SQL, in counts and in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Rule::Verbatim => "verbatim",
            Rule::Paraphrase => "paraphrase",
            Rule::Elimination => "elimination",
            Rule::Translation => "translation",
            Rule::Encoding => "encoding",
            Rule::Position => "position",
            Rule::Spelled => "spelled",
            Rule::Example => "example",
            Rule::Announced => "announced",
            Rule::Probability => "probability",
        }
    }
}

/// Why a rewrite is rejected.
#[derive(Clone, Debug, PartialEq)]
pub struct Leak {
    /// The rule that fired first.
    pub rule: Rule,
    /// What it saw, in words that are safe to log: never the reference, a choice or text of the rewrite.
    pub detail: String,
}

impl Leak {
    fn new(rule: Rule, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { rule, detail }
    }
}

/// The first text rule that finds the answer in what the rewrite adds; `None` if all pass. A rewrite with the
/// original's words unchanged always passes. Without a right choice or a reference only the rules that need
/// neither can fire (`announced`, `translation`, and `encoding` of readable text).
pub fn text_rules(case: &Case) -> Option<Leak> {
    if case.original == case.rewrite {
        return None;
    }
    let view = View::new(case);
    // The most telling name first: an example that states the answer is also verbatim.
    let rules: [fn(&View) -> Option<Leak>; 9] = [
        by_example::rule,
        verbatim::rule,
        encoding::rule,
        spelled::rule,
        position::rule,
        elimination::rule,
        translation::rule,
        announced::rule,
        paraphrase::rule,
    ];
    rules.iter().find_map(|rule| rule(&view))
}

#[cfg(test)]
mod tests;
