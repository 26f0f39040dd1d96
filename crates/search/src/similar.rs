//! How alike two texts are.
//!
//! The measure is the cosine of counts of character trigrams. Texts are folded first (case, spacing, punctuation and
//! Unicode forms do not count), and each word has a space on either side, so that a trigram knows where words begin.
//! It is 1 for texts that fold to the same, 0 for texts without a trigram in common, and needs no model: it takes the
//! place of the sentence embeddings in Promptbreeder's filter, whose threshold 0.95 means nothing here.
//!
//! [`NEAR`] was set on pairs of instructions (in the tests): copies that differ in looks, in one word or in a filler
//! have at least 0.85; texts in other words, with another order of work or with a sentence more have at most 0.82. The
//! gap is narrow, and a short sentence more in a long instruction falls on the side of the copies.

use domain::proposal::fold;
use std::collections::BTreeMap;

/// From here on two instructions are near-copies.
pub const NEAR: f64 = 0.84;

/// Rewrites of one question that are near-copies differ in no more words than this.
const FEW_WORDS: usize = 3;

/// A text as its trigrams are counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    counts: BTreeMap<[char; 3], f64>,
    norm: f64,
    folded: String,
}

impl Profile {
    /// Of a text.
    pub fn of(text: &str) -> Self {
        let folded = fold(text);
        let padded: Vec<char> = format!(" {folded} ").chars().collect();
        let mut counts = BTreeMap::new();
        for gram in padded.windows(3) {
            if let [a, b, c] = *gram {
                *counts.entry([a, b, c]).or_insert(0.0) += 1.0;
            }
        }
        let norm = counts.values().map(|n| n * n).sum::<f64>().sqrt();
        Self {
            counts,
            norm,
            folded,
        }
    }

    /// The cosine, in `[0, 1]`.
    pub fn cosine(&self, other: &Self) -> f64 {
        if self.folded == other.folded {
            return 1.0;
        }
        if self.norm == 0.0 || other.norm == 0.0 {
            return 0.0;
        }
        let dot = self.counts.iter().map(|(gram, n)| {
            let of_other = other.counts.get(gram).copied().unwrap_or_default();
            n * of_other
        });
        (dot.sum::<f64>() / (self.norm * other.norm)).clamp(0.0, 1.0)
    }

    /// Words that one has and the other lacks, as often as they stand there; a replaced word counts twice.
    fn other_words(&self, other: &Self) -> usize {
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        for word in self.folded.split(' ') {
            *counts.entry(word).or_default() += 1;
        }
        for word in other.folded.split(' ') {
            *counts.entry(word).or_default() -= 1;
        }
        let apart: u64 = counts.values().map(|n| n.unsigned_abs()).sum();
        usize::try_from(apart).unwrap_or(usize::MAX)
    }
}

/// Whether two versions of one question are near-copies: alike from [`NEAR`] on, and different in no more than three
/// words. Versions of a long question share what it is about (a passage, a signature) and are alike by that; it is what
/// differs that makes another version.
pub fn near_versions(a: &Profile, b: &Profile) -> bool {
    a.cosine(b) >= NEAR && a.other_words(b) <= FEW_WORDS
}

/// How alike two texts are, in `[0, 1]`.
pub fn similarity(a: &str, b: &str) -> f64 {
    Profile::of(a).cosine(&Profile::of(b))
}

