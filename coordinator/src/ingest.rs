//! From files to examples: read, find near-duplicates, split, store.
//!
//! Files are read twice: once for the clusters of near-duplicates (whose memory per example the dataset crate
//! states), once to store. Nothing is held in between, and doing it again after a kill changes nothing.

use crate::CoordinatorError;
use dataset::{Clusters, Ratios, RowError, Source};
use domain::{
    example::{Example, Split},
    hash::Hash,
    ids::RunId,
    run::Member,
};
use serde::Serialize;
use store::Store;

/// Examples stored at a time.
const BATCH: usize = 1_000;

/// How examples are divided.
#[derive(Debug)]
pub enum Division {
    /// By near-duplicate cluster and seed.
    Split {
        /// The run's seed.
        seed: u64,
        /// The shares.
        ratios: Ratios,
        /// The clusters, over all datasets of the run: see [`clusters`].
        clusters: Clusters,
    },
    /// Not at all: an evaluation that asks everything.
    Whole,
}

/// What came of reading a dataset.
#[derive(Clone, Debug, Serialize)]
pub struct Ingested {
    /// Its name.
    pub dataset: String,
    /// Examples stored, each once.
    pub examples: u64,
    /// Rows that were the same example again.
    pub duplicates: u64,
    /// Bad rows passed over.
    pub skipped: u64,
    /// The first of them, as messages.
    pub first_skipped: Vec<String>,
}

/// Reads a dataset into the store as members of a run.
///
/// # Errors
/// When a file cannot be read, a row is bad and the spec says to fail, or the store fails.
pub async fn ingest(
    store: &dyn Store,
    run: RunId,
    source: &Source,
    division: &Division,
) -> Result<Ingested, CoordinatorError> {
    let mut reader = dataset::open(source)?;
    let mut batch: Vec<(Member, Example)> = Vec::with_capacity(BATCH);
    let mut rows = 0;
    loop {
        let row = reader.next().transpose().map_err(|e| bad_row(source, e))?;
        let end = row.is_none();
        if let Some(row) = row {
            rows += 1;
            batch.push((member(source, &row.example, division), row.example));
        }
        if batch.len() == BATCH || (end && !batch.is_empty()) {
            store.add_examples(run, &batch).await?;
            batch.clear();
        }
        if end {
            break;
        }
    }
    let summary = reader.summary();
    // Counted in the store: some may have been there before.
    let counts = store.member_counts(run).await?;
    let here = counts
        .iter()
        .filter(|(dataset, ..)| *dataset == source.name);
    let examples: u64 = here.map(|(.., n)| n).sum();
    Ok(Ingested {
        dataset: source.name.clone(),
        examples,
        duplicates: rows - examples.min(rows),
        skipped: summary.skipped,
        first_skipped: summary
            .first_skipped
            .iter()
            .map(RowError::to_string)
            .collect(),
    })
}

/// The near-duplicates of all datasets of a run together: a question that stands in two of them is in one part.
///
/// # Errors
/// When a file cannot be read, or a row is bad and the spec says to fail.
pub fn clusters(sources: &[Source]) -> Result<Clusters, CoordinatorError> {
    let mut builder = dataset::ClusterBuilder::default();
    for source in sources {
        for row in dataset::open(source)? {
            let example = row.map_err(|e| bad_row(source, e))?.example;
            builder.push(example.id(), &dataset::near_text(&example));
        }
    }
    Ok(builder.finish())
}

fn bad_row(source: &Source, error: RowError) -> CoordinatorError {
    CoordinatorError::Row {
        dataset: source.name.clone(),
        format: source.format.name(),
        error,
    }
}

fn member(source: &Source, example: &Example, division: &Division) -> Member {
    let id: Hash = example.id();
    let (cluster, split) = match division {
        Division::Split {
            seed,
            ratios,
            clusters,
        } => {
            let cluster = clusters.of(id).unwrap_or(id);
            (cluster, dataset::assign(cluster, *seed, ratios))
        }
        Division::Whole => (id, Split::Train),
    };
    Member {
        example: id,
        dataset: source.name.clone(),
        cluster,
        split,
    }
}
