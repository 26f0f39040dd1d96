//! `[train]`: the base, and what is a list of words.

use super::{Check, models};
use crate::types::Spec;
use domain::tuning::{TARGETS, Tuning};

pub(super) fn check(c: &mut Check<'_>, spec: &Spec) {
    let Some(tuning) = &spec.train else { return };
    base(c, tuning);
    let unknown = |target: &&String| {
        let short = target.strip_suffix("_proj").unwrap_or(target);
        !TARGETS.contains(&short)
    };
    if let Some(target) = tuning.targets.iter().find(unknown) {
        let message = format!(
            "{target:?} is no matrix of a layer: it is one of {}",
            TARGETS.join(", ")
        );
        c.report.wrong("train.targets", message);
    }
    if tuning.targets.is_empty() {
        let message = format!("is empty: name some of {}", TARGETS.join(", "));
        c.report.wrong("train.targets", message);
    }
}

fn base(c: &mut Check<'_>, tuning: &Tuning) {
    const KEY: &str = "train.base";
    if c.report.is_tainted(KEY) {
        return;
    }
    if !tuning.base_is_path() {
        return models::of_catalogue(c, KEY, &tuning.base);
    }
    if let Some((found, _)) = c.locate(KEY, &tuning.base) {
        models::folder(c, KEY, &tuning.base, &found);
        c.paths.train = Some(found);
    }
}
