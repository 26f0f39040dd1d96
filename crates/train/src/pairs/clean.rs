//! Which pairs are fit to learn from, and on which side of the split each is.

use super::{Counts, Pair, Written};
use crate::error::{Error, Result};
use dataset::{ClusterBuilder, Ratios, assign};
use domain::{
    example::Split,
    hash::Hash,
    leak::{Case, text_rules},
};
use std::collections::{BTreeSet, HashSet};

/// How pairs are cleaned and divided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cleaning {
    /// At most this share of the pairs are unchanged ones: they teach to leave good prompts alone.
    pub unchanged: f64,
    /// Share of the originals that the learning is measured on.
    pub validation: f64,
    /// Draws derive from it.
    pub seed: u64,
}

impl Default for Cleaning {
    fn default() -> Self {
        Self {
            unchanged: 0.1,
            validation: 0.15,
            seed: 1,
        }
    }
}

/// Clean pairs on two sides: (nearly) the same original is on one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Divided {
    /// Learnt from.
    pub train: Vec<Pair>,
    /// Measured on.
    pub validation: Vec<Pair>,
    /// What became of all rows so far.
    pub counts: Counts,
}

/// Cleans and divides the pairs of a file.
///
/// # Errors
/// When the shares are none, or nothing is left to learn from: the counts say why.
pub fn clean(written: Written, how: Cleaning) -> Result<Divided> {
    if !(0.0..1.0).contains(&how.unchanged) {
        let found = how.unchanged;
        return Err(Error::plan(format!(
            "the share of unchanged pairs is {found}: give a share from 0 to below 1"
        )));
    }
    let ratios = Ratios::new(1.0 - how.validation, how.validation, 0.0).map_err(|_| {
        Error::plan(format!(
            "the validation share is {}: give 0 to 1",
            how.validation
        ))
    })?;
    let mut counts = Counts {
        rows: written.rows(),
        unreadable: written.unreadable,
        one_sided: written.one_sided,
        ..Counts::default()
    };
    let first = written.first_unreadable.clone();
    let pairs = fit(written.pairs, &mut counts);
    let pairs = thin_unchanged(pairs, how, &mut counts);
    if pairs.iter().all(Pair::is_unchanged) {
        return Err(nothing_left(&counts, first));
    }
    let mut out = divide(pairs, how.seed, &ratios, &mut counts);
    out.counts = counts;
    if out.train.is_empty() {
        return Err(Error::data(
            "all pairs fell to validation: give more pairs or a smaller validation share",
        ));
    }
    Ok(out)
}

/// Pairs that leak nothing, each once.
fn fit(pairs: Vec<(Pair, Option<String>)>, counts: &mut Counts) -> Vec<Pair> {
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for (pair, answer) in pairs {
        if !seen.insert(Hash::of([&pair.original, &pair.improved])) {
            counts.duplicate += 1;
        } else if leaks(&pair, answer.as_deref()) {
            counts.leaked += 1;
        } else {
            out.push(pair);
        }
    }
    out
}

/// Whether what the improved prompt adds gives the answer away; without an answer, whether it looks as if it did.
fn leaks(pair: &Pair, answer: Option<&str>) -> bool {
    let case = Case {
        original: &pair.original,
        rewrite: &pair.improved,
        context: None,
        choices: &[],
        right: None,
        reference: answer,
    };
    text_rules(&case).is_some()
}

/// Leaves unchanged pairs out down to their share; which ones, the seed says.
fn thin_unchanged(pairs: Vec<Pair>, how: Cleaning, counts: &mut Counts) -> Vec<Pair> {
    let changed = pairs.iter().filter(|p| !p.is_unchanged()).count();
    let most = (changed as f64 * how.unchanged / (1.0 - how.unchanged)).floor() as usize;
    let rank = |pair: &Pair| Hash::of([&how.seed.to_le_bytes()[..], pair.original.as_bytes()]);
    let mut ranks: Vec<Hash> = pairs
        .iter()
        .filter(|p| p.is_unchanged())
        .map(rank)
        .collect();
    ranks.sort_unstable();
    counts.unchanged_left_out = ranks.len().saturating_sub(most) as u64;
    ranks.truncate(most);
    counts.unchanged = ranks.len() as u64;
    let kept: BTreeSet<Hash> = ranks.into_iter().collect();
    let mut pairs = pairs;
    pairs.retain(|pair| !pair.is_unchanged() || kept.contains(&rank(pair)));
    pairs
}

fn divide(pairs: Vec<Pair>, seed: u64, ratios: &Ratios, counts: &mut Counts) -> Divided {
    let id = |pair: &Pair| Hash::of([&pair.original]);
    let mut builder = ClusterBuilder::default();
    for pair in &pairs {
        builder.push(id(pair), &pair.original);
    }
    let clusters = builder.finish();
    counts.clusters = clusters.clusters() as u64;
    let mut out = Divided::default();
    for pair in pairs {
        let cluster = clusters.of(id(&pair)).unwrap_or_else(|| id(&pair));
        match assign(cluster, seed, ratios) {
            Split::Train => out.train.push(pair),
            Split::Validation | Split::Test => out.validation.push(pair),
        }
    }
    (counts.train, counts.validation) = (out.train.len() as u64, out.validation.len() as u64);
    out
}

