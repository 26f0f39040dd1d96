//! Operators that keep the meaning: other words, fewer words, a trained rewriter's words.

use super::{
    Sketch, Write,
    say::{self, Request},
    scene::Scene,
};
use crate::{pool::Subject, text::turns::Turn};
use domain::call::Message;

/// The same in other words.
pub fn paraphrase(scene: &mut Scene<'_>) -> Sketch {
    let job =
        "You say an instruction in other words. It must mean the same and be just as detailed.";
    reworded(scene, job, |t| (t.better, t.reworded))
}

/// The same in fewer words.
pub fn shorten(scene: &mut Scene<'_>) -> Sketch {
    let job =
        "You make an instruction shorter. Leave out what is not needed and keep what decides.";
    reworded(scene, job, |t| (t.better, t.brief))
}

fn reworded(
    scene: &mut Scene<'_>,
    job: &str,
    of_turn: fn(&Turn) -> (&'static str, &'static str),
) -> Sketch {
    let (words, subject) = (scene.words()?, scene.subject());
    let request = Request {
        job,
        wants: say::ONE_PROMPT,
        turns: scene
            .turns(2)
            .iter()
            .map(of_turn)
            .map(|(before, after)| (say::worked(subject, before), say::prompt(after)))
            .collect(),
        last: say::current(subject, words),
    };
    Some((vec![scene.parent], request.write(scene)))
}

/// The bare words: a trained rewriter knows what to do with them. Of a question they are its own, as in training.
pub fn rewriter(scene: &mut Scene<'_>) -> Sketch {
    let from = match scene.subject() {
        Subject::Instruction => scene.parent,
        Subject::Question { .. } => scene.root(),
    };
    let words = Some(scene.text(from)).filter(|words| !words.trim().is_empty())?;
    Some((vec![from], Write::Ask(vec![Message::user(words)])))
}
