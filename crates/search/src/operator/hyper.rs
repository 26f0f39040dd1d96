//! Operators that make the way of changing too: hyper-mutations (Promptbreeder). One reply holds both.

use super::{
    Sketch,
    say::{self, Request},
    scene::Scene,
    tags::tagged,
};
use crate::text::{mutations, styles};

const JOB: &str = "First you find a way to change an instruction, then you change it in that way.";
const WANTS: &str = "Write the way as one sentence between <mutation> and </mutation>, then the new instruction between \
                     <prompt> and </prompt>.";
/// What is asked of the description.
pub const NEW_WAY: &str = "Find a way to change the instruction for this task, then change it.";
/// What is asked of a mutation prompt.
pub const BETTER_WAY: &str = "Make the way of changing better, then change the instruction.";

/// A new mutation prompt from the description and a thinking style.
pub fn zero(scene: &mut Scene<'_>) -> Sketch {
    let (_, instruction) = (scene.description()?, scene.instruction()?);
    let asked = |task: &str, style: &str, text: &str| {
        format!("{task}\n{style} {NEW_WAY}\n\n{}", say::current(text))
    };
    let mut drawn = styles::ALL;
    scene.draw.shuffle(&mut drawn);
    let turns = scene.turns(2);
    let request = Request {
        job: JOB,
        wants: WANTS,
        turns: turns
            .iter()
            .zip(&drawn[1..])
            .map(|(t, style)| {
                let asked = asked(&say::task(t.task), style, t.rough);
                (asked, both(t.mutation, t.better))
            })
            .collect(),
        last: asked(&say::task_of(&scene.pool.task), drawn[0], instruction),
    };
    Some((vec![scene.parent], request.write(scene)))
}

/// A better mutation prompt from the one there is.
pub fn first(scene: &mut Scene<'_>) -> Sketch {
    let instruction = scene.instruction()?;
    let asked = |mutation: &str, text: &str| {
        let mutation = tagged("mutation", mutation, usize::MAX);
        format!("{mutation}\n{BETTER_WAY}\n\n{}", say::current(text))
    };
    let mut drawn = mutations::ALL;
    scene.draw.shuffle(&mut drawn);
    let request = Request {
        job: JOB,
        wants: WANTS,
        turns: scene
            .turns(2)
            .iter()
            .zip(&drawn)
            .map(|(t, mutation)| (asked(mutation, t.rough), both(t.mutation, t.better)))
            .collect(),
        last: asked(&scene.mutation, instruction),
    };
    Some((vec![scene.parent], request.write(scene)))
}

fn both(mutation: &str, text: &str) -> String {
    format!("<mutation>{mutation}</mutation>\n{}", say::prompt(text))
}
