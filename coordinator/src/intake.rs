//! From a checked spec to a run that can be driven: the row, then its examples.
//!
//! A run is stored as paused until its data are read, so that no coordinator plans a run that is half there. Doing any
//! of it again, after a kill or by asking twice, changes nothing.

use crate::{
    CoordinatorError,
    ingest::{self, Division, Ingested},
    settings::Settings,
};
use dataset::{Ratios, Source};
use domain::{
    hash::Hash,
    ids::RunId,
    run::{RunKind, RunStatus},
};
use serde::{Deserialize, Serialize};
use spec::{Loaded, Paths, Spec};
use std::path::Path;
use store::{Run, StatusChange, Store};

/// Why a run that was submitted does not run yet: the leader of the coordinators reads its data.
pub const READING: &str = "its data are being read";
/// Why one does not run yet whose data whoever made it reads.
pub const READING_ITSELF: &str = "its data are being read by the process that made it";

/// What is stored as a run's spec: the spec, and where its files were found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredSpec {
    /// The spec.
    pub spec: Spec,
    /// Where its files were.
    pub paths: Paths,
}

impl StoredSpec {
    /// A spec as it was loaded.
    pub fn new(loaded: &Loaded) -> Self {
        Self {
            spec: loaded.spec.clone(),
            paths: loaded.paths.clone(),
        }
    }

    /// Reads the spec of a run.
    ///
    /// # Errors
    /// When it was stored by another version.
    pub fn of(run: &Run) -> Result<Self, CoordinatorError> {
        serde_json::from_str(&run.spec).map_err(|e| {
            CoordinatorError::Intake(format!(
                "run {}: its spec was stored by another version of promptimal: {e}",
                run.id
            ))
        })
    }

    /// What the planner needs.
    pub fn settings(&self, kind: RunKind) -> Settings {
        Settings::new(&self.spec, kind)
    }
}

/// How a run is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// What it does.
    pub kind: RunKind,
    /// Make a new one also when a run of the same work is stored.
    pub new: bool,
    /// Why a new one does not run yet: [`READING`], or [`READING_ITSELF`].
    pub reason: &'static str,
    /// UTC microseconds.
    pub now: i64,
}

/// Finds the run of the same work, or stores a new one; says which. A run that is found gets the limits of this spec.
///
/// # Errors
/// When a file of the spec cannot be read, or the store fails.
pub async fn find_or_create(
    store: &dyn Store,
    loaded: &Loaded,
    ask: Ask,
) -> Result<(Run, bool), CoordinatorError> {
    let hash = hashed(loaded.clone(), ask.kind).await?;
    let limits = loaded.spec.budget.limits();
    if let (false, Some(run)) = (ask.new, same_work(store, hash).await?) {
        if store.limits(run.id).await? != limits {
            store.add_limits(run.id, &limits, ask.now).await?;
        }
        return Ok((run, false));
    }
    let spec = serde_json::to_string(&StoredSpec::new(loaded))
        .map_err(|e| CoordinatorError::Intake(format!("the spec cannot be stored: {e}")))?;
    let run = Run {
        id: RunId::new(),
        name: loaded.spec.run.name.clone(),
        tags: loaded.spec.run.tags.clone(),
        kind: ask.kind,
        status: RunStatus::Paused,
        reason: Some(ask.reason.to_owned()),
        spec,
        spec_hash: hash,
        summary: None,
        created_at: ask.now,
        finished_at: None,
    };
    store.create_run(&run, &limits).await?;
    Ok((run, true))
}

