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
    let words = Words::of(&folded);
    // With labels a word or two beside one is how the label is explained.
    let least = if pool.task.labels.is_empty() {
        1
    } else {
        SHORT
    };
    // Where each stretch of the instruction stands in examples.
    let mut stretches = vec![Vec::new(); words.all.len()];
    for (example, known) in pool.examples.iter().enumerate() {
        let input = fold(&known.example.input);
        let input = split(&input);
        let copied = words.beside_answer(&input, known, least);
        if let Some(words) = copied.filter(|w| !given.says(w)) {
            let words = quoted(&words);
            return Err(Refused::GivesAnswer { example, words });
        }
        let short = (SHORT..STRETCH).contains(&input.len());
        if short && words.places(&input).next().is_some() && !given.says(&input.join(" ")) {
            let words = quoted(&input.join(" "));
            return Err(Refused::CopiesExample { example, words });
        }
        words.stretches(&input, example, &mut stretches);
        for text in others(known) {
            words.stretches(&split(&fold(text)), example, &mut stretches);
        }
    }
    for (at, seen) in stretches.iter().enumerate() {
        let (least, part) = SHARED;
        let shared = seen.len() >= least && seen.len() as f64 >= part * pool.examples.len() as f64;
        if let (Some(&example), false) = (seen.first(), shared) {
            let copied = words.all[at..at + STRETCH].join(" ");
            if !given.says(&copied) {
                let words = quoted(&copied);
                return Err(Refused::CopiesExample { example, words });
            }
        }
    }
    Ok(())
}

/// What an example has beside its input.
fn others(known: &Known) -> impl Iterator<Item = &String> {
    let example = &known.example;
    let one = example.context.iter().chain(&known.answer);
    one.chain(&example.choices)
}

fn split(folded: &str) -> Vec<&str> {
    folded.split(' ').filter(|w| !w.is_empty()).collect()
}

/// The words of an instruction, and where each stands.
struct Words<'a> {
    all: Vec<&'a str>,
    at: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Words<'a> {
    fn of(folded: &'a str) -> Self {
        let all = split(folded);
        let mut at: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, word) in all.iter().enumerate() {
            at.entry(word).or_default().push(place);
        }
        Self { all, at }
    }

    /// Where these words stand.
    fn places<'p>(&'p self, part: &'p [&'p str]) -> impl Iterator<Item = usize> + 'p {
        let first = part.first().and_then(|w| self.at.get(w));
        let at = first.into_iter().flatten().copied();
        at.filter(|&at| self.stand(part, at))
    }

    fn stand(&self, part: &[&str], at: usize) -> bool {
        self.all
            .get(at..)
            .is_some_and(|rest| rest.starts_with(part))
    }

    /// An input of an example beside its answer, in either order; shorter inputs are left alone.
    fn beside_answer(&self, input: &[&str], known: &Known, least: usize) -> Option<String> {
        if input.len() < least || self.places(input).next().is_none() {
            return None;
        }
        let answer = known.answer.as_deref().or(known.example.reference_text());
        let answer = fold(answer?);
        let answer = split(&answer);
        if answer.is_empty() || answer == input {
            return None;
        }
        self.beside(input, &answer)
            .or_else(|| self.beside(&answer, input))
    }

    /// The words from the first to the end of the second, where the second follows within [`GAP`] words.
    fn beside(&self, first: &[&str], second: &[&str]) -> Option<String> {
        self.places(first).find_map(|at| {
            let after = at + first.len();
            let from = (after..=after + GAP).find(|&from| self.stand(second, from))?;
            Some(self.all[at..from + second.len()].join(" "))
        })
    }

    /// Notes at which places a stretch of the instruction begins that stands in a text of this example.
    fn stretches(&self, text: &[&str], example: usize, seen: &mut [Vec<usize>]) {
        for stretch in text.windows(STRETCH) {
            for at in self.places(stretch) {
                if seen[at].last() != Some(&example) {
                    seen[at].push(example);
                }
            }
        }
    }
}