/// The places of the texts that are no near-copy of one before them: what stands first is kept, and the order.
pub fn distinct<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    let mut kept: Vec<(usize, Profile)> = Vec::new();
    for (at, text) in texts.into_iter().enumerate() {
        let profile = Profile::of(text);
        if kept.iter().all(|(_, k)| k.cosine(&profile) < NEAR) {
            kept.push((at, profile));
        }
    }
    kept.into_iter().map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COPIES: [(&str, &str); 7] = [
        (
            "Classify the sentiment of the movie review as positive or negative.",
            "classify the sentiment of the movie review, as Positive or Negative",
        ),
        (
            "Classify the sentiment of the movie review as positive or negative.",
            "Classify the sentiment of the film review as positive or negative.",
        ),
        (
            "Classify the sentiment of the movie review as positive or negative.",
            "Please classify the sentiment of the movie review as positive or negative.",
        ),
        (
            "Write the opposite of the given word.",
            "Write the opposite of a given word.",
        ),
        (
            "Solve the problem step by step and give the final number on the last line.",
            "Solve the problem step by step, and write the final number on the last line!",
        ),
        (
            "Read the question, think about each choice, and answer with the letter.",
            "Read the question, think about each choice and answer with one letter.",
        ),
        (
            "Decide which office has to deal with the letter.",
            "Decide which office must deal with the letter.",
        ),
    ];

    const OTHERS: [(&str, &str); 7] = [
        (
            "Classify the sentiment of the movie review as positive or negative.",
            "Is this movie review positive or negative?",
        ),
        (
            "Classify the sentiment of the movie review as positive or negative.",
            "Does the author of the review like the film? Answer positive or negative.",
        ),
        (
            "Write the opposite of the given word.",
            "Write the opposite of the given word. Give one word only, in lower case.",
        ),
        (
            "Solve the problem step by step and give the final number on the last line.",
            "Give the final number only.",
        ),
        (
            "Read the question, think about each choice, and answer with the letter.",
            "Answer with the letter of the best choice. Read all choices before you decide.",
        ),
        (
            "Decide which office has to deal with the letter.",
            "Which office has to deal with this letter? Choose by what is asked for.",
        ),
        ("Answer with one word.", "Answer with one number."),
    ];

    #[test]
    fn near_copies_are_told_from_other_wordings() {
        let of = |pairs: &[(&str, &str)]| -> Vec<f64> {
            pairs.iter().map(|(a, b)| similarity(a, b)).collect()
        };
        let (copies, others) = (of(&COPIES), of(&OTHERS));
        assert!(copies.iter().all(|s| *s >= 0.85), "{copies:?}");
        assert!(others.iter().all(|s| *s <= 0.82), "{others:?}");
    }

    #[test]
    fn versions_of_a_long_question_are_told_apart_by_what_differs() {
        let near = |a: &str, b: &str| near_versions(&Profile::of(a), &Profile::of(b));
        assert!(COPIES.iter().all(|(a, b)| near(a, b)));
        assert!(!OTHERS.iter().any(|(a, b)| near(a, b)));
        let passage = "The mill was built in 1731 beside the old bridge and burnt down twice before it was sold. ";
        let ask = |question: &str| format!("{}{question}", passage.repeat(3));
        let (one, other) = (
            ask("When was it built?"),
            ask("Name the year in which the mill was set up."),
        );
        assert!(similarity(&one, &other) >= NEAR, "they share the passage");
        assert!(!near(&one, &other));
        assert!(near(&one, &ask("When was the mill built?")));
    }

    #[test]
    fn the_first_of_near_copies_is_kept() {
        let texts = ["Name the bird.", "Which bird is it?", "name the bird", ""];
        assert_eq!(distinct(texts), [0, 1, 3]);
    }

    proptest! {
        #[test]
        fn it_is_a_similarity(a in "\\PC{0,40}", b in "\\PC{0,40}") {
            let s = similarity(&a, &b);
            prop_assert!((0.0..=1.0).contains(&s));
            prop_assert_eq!(s, similarity(&b, &a));
            prop_assert_eq!(similarity(&a, &a), 1.0);
        }

        #[test]
        fn near_copies_of_versions_are_near_copies(a in "[ab ]{0,12}", b in "[ab ]{0,12}") {
            let (a, b) = (Profile::of(&a), Profile::of(&b));
            prop_assert!(near_versions(&a, &a));
            prop_assert_eq!(near_versions(&a, &b), near_versions(&b, &a));
            prop_assert!(!near_versions(&a, &b) || a.cosine(&b) >= NEAR);
        }

        #[test]
        fn what_is_kept_is_distinct(texts in prop::collection::vec("[ab ]{0,6}", 0..8)) {
            let kept = distinct(texts.iter().map(String::as_str));
            for (i, a) in kept.iter().enumerate() {
                for b in &kept[i + 1..] {
                    prop_assert!(similarity(&texts[*a], &texts[*b]) < NEAR);
                }
            }
        }
    }
}
