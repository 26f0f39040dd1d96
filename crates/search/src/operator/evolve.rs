//! Genetic algorithm and differential evolution in words (EvoPrompt), each with one worked turn.

use super::{
    Sketch,
    say::{self, Request},
    scene::Scene,
};

/// The steps of a crossing.
pub const GA_STEPS: &str = "1. Join what is good in both into one instruction.\n\
                            2. Change something in that one so that it works better.";
/// The steps of a differential step.
pub const DE_STEPS: &str = "1. Say in what A and B differ.\n\
                            2. Change that into something new.\n\
                            3. Put it into C in place of what is like it.\n\
                            4. Join the result with D.";
const WANTS: &str =
    "Write the steps in short, and the last instruction between <prompt> and </prompt>.";

/// Crosses the parent with another, drawn by score, and changes the result.
pub fn ga(scene: &mut Scene<'_>) -> Sketch {
    let own = scene.words()?;
    let mut others = scene.with_instruction();
    others.retain(|&m| scene.text(m) != own);
    let other = scene.roulette(&others)?;
    let subject = scene.subject();
    let asked = |a: &str, b: &str| {
        let (a, b) = (say::version(a), say::version(b));
        format!("{}\n\nA:\n{a}\nB:\n{b}", subject.said(GA_STEPS))
    };
    let request = Request {
        job: "You cross two instructions.",
        wants: WANTS,
        turns: scene
            .turns(1)
            .iter()
            .map(|t| {
                let reply = format!("1. {}\n2. {}", t.better, say::prompt(t.reworded));
                let of = say::below_as(t.plain, subject);
                (asked(t.plain, t.brief) + &of, reply)
            })
            .collect(),
        last: asked(scene.text(other), own) + &say::below(subject),
    };
    Some((vec![scene.parent, other], request.write(scene)))
}

/// What differs in two others, changed, put into the best other one and crossed with the parent. `None` where there are not two
/// others that differ from the parent and from each other.
pub fn de(scene: &mut Scene<'_>) -> Sketch {
    let own = scene.words()?;
    let ranked = scene.ranked();
    let differs = |m: &&usize| scene.text(**m) != own;
    // The parent may be the best itself: the next one then, or two of the four would be the same.
    let best = *ranked.iter().rev().find(differs)?;
    let mut others = scene.with_instruction();
    others.retain(|&m| scene.text(m) != own);
    let a = *scene.draw.one(&others)?;
    others.retain(|&m| scene.text(m) != scene.text(a));
    let b = *scene.draw.one(&others)?;
    let subject = scene.subject();
    let asked = |texts: [&str; 4]| {
        let named = texts.iter().zip(["A", "B", "C", "D"]);
        let named: Vec<String> = named
            .map(|(text, name)| format!("{name}:\n{}", say::version(text)))
            .collect();
        format!("{DE_STEPS}\n\n{}", named.join("\n"))
    };
    let request = Request {
        job: "You breed a new instruction from four.",
        wants: WANTS,
        turns: scene
            .turns(1)
            .iter()
            .map(|t| {
                let reply = format!(
                    "1. {}\n2. {}\n3. {}\n4. {}",
                    t.differ,
                    t.changed,
                    t.better,
                    say::prompt(t.reworded)
                );
                let of = say::below_as(t.plain, subject);
                (asked([t.plain, t.brief, t.better, t.rough]) + &of, reply)
            })
            .collect(),
        last: asked([scene.text(a), scene.text(b), scene.text(best), own]) + &say::below(subject),
    };
    let mut parents = vec![scene.parent, a, b];
    // It may be one of the two.
    parents.extend((![a, b].contains(&best)).then_some(best));
    Some((parents, request.write(scene)))
}
