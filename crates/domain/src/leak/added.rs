//! What a rewrite adds.

use super::{lexicon, text::Text};
use std::collections::HashMap;

/// At most this many kept words between two added ones are carried along, so that the parts read as phrases.
const BRIDGE: usize = 2;

/// The words of the rewrite that the original lacks, in order and as written; a word counts as often as it
/// occurs, whatever its case. Short gaps of function words are kept ("the scattering *of* light"), longer ones
/// become "…", and stretches of function words alone are dropped. Empty if nothing is added.
pub fn added_words(original: &str, rewrite: &str) -> String {
    let (before, after) = (Text::new(original), Text::new(rewrite));
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in &before.words {
        *left.entry(&word.text).or_default() += 1;
    }
    let added: Vec<bool> = after
        .words
        .iter()
        .map(|w| !take(&mut left, &w.text))
        .collect();
    let content: Vec<usize> = (0..added.len())
        .filter(|&i| added[i] && !lexicon::is_stop(&after.words[i].text))
        .collect();
    let mut out = String::new();
    let mut previous: Option<usize> = None;
    for &at in &content {
        let from = match previous {
            Some(p) if (p + 1..at).all(|i| added[i]) || bridged(&after, p, at) => p + 1,
            Some(_) => {
                out.push_str(" …");
                at
            }
            None => at,
        };
        for i in from..=at {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(after.written(i));
        }
        previous = Some(at);
    }
    out
}

fn take(left: &mut HashMap<&str, usize>, word: &str) -> bool {
    left.get_mut(word).is_some_and(|n| {
        let had = *n > 0;
        *n = n.saturating_sub(1);
        had
    })
}

fn bridged(text: &Text, from: usize, to: usize) -> bool {
    to - from - 1 <= BRIDGE
        && text.words[from].sentence == text.words[to].sentence
        && text.words[from + 1..to]
            .iter()
            .all(|w| lexicon::is_stop(&w.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new() {
        let original = "What is the capital of France?";
        assert_eq!(added_words(original, original), "");
        assert_eq!(
            added_words(original, "What is the capital of France, Paris?"),
            "Paris"
        );
        insta::assert_snapshot!(
            added_words(original, "Think of the Seine. What city is the capital of France? Not Lyon."),
            @"Think of the Seine … city … Lyon"
        );
    }

    #[test]
    fn a_word_counts_as_often_as_it_occurs() {
        let original = "Is the review positive or negative?";
        assert_eq!(
            added_words(
                original,
                "Is the review positive or negative? It is negative."
            ),
            "negative"
        );
    }
}
