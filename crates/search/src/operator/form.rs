//! Wordings of ours that cost no call: a frame around the task, a closing sentence about the form of an answer.

use super::{Sketch, Write, scene::Scene};
use crate::{
    pool::{Pool, Task},
    text::frames,
};
use domain::prompt::PromptDoc;

/// States the task from description and labels. `None` without a description, or where none fits and is new.
pub fn frame(scene: &mut Scene<'_>) -> Sketch {
    let description = scene.description()?;
    let task = &scene.pool.task;
    let frames = match task.labels.is_empty() {
        true => &frames::WITHOUT_LABELS,
        false => &frames::WITH_LABELS,
    };
    let texts = frames
        .iter()
        .map(|f| frames::filled(f, description, &task.labels))
        .filter(|text| text != scene.member.words() && fits(text, task));
    let texts: Vec<String> = texts.collect();
    let text = scene.draw.one(&texts)?.clone();
    made(scene, text)
}

/// Sets a closing sentence, in place of one of ours that is there already. `None` where none fits and is new.
pub fn answer_form(scene: &mut Scene<'_>) -> Sketch {
    let instruction = scene.words()?.trim_end();
    let closings = closings(scene.pool);
    // The longest first: one closing may end in another.
    let mut ours: Vec<&String> = closings.iter().collect();
    ours.sort_by_key(|c| std::cmp::Reverse(c.len()));
    let bare = ours
        .iter()
        .find_map(|c| instruction.strip_suffix(c.as_str()))
        .unwrap_or(instruction)
        .trim_end();
    if bare.is_empty() {
        return None;
    }
    let gap = if bare.contains('\n') { "\n" } else { " " };
    let texts: Vec<String> = closings
        .iter()
        .map(|c| format!("{bare}{gap}{c}"))
        .filter(|text| text != instruction && fits(text, &scene.pool.task))
        .collect();
    let text = scene.draw.one(&texts)?.clone();
    made(scene, text)
}

/// Closing sentences that suit the task.
fn closings(pool: &Pool) -> Vec<String> {
    let labels = &pool.task.labels;
    if !labels.is_empty() {
        let filled = |c: &&str| frames::filled(c, "", labels);
        return frames::CLOSING_WITH_LABELS.iter().map(filled).collect();
    }
    let by_letter = pool.examples.iter().any(|k| !k.example.choices.is_empty());
    let letters = frames::CLOSING_WITH_CHOICES.iter().filter(|_| by_letter);
    let plain = frames::CLOSING_WITHOUT_LABELS.iter();
    letters.chain(plain).map(|c| (*c).to_owned()).collect()
}

/// Short enough, with everything that has to be kept.
fn fits(text: &str, task: &Task) -> bool {
    text.chars().count() <= task.max_chars && task.must_keep.iter().all(|k| text.contains(k))
}

fn made(scene: &Scene<'_>, instruction: String) -> Sketch {
    let doc = PromptDoc {
        instruction: Some(instruction),
        ..scene.member.doc.clone()
    };
    Some((vec![scene.parent], Write::Made(doc)))
}
