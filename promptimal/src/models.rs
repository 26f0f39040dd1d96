//! From a spec's `[models]` to models that can be called, or only planned for.

use anyhow::anyhow;
use coordinator::ModelFacts;
use futures::FutureExt;
use llm::LanguageModel;
use spec::{Paths, Spec};
use std::{collections::HashMap, path::PathBuf, sync::Arc};
use worker_eval::Models;

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

/// What the planner needs to know of them.
pub fn facts(models: &Models) -> HashMap<String, ModelFacts> {
    models
        .iter()
        .map(|(name, model)| (name.clone(), facts_of(model.clone())))
        .collect()
}

/// What the planner needs to know of one.
pub fn facts_of(model: Arc<dyn LanguageModel>) -> ModelFacts {
    ModelFacts {
        identity: model.identity().clone(),
        worst_case: Arc::new(move |call| model.worst_case(call)),
    }
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
