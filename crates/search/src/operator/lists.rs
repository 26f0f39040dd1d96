//! Operators that continue a list of instructions: estimation of distribution, and lineage (Promptbreeder).

use super::{
    Sketch,
    say::{self, Request},
    scene::Scene,
};
use crate::{pool::Subject, similar, text::turns::Turn};

/// A list is no longer than this.
const ENTRIES: usize = 12;

/// What continues a list in no order.
pub const ONE_MORE: &str = "Continue the list: write one more that differs from all of these.";
/// What continues a list from worse to better.
pub const NEXT: &str = "Write the one that comes next in this row: better than the last.";
/// What continues a line of ancestors.
pub const GO_ON: &str =
    "Write the next step of this line: go on from the last in the same direction.";

/// Members' instructions in random order, without near-copies: the older one is kept.
pub fn eda(scene: &mut Scene<'_>) -> Sketch {
    let mut members = kept(scene, &scene.with_instruction());
    scene.draw.shuffle(&mut members);
    members.truncate(ENTRIES);
    let list = List {
        job: "You continue lists of instructions.",
        lead: [
            "Instructions for one task, in no order:",
            "Versions of one instruction, in no order:",
        ],
        ask: ONE_MORE,
        of_turn: |t| [t.reworded, t.plain],
    };
    list.sketch(scene, &members)
}

/// Members' instructions from worse to better, without near-copies: the better one is kept.
pub fn eda_rank(scene: &mut Scene<'_>) -> Sketch {
    let best_first: Vec<usize> = scene.ranked().into_iter().rev().collect();
    let mut members = kept(scene, &best_first);
    members.truncate(ENTRIES);
    members.reverse();
    let list = List {
        job: "You continue rows of instructions that get better and better.",
        lead: [
            "Instructions for one task, from worse to better. The last is the best:",
            "Versions of one instruction, from worse to better. The last is the best:",
        ],
        ask: NEXT,
        of_turn: |t| [t.rough, t.plain],
    };
    list.sketch(scene, &members)
}

/// The parent's line, oldest first. `None` where it has no ancestor with another instruction.
pub fn lineage(scene: &mut Scene<'_>) -> Sketch {
    let mut line = vec![scene.parent];
    let mut at = scene.parent;
    // Parents are older than their children; anything else is no line and would have no end.
    while let Some(&older) = scene.pool.members[at].parents.first().filter(|&&p| p < at) {
        at = older;
        if !scene.text(at).trim().is_empty()
            && line.iter().all(|&m| scene.text(m) != scene.text(at))
        {
            line.push(at);
        }
    }
    scene.words()?;
    line.truncate(ENTRIES);
    line.reverse();
    let list = List {
        job: "You carry on how an instruction was improved step by step.",
        lead: ["One instruction as it was improved, the oldest first:"; 2],
        ask: GO_ON,
        of_turn: |t| [t.rough, t.plain],
    };
    list.sketch(scene, &line)
}

/// Those of these members whose instructions are no near-copy of one before them.
fn kept(scene: &Scene<'_>, members: &[usize]) -> Vec<usize> {
    let texts = members.iter().map(|&m| scene.text(m));
    let places = similar::distinct(texts);
    places.into_iter().map(|at| members[at]).collect()
}

/// How a list is shown and what is asked of it.
struct List {
    job: &'static str,
    /// Of instructions, and of questions.
    lead: [&'static str; 2],
    ask: &'static str,
    of_turn: fn(&Turn) -> [&'static str; 2],
}

impl List {
    /// `None` where there are not two to continue.
    fn sketch(&self, scene: &mut Scene<'_>, members: &[usize]) -> Sketch {
        if members.len() < 2 {
            return None;
        }
        let texts: Vec<&str> = members.iter().map(|&m| scene.text(m)).collect();
        let subject = scene.subject();
        let request = Request {
            job: self.job,
            wants: say::ONE_PROMPT,
            turns: scene
                .turns(2)
                .iter()
                .map(|t| {
                    let of = say::below_as(t.plain, subject);
                    let asked = self.asked(subject, &(self.of_turn)(t));
                    (asked + &of, say::prompt(t.better))
                })
                .collect(),
            last: self.asked(subject, &texts) + &say::below(subject),
        };
        Some((scene.parents(members), request.write(scene)))
    }

    fn asked(&self, subject: &Subject, texts: &[&str]) -> String {
        let entries: Vec<String> = texts.iter().map(|t| say::version(t)).collect();
        let (lead, ask) = (subject.either(self.lead[0], self.lead[1]), self.ask);
        let end = if subject.original().is_some() {
            "\n"
        } else {
            ""
        };
        format!("{lead}\n\n{}\n{ask}{end}", say::fitting(&entries))
    }
}
