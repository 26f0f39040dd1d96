//! Where a rewriter's files are, and in which words it wants to be asked.

use crate::{commands::REPORT, models};
use anyhow::{Context, bail};
use model::Description;
use serde::Deserialize;
use std::{
    io,
    path::{Path, PathBuf},
};
use train::{pairs::Template, peft};

/// A rewriter's files.
#[derive(Debug)]
pub struct Found {
    /// The base; the whole model, where it has no adapter.
    pub model: PathBuf,
    /// The adapter's folder.
    pub adapter: Option<PathBuf>,
    /// The words to ask in.
    pub template: Template,
    /// What the base must be, where the training says.
    pub base: Option<Base>,
}

/// What `promptimal train` wrote beside the adapter.
#[derive(Debug, Deserialize)]
struct Training {
    base: String,
    base_sha256: String,
    /// Where the base was found: a name of the catalogue, or a path.
    base_from: Option<String>,
    template: Template,
}

/// Finds a rewriter: an adapter with its base, or a merged model.
///
/// # Errors
/// When the folder is neither, or its base is not found.
pub async fn find(
    dir: &Path,
    base: Option<&str>,
    template: Option<Template>,
) -> anyhow::Result<Found> {
    let shown = dir.display();
    if !dir.join(peft::CONFIG).is_file() {
        if !dir.join("config.json").is_file() {
            bail!(
                "--rewriter {shown} is no rewriter: it is a folder with {} (what `promptimal train` wrote) or with \
                 config.json (what `promptimal merge` wrote)",
                peft::CONFIG
            );
        }
        return Ok(Found {
            model: dir.to_owned(),
            adapter: None,
            template: template.unwrap_or_default(),
            base: None,
        });
    }
    let training = training(dir)?;
    let model = match (base, &training) {
        (Some(base), _) => models::named("--base", base).await?,
        (None, Some(training)) => base_of(training, dir).await?,
        (None, None) => bail!(
            "--rewriter {shown} does not say which model it was trained on ({REPORT} is missing): give --base MODEL"
        ),
    };
    let trained = training.as_ref().map(|t| t.template);
    Ok(Found {
        model,
        adapter: Some(dir.to_owned()),
        template: template.or(trained).unwrap_or_default(),
        base: training.map(Training::base),
    })
}

/// What an adapter's training says: the words to ask in (unless `told`), and what the base must be.
///
/// # Errors
/// When the folder's report cannot be read.
pub fn trained(dir: &Path, told: Option<Template>) -> anyhow::Result<(Template, Option<Base>)> {
    let training = training(dir)?;
    let trained = training.as_ref().map(|t| t.template);
    Ok((
        told.or(trained).unwrap_or_default(),
        training.map(Training::base),
    ))
}

/// A base, as a training names it.
#[derive(Debug)]
pub struct Base {
    name: String,
    sha256: String,
}

impl Base {
    /// Refuses another model.
    ///
    /// # Errors
    /// Names both, and the `flag` that gives the right one.
    pub fn check(&self, is: &Description, flag: &str) -> anyhow::Result<()> {
        if self.sha256 == is.sha256 {
            return Ok(());
        }
        let short = |sha256: &str| sha256.chars().take(12).collect::<String>();
        bail!(
            "the adapter was trained on {} (SHA-256 {}…), and {} is another model (SHA-256 {}…): give the right one \
             with {flag}",
            self.name,
            short(&self.sha256),
            is.name,
            short(&is.sha256)
        )
    }
}

impl Training {
    fn base(self) -> Base {
        Base {
            name: self.base,
            sha256: self.base_sha256,
        }
    }
}

fn training(dir: &Path) -> anyhow::Result<Option<Training>> {
    let file = dir.join(REPORT);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).context(file.display().to_string()),
    };
    let training = serde_json::from_str(&text);
    training.with_context(|| format!("{}: no report of a training", file.display()))
}

/// The base that a training names: by where it was, or by what it is.
async fn base_of(training: &Training, dir: &Path) -> anyhow::Result<PathBuf> {
    let known = model::catalogue::list().iter();
    let mut known = known.filter(|entry| entry.sha256 == training.base_sha256);
    if let Some(entry) = known.next() {
        return models::named("--base", entry.name).await;
    }
    let from = training.base_from.as_deref().map(PathBuf::from);
    match from.filter(|path| path.exists()) {
        Some(path) => Ok(path),
        None => bail!(
            "--rewriter {} was trained on {}, which is not {}: give --base MODEL",
            dir.display(),
            training.base,
            training
                .base_from
                .as_deref()
                .map_or("known by name".to_owned(), |from| format!("at {from}"))
        ),
    }
}
