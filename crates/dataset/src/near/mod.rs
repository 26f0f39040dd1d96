//! Near-duplicates: texts that share most of their word shingles end up in one cluster.
//!
//! The method is MinHash with banding (Broder 1997; Leskovec, Rajaraman and Ullman, *Mining of
//! Massive Datasets*, chapter 3): each text becomes a signature of [`SIGNATURE`] bytes whose share
//! of equal bytes estimates the Jaccard similarity of the shingle sets (standard error 0.035 at
//! 0.8); texts whose signatures agree in a whole band are compared, and joined from [`THRESHOLD`]
//! on. Joins are transitive. A cluster's id is its smallest member's.
//!
//! The result is a function of the *set* of examples: their order changes nothing, nor do clocks,
//! threads or the machine. The permutations are fixed; changing them changes splits.
//!
//! Memory: an example takes 16 bytes for its id and 132 for a signature with its place (twice that
//! for texts of 24 to 40 words, see `shingles`), and 36 more while clusters are made; vectors that
//! grow hold up to twice as much. [`ClusterBuilder::bytes`] counts it. The texts are not kept.

mod minhash;
mod shingles;

use domain::{example::Example, hash::Hash};
use minhash::{BANDS, Signature};
pub use minhash::{SIGNATURE, THRESHOLD};
use shingles::KINDS;
use std::collections::BTreeMap;

/// How many neighbours in a band's bucket a text is compared with: bounds the work where thousands
/// of different texts share a boilerplate.
const WINDOW: usize = 256;

/// The text by which examples are compared: the input, its context, and the choices in sorted order
/// (so that the same question with its choices reordered is a duplicate). Choices belong to it, so
/// that short stems ("Which of these is true?") don't make different questions alike; the reference
/// does not, so that the same question labelled twice stays together.
pub fn near_text(example: &Example) -> String {
    let mut choices: Vec<&str> = example.choices.iter().map(String::as_str).collect();
    choices.sort_unstable();
    let context = example.context.as_deref();
    let parts = [example.input.as_str()]
        .into_iter()
        .chain(context)
        .chain(choices);
    parts.collect::<Vec<_>>().join("\n")
}

/// Clusters of near-duplicates among `(id, text)` pairs; see [`near_text`] for the text.
pub fn cluster<T: AsRef<str>>(examples: impl IntoIterator<Item = (Hash, T)>) -> Clusters {
    let mut builder = ClusterBuilder::default();
    for (id, text) in examples {
        builder.push(id, text.as_ref());
    }
    builder.finish()
}

/// Collects signatures while examples stream by.
#[derive(Default)]
pub struct ClusterBuilder {
    ids: Vec<Hash>,
    /// Signatures of each kind of shingles, with the place of their example in `ids`.
    signed: [Vec<(u32, Signature)>; KINDS.len()],
}

impl ClusterBuilder {
    /// Takes one example. The same id twice is one example.
    pub fn push(&mut self, id: Hash, text: &str) {
        let place = self.ids.len() as u32;
        self.ids.push(id);
        let words = shingles::words(text);
        for (kind, signed) in KINDS.iter().zip(&mut self.signed) {
            if kind.fits(words.len()) {
                signed.push((place, minhash::sign(kind.shingles(&words))));
            }
        }
    }

    /// Bytes held now for examples, spare capacity included.
    pub fn bytes(&self) -> usize {
        let signed: usize = self.signed.iter().map(Vec::capacity).sum();
        self.ids.capacity() * size_of::<Hash>() + signed * size_of::<(u32, Signature)>()
    }

    /// Joins what is near.
    pub fn finish(self) -> Clusters {
        let Self { ids, signed } = self;
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let mut joined = Joined::new(sorted.len());
        for mut signed in signed {
            // From places in order of arrival to places in order of ids: only these are used below.
            for (place, _) in &mut signed {
                *place = sorted.partition_point(|id| *id < ids[*place as usize]) as u32;
            }
            join(signed, &mut joined);
        }
        let root = (0..sorted.len() as u32).map(|i| joined.root(i)).collect();
        Clusters { ids: sorted, root }
    }
}

/// Joins near texts of one kind.
fn join(mut signed: Vec<(u32, Signature)>, joined: &mut Joined) {
    signed.sort_unstable_by(|a, b| a.1.cmp(&b.1).then(a.0.cmp(&b.0)));
    // Equal signatures are near without looking further; one of them stands for all.
    signed.dedup_by(|later, first| {
        let equal = later.1 == first.1;
        if equal {
            joined.join(first.0, later.0);
        }
        equal
    });
    let mut bucketed: Vec<(u64, u32)> = Vec::with_capacity(signed.len());
    for band in 0..BANDS {
        bucketed.clear();
        bucketed.extend(
            signed
                .iter()
                .zip(0..)
                .map(|((_, s), i)| (minhash::band(s, band), i)),
        );
        bucketed.sort_unstable();
        for bucket in bucketed.chunk_by(|a, b| a.0 == b.0) {
            join_bucket(bucket, &signed, joined);
        }
    }
}

fn join_bucket(bucket: &[(u64, u32)], signed: &[(u32, Signature)], joined: &mut Joined) {
    for (i, (_, one)) in bucket.iter().enumerate() {
        let (place, signature) = &signed[*one as usize];
        for (_, other) in bucket.iter().skip(i + 1).take(WINDOW) {
            let (other_place, other_signature) = &signed[*other as usize];
            if joined.root(*place) != joined.root(*other_place)
                && minhash::near(signature, other_signature)
            {
                joined.join(*place, *other_place);
            }
        }
    }
}

/// Union-find whose roots are the smallest members.
struct Joined(Vec<u32>);

impl Joined {
    fn new(len: usize) -> Self {
        Self((0..len as u32).collect())
    }

    fn root(&mut self, mut i: u32) -> u32 {
        while self.0[i as usize] != i {
            // Halve the path on the way up.
            self.0[i as usize] = self.0[self.0[i as usize] as usize];
            i = self.0[i as usize];
        }
        i
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b) as usize] = a.min(b);
    }
}

/// Which cluster each example is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    ids: Vec<Hash>,
    root: Vec<u32>,
}

impl Clusters {
    /// The cluster of an example: the smallest id in it. `None` for an example that was not given.
    pub fn of(&self, id: Hash) -> Option<Hash> {
        let place = self.ids.binary_search(&id).ok()?;
        Some(self.ids[self.root[place] as usize])
    }

    /// `(example, cluster)`, in the order of ids.
    pub fn iter(&self) -> impl Iterator<Item = (Hash, Hash)> + '_ {
        self.ids
            .iter()
            .zip(&self.root)
            .map(|(id, root)| (*id, self.ids[*root as usize]))
    }

    /// How many different examples there are.
    pub fn examples(&self) -> usize {
        self.ids.len()
    }

    /// How many clusters there are.
    pub fn clusters(&self) -> usize {
        self.root
            .iter()
            .zip(0..)
            .filter(|(root, i)| **root == *i)
            .count()
    }

    /// How many clusters have each size, for reports.
    pub fn sizes(&self) -> BTreeMap<usize, usize> {
        let mut members: BTreeMap<u32, usize> = BTreeMap::new();
        for root in &self.root {
            *members.entry(*root).or_default() += 1;
        }
        let mut sizes = BTreeMap::new();
        for size in members.into_values() {
            *sizes.entry(size).or_default() += 1;
        }
        sizes
    }
}

#[cfg(test)]
mod tests;