/// Why there is nothing to learn from.
fn nothing_left(counts: &Counts, first_unreadable: Option<String>) -> Error {
    let Counts {
        rows,
        unreadable,
        one_sided,
        leaked,
        duplicate,
        ..
    } = counts;
    let same = counts.unchanged + counts.unchanged_left_out;
    let example = first_unreadable.map_or(String::new(), |e| format!(" (the first: {e})"));
    Error::data(format!(
        "no pair to learn from is left of {rows} rows: {unreadable} could not be read{example}, {one_sided} have no \
         improved prompt, {leaked} give the answer away, {duplicate} are there twice, {same} are unchanged; \
         give pairs whose improved prompt differs from the original"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(original: &str, improved: &str) -> (Pair, Option<String>) {
        let (original, improved) = (original.to_owned(), improved.to_owned());
        (Pair { original, improved }, None)
    }

    fn written(pairs: Vec<(Pair, Option<String>)>) -> Written {
        Written {
            pairs,
            ..Written::default()
        }
    }

    const WORDS: [&str; 12] = [
        "rain", "kettle", "window", "river", "stone", "lamp", "paper", "garden", "bridge",
        "candle", "ladder", "spoon",
    ];

    fn question(i: usize) -> String {
        let word = |k: usize| WORDS[(i * k + i / 12 + k) % 12];
        let (a, b, c, d) = (word(1), word(5), word(7), word(11));
        format!(
            "Tell me {i} things about the {a} and the {b}, or how a {c} meets a {d} in the {i}th year"
        )
    }

    #[test]
    fn unchanged_pairs_are_kept_at_their_share() {
        let changed =
            (0..90).map(|i| pair(&question(i), &format!("{} Please be brief.", question(i))));
        let same = (90..140).map(|i| pair(&question(i), &format!("{}  ", question(i))));
        let how = Cleaning {
            unchanged: 0.1,
            ..Cleaning::default()
        };
        let got = clean(written(changed.chain(same).collect()), how).unwrap();
        assert_eq!(
            (got.counts.unchanged, got.counts.unchanged_left_out),
            (10, 40)
        );
        assert_eq!(got.counts.train + got.counts.validation, 100);
        assert!(got.counts.validation > 4, "{:?}", got.counts);
    }

    #[test]
    fn an_original_and_its_likes_are_on_one_side() {
        let long = |i: usize| {
            format!(
                "{} {} {}",
                question(i),
                question(i + 300),
                question(i + 600)
            )
        };
        let all = (0..60).flat_map(|i| {
            let likes = [long(i), format!("{}, please", long(i))];
            likes.map(|original| pair(&original, &format!("{original} Think first.")))
        });
        let got = clean(written(all.collect()), Cleaning::default()).unwrap();
        assert_eq!(
            (
                got.counts.clusters,
                got.counts.train + got.counts.validation
            ),
            (60, 120)
        );
        for pair in &got.validation {
            let other = match pair.original.strip_suffix(", please") {
                Some(start) => start.to_owned(),
                None => format!("{}, please", pair.original),
            };
            assert!(
                got.validation.iter().any(|p| p.original == other),
                "{other}"
            );
        }
    }

    #[test]
    fn leaks_and_repetitions_are_left_out() {
        let mut leaking = pair(
            "Which river runs through the capital?",
            "Which river, the Danube, runs through the capital?",
        );
        leaking.1 = Some("the Danube".to_owned());
        let announced = pair(
            "What is 17 times 3?",
            "What is 17 times 3? The correct answer is 51.",
        );
        let good = pair("What is rain?", "Explain in two sentences what rain is.");
        let rows = vec![leaking, announced, good.clone(), good.clone()];
        let got = clean(
            written(rows),
            Cleaning {
                validation: 0.0,
                ..Cleaning::default()
            },
        )
        .unwrap();
        assert_eq!((got.counts.leaked, got.counts.duplicate), (2, 1));
        assert_eq!(got.train, [good.0]);
    }

    #[test]
    fn nothing_left_is_told_with_its_reasons() {
        let same = written(vec![pair("a", "a"), pair("b", " b")]);
        let said = clean(same, Cleaning::default()).unwrap_err().to_string();
        assert!(
            said.contains("2 rows") && said.contains("2 are unchanged"),
            "{said}"
        );
        let sides = Written {
            one_sided: 3,
            ..Written::default()
        };
        let said = clean(sides, Cleaning::default()).unwrap_err().to_string();
        assert!(said.contains("3 have no improved prompt"), "{said}");
        let wrong = Cleaning {
            validation: 1.5,
            ..Cleaning::default()
        };
        let said = clean(written(vec![pair("a", "b")]), wrong)
            .unwrap_err()
            .to_string();
        assert!(said.contains("1.5"), "{said}");
    }
}
