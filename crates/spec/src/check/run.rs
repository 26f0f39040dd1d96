//! `[run]`, `[splits]`, `[search]`, `[confirm]`, `[leak]`.

use super::Check;
use crate::{
    Purpose,
    types::{CLAIM_REPEATS, Feedback, Mode, PROPOSER, REWRITER, Spec},
};

/// How far the split shares may be from 1 in sum: decimals are not exact in binary.
const SUM_TOLERANCE: f64 = 1e-6;

pub(super) fn check(c: &mut Check<'_>, spec: &Spec) {
    if spec.run.name.chars().any(char::is_control) || spec.run.name.chars().count() > 100 {
        c.report
            .wrong("run.name", "a name is one line of at most 100 characters");
    }
    splits(c, spec);
    operators(c, spec);
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

/// Who writes rewrites, and whether those who do are there.
fn operators(c: &mut Check<'_>, spec: &Spec) {
    let key = "search.operators";
    let names = &spec.search.operators;
    if names.is_empty() {
        let message = "is empty: nobody would write a rewrite; leave it out for [\"proposer\"]";
        c.report.wrong(key, message);
    }
    for name in names.iter().filter(|n| *n != PROPOSER && *n != REWRITER) {
        let message = format!("{name:?} is no operator here: it is \"proposer\" or \"rewriter\"");
        c.report.wrong(key, message);
    }
    let trained = spec.trained().any(|name| name == REWRITER);
    let told = c.report.is_tainted("models.rewriter") || c.report.is_tainted("models");
    if spec.search.by_rewriter() && !trained && !told {
        let message = "names \"rewriter\", and [models.rewriter] has no adapter: say kind = \"local\", its base as \
                       model, and adapter = \"DIR\"";
        c.report.wrong(key, message);
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
