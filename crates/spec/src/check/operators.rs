//! `search.operators`, `instruct.operators` and their weights.

use super::Check;
use crate::{
    hint::nearest,
    instruct::{Instruct, fixed},
    types::{Mode, PROPOSER, REWRITER, Spec},
};
use search::operator::Operator;

/// Those of a search for one instruction.
pub(super) fn of_instructions(c: &mut Check<'_>, instruct: &Instruct) {
    for name in &instruct.operators {
        known(c, "instruct.operators", name, Operator::instructs);
    }
    let weights = Weights {
        key: "instruct.weights",
        operators: "instruct.operators",
        suits: Operator::instructs,
    };
    weights.check(c, &instruct.weights, &instruct.operators);
}

/// Who writes rewrites, and whether those who do are there.
pub(super) fn of_rewrites(c: &mut Check<'_>, spec: &Spec) {
    let key = "search.operators";
    let names = &spec.search.operators;
    if names.is_empty() {
        let message = "is empty: nobody would write a rewrite; leave it out for [\"proposer\"]";
        c.report.wrong(key, message);
    }
    match spec.search.draws() {
        true => drawn(c, names),
        false if spec.run.mode == Mode::Rewrite && !spec.search.weights.is_empty() => {
            let message = "weigh operators that are drawn, and \"proposer\" and \"rewriter\" write in turn: name \
                           operators in search.operators (docs/operators.md)";
            c.report.wrong("search.weights", message);
        }
        false => {}
    }
    if spec.search.draws() {
        let weights = Weights {
            key: "search.weights",
            operators: key,
            suits: Operator::rewrites,
        };
        weights.check(c, &spec.search.weights, names);
    }
    let trained = spec.trained().any(|name| name == REWRITER);
    let told = c.report.is_tainted("models.rewriter") || c.report.is_tainted("models");
    if spec.search.by_rewriter() && !trained && !told {
        let message = "names \"rewriter\", and [models.rewriter] has no adapter: say kind = \"local\", its base as \
                       model, and adapter = \"DIR\"";
        c.report.wrong(key, message);
    }
}

/// Operators that are drawn: known ones, each once.
fn drawn(c: &mut Check<'_>, names: &[String]) {
    let key = "search.operators";
    for (i, name) in names.iter().enumerate() {
        if name == PROPOSER {
            let message = "\"proposer\" is no operator beside others: it stands for \"improve\" in round 1 and \
                           \"trajectory\" in later ones; name these";
            c.report.wrong(key, message);
        } else if names[..i].contains(name) {
            let message =
                format!("{name:?} is there twice: say how often it is drawn in search.weights");
            c.report.wrong(key, message);
        } else {
            known(c, key, name, Operator::rewrites);
        }
    }
}

/// Whether there is an operator of this name, for what is searched.
fn known(c: &mut Check<'_>, key: &str, name: &str, suits: fn(&Operator) -> bool) {
    let found = Operator::from_name(name);
    if found.is_some_and(|o| suits(&o)) {
        return;
    }
    let all = Operator::ALL.into_iter().filter(suits);
    let all: Vec<&str> = all.map(|o| o.name()).collect();
    let there = all.join(", ");
    let message = match found {
        Some(operator) if operator.instructs() => {
            format!("{name:?} makes instructions and rewrites no question (there are {there})")
        }
        Some(_) => {
            format!("{name:?} rewrites questions and makes no instruction (there are {there})")
        }
        None => {
            let nearest = nearest(name, all.iter().copied())
                .map_or(String::new(), |n| format!(", did you mean {n:?}?"));
            format!("{name:?} is no operator{nearest} (there are {there})")
        }
    };
    c.report.wrong(key, message);
}

/// Fixed weights: where they stand, and of what.
struct Weights {
    key: &'static str,
    operators: &'static str,
    suits: fn(&Operator) -> bool,
}

impl Weights {
    fn check(&self, c: &mut Check<'_>, weights: &[String], operators: &[String]) {
        let fixed = match fixed(weights) {
            Ok(fixed) => fixed,
            Err(entry) => {
                let message = format!(
                    "{entry:?} is no weight: write \"name=2\", with a number that is at least 0"
                );
                return c.report.wrong(self.key, message);
            }
        };
        for (name, _) in &fixed {
            known(c, self.key, name, self.suits);
            let used = operators.is_empty() || operators.contains(name);
            if !used {
                let message = format!(
                    "{name:?} is not among {}, so that its weight says nothing",
                    self.operators
                );
                c.report.warn(self.key, message);
            }
        }
        if !fixed.is_empty() && fixed.iter().all(|(_, w)| *w == 0.0) {
            let message = "are all 0: no operator would make a prompt";
            c.report.wrong(self.key, message);
        }
    }
}
