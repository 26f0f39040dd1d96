//! How often a reward model orders preference pairs as people did, beside "pick the longer".
//!
//! Pairs of one conversation are no independent evidence: intervals are over clusters of conversations that begin
//! (nearly) alike.

use crate::pairs::Preference;
use dataset::ClusterBuilder;
use domain::{
    hash::Hash,
    stats::{Estimate, cluster_bootstrap, cluster_bootstrap_within},
};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// What all sources together are called.
const TOGETHER: &str = "all together";
/// Bootstrap draws derive from it.
const SEED: u64 = 1;

/// The numbers of one source of pairs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Accuracy {
    /// The source.
    pub source: String,
    /// Pairs.
    pub pairs: usize,
    /// Share of pairs that the model orders rightly; a tie is half right.
    pub model: Option<Estimate>,
    /// The same for whoever picks the longer answer.
    pub longer: Option<Estimate>,
    /// Model less longer, pair by pair.
    pub difference: Option<Estimate>,
    /// The model's share where the preferred answer is the shorter one: there length misleads.
    pub shorter_preferred: Option<Estimate>,
    /// The model's share where the preferred answer is the longer one.
    pub longer_preferred: Option<Estimate>,
}

/// The cluster of each pair's conversation: its beginning up to the first answer, near-duplicates joined.
pub fn clusters(pairs: &[Preference]) -> Vec<Hash> {
    let ids: Vec<Hash> = pairs
        .iter()
        .map(|pair| Hash::of([opening(&pair.prompt)]))
        .collect();
    let mut builder = ClusterBuilder::default();
    for (id, pair) in ids.iter().zip(pairs) {
        builder.push(*id, opening(&pair.prompt));
    }
    let clusters = builder.finish();
    ids.into_iter()
        .map(|id| clusters.of(id).unwrap_or(id))
        .collect()
}

/// What the person said first.
fn opening(prompt: &str) -> &str {
    prompt.split("\n\nAssistant:").next().unwrap_or(prompt)
}

/// The numbers of each source, and of all together where there are several. `rewards` are (chosen, rejected).
pub fn by_source(pairs: &[Preference], rewards: &[(f32, f32)]) -> Vec<Accuracy> {
    let mut index: HashMap<Hash, usize> = HashMap::new();
    let clusters: Vec<usize> = clusters(pairs)
        .into_iter()
        .map(|cluster| {
            let next = index.len();
            *index.entry(cluster).or_insert(next)
        })
        .collect();
    let mut sources: BTreeMap<&str, Vec<Judged>> = BTreeMap::new();
    let mut all = Vec::new();
    for ((pair, &(chosen, rejected)), cluster) in pairs.iter().zip(rewards).zip(clusters) {
        let judged = Judged {
            cluster,
            model: share(chosen, rejected),
            longer: share(pair.chosen.chars().count(), pair.rejected.chars().count()),
        };
        sources.entry(&pair.source).or_default().push(judged);
        all.push(judged);
    }
    let several = sources.len() > 1;
    let mut out: Vec<Accuracy> = sources
        .into_iter()
        .map(|(source, judged)| accuracy(source, &judged))
        .collect();
    if several {
        out.push(accuracy(TOGETHER, &all));
    }
    out
}

/// One pair: how right the model and length are about it.
#[derive(Clone, Copy)]
struct Judged {
    cluster: usize,
    model: f64,
    longer: f64,
}

fn share<T: PartialOrd>(chosen: T, rejected: T) -> f64 {
    match chosen.partial_cmp(&rejected) {
        Some(std::cmp::Ordering::Greater) => 1.0,
        Some(std::cmp::Ordering::Less) => 0.0,
        _ => 0.5,
    }
}

fn accuracy(source: &str, judged: &[Judged]) -> Accuracy {
    let estimate = |value: fn(&Judged) -> f64, keep: fn(&Judged) -> bool| {
        let values: Vec<(usize, f64)> = judged
            .iter()
            .filter(|j| keep(j))
            .map(|j| (j.cluster, value(j)))
            .collect();
        cluster_bootstrap_within(&values, (0.0, 1.0), SEED)
    };
    let leads: Vec<(usize, f64)> = judged
        .iter()
        .map(|j| (j.cluster, j.model - j.longer))
        .collect();
    Accuracy {
        source: source.to_owned(),
        pairs: judged.len(),
        model: estimate(|j| j.model, |_| true),
        longer: estimate(|j| j.longer, |_| true),
        difference: cluster_bootstrap(&leads, SEED),
        shorter_preferred: estimate(|j| j.model, |j| j.longer == 0.0),
        longer_preferred: estimate(|j| j.model, |j| j.longer == 1.0),
    }
}

