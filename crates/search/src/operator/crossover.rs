//! Parts of one member with parts of another (Promptbreeder): of prompts that show demonstrations, the instruction of one
//! with the demonstrations of the other, shuffled; of questions, the words of one with the mutation prompt of the other.

use super::{Sketch, Write, breed, scene::Scene, shots};
use domain::prompt::{PromptDoc, Shot};

/// The other member is drawn by score among those where one of the two has demonstrations. Its demonstrations come under
/// the parent's instruction, or the parent's under its instruction where it shows none; where both show some, a coin
/// decides. They are shuffled, and one of them may be replaced by a new one.
pub fn sketch(scene: &mut Scene<'_>) -> Sketch {
    if scene.subject().original().is_some() {
        return of_question(scene);
    }
    let most = scene.pool.task.max_shots;
    if most == 0 {
        return None;
    }
    let own = &scene.member.doc;
    let other = other(scene)?;
    let others = &scene.pool.members[other].doc;
    let takes_theirs = match (own.shots.is_empty(), others.shots.is_empty()) {
        (true, _) => true,
        (_, true) => false,
        _ => scene.draw.below(2) == 0,
    };
    let (parents, frame, taken) = match takes_theirs {
        true => (vec![scene.parent, other], own, &others.shots),
        false => (vec![other, scene.parent], others, &own.shots),
    };
    let doc = PromptDoc {
        shots: shuffled(scene, taken, most),
        ..frame.clone()
    };
    (doc != *own && doc != *others).then_some((parents, Write::Made(doc)))
}

/// The parent's words, changed in the way of another member, drawn by score, whose way is another. `None` where there is
/// no such member.
fn of_question(scene: &mut Scene<'_>) -> Sketch {
    let pool = scene.pool;
    let way = |m: usize| {
        let way = pool.members.get(m)?.doc.mutation.as_deref()?;
        (!way.trim().is_empty()).then_some(way)
    };
    let (parent, own) = (scene.parent, way(scene.parent));
    let differs = |m: &usize| *m != parent && way(*m).is_some() && way(*m) != own;
    let others: Vec<usize> = (0..pool.members.len()).filter(differs).collect();
    let other = scene.roulette(&others)?;
    let theirs = way(other)?;
    theirs.clone_into(&mut scene.mutation);
    Some((vec![parent, other], breed::changed(scene, theirs)?))
}

fn other(scene: &mut Scene<'_>) -> Option<usize> {
    let own = &scene.member.doc;
    let fits = |m: &usize| {
        let doc = &scene.pool.members[*m].doc;
        *m != scene.parent && !(own.shots.is_empty() && doc.shots.is_empty()) && doc != own
    };
    let others: Vec<usize> = (0..scene.pool.members.len()).filter(fits).collect();
    scene.roulette(&others)
}

/// In another order, and every second time with one that is new.
fn shuffled(scene: &mut Scene<'_>, taken: &[Shot], most: usize) -> Vec<Shot> {
    let mut shots = taken.to_vec();
    scene.draw.shuffle(&mut shots);
    shots.truncate(most);
    if scene.draw.below(2) == 0 {
        let offers = shots::offers_of_labels(scene);
        if let Some(replaced) = shots::replaced(scene, &shots, &offers) {
            shots = replaced;
        }
    }
    shots
}
