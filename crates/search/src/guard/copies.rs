//! Train examples that stand in an instruction: it would be right on them and on nothing else.

use super::{Given, quoted};
use crate::{
    pool::{Known, Pool},
    refused::Refused,
};
use domain::proposal::fold;
use std::collections::HashMap;

/// So many words in a row are no chance.
const STRETCH: usize = 8;
/// An input of fewer words than [`STRETCH`] is copied where it is there whole, if it has at least these.
const SHORT: usize = 3;
/// Between an input and its answer there may be so many words.
const GAP: usize = 3;
/// A stretch is the task's own wording where so many examples have it, and this part of all.
const SHARED: (usize, f64) = (3, 0.1);

pub fn judge(text: &str, pool: &Pool, given: &Given) -> Result<(), Refused> {
    let folded = fold(text);
    let words: Vec<&str> = folded.split(' ').collect();
    let known: Vec<Vec<String>> = pool.examples.iter().map(texts).collect();
    answers(&words, pool, given)?;
    short_inputs(&words, pool, given)?;
    stretches(&words, &known, given)
}

/// Everything in an example that is long enough to be copied, folded.
fn texts(known: &Known) -> Vec<String> {
    let example = &known.example;
    let parts = [
        Some(&example.input),
        example.context.as_ref(),
        known.answer.as_ref(),
    ];
    let parts = parts.into_iter().flatten().chain(&example.choices);
    parts.map(|t| fold(t)).collect()
}

/// An input beside its answer, in either order.
fn answers(words: &[&str], pool: &Pool, given: &Given) -> Result<(), Refused> {
    for (example, known) in pool.examples.iter().enumerate() {
        let answer = known.answer.as_deref().or(known.example.reference_text());
        let (input, answer) = (fold(&known.example.input), fold(answer.unwrap_or_default()));
        let (input, answer) = (split(&input), split(&answer));
        // With labels a word or two beside one is how the label is explained.
        let least = if pool.task.labels.is_empty() {
            1
        } else {
            SHORT
        };
        if input.len() < least || answer.is_empty() || input == answer {
            continue;
        }
        let beside = beside(words, &input, &answer).or_else(|| beside(words, &answer, &input));
        if let Some(words) = beside.filter(|w| !given.says(w)) {
            let words = quoted(&words);
            return Err(Refused::GivesAnswer { example, words });
        }
    }
    Ok(())
}

/// The words from the first to the end of the second, where the second follows within [`GAP`] words.
fn beside(words: &[&str], first: &[&str], second: &[&str]) -> Option<String> {
    for at in places(words, first) {
        let after = at + first.len();
        for from in after..=after + GAP {
            if words
                .get(from..)
                .is_some_and(|rest| rest.starts_with(second))
            {
                return Some(words[at..from + second.len()].join(" "));
            }
        }
    }
    None
}

fn short_inputs(words: &[&str], pool: &Pool, given: &Given) -> Result<(), Refused> {
    for (example, known) in pool.examples.iter().enumerate() {
        let input = fold(&known.example.input);
        let split = split(&input);
        let short = (SHORT..STRETCH).contains(&split.len());
        if short && places(words, &split).next().is_some() && !given.says(&input) {
            let words = quoted(&input);
            return Err(Refused::CopiesExample { example, words });
        }
    }
    Ok(())
}

/// Eight words in a row of one example.
fn stretches(words: &[&str], known: &[Vec<String>], given: &Given) -> Result<(), Refused> {
    let mut examples: HashMap<&[&str], Vec<usize>> = words
        .windows(STRETCH)
        .map(|stretch| (stretch, Vec::new()))
        .collect();
    if examples.is_empty() {
        return Ok(());
    }
    for (example, texts) in known.iter().enumerate() {
        for text in texts {
            let of_text = split(text);
            for stretch in of_text.windows(STRETCH) {
                if let Some(seen) = examples.get_mut(stretch)
                    && seen.last() != Some(&example)
                {
                    seen.push(example);
                }
            }
        }
    }
    // In the order of the instruction: a map has none.
    for stretch in words.windows(STRETCH) {
        let seen = examples.get(stretch).map(Vec::as_slice).unwrap_or_default();
        let (least, part) = SHARED;
        let shared = seen.len() >= least && seen.len() as f64 >= part * known.len() as f64;
        let copied = stretch.join(" ");
        if let (Some(&example), false, false) = (seen.first(), shared, given.says(&copied)) {
            let words = quoted(&copied);
            return Err(Refused::CopiesExample { example, words });
        }
    }
    Ok(())
}

fn split(folded: &str) -> Vec<&str> {
    folded.split(' ').filter(|w| !w.is_empty()).collect()
}

/// Where these words stand in others.
fn places<'a>(words: &'a [&str], part: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
    let n = part.len().max(1);
    let windows = words.windows(n).enumerate();
    windows.filter(move |(_, w)| *w == part).map(|(at, _)| at)
}
