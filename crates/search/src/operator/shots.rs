//! Demonstrations: train examples with an answer, shown before the input.
//!
//! A prompt is never tried on an example that it shows.

use super::{
    Sketch, Write,
    scene::{RIGHT, Scene},
};
use crate::pool::{Known, Trial};
use domain::{
    hash::Hash,
    prompt::{PromptDoc, Shot},
    proposal::fold,
};
use std::collections::{BTreeMap, BTreeSet};

/// A demonstration is no longer than this, characters: a prompt shows several.
const SHOT_CHARS: usize = 2000;

/// A demonstration that could be shown.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Its right answer, folded, where the task has labels: sets are balanced over it.
    label: String,
    shot: Shot,
}

/// Demonstrations with right answers.
pub fn labelled(scene: &mut Scene<'_>) -> Sketch {
    let offers = offers_of_labels(scene);
    made(scene, &offers)
}

/// Demonstrations with what the model itself said, where that was right.
pub fn bootstrapped(scene: &mut Scene<'_>) -> Sketch {
    let rights = rights(scene);
    let offers = rights.iter().filter_map(|trial| {
        let known = scene.example(trial)?;
        offer(scene, known, trial.said.as_deref()?)
    });
    let offers: Vec<Offer> = offers.collect();
    made(scene, &offers)
}

/// An example that the prompt got wrong, with its right answer, as the last demonstration: right before the input it counts most.
/// One of the others makes room where there are as many as a prompt may show. A prompt without demonstrations has nothing to
/// correct: the first that it shows say most by themselves.
pub fn corrected(scene: &mut Scene<'_>) -> Sketch {
    let (member, most) = (scene.member, scene.pool.task.max_shots);
    let own = &member.doc.shots;
    if own.is_empty() || most == 0 {
        return None;
    }
    let wrong = member.trials.iter().filter(|t| t.value < RIGHT);
    let wrong: BTreeSet<Hash> = wrong.filter_map(|t| Some(scene.example(t)?.id)).collect();
    let mut offers = offers_of_labels(scene);
    offers.retain(|offer| wrong.contains(&offer.shot.example));
    let shot = next(scene, own, &offers, false)?;
    let mut shots = own.clone();
    while shots.len() >= most {
        shots.remove(scene.draw.below(shots.len()));
    }
    shots.push(shot);
    showing(scene, shots)
}

/// The parent with these demonstrations.
fn showing(scene: &Scene<'_>, shots: Vec<Shot>) -> Sketch {
    let doc = PromptDoc {
        shots,
        ..scene.member.doc.clone()
    };
    Some((vec![scene.parent], Write::Made(doc)))
}

/// What can be shown with right answers.
pub fn offers_of_labels(scene: &Scene<'_>) -> Vec<Offer> {
    let known = scene.pool.examples.iter();
    known
        .filter_map(|k| offer(scene, k, k.answer.as_deref()?))
        .collect()
}

fn offer(scene: &Scene<'_>, known: &Known, output: &str) -> Option<Offer> {
    let shot = known.shot(output.trim().to_owned());
    let texts = [&shot.input, &shot.output].into_iter().chain(&shot.context);
    let chars: usize = texts.chain(&shot.choices).map(|t| t.chars().count()).sum();
    let usable = !shot.output.is_empty() && chars <= SHOT_CHARS;
    let label = label(scene, known);
    usable.then_some(Offer { label, shot })
}

fn label(scene: &Scene<'_>, known: &Known) -> String {
    match scene.pool.task.labels.is_empty() {
        true => String::new(),
        false => known.answer.as_deref().map(fold).unwrap_or_default(),
    }
}

/// Right answers with words: one for each example, in their order. The parent's own where it has one, else that of the
/// best member.
pub fn rights<'a>(scene: &Scene<'a>) -> Vec<&'a Trial> {
    let mut members: Vec<usize> = (0..scene.pool.members.len()).collect();
    let first = |m: &usize| (*m != scene.parent) as u8;
    members.sort_by(|a, b| {
        let better = scene.scores[*b].total_cmp(&scene.scores[*a]);
        first(a).cmp(&first(b)).then(better).then(a.cmp(b))
    });
    let mut of_example: BTreeMap<usize, &Trial> = BTreeMap::new();
    for trial in members.iter().flat_map(|&m| &scene.pool.members[m].trials) {
        let says = trial.said.as_deref().is_some_and(|s| !s.trim().is_empty());
        if trial.value >= RIGHT && says && trial.example < scene.pool.examples.len() {
            of_example.entry(trial.example).or_insert(trial);
        }
    }
    of_example.into_values().collect()
}

