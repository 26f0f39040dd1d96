//! From a spec's `[models]` to models that can be called.

use anyhow::{Context, anyhow};
use coordinator::ModelFacts;
use llm::{
    LanguageModel,
    http::{HttpModel, HttpOptions},
    local::{LocalModel, LocalOptions},
};
use secrecy::SecretString;
use spec::{Http, Local, Model, Paths, Precision, Spec};
use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};
use worker_eval::Models;

/// Builds the models of the given names. Equal local models are loaded once.
///
/// # Errors
/// When a model cannot be found, fetched or loaded, or a key cannot be read.
pub async fn build(spec: &Spec, paths: &Paths, names: &[String]) -> anyhow::Result<Models> {
    let mut loaded: HashMap<(PathBuf, &str), Arc<dyn LanguageModel>> = HashMap::new();
    let mut models = Models::new();
    for name in names {
        let model: Arc<dyn LanguageModel> = match spec.models.get(name) {
            Some(Model::Http(http)) => Arc::new(remote(name, http, paths)?),
            Some(Model::Local(local)) => {
                let path = weights(local, paths.models.get(name)).await?;
                let key = (path.clone(), local.precision.as_str());
                match loaded.get(&key) {
                    Some(model) => model.clone(),
                    None => {
                        let model = load(name, local, path).await?;
                        loaded.insert(key, model.clone());
                        model
                    }
                }
            }
            _ => anyhow::bail!("models.{name} is no language model that can be called yet"),
        };
        models.insert(name.clone(), model);
    }
    Ok(models)
}

/// What the planner needs to know of them.
pub fn facts(models: &Models) -> HashMap<String, ModelFacts> {
    let fact = |model: &Arc<dyn LanguageModel>| {
        let asked = model.clone();
        ModelFacts {
            identity: model.identity().clone(),
            worst_case: Arc::new(move |call| asked.worst_case(call)),
        }
    };
    models
        .iter()
        .map(|(name, model)| (name.clone(), fact(model)))
        .collect()
}

fn remote(name: &str, http: &Http, paths: &Paths) -> anyhow::Result<HttpModel> {
    let micros = |usd: f64| (usd * 1e6).round() as u64;
    let limit = |n: Option<u64>| n.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    let mut options = HttpOptions::new(&http.base_url, &http.model);
    options.name = name.to_owned();
    options.api_key = key(name, http, paths)?;
    options.connect_timeout = Duration::from_secs_f64(http.connect_timeout_seconds);
    options.call_timeout = Duration::from_secs_f64(http.call_timeout_seconds);
    options.retries = http.retries;
    options.concurrency = http.concurrency;
    options.requests_per_minute = limit(http.requests_per_minute);
    options.tokens_per_minute = limit(http.tokens_per_minute);
    options.price_in = micros(http.price_in_usd_per_million);
    options.price_out = micros(http.price_out_usd_per_million);
    options.send_seed = http.send_seed;
    options.score_endpoint = http.score_endpoint;
    HttpModel::new(options).map_err(|e| anyhow!("models.{name}: {e}"))
}

/// The key, from the environment or a file. It goes nowhere else.
fn key(name: &str, http: &Http, paths: &Paths) -> anyhow::Result<Option<SecretString>> {
    if let Some(variable) = &http.api_key_env {
        let key = std::env::var(variable).with_context(|| {
            format!(
                "environment variable {variable}, named by models.{name}.api_key_env, is not set"
            )
        })?;
        return Ok(Some(key.trim().to_owned().into()));
    }
    let Some(file) = paths.key_files.get(name) else {
        return Ok(None);
    };
    let key = std::fs::read_to_string(file)
        .with_context(|| format!("models.{name}.api_key_file: cannot read {}", file.display()))?;
    Ok(Some(key.trim().to_owned().into()))
}

/// The file or folder of a local model, fetched first if it is one of the catalogue.
async fn weights(local: &Local, found: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(path) = found {
        return Ok(path.clone());
    }
    fetch(&local.model).await
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

async fn load(name: &str, local: &Local, path: PathBuf) -> anyhow::Result<Arc<dyn LanguageModel>> {
    let mut options = LocalOptions::new(path);
    options.precision = match local.precision {
        Precision::Auto => model::Precision::Auto,
        Precision::F32 => model::Precision::F32,
        Precision::Q8 => model::Precision::Q8_0,
        Precision::Native => model::Precision::Native,
    };
    let loaded = LocalModel::load(options)
        .await
        .map_err(|e| anyhow!("models.{name}: {e}"))?;
    Ok(Arc::new(loaded))
}