/// The newest run of the same work that was neither given up nor pruned.
async fn same_work(store: &dyn Store, hash: Hash) -> Result<Option<Run>, CoordinatorError> {
    let same = |r: &Run| r.spec_hash == hash && r.status != RunStatus::Cancelled;
    for run in store.runs().await?.into_iter().filter(same) {
        if store.pruned_at(run.id).await?.is_none() {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// Files may be large: whoever else works on this thread need not wait for them.
async fn hashed(loaded: Loaded, kind: RunKind) -> Result<Hash, CoordinatorError> {
    let hashed = tokio::task::spawn_blocking(move || work_hash(&loaded, kind)).await;
    hashed.unwrap_or_else(|e| Err(CoordinatorError::Intake(format!("files not read: {e}"))))
}

/// The same work: the same spec on the same data. A changed file is new work.
fn work_hash(loaded: &Loaded, kind: RunKind) -> Result<Hash, CoordinatorError> {
    let mut parts = vec![kind.as_str().to_owned(), loaded.spec.hash().to_string()];
    for (name, path) in &loaded.paths.datasets {
        let digest = digest(path).map_err(|e| {
            CoordinatorError::Intake(format!("dataset {name:?}: {}: {e}", path.display()))
        })?;
        parts.push(format!("{name} {digest}"));
    }
    for (name, path) in &loaded.paths.adapters {
        let digest = digest(path).map_err(|e| {
            CoordinatorError::Intake(format!("models.{name}.adapter: {}: {e}", path.display()))
        })?;
        parts.push(format!("adapter {name} {digest}"));
    }
    Ok(Hash::of(parts))
}

/// A hash of the names and contents of a file, or of all files below a folder.
fn digest(path: &Path) -> std::io::Result<Hash> {
    if path.is_file() {
        return Hash::of_reader(std::fs::File::open(path)?);
    }
    let mut entries: Vec<_> = std::fs::read_dir(path)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let mut parts = Vec::new();
    for entry in entries {
        parts.push(entry.file_name().into_encoded_bytes());
        parts.push(digest(&entry.path())?.0.to_vec());
    }
    Ok(Hash::of(parts))
}

/// Reads a run's data if they were not read, then sets it to running, from wherever it had stopped. Returns what was
/// read now.
///
/// # Errors
/// When a file cannot be read, a dataset has no usable row, or the store fails.
pub async fn ready(
    store: &dyn Store,
    run: &Run,
    stored: &StoredSpec,
    now: i64,
) -> Result<Vec<Ingested>, CoordinatorError> {
    let read = match is_read(store, run.id).await? {
        true => Vec::new(),
        false => {
            let read = read_data(store, run, stored).await?;
            note(store, run.id, &read).await?;
            read
        }
    };
    start(store, run.id, now).await?;
    Ok(read)
}

/// Whether a run's data need not be read any more: something was planned on them.
///
/// # Errors
/// When the store fails.
pub async fn is_read(store: &dyn Store, run: RunId) -> Result<bool, CoordinatorError> {
    Ok(store.last_step(run).await?.is_some())
}

/// Notes what was read.
///
/// # Errors
/// When the store fails.
pub async fn note(
    store: &dyn Store,
    run: RunId,
    read: &[Ingested],
) -> Result<(), CoordinatorError> {
    let summary = serde_json::json!({ "datasets_read": read });
    Ok(store.set_summary(run, &summary.to_string()).await?)
}

/// Sets a run to running, from wherever it had stopped. One that was cancelled, or is finished, stays so.
///
/// # Errors
/// When the store fails.
pub async fn start(store: &dyn Store, run: RunId, now: i64) -> Result<(), CoordinatorError> {
    for from in [RunStatus::Paused, RunStatus::Failed] {
        let change = StatusChange {
            run,
            from,
            to: RunStatus::Running,
            reason: None,
            now,
        };
        store.set_status(&change).await?;
    }
    Ok(())
}

/// Reads a run's data. Doing it again, also after a part of it was done, changes nothing and says the same.
///
/// # Errors
/// When a file cannot be read, a dataset has no usable row, or the store fails.
pub async fn read_data(
    store: &dyn Store,
    run: &Run,
    stored: &StoredSpec,
) -> Result<Vec<Ingested>, CoordinatorError> {
    let sources = sources(stored)?;
    let division = division(run.kind, stored, &sources)?;
    let mut read = Vec::new();
    for source in &sources {
        let one = ingest::ingest(store, run.id, source, &division).await?;
        if one.examples + one.duplicates == 0 {
            return Err(CoordinatorError::Intake(format!(
                "dataset {:?}: {} holds no usable row",
                source.name,
                source.path.display()
            )));
        }
        read.push(one);
    }
    Ok(read)
}

fn sources(stored: &StoredSpec) -> Result<Vec<Source>, CoordinatorError> {
    let found = |data: &spec::Dataset| {
        let path = stored.paths.datasets.get(&data.name).ok_or_else(|| {
            CoordinatorError::Intake(format!("dataset {:?} was not found", data.name))
        })?;
        Ok(data.source(path, stored.spec.run.seed))
    };
    stored.spec.datasets.iter().map(found).collect()
}

/// An evaluation that asks everything needs no split, and so no clusters.
fn division(
    kind: RunKind,
    stored: &StoredSpec,
    sources: &[Source],
) -> Result<Division, CoordinatorError> {
    let spec = &stored.spec;
    if kind == RunKind::Evaluate && spec.eval.split == spec::EvalSplit::All {
        return Ok(Division::Whole);
    }
    let (s, seed) = (&spec.splits, spec.run.seed);
    Ok(Division::Split {
        seed,
        ratios: Ratios::new(s.train, s.validation, s.test)?,
        clusters: ingest::clusters(sources)?,
    })
}
