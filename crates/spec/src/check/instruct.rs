//! `[instruct]`: one data set, a start prompt, and texts that agree.

use super::{Check, operators};
use crate::{
    Purpose,
    instruct::Instruct,
    types::{Mode, Spec},
};
use domain::grade::Grader;

pub(super) fn check(c: &mut Check<'_>, spec: &Spec) {
    if c.purpose != Purpose::Run || c.report.is_tainted("instruct") {
        return;
    }
    match (spec.run.mode, &spec.instruct) {
        (Mode::Rewrite, None) => {}
        (Mode::Rewrite, Some(_)) => {
            let message = "is not used: [run] says mode = \"rewrite\"";
            c.report.warn("instruct", message);
        }
        (Mode::Instruct, None) => {
            let message = "missing: a search for one instruction starts from one; say [[instruct.start]] with an \
                           instruction";
            c.report.wrong("instruct", message);
        }
        (Mode::Instruct, Some(instruct)) => {
            around(c, spec);
            starts(c, instruct);
            drawn(c, instruct);
            population(c, instruct);
        }
    }
}

/// What the rest of the spec has to be.
fn around(c: &mut Check<'_>, spec: &Spec) {
    if spec.datasets.len() > 1 {
        let message = format!(
            "mode = \"instruct\" finds one instruction for one data set, and there are {}: leave one",
            spec.datasets.len()
        );
        c.report.wrong("datasets[1].name", message);
    }
    if let Some(Grader::ReferenceLoglik) = spec.datasets.first().and_then(|d| d.grader()) {
        let message =
            "is a proxy that says nothing of an instruction: use a grader that reads replies";
        c.report.wrong("datasets[0].grader.kind", message);
    }
    if spec.train.is_some() {
        let message = "one instruction is no pairs to learn from: leave [train] out, or say mode = \"rewrite\"";
        c.report.wrong("train.base", message);
    }
    if spec.splits.test == 0.0 {
        let message = "without test examples nothing can be said of the chosen prompt on unseen ones: the run is marked";
        c.report.warn("splits.test", message);
    }
}

/// There is one, each once, and each is what every prompt has to be.
fn starts(c: &mut Check<'_>, instruct: &Instruct) {
    if instruct.start.is_empty() {
        let message = "missing: say [[instruct.start]] at least once";
        c.report.wrong("instruct.start", message);
    }
    for (i, start) in instruct.start.iter().enumerate() {
        let key = format!("instruct.start[{i}].instruction");
        let words = &start.instruction;
        if instruct.start[..i].contains(start) {
            c.report
                .wrong(&key, "is an earlier start prompt too: each once");
        }
        if let Some(lost) = instruct.must_keep.iter().find(|t| !words.contains(*t)) {
            let message = format!("lacks {lost:?}, which instruct.must_keep asks of every prompt");
            c.report.wrong(&key, message);
        }
        let lower = words.to_lowercase();
        let held = |text: &&String| lower.contains(&text.to_lowercase());
        if let Some(text) = instruct.must_not_contain.iter().find(held) {
            let message = format!("contains {text:?}, which instruct.must_not_contain forbids");
            c.report.wrong(&key, message);
        }
    }
}

/// Of so many only as many can be replaced in a round as there are, less one.
fn population(c: &mut Check<'_>, instruct: &Instruct) {
    let newcomers = instruct.newcomers();
    if instruct
        .population
        .is_some_and(|size| size <= newcomers as usize)
    {
        let message = format!(
            "has to be more than the {newcomers} new prompts of a round, each of which takes another's place: raise it, or \
             lower candidates"
        );
        c.report.wrong("instruct.population", message);
    }
}

fn drawn(c: &mut Check<'_>, instruct: &Instruct) {
    operators::of_instructions(c, instruct);
    let newcomers = u64::from(instruct.newcomers());
    let first = newcomers * instruct.block as u64 * u64::from(instruct.bearing());
    if instruct.calls < instruct.block as u64 * 2 {
        let message = format!(
            "is less than two blocks of {}: not even two prompts could be compared",
            instruct.block
        );
        c.report.wrong("instruct.calls", message);
    } else if first > instruct.calls {
        let message = format!(
            "{} new prompts in {} rounds with a block of {} each need {first} calls alone, so that not all are tried: \
             raise it, or lower candidates, rounds or block",
            newcomers,
            instruct.bearing(),
            instruct.block
        );
        c.report.warn("instruct.calls", message);
    }
}
