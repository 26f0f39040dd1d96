//! Reflection on failures (GEPA).

use super::{
    Sketch,
    say::{self, Request},
    scene::{RIGHT, Scene},
};
use crate::pool::Trial;

/// Failures shown: this many or one more.
const FAILURES: usize = 3;
/// What is asked.
pub const LEARN: &str = "Write a new instruction under which a model gets such inputs right. Give rules that hold for all inputs.";

/// What is asked of a question.
pub const UNDERSTOOD: &str =
    "Find what in the words led to this. Write them so that a model cannot take them wrongly.";

/// `None` where the parent never failed.
pub fn sketch(scene: &mut Scene<'_>) -> Sketch {
    if scene.subject().original().is_some() {
        return of_question(scene);
    }
    let instruction = scene.words()?;
    let task = &scene.pool.task;
    let failures: Vec<String> = failures(scene)
        .into_iter()
        .filter_map(|trial| {
            let known = scene.example(trial)?;
            let said = trial.said.as_deref().map(say::answer).unwrap_or_default();
            let of_it = say::feedback(&trial.feedback) + &say::right_of(known, task);
            Some(say::input(known) + &said + &of_it)
        })
        .collect();
    if failures.is_empty() {
        return None;
    }
    let asked = |failures: &str, text: &str| {
        format!(
            "What a model got wrong under an instruction:\n\n{failures}\n{LEARN}\n\n{}",
            say::current(&task.subject, text)
        )
    };
    let request = Request {
        job: "You learn from what went wrong under an instruction and write a better one.",
        wants: say::ONE_PROMPT,
        turns: scene
            .turns(2)
            .iter()
            .map(|t| {
                let mut failure = say::input_of(t.input) + &say::answer(t.wrong);
                failure += &say::feedback(t.feedback);
                if task.show_references {
                    failure += &say::right(t.right);
                }
                (asked(&failure, t.plain), say::prompt(t.better))
            })
            .collect(),
        last: asked(&failures.join("\n"), instruction),
    };
    Some((vec![scene.parent], request.write(scene)))
}

/// The outcome alone: what was answered, and what was said of that.
fn of_question(scene: &mut Scene<'_>) -> Sketch {
    let (words, subject) = (scene.words()?, scene.subject());
    let outcome = |trial: &Trial| {
        let said = trial.said.as_deref().filter(|said| !said.trim().is_empty());
        said.map(say::answer).unwrap_or_default() + &say::feedback(&trial.feedback)
    };
    let mut failures: Vec<String> = failures(scene).into_iter().map(outcome).collect();
    // Repeats of a greedy target say the same.
    failures.sort();
    failures.dedup();
    failures.retain(|failure| !failure.is_empty());
    if failures.is_empty() {
        return None;
    }
    let asked = |failures: &str, shown: String| {
        let lead = "What a model answered, and what was said of that:";
        format!("{lead}\n\n{failures}\n{UNDERSTOOD}\n\n{shown}")
    };
    let request = Request {
        job: "You learn from what a model made of an instruction.",
        wants: say::ONE_PROMPT,
        turns: scene
            .turns(2)
            .iter()
            .map(|t| {
                let failure = say::answer(t.wrong) + &say::feedback(t.feedback);
                let shown = say::worked(subject, t.plain);
                (asked(&failure, shown), say::prompt(t.better))
            })
            .collect(),
        last: asked(&failures.join("\n"), say::current(subject, words)),
    };
    Some((vec![scene.parent], request.write(scene)))
}

/// A few of the parent's failures: answers that were not right, and no better than its own mean (where answers are
/// graded by degrees, hardly one is right).
fn failures<'a>(scene: &mut Scene<'a>) -> Vec<&'a Trial> {
    let member = scene.member;
    let mean = member.mean().filter(|m| m.is_finite()).unwrap_or(1.0);
    let failed = |t: &&Trial| t.value < RIGHT && t.value <= mean + 1e-9;
    let mut failed: Vec<&Trial> = member.trials.iter().filter(failed).collect();
    failed.sort_by_key(|t| t.example);
    scene.draw.shuffle(&mut failed);
    failed.truncate(FAILURES + scene.draw.below(2));
    failed
}
