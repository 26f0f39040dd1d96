//! `[eval]`: names that must exist, slots, thresholds.

use super::Check;
use crate::{
    Purpose,
    hint::nearest,
    types::{Prompt, Spec, Threshold},
};

/// The slots of a prompt.
const SLOTS: [&str; 3] = ["input", "context", "choices"];

pub(super) fn check(c: &mut Check<'_>, spec: &Spec) {
    models(c, spec);
    rewriters(c, spec);
    if spec.eval.prompts.is_empty() {
        let message = "is empty: leave it out for the unchanged example, or give a prompt";
        c.report.wrong("eval.prompts", message);
    }
    for (i, prompt) in spec.eval.prompts.iter().enumerate() {
        let key = format!("eval.prompts[{i}]");
        if spec.eval.prompts[..i].iter().any(|p| p.name == prompt.name) {
            let message = "is the name of an earlier prompt too: each name once";
            c.report.wrong(&format!("{key}.name"), message);
        }
        slots(c, &key, prompt);
    }
    for (i, threshold) in spec.eval.thresholds.iter().enumerate() {
        self::threshold(c, spec, &format!("eval.thresholds[{i}]"), threshold);
    }
}

fn models(c: &mut Check<'_>, spec: &Spec) {
    let names = || spec.models.keys().map(String::as_str);
    if spec.eval.models.is_empty() {
        c.report.wrong(
            "eval.models",
            "is empty: name at least one model of [models]",
        );
    }
    // A run of the loop has a target of its own and need not care.
    let cares = c.purpose == Purpose::Eval || c.report.is_given("eval.models");
    for (i, name) in spec.eval.models.iter().enumerate().filter(|_| cares) {
        if spec.eval.models[..i].contains(name) {
            c.report
                .wrong("eval.models", format!("names {name:?} twice"));
        }
        let tainted = c.report.is_tainted(&format!("models.{name}"));
        if !spec.models.contains_key(name) && !tainted && name != crate::TARGET {
            let message = format!("there is no [models.{name}]{}", known(name, names()));
            c.report.wrong("eval.models", message);
        }
    }
}

fn rewriters(c: &mut Check<'_>, spec: &Spec) {
    let names = || spec.models.keys().map(String::as_str);
    for (i, name) in spec.eval.rewriters.iter().enumerate() {
        if spec.eval.rewriters[..i].contains(name) {
            let message = format!("names {name:?} twice");
            c.report.wrong("eval.rewriters", message);
        }
        let tainted = c.report.is_tainted(&format!("models.{name}"));
        if !spec.models.contains_key(name) && !tainted {
            let message = format!("there is no [models.{name}]{}", known(name, names()));
            c.report.wrong("eval.rewriters", message);
        }
    }
}

fn known<'n>(given: &str, names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    let guess = nearest(given, names.iter().copied());
    let hint = guess
        .map(|g| format!(", did you mean \"{g}\"?"))
        .unwrap_or_default();
    format!("{hint} (one of {})", names.join(", "))
}

/// A misspelt slot would go to the model as it is.
fn slots(c: &mut Check<'_>, key: &str, prompt: &Prompt) {
    let parts = [
        ("system", prompt.system.as_deref()),
        ("user", Some(prompt.user.as_str())),
    ];
    for (part, text) in parts {
        for slot in braced(text.unwrap_or_default()) {
            if SLOTS.contains(&slot) {
                if part == "system" {
                    let message = format!("{{{slot}}} stays as it is here: only user has slots");
                    c.report.warn(&format!("{key}.{part}"), message);
                }
            } else if let Some(guess) = nearest(slot, SLOTS.into_iter()) {
                let message = format!("{{{slot}}} is no slot, did you mean {{{guess}}}?");
                c.report.warn(&format!("{key}.{part}"), message);
            }
        }
    }
}

fn braced(text: &str) -> impl Iterator<Item = &str> {
    let inner = |rest: &'_ str| -> Option<usize> {
        let end = rest.find('}')?;
        rest[..end]
            .chars()
            .all(|c| c.is_ascii_alphabetic() || c == '_')
            .then_some(end)
    };
    text.split('{')
        .skip(1)
        .filter_map(move |rest| inner(rest).map(|end| &rest[..end]))
}

fn threshold(c: &mut Check<'_>, spec: &Spec, key: &str, t: &Threshold) {
    if t.min_mean.is_none() && t.min_ci_low.is_none() && t.max_failed.is_none() {
        let message = "asks for nothing: say min_mean, min_ci_low or max_failed";
        c.report.wrong(key, message);
    }
    let prompts: Vec<&str> = spec.eval.prompts.iter().map(|p| p.name.as_str()).collect();
    let models: Vec<&str> = spec.eval.models.iter().map(String::as_str).collect();
    let datasets: Vec<&str> = spec.datasets.iter().map(|d| d.name.as_str()).collect();
    let cells = [
        ("prompt", &t.prompt, prompts),
        ("model", &t.model, models),
        ("dataset", &t.dataset, datasets),
    ];
    for (what, name, names) in cells {
        if let Some(name) = name
            && !names.contains(&name.as_str())
        {
            let message = format!(
                "this evaluation has no {what} of this name{}",
                known(name, names.into_iter())
            );
            c.report.wrong(&format!("{key}.{what}"), message);
        }
    }
}
