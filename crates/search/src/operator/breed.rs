//! Promptbreeder's direct mutations and its way back from answers.

use super::{
    Sketch, Write,
    say::{self, Request},
    scene::{RIGHT, Scene},
    tags::defused,
};
use crate::pool::Subject;

/// What is asked from the description.
pub const FROM_TASK: &str = "Write one instruction that tells a model how to do this task well.";
/// What is asked from right answers.
pub const GUESS: &str = "Which instruction did the model get?";
/// What is asked from a question alone.
pub const ANEW: &str = "Put this in the best words that you can think of.";
/// What is asked from good answers.
pub const LEADS_TO: &str = "Which wording leads a model to such answers? Write it.";
/// Right answers shown.
const WORKED: usize = 4;
/// Good answers shown.
const GOOD: usize = 2;

/// From the description alone; of a question, from its own words alone.
pub fn zero_order(scene: &mut Scene<'_>) -> Sketch {
    if scene.subject().original().is_some() {
        return anew(scene);
    }
    scene.description()?;
    let asked = |task: &str| format!("{task}\n{FROM_TASK}");
    let request = Request {
        job: "You get the task and write the best instruction that you can think of.",
        wants: say::ONE_PROMPT,
        turns: scene
            .turns(2)
            .iter()
            .map(|t| (asked(&say::task(t.task)), say::prompt(t.better)))
            .collect(),
        last: asked(&say::task_of(&scene.pool.task)),
    };
    Some((vec![scene.parent], request.write(scene)))
}

/// A question from its own words, whatever was tried.
fn anew(scene: &mut Scene<'_>) -> Sketch {
    let (root, subject) = (scene.root(), scene.subject());
    let asked = |text: &str| format!("{ANEW}\n\n{}", say::worked(subject, text));
    let request = Request {
        job: "You word an instruction anew.",
        wants: say::ONE_PROMPT,
        turns: scene
            .turns(2)
            .iter()
            .map(|t| (asked(t.rough), say::prompt(t.better)))
            .collect(),
        last: asked(scene.text(root)),
    };
    Some((vec![root], request.write(scene)))
}

/// As the mutation prompt says.
pub fn first_order(scene: &mut Scene<'_>) -> Sketch {
    let way = scene.mutation.clone();
    Some((vec![scene.parent], changed(scene, &way)?))
}

/// The parent's words, changed in a way.
pub fn changed(scene: &mut Scene<'_>, way: &str) -> Option<Write> {
    let (words, subject) = (scene.words()?, scene.subject());
    let asked = |how: &str, shown: String| format!("{}\n\n{shown}", defused(how));
    let request = Request {
        job: "You change an instruction in the way that you are told.",
        wants: say::ONE_PROMPT,
        turns: scene
            .turns(2)
            .iter()
            .map(|t| {
                let shown = say::worked(subject, t.rough);
                (asked(t.mutation, shown), say::prompt(t.better))
            })
            .collect(),
        last: asked(way, say::current(subject, words)),
    };
    Some(request.write(scene))
}

/// From answers that are right, whichever member's they are. `None` where there are none.
pub fn lamarckian(scene: &mut Scene<'_>) -> Sketch {
    if let Subject::Question { keyed, .. } = scene.subject() {
        return if *keyed { None } else { from_answers(scene) };
    }
    let worked = worked(scene);
    if worked.is_empty() {
        return None;
    }
    let asked = |worked: &str| {
        format!(
            "A model read one instruction and then these inputs. Its answers are all right.\n\n{worked}\n{GUESS}"
        )
    };
    let request = Request {
        job: "You see good answers and say which instruction leads to them.",
        wants: say::ONE_PROMPT,
        turns: scene
            .turns(2)
            .iter()
            .map(|t| {
                let worked = say::input_of(t.input) + &say::answer(t.right);
                (asked(&worked), say::prompt(t.better))
            })
            .collect(),
        last: asked(&worked.join("\n")),
    };
    Some((vec![scene.parent], request.write(scene)))
}

/// A question from answers that are better than its own words got. Only where there is no right answer: a right one
/// would say what the reference says.
fn from_answers(scene: &mut Scene<'_>) -> Sketch {
    let (root, subject) = (scene.root(), scene.subject());
    let good = better_answers(scene, root);
    if good.is_empty() {
        return None;
    }
    let asked = |answers: &str, question: &str| {
        let question = say::worked(subject, question);
        format!("Good answers of a model:\n\n{answers}\n{LEADS_TO}\n\n{question}")
    };
    let request = Request {
        job: "You see good answers and find the wording of an instruction that leads to them.",
        wants: say::ONE_PROMPT,
        turns: scene
            .turns(2)
            .iter()
            .map(|t| (asked(&say::answer(t.right), t.plain), say::prompt(t.better)))
            .collect(),
        last: asked(&good.join("\n"), scene.text(root)),
    };
    Some((vec![root], request.write(scene)))
}

/// What was answered to versions and valued above the answers to this one, on average: the better, the more probable.
fn better_answers(scene: &mut Scene<'_>, than: usize) -> Vec<String> {
    let bar = scene.pool.members.get(than).and_then(|m| m.mean());
    let Some(bar) = bar.filter(|bar| bar.is_finite()) else {
        return Vec::new();
    };
    let trials = scene.pool.members.iter().flat_map(|m| &m.trials);
    let better = trials.filter(|t| t.value > bar + 1e-9);
    let said = better.filter_map(|t| Some((t.said.as_deref()?, t.value - bar)));
    let mut good: Vec<(&str, f64)> = said.filter(|(s, _)| !s.trim().is_empty()).collect();
    // Versions may be answered alike.
    good.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    good.dedup_by_key(|(said, _)| *said);
    let weights: Vec<f64> = good.iter().map(|(_, weight)| *weight).collect();
    let drawn = scene.draw.several(&weights, GOOD);
    drawn
        .into_iter()
        .map(|at| say::answer(good[at].0))
        .collect()
}

/// Inputs with right answers: one of each example, the parent's own where it has one.
fn worked(scene: &mut Scene<'_>) -> Vec<String> {
    let mut rights = super::shots::rights(scene);
    scene.draw.shuffle(&mut rights);
    let shown = rights.iter().take(WORKED).filter_map(|trial| {
        let known = scene.example(trial)?;
        let said = trial.said.as_deref()?;
        debug_assert!(trial.value >= RIGHT);
        Some(say::input(known) + &say::answer(said))
    });
    shown.collect()
}
