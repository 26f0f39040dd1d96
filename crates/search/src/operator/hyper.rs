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
/// The same of a question.
pub const NEW_WAY_TO_ASK: &str = "Find a way to change this instruction, then change it.";
/// What is asked of a mutation prompt.
pub const BETTER_WAY: &str = "Make the way of changing better, then change the instruction.";

/// A new mutation prompt from the description and a thinking style; of a question, from the style alone.
pub fn zero(scene: &mut Scene<'_>) -> Sketch {
    let (words, subject) = (scene.words()?, scene.subject());
    let of_question = subject.original().is_some();
    if !of_question {
        scene.description()?;
    }
    let ask = subject.either(NEW_WAY, NEW_WAY_TO_ASK);
    let asked = |task: &str, style: &str, shown: String| match of_question {
        true => format!("{style} {ask}\n\n{shown}"),
        false => format!("{task}\n{style} {ask}\n\n{shown}"),
    };
    let mut drawn = styles::of(subject).to_vec();
    scene.draw.shuffle(&mut drawn);
    let turns = scene.turns(2);
    let request = Request {
        job: JOB,
        wants: WANTS,
        turns: turns
            .iter()
            .zip(drawn.iter().skip(1))
            .map(|(t, style)| {
                let shown = say::worked(subject, t.rough);
                let asked = asked(&say::task(t.task), style, shown);
                (asked, both(t.mutation, t.better))
            })
            .collect(),
        last: asked(
            &say::task_of(&scene.pool.task),
            drawn.first().copied().unwrap_or_default(),
            say::current(subject, words),
        ),
    };
    Some((vec![scene.parent], request.write(scene)))
}

/// A better mutation prompt from the one there is.
pub fn first(scene: &mut Scene<'_>) -> Sketch {
    let (words, subject) = (scene.words()?, scene.subject());
    let ask = subject.said(BETTER_WAY);
    let asked = |mutation: &str, shown: String| {
        let mutation = tagged("mutation", mutation, usize::MAX);
        format!("{mutation}\n{ask}\n\n{shown}")
    };
    let mut drawn = mutations::of(subject).to_vec();
    scene.draw.shuffle(&mut drawn);
    let request = Request {
        job: JOB,
        wants: WANTS,
        turns: scene
            .turns(2)
            .iter()
            .zip(&drawn)
            .map(|(t, mutation)| {
                let shown = say::worked(subject, t.rough);
                (asked(mutation, shown), both(t.mutation, t.better))
            })
            .collect(),
        last: asked(&scene.mutation, say::current(subject, words)),
    };
    Some((vec![scene.parent], request.write(scene)))
}

fn both(mutation: &str, text: &str) -> String {
    format!("<mutation>{mutation}</mutation>\n{}", say::prompt(text))
}