/// A set that has nothing to do with the parent's: one example more or less, or another order, leans a model as far another way
/// as a new set does.
fn made(scene: &mut Scene<'_>, offers: &[Offer]) -> Sketch {
    let most = scene.pool.task.max_shots;
    if most == 0 || offers.is_empty() {
        return None;
    }
    let shots = fresh(scene, offers, most);
    if shots == scene.member.doc.shots {
        return None;
    }
    showing(scene, shots)
}

/// How often a set is drawn anew because one with the same answers in the same order was tried.
const DRAWN: usize = 10;

/// Demonstrations, if that can be with answers in an order that no member shows: which answers stand where decides what a small
/// model leans to, so that of the orders some work and many do not, whatever the examples.
fn fresh(scene: &mut Scene<'_>, offers: &[Offer], most: usize) -> Vec<Shot> {
    let members = scene.pool.members.iter();
    let tried: BTreeSet<Vec<String>> = members.map(|m| order(scene, &m.doc.shots)).collect();
    let mut shots = drawn(scene, offers, most);
    for _ in 1..DRAWN {
        if !tried.contains(&order(scene, &shots)) {
            break;
        }
        shots = drawn(scene, offers, most);
    }
    shots
}

/// The answers of these demonstrations, in their order.
fn order(scene: &Scene<'_>, shots: &[Shot]) -> Vec<String> {
    shots.iter().map(|s| label_of(scene, s)).collect()
}

/// Every second time as many as may be shown, else any number: more do better as a rule. Every second time taken from the labels
/// in turn, else from all: a model that leans to one label is put right by sets that lean to another, and by none that is even.
fn drawn(scene: &mut Scene<'_>, offers: &[Offer], most: usize) -> Vec<Shot> {
    let n = match scene.draw.below(2) {
        0 => most,
        _ => 1 + scene.draw.below(most),
    };
    let even = scene.draw.below(2) == 0;
    let mut shots: Vec<Shot> = Vec::new();
    while shots.len() < n {
        let Some(shot) = next(scene, &shots, offers, even) else {
            break;
        };
        shots.push(shot);
    }
    scene.draw.shuffle(&mut shots);
    shots
}

/// One that is not shown yet; where it should be even, of a label that is shown least.
fn next(scene: &mut Scene<'_>, shots: &[Shot], offers: &[Offer], even: bool) -> Option<Shot> {
    let mut left = not_shown(shots, offers);
    if even {
        let labels = order(scene, shots);
        let count = |o: &Offer| labels.iter().filter(|l| **l == o.label).count();
        let least = left.iter().map(|o| count(o)).min()?;
        let mut of: BTreeMap<&str, Vec<&Offer>> = BTreeMap::new();
        for offer in left.into_iter().filter(|o| count(o) == least) {
            of.entry(&offer.label).or_default().push(offer);
        }
        let groups: Vec<Vec<&Offer>> = of.into_values().collect();
        left = scene.draw.one(&groups)?.clone();
    }
    scene.draw.one(&left).map(|o| o.shot.clone())
}

fn not_shown<'o>(shots: &[Shot], offers: &'o [Offer]) -> Vec<&'o Offer> {
    let shown: BTreeSet<Hash> = shots.iter().map(|s| s.example).collect();
    let inputs: BTreeSet<&str> = shots.iter().map(|s| s.input.trim()).collect();
    let is_new = |o: &&Offer| {
        // Examples may share an input and differ in context.
        let same_input = o.shot.context.is_none() && inputs.contains(o.shot.input.trim());
        !shown.contains(&o.shot.example) && !same_input
    };
    offers.iter().filter(is_new).collect()
}

fn label_of(scene: &Scene<'_>, shot: &Shot) -> String {
    let mut known = scene.pool.examples.iter();
    let known = known.find(|k| k.id == shot.example);
    known.map(|k| label(scene, k)).unwrap_or_default()
}

/// With one of them replaced by one that is not shown yet. `None` where there is none.
pub fn replaced(scene: &mut Scene<'_>, own: &[Shot], offers: &[Offer]) -> Option<Vec<Shot>> {
    let at = scene.draw.below(own.len());
    let gone = own.get(at)?.example;
    let others: Vec<Offer> = offers
        .iter()
        .filter(|o| o.shot.example != gone)
        .cloned()
        .collect();
    let mut shots = own.to_vec();
    shots.remove(at);
    let even = scene.draw.below(2) == 0;
    let shot = next(scene, &shots, &others, even)?;
    shots.insert(at, shot);
    Some(shots)
}
