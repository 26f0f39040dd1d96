//! From `[models]` to models that can be called.

use crate::Models;
use futures::future::BoxFuture;
use llm::{
    LanguageModel,
    http::{HttpModel, HttpOptions},
    local::{LocalModel, LocalOptions},
};
use model::{Words, lora};
use secrecy::SecretString;
use spec::{Http, Local, Model, Paths, Precision};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Brings a model of the catalogue here; the error names every way that was tried.
pub type Fetch = dyn Fn(String) -> BoxFuture<'static, Result<PathBuf, String>> + Send + Sync;

/// A model that cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("models.{name}: {message}")]
pub struct Unusable {
    /// Its name.
    pub name: String,
    /// What is wrong, and the way out.
    pub message: String,
}

/// Fetches without showing anything but a line in the log.
pub fn fetch_silently(name: String) -> BoxFuture<'static, Result<PathBuf, String>> {
    Box::pin(async move {
        tracing::info!(model = name, "looking for a model of the catalogue");
        let fetched =
            tokio::task::spawn_blocking(move || model::catalogue::fetch(&name, &mut |_| {}));
        let fetched = fetched.await.map_err(|e| e.to_string())?;
        fetched.map_err(|e| e.to_string())
    })
}

/// Builds models. Equal local ones are loaded once.
///
/// # Errors
/// When a model cannot be found, fetched or loaded, or a key cannot be read.
pub async fn build<'a>(
    models: impl IntoIterator<Item = (&'a String, &'a Model)>,
    paths: &Paths,
    fetch: &Fetch,
) -> Result<Models, Unusable> {
    let mut loaded: HashMap<(PathBuf, &str, Option<PathBuf>), Arc<dyn LanguageModel>> =
        HashMap::new();
    let mut built = Models::new();
    for (name, model) in models {
        let unusable = |message| Unusable {
            name: name.clone(),
            message,
        };
        let model: Arc<dyn LanguageModel> = match model {
            Model::Http(http) => Arc::new(remote(name, http, paths).map_err(unusable)?),
            Model::Local(local) => {
                let found = paths.models.get(name).cloned();
                let path = weights(local, found, fetch).await.map_err(unusable)?;
                let adapter = paths.adapters.get(name).cloned();
                let key = (path.clone(), local.precision.as_str(), adapter.clone());
                match loaded.get(&key) {
                    Some(model) => model.clone(),
                    None => {
                        let model: Arc<dyn LanguageModel> =
                            Arc::new(load(local, path, adapter).await.map_err(unusable)?);
                        loaded.insert(key, model.clone());
                        model
                    }
                }
            }
            Model::Reward(_) => {
                return Err(unusable("is no language model that can be called".into()));
            }
        };
        built.insert(name.clone(), model);
    }
    Ok(built)
}

/// The model behind a server.
fn remote(name: &str, http: &Http, paths: &Paths) -> Result<HttpModel, String> {
    let mut options = options(name, http);
    options.api_key = key(name, http, paths)?;
    HttpModel::new(options).map_err(|e| e.to_string())
}

/// The same model for somebody who plans and never calls it: without its key.
///
/// # Errors
/// When its URL cannot be used.
pub fn described(name: &str, http: &Http) -> Result<HttpModel, String> {
    HttpModel::new(options(name, http)).map_err(|e| e.to_string())
}

fn options(name: &str, http: &Http) -> HttpOptions {
    let micros = |usd: f64| (usd * 1e6).round() as u64;
    let limit = |n: Option<u64>| n.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    let mut options = HttpOptions::new(&http.base_url, &http.model);
    options.name = name.to_owned();
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
    options
}

/// The key, from the environment or a file. It goes nowhere else.
fn key(name: &str, http: &Http, paths: &Paths) -> Result<Option<SecretString>, String> {
    if let Some(variable) = &http.api_key_env {
        let key = std::env::var(variable).map_err(|_| {
            format!("environment variable {variable}, named by api_key_env, is not set: export it")
        })?;
        return Ok(Some(key.trim().to_owned().into()));
    }
    let Some(file) = paths.key_files.get(name) else {
        return Ok(None);
    };
    let key = std::fs::read_to_string(file)
        .map_err(|e| format!("api_key_file: cannot read {}: {e}", file.display()))?;
    Ok(Some(key.trim().to_owned().into()))
}

/// The file or folder of a local model, fetched first if it is one of the catalogue.
///
/// # Errors
/// When it cannot be fetched.
pub async fn weights(
    local: &Local,
    found: Option<PathBuf>,
    fetch: &Fetch,
) -> Result<PathBuf, String> {
    match found {
        Some(path) => Ok(path),
        None => fetch(local.model.clone()).await,
    }
}

/// Loads a local model, with an adapter if it is a rewriter.
///
/// # Errors
/// When the files are no model that can be run here.
pub async fn load(
    local: &Local,
    path: PathBuf,
    adapter: Option<PathBuf>,
) -> Result<LocalModel, String> {
    let mut options = LocalOptions::new(path);
    if let Some(folder) = adapter {
        options.words = words(&folder)?;
        options.adapter = Some(folder);
    }
    options.precision = match local.precision {
        Precision::Auto => model::Precision::Auto,
        Precision::F32 => model::Precision::F32,
        Precision::Q8 => model::Precision::Q8_0,
        Precision::Native => model::Precision::Native,
    };
    LocalModel::load(options).await.map_err(|e| e.to_string())
}

/// The words that an adapter was trained with, as the report beside it says; where there is none, those that trainings have
/// by default.
fn words(adapter: &Path) -> Result<Words, String> {
    let said = lora::report(adapter).map_err(|e| format!("adapter: {e}"))?;
    match said.as_ref().and_then(|said| said["template"].as_str()) {
        Some("chat") => Ok(Words::Chat),
        _ => Ok(Words::Inst),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_is_asked_in_the_words_of_its_training() {
        let dir = tempfile::tempdir().unwrap();
        let said = |text: &str| {
            std::fs::write(dir.path().join("training.json"), text).unwrap();
            words(dir.path())
        };
        assert_eq!(words(dir.path()), Ok(Words::Inst));
        assert_eq!(said(r#"{"template": "chat"}"#), Ok(Words::Chat));
        assert_eq!(
            said(r#"{"trained": {"template": "chat"}}"#),
            Ok(Words::Chat)
        );
        assert_eq!(
            said(r#"{"trained": {"template": "inst"}}"#),
            Ok(Words::Inst)
        );
        assert!(said("{").unwrap_err().contains("training.json"));
    }
}
