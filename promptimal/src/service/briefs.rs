//! What a coordinator must know of each run, made from its stored spec.

use crate::{embedded::model_names, models};
use coordinator::{Brief, Briefs, ModelFacts, intake::StoredSpec};
use model::deberta::Place;
use spec::{Local, Model};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::Run;
use tokio::runtime::Handle;

/// Where a local model is, its precision, and where its adapter is.
type LocalKey = (PathBuf, &'static str, Option<PathBuf>);

/// Models that were looked at.
#[derive(Default)]
struct Known {
    /// Local ones.
    local: Mutex<HashMap<LocalKey, ModelFacts>>,
    /// What reward models are, by folder and place.
    rewards: Mutex<HashMap<(PathBuf, Place), String>>,
    /// What bases are, by file or folder.
    bases: Mutex<HashMap<PathBuf, String>>,
}

/// Makes briefs. A local model is loaded once to learn what it is, and let go: a coordinator calls none.
pub fn briefs() -> Briefs {
    let (known, runtime) = (Known::default(), Handle::current());
    Arc::new(move |run| brief(run, &known, &runtime).map_err(|e| format!("{e:#}")))
}

fn brief(run: &Run, known: &Known, runtime: &Handle) -> anyhow::Result<Brief> {
    let stored = StoredSpec::of(run)?;
    let mut facts = HashMap::new();
    for name in model_names(&stored, run.kind) {
        let found = of_model(&name, &stored, known, runtime);
        let found = found.map_err(|e| anyhow::anyhow!("models.{name}: {e}"))?;
        facts.insert(name, found);
    }
    let mut rewards = HashMap::new();
    for name in stored.spec.rewards() {
        let found = runtime.block_on(of_reward(name, &stored, known));
        let found = found.map_err(|e| anyhow::anyhow!("models.{name}: {e}"))?;
        rewards.insert(name.to_owned(), found);
    }
    let mut settings = stored.settings(run.kind);
    settings.know(&rewards);
    settings.know_seen(models::seen(&stored)?);
    if settings.train.is_some() {
        let found = runtime.block_on(of_base(&stored, known));
        settings.know_base(&found.map_err(|e| anyhow::anyhow!("train.base: {e}"))?);
    }
    Ok(Brief {
        settings,
        models: facts,
    })
}

/// What the base of a training is: its weights are read once to learn that.
async fn of_base(stored: &StoredSpec, known: &Known) -> Result<String, String> {
    let path = models::base(stored).await?;
    if let Some(identity) = lock(&known.bases).get(&path) {
        return Ok(identity.clone());
    }
    let identity = worker_train::bases::describe(path.clone()).await?;
    lock(&known.bases).insert(path, identity.clone());
    Ok(identity)
}

/// What a reward model is: its files are read once to learn that.
async fn of_reward(name: &str, stored: &StoredSpec, known: &Known) -> Result<String, String> {
    let Some(Model::Reward(reward)) = stored.spec.models.get(name) else {
        return Err("is no reward model".to_owned());
    };
    let found = stored.paths.models.get(name).cloned();
    let path = worker_score::models::folder(reward, found).await?;
    let place = worker_score::models::place(reward);
    let key = (path.clone(), place);
    if let Some(identity) = lock(&known.rewards).get(&key) {
        return Ok(identity.clone());
    }
    let identity = worker_score::models::describe(path, place).await?;
    lock(&known.rewards).insert(key, identity.clone());
    Ok(identity)
}

fn of_model(
    name: &str,
    stored: &StoredSpec,
    known: &Known,
    runtime: &Handle,
) -> Result<ModelFacts, String> {
    match stored.spec.models.get(name) {
        Some(model @ Model::Http(http)) => {
            let described = worker_eval::models::described(name, http)?;
            Ok(models::facts_of(Arc::new(described), models::quota(model)))
        }
        Some(Model::Local(local)) => {
            let found = stored.paths.models.get(name).cloned();
            let adapter = stored.paths.adapters.get(name).cloned();
            runtime.block_on(of_local(local, (found, adapter), known))
        }
        _ => Err("is no language model that can be called".to_owned()),
    }
}

async fn of_local(
    local: &Local,
    (found, adapter): (Option<PathBuf>, Option<PathBuf>),
    known: &Known,
) -> Result<ModelFacts, String> {
    use worker_eval::models::{fetch_silently, load, weights};
    let path = weights(local, found, &fetch_silently).await?;
    let key = (path.clone(), local.precision.as_str(), adapter.clone());
    if let Some(facts) = lock(&known.local).get(&key) {
        return Ok(facts.clone());
    }
    let facts = load(local, path, adapter).await?.facts();
    let facts = ModelFacts {
        identity: facts.identity.clone(),
        worst_case: Arc::new(move |call| facts.worst_case(call)),
        quota: None,
    };
    lock(&known.local).insert(key, facts.clone());
    Ok(facts)
}

fn lock<T>(known: &Mutex<T>) -> MutexGuard<'_, T> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
