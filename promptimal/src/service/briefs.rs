//! What a coordinator must know of each run, made from its stored spec.

use crate::{embedded::model_names, models};
use coordinator::{Brief, Briefs, ModelFacts, intake::StoredSpec};
use spec::{Local, Model};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use store::Run;
use tokio::runtime::Handle;

/// Local models that were looked at, by file and precision.
type Known = Mutex<HashMap<(PathBuf, &'static str), ModelFacts>>;

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
    Ok(Brief {
        settings: stored.settings(run.kind),
        models: facts,
    })
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
            runtime.block_on(of_local(local, found, known))
        }
        _ => Err("is no language model that can be called".to_owned()),
    }
}

async fn of_local(
    local: &Local,
    found: Option<PathBuf>,
    known: &Known,
) -> Result<ModelFacts, String> {
    use worker_eval::models::{fetch_silently, load, weights};
    let path = weights(local, found, &fetch_silently).await?;
    let key = (path.clone(), local.precision.as_str());
    if let Some(facts) = lock(known).get(&key) {
        return Ok(facts.clone());
    }
    let facts = load(local, path).await?.facts();
    let facts = ModelFacts {
        identity: facts.identity.clone(),
        worst_case: Arc::new(move |call| facts.worst_case(call)),
        quota: None,
    };
    lock(known).insert(key, facts.clone());
    Ok(facts)
}

fn lock(known: &Known) -> std::sync::MutexGuard<'_, HashMap<(PathBuf, &'static str), ModelFacts>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