impl Accuracy {
    /// What the numbers say, in sentences: a null result is one.
    pub fn verdict(&self) -> Vec<String> {
        let mut out = Vec::new();
        if let Some(model) = self.model {
            out.push(match model.ci95 {
                (low, _) if low > 0.5 => "the model orders pairs better than chance".to_owned(),
                (_, high) if high < 0.5 => "the model orders pairs worse than chance".to_owned(),
                _ => "the model is not shown to order pairs better than chance".to_owned(),
            });
        }
        if let Some(difference) = self.difference {
            out.push(match difference.ci95 {
                (low, _) if low > 0.0 => "it does better than picking the longer answer".to_owned(),
                (_, high) if high < 0.0 => {
                    "it does worse than picking the longer answer".to_owned()
                }
                _ => "it is not shown to do better than picking the longer answer".to_owned(),
            });
        }
        if let Some(shorter) = self.shorter_preferred {
            out.push(match shorter.ci95 {
                (low, _) if low > 0.5 => "it is right more often than not where the shorter answer is preferred".to_owned(),
                (_, high) if high < 0.5 => "where the shorter answer is preferred it is wrong more often than not: it leans on length".to_owned(),
                _ => "where the shorter answer is preferred it is not shown to be better than chance".to_owned(),
            });
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(source: &str, prompt: &str, chosen: &str, rejected: &str) -> Preference {
        Preference {
            source: source.into(),
            prompt: prompt.into(),
            chosen: chosen.into(),
            rejected: rejected.into(),
        }
    }

    #[test]
    fn shares_are_counted_by_source_with_ties_as_halves() {
        let pairs = [
            pair("b", "one question", "long answer", "no"),
            pair("b", "another thing", "no", "long answer"),
            pair("a", "a third matter", "same", "size"),
        ];
        let got = by_source(&pairs, &[(1.0, 0.0), (0.5, -1.0), (2.0, 2.0)]);
        let names: Vec<&str> = got.iter().map(|a| a.source.as_str()).collect();
        assert_eq!(names, ["a", "b", TOGETHER]);
        let mean = |e: Option<Estimate>| e.unwrap().mean;
        assert_eq!(
            (
                mean(got[1].model),
                mean(got[1].longer),
                mean(got[1].difference)
            ),
            (1.0, 0.5, 0.5)
        );
        assert_eq!((mean(got[0].model), mean(got[0].longer)), (0.5, 0.5));
        assert_eq!(
            (got[0].shorter_preferred, mean(got[2].shorter_preferred)),
            (None, 1.0)
        );
        assert_eq!(got[2].pairs, 3);
    }

    #[test]
    fn a_conversation_is_one_cluster_however_far_it_has_come() {
        let opening = "Human: How do I find out which butterflies live in the hills near my town?";
        let later = format!("{opening}\n\nAssistant: Where is that?\n\nHuman: In Wales.");
        let pairs = [
            pair("a", opening, "x", "y"),
            pair("a", &later, "x", "y"),
            pair("a", "Human: What is rain?", "x", "y"),
        ];
        let got = clusters(&pairs);
        assert_eq!(got[0], got[1]);
        assert_ne!(got[0], got[2]);
    }

    #[test]
    fn what_is_not_shown_is_said() {
        let pairs: Vec<Preference> = (0..40)
            .map(|i| {
                pair(
                    "a",
                    &format!("question {i} about thing {}", i * 31),
                    "longer one",
                    "short",
                )
            })
            .collect();
        let right: Vec<(f32, f32)> = (0..40)
            .map(|i| if i % 10 == 0 { (0.0, 1.0) } else { (1.0, 0.0) })
            .collect();
        let verdict = by_source(&pairs, &right)[0].verdict().join("; ");
        assert!(
            verdict.contains("better than chance")
                && verdict.contains("worse than picking the longer"),
            "{verdict}"
        );
        let coin: Vec<(f32, f32)> = (0..40)
            .map(|i| if i % 2 == 0 { (0.0, 1.0) } else { (1.0, 0.0) })
            .collect();
        let verdict = by_source(&pairs, &coin)[0].verdict().join("; ");
        assert!(
            verdict.contains("not shown to order pairs better than chance"),
            "{verdict}"
        );
    }
}
