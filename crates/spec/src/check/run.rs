//! `[run]`, `[splits]`, `[search]`, `[confirm]`, `[leak]`.

use super::{Check, operators};
use crate::{
    Purpose,
    types::{CLAIM_REPEATS, Feedback, Mode, Spec},
};

/// How far the split shares may be from 1 in sum: decimals are not exact in binary.
const SUM_TOLERANCE: f64 = 1e-6;

pub(super) fn check(c: &mut Check<'_>, spec: &Spec) {
    if spec.run.name.chars().any(char::is_control) || spec.run.name.chars().count() > 100 {
        c.report
            .wrong("run.name", "a name is one line of at most 100 characters");
    }
    splits(c, spec);
    operators::of_rewrites(c, spec);
    if c.purpose == Purpose::Run && spec.run.mode == Mode::Rewrite {
        claims(c, spec);
    }
}

fn splits(c: &mut Check<'_>, spec: &Spec) {
    let s = &spec.splits;
    let sum = s.train + s.validation + s.test;
    if (sum - 1.0).abs() > SUM_TOLERANCE {
        let message = format!(
            "train {} + validation {} + test {} is {}, and shares sum to 1",
            s.train,
            s.validation,
            s.test,
            (sum * 1e6).round() / 1e6
        );
        c.report.wrong("splits", message);
    }
}

/// What keeps the run from claiming a gain, or marks it.
fn claims(c: &mut Check<'_>, spec: &Spec) {
    if spec.confirm.repeats < CLAIM_REPEATS {
        let message = format!("fewer than {CLAIM_REPEATS} support no claim: the run is marked");
        c.report.warn("confirm.repeats", message);
    }
    if !spec.confirm.placebo {
        let message = "without a placebo arm no gain can be claimed: the run is marked";
        c.report.warn("confirm.placebo", message);
    }
    if spec.search.feedback == Feedback::Reference {
        let message = "the proposer sees the references: the run is marked";
        c.report.warn("search.feedback", message);
    }
    if spec.leak.probe && !c.scores(spec) {
        let message = "needs log-likelihoods, which the target does not give: only the text rules \
                       look for leaks";
        c.report.warn("leak.probe", message);
    }
}
