//! The two operators that rewrite mode has had from the start, with their messages ([`domain::operator`]): one improves a
//! question given what went wrong, one goes on from all that was tried.

use super::{Sketch, Write, scene::Scene};
use crate::pool::{Member, Subject};
use domain::{
    operator::{Operator, ProposeContext, Scored},
    proposal::Limits,
};

/// The question and the outcome of its own words. `None` where an instruction is searched.
pub fn improve(scene: &mut Scene<'_>) -> Sketch {
    let root = scene.root();
    let write = told(scene, Operator::Improve, &[root])?;
    Some((vec![root], write))
}

/// All versions with their scores, the best last. `None` where nothing was measured.
pub fn trajectory(scene: &mut Scene<'_>) -> Sketch {
    let mut ranked = scene.ranked();
    if ranked.is_empty() {
        return None;
    }
    // As they were born: the text orders them by score and keeps the order of equals.
    ranked.sort_unstable();
    let write = told(scene, Operator::Trajectory, &ranked)?;
    Some((scene.parents(&ranked), write))
}

fn told(scene: &Scene<'_>, operator: Operator, members: &[usize]) -> Option<Write> {
    let task = &scene.pool.task;
    let Subject::Question { original, kind, .. } = &task.subject else {
        return None;
    };
    let members = members.iter().filter_map(|&m| scene.pool.members.get(m));
    let tried: Vec<Scored<'_>> = members.map(scored).collect();
    let messages = operator.messages(&ProposeContext {
        original,
        kind: *kind,
        trajectory: &tried,
        max_chars: Limits::of(original, task.max_chars).max_chars,
    });
    Some(Write::Ask(messages))
}

/// The outcome of a version: its mean, and what was said in its first trial.
fn scored(member: &Member) -> Scored<'_> {
    let first = member.trials.first();
    Scored {
        text: member.words(),
        score: 100.0 * member.mean().unwrap_or(f64::NAN),
        answer: first.and_then(|t| t.said.as_deref()),
        feedback: first.map(|t| t.feedback.as_str()),
    }
}
