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

/// `None` where the parent never failed.
pub fn sketch(scene: &mut Scene<'_>) -> Sketch {
    let instruction = scene.instruction()?;
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
            say::current(text)
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
