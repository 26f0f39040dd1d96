//! Promptbreeder's direct mutations and its way back from answers.

use super::{
    Sketch,
    say::{self, Request},
    scene::{RIGHT, Scene},
    tags::defused,
};

/// What is asked from the description.
pub const FROM_TASK: &str = "Write one instruction that tells a model how to do this task well.";
/// What is asked from right answers.
pub const GUESS: &str = "Which instruction did the model get?";
/// Right answers shown.
const WORKED: usize = 4;

/// From the description alone.
pub fn zero_order(scene: &mut Scene<'_>) -> Sketch {
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

/// As the mutation prompt says.
pub fn first_order(scene: &mut Scene<'_>) -> Sketch {
    let instruction = scene.instruction()?;
    let asked = |how: &str, text: &str| format!("{}\n\n{}", defused(how), say::current(text));
    let request = Request {
        job: "You change an instruction in the way that you are told.",
        wants: say::ONE_PROMPT,
        turns: scene
            .turns(2)
            .iter()
            .map(|t| (asked(t.mutation, t.rough), say::prompt(t.better)))
            .collect(),
        last: asked(&scene.mutation, instruction),
    };
    Some((vec![scene.parent], request.write(scene)))
}

/// From answers that are right, whichever member's they are. `None` where there are none.
pub fn lamarckian(scene: &mut Scene<'_>) -> Sketch {
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
