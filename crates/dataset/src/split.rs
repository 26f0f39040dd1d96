//! Clusters to train, validation and test.

use domain::{example::Split, hash::Hash};
use serde::{Deserialize, Serialize};

/// The share of clusters in each split; the shares sum to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Shares", into = "Shares")]
pub struct Ratios {
    train: f64,
    validation: f64,
    test: f64,
}

/// Shares that do not make a whole.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "split train = {train}, validation = {validation}, test = {test}: \
     expected shares from 0 to 1 that sum to 1, such as 0.8, 0.1, 0.1"
)]
pub struct BadRatios {
    train: f64,
    validation: f64,
    test: f64,
}

/// Shares as they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shares {
    train: f64,
    validation: f64,
    test: f64,
}

impl Ratios {
    /// Shares of train, validation and test.
    ///
    /// # Errors
    /// [`BadRatios`] where one is not in `[0, 1]` or they do not sum to 1 (give or take 1e-6).
    pub fn new(train: f64, validation: f64, test: f64) -> Result<Self, BadRatios> {
        let shares = [train, validation, test];
        let whole = (shares.iter().sum::<f64>() - 1.0).abs() < 1e-6;
        match whole && shares.iter().all(|share| (0.0..=1.0).contains(share)) {
            true => Ok(Self {
                train,
                validation,
                test,
            }),
            false => Err(BadRatios {
                train,
                validation,
                test,
            }),
        }
    }

    /// The share of one split.
    pub fn share(&self, split: Split) -> f64 {
        match split {
            Split::Train => self.train,
            Split::Validation => self.validation,
            Split::Test => self.test,
        }
    }
}

impl Default for Ratios {
    fn default() -> Self {
        Self {
            train: 0.8,
            validation: 0.1,
            test: 0.1,
        }
    }
}

impl TryFrom<Shares> for Ratios {
    type Error = BadRatios;
    fn try_from(s: Shares) -> Result<Self, BadRatios> {
        Self::new(s.train, s.validation, s.test)
    }
}

impl From<Ratios> for Shares {
    fn from(r: Ratios) -> Self {
        Self {
            train: r.train,
            validation: r.validation,
            test: r.test,
        }
    }
}

/// The split of a cluster: a hash of the cluster and the seed, laid on the shares. Every example of
/// a cluster gets its cluster's split, so near-duplicates are never on two sides; nothing else
/// (order, count, other examples) moves it.
pub fn assign(cluster: Hash, seed: u64, ratios: &Ratios) -> Split {
    let at = Hash::of([
        b"split",
        seed.to_le_bytes().as_slice(),
        cluster.0.as_slice(),
    ])
    .unit();
    let mut edge = 0.0;
    let mut last = Split::Train;
    for split in [Split::Train, Split::Validation, Split::Test] {
        let share = ratios.share(split);
        edge += share;
        if at < edge {
            return split;
        }
        if share > 0.0 {
            last = split;
        }
    }
    // Rounding can leave the edge a hair below 1: the last share reaches up to it.
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::near::cluster;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn shares_must_make_a_whole() {
        assert!(Ratios::new(0.5, 0.25, 0.25).is_ok());
        assert!(Ratios::new(f64::NAN, 0.5, 0.5).is_err());
        assert!(Ratios::new(1.2, -0.1, -0.1).is_err());
        insta::assert_snapshot!(
            Ratios::new(0.8, 0.1, 0.2).unwrap_err(),
            @"split train = 0.8, validation = 0.1, test = 0.2: expected shares from 0 to 1 that sum to 1, such as 0.8, 0.1, 0.1"
        );
        let read: Result<Ratios, _> =
            serde_json::from_str(r#"{"train": 0.9, "validation": 0.0, "test": 0.2}"#);
        assert!(read.is_err());
    }

    #[test]
    fn assignments_never_change() {
        let ratios = Ratios::new(0.7, 0.1, 0.2).unwrap();
        let of = |i: u64| assign(Hash::of([i.to_le_bytes()]), 7, &ratios).as_str();
        insta::assert_snapshot!((0..8).map(of).collect::<Vec<_>>().join(" "), @"train test train train train train train train");
    }

    proptest! {
        #[test]
        fn a_share_of_nothing_gets_nothing(n in any::<u64>(), seed in any::<u64>()) {
            let id = Hash::of([n.to_le_bytes()]);
            prop_assert_eq!(assign(id, seed, &Ratios::new(0.0, 0.0, 1.0).unwrap()), Split::Test);
            prop_assert_eq!(assign(id, seed, &Ratios::new(1.0, 0.0, 0.0).unwrap()), Split::Train);
            prop_assert_ne!(assign(id, seed, &Ratios::new(0.5, 0.0, 0.5).unwrap()), Split::Validation);
            prop_assert_ne!(assign(id, seed, &Ratios::new(0.3, 0.7, 0.0).unwrap()), Split::Test);
        }

        #[test]
        fn shares_are_approached(train in 0.0..1.0_f64, cut in 0.0..1.0_f64, seed in any::<u64>()) {
            let validation = (1.0 - train) * cut;
            let ratios = Ratios::new(train, validation, 1.0 - train - validation).unwrap();
            let n = 4000_u32;
            let mut counts: BTreeMap<Split, f64> = BTreeMap::new();
            for i in 0..n {
                let id = Hash::of([i.to_le_bytes()]);
                *counts.entry(assign(id, seed, &ratios)).or_default() += 1.0 / f64::from(n);
            }
            for split in [Split::Train, Split::Validation, Split::Test] {
                let got = counts.get(&split).copied().unwrap_or_default();
                // Six standard errors at the widest: 6 * sqrt(0.25 / 4000).
                prop_assert!((got - ratios.share(split)).abs() < 0.048, "{split:?}: {got}");
            }
        }

        #[test]
        fn near_duplicates_share_a_split(words in prop::collection::vec("[a-z]{2,7}", 16..80), seed in any::<u64>()) {
            let one = words.join(" ");
            let two = format!("{one}, please.");
            let ids = [&one, &two].map(|t| Hash::of([t.as_bytes()]));
            let found = cluster(ids.into_iter().zip([&one, &two]));
            let split = |id| assign(found.of(id).unwrap(), seed, &Ratios::default());
            prop_assert_eq!(split(ids[0]), split(ids[1]));
        }
    }
}
