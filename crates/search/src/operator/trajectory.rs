//! The trajectory: instructions with their scores, the best last (OPRO).

use super::{
    Sketch, outcomes,
    say::{self, Request},
    scene::Scene,
};
use crate::pool::Pool;

/// Only the best so many are shown.
pub const ENTRIES: usize = 20;
/// Examples shown.
pub const EXEMPLARS: usize = 3;
/// What an example weighs that no member got wrong.
const EASY: f64 = 0.05;

/// What is asked.
pub const DIFFERENT: &str =
    "Write one new instruction that differs from all of these and would score higher.";

/// `None` where nothing was tried.
pub fn sketch(scene: &mut Scene<'_>) -> Sketch {
    if scene.subject().original().is_some() {
        return outcomes::trajectory(scene);
    }
    let ranked = scene.ranked();
    let best = ranked.get(ranked.len().saturating_sub(ENTRIES)..)?;
    if best.is_empty() {
        return None;
    }
    let entries: Vec<String> = best
        .iter()
        .map(|&m| entry(100.0 * scene.scores[m], scene.text(m)))
        .collect();
    let turns = scene.turns(2);
    let exemplars = exemplars(scene);
    let task = &scene.pool.task;
    let request = Request {
        job: "You see earlier instructions with scores from 0 to 100 and find a better one.",
        wants: say::ONE_PROMPT,
        turns: turns
            .iter()
            .map(|t| {
                let shown = say::input_of(t.input) + &if_shown(task.show_references, t.right);
                let tried = [entry(17.0, t.rough), entry(58.0, t.plain)];
                (
                    asked(&say::task(t.task), &shown, &tried),
                    say::prompt(t.better),
                )
            })
            .collect(),
        last: asked(&say::task_of(task), &exemplars, &entries),
    };
    Some((vec![scene.parent], request.write(scene)))
}

fn if_shown(show: bool, right: &str) -> String {
    if show {
        say::right(right)
    } else {
        String::new()
    }
}

fn entry(score: f64, text: &str) -> String {
    format!("Score {}:\n{}", score.round(), say::version(text))
}

fn asked(task: &str, exemplars: &str, entries: &[String]) -> String {
    let exemplars = match exemplars {
        "" => String::new(),
        shown => format!("Some inputs:\n\n{shown}\n"),
    };
    format!(
        "{task}\n{exemplars}Instructions with their scores, the best last:\n\n{}\n{DIFFERENT}",
        say::fitting(entries)
    )
    .trim_start()
    .to_owned()
}

/// A few examples, drawn so that those that most members got wrong come more often.
fn exemplars(scene: &mut Scene<'_>) -> String {
    let weights = difficulty(scene.pool);
    let drawn = scene.draw.several(&weights, EXEMPLARS);
    let known = drawn.iter().filter_map(|&e| scene.pool.examples.get(e));
    let shown = known.map(|k| say::input(k) + &say::right_of(k, &scene.pool.task));
    shown.collect::<Vec<_>>().join("\n")
}

/// How wrong the members were on each example, on average; an example that nobody was tried on weighs like an easy one.
fn difficulty(pool: &Pool) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); pool.examples.len()];
    for trial in pool.members.iter().flat_map(|m| &m.trials) {
        if let (Some((wrong, n)), true) = (sums.get_mut(trial.example), trial.value.is_finite()) {
            *wrong += 1.0 - trial.value.clamp(0.0, 1.0);
            *n += 1.0;
        }
    }
    let weight = |(wrong, n): (f64, f64)| EASY + if n > 0.0 { wrong / n } else { 0.0 };
    sums.into_iter().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::pool;
    use super::*;

    #[test]
    fn what_most_got_wrong_weighs_most() {
        let pool = pool();
        let weights = difficulty(&pool);
        assert_eq!(weights.len(), pool.examples.len());
        // Example 0 was always right, example 1 never.
        assert!(weights[0] < 0.06 && weights[1] > 1.0, "{weights:?}");
    }
}
