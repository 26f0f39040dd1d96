//! From a spec's `[models]` to models that can be called, or only planned for.

use anyhow::anyhow;
use coordinator::{ModelFacts, intake::StoredSpec};
use domain::hash::Hash;
use futures::FutureExt;
use llm::LanguageModel;
use spec::{Model, Paths, Spec};
use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
};
use store::Quota;
use worker_eval::Models;
use worker_score::scorer::{Batching, Scorer};

/// Builds the models of the given names.
///
/// # Errors
/// When a model cannot be found, fetched or loaded, or a key cannot be read.
pub async fn build(spec: &Spec, paths: &Paths, names: &[String]) -> anyhow::Result<Models> {
    let mut wanted = Vec::new();
    for name in names {
        let model = spec.models.get_key_value(name);
        wanted.push(model.ok_or_else(|| anyhow!("models.{name} is not in the spec"))?);
    }
    let fetch =
        |name: String| async move { fetch(&name).await.map_err(|e| format!("{e:#}")) }.boxed();
    Ok(worker_eval::models::build(wanted, paths, &fetch).await?)
}

/// The reward models of a run, by name.
pub type Scorers = HashMap<String, Scorer>;

/// Loads the reward models that grade.
///
/// # Errors
/// When one cannot be loaded.
pub async fn scorers(spec: &Spec, paths: &Paths) -> anyhow::Result<Scorers> {
    let named = spec.rewards();
    let wanted = spec
        .models
        .iter()
        .filter(|(name, _)| named.contains(&name.as_str()));
    Ok(worker_score::models::build(wanted, paths, Batching::default()).await?)
}

/// What they are, by name.
pub fn rewards(scorers: &Scorers) -> HashMap<String, String> {
    let identity =
        |(name, scorer): (&String, &Scorer)| (name.clone(), scorer.identity().to_owned());
    scorers.iter().map(identity).collect()
}

/// What the planner needs to know of them.
pub fn facts(models: &Models, spec: &Spec) -> HashMap<String, ModelFacts> {
    let of = |(name, model): (&String, &Arc<dyn LanguageModel>)| {
        let quota = spec.models.get(name).and_then(quota);
        (name.clone(), facts_of(model.clone(), quota))
    };
    models.iter().map(of).collect()
}

/// What the planner needs to know of one.
pub fn facts_of(model: Arc<dyn LanguageModel>, quota: Option<Quota>) -> ModelFacts {
    ModelFacts {
        identity: model.identity().clone(),
        worst_case: Arc::new(move |call| model.worst_case(call)),
        quota,
    }
}

/// What a spec says a model's server allows.
pub fn quota(model: &Model) -> Option<Quota> {
    match model {
        Model::Http(http) => Quota::per_minute(http.requests_per_minute, http.tokens_per_minute),
        Model::Local(_) | Model::Reward(_) => None,
    }
}

/// The prompts that the compared rewriters were trained on, by fingerprint.
///
/// # Errors
/// When a list cannot be read.
pub fn seen(stored: &StoredSpec) -> anyhow::Result<BTreeSet<Hash>> {
    let mut all = BTreeSet::new();
    for name in &stored.spec.eval.rewriters {
        if let Some(folder) = stored.paths.adapters.get(name) {
            match train::seen(folder)? {
                Some(seen) => all.extend(seen),
                None => tracing::warn!(
                    name,
                    "its adapter does not say which prompts it was trained on: nobody knows whether these are among them"
                ),
            }
        }
    }
    Ok(all)
}

/// Where the base of a run's training is: as the spec was found to mean it, or a model of the catalogue.
///
/// # Errors
/// A sentence, when it cannot be had.
pub async fn base(stored: &StoredSpec) -> Result<PathBuf, String> {
    match (&stored.paths.train, &stored.spec.train) {
        (Some(path), _) => Ok(path.clone()),
        (None, Some(tuning)) => worker_train::bases::find(&tuning.base).await,
        (None, None) => Err("the spec has no [train]".to_owned()),
    }
}

/// A model's place: as it is written, or that of a model of the catalogue, which is fetched where it is not here.
///
/// # Errors
/// When it is neither; the message begins with the `flag` that named it.
pub async fn named(flag: &str, name: &str) -> anyhow::Result<PathBuf> {
    match worker_train::bases::here(name).map_err(|why| anyhow!("{flag} {why}"))? {
        Some(path) => Ok(path),
        None => fetch(name).await,
    }
}

/// How a model is found again from another folder: its name, or its whole path.
pub fn place(name: &str) -> String {
    let path = std::fs::canonicalize(name);
    path.map_or_else(|_| name.to_owned(), |path| path.display().to_string())
}

/// Fetches a model of the catalogue, with a bar.
///
/// # Errors
/// When none of the ways works; the message names all of them.
pub async fn fetch(name: &str) -> anyhow::Result<PathBuf> {
    let name = name.to_owned();
    let bar = crate::progress::download(&name);
    let fetched = tokio::task::spawn_blocking(move || {
        let mut seen = |p: model::catalogue::Progress| bar.show(p.done, p.total);
        model::catalogue::fetch(&name, &mut seen)
    });
    Ok(fetched.await??)
}
