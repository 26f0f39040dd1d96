//! What an adapter's training says of it: `training.json` beside the adapter.
//!
//! `promptimal train` writes one, and so does the training of a run, which has the same under `trained`.

use crate::{models, plot::Losses};
use anyhow::{Context, bail};
use model::{
    Description,
    lora::{self, REPORT},
};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use train::{History, pairs::Template};

/// What a training says.
#[derive(Debug, Deserialize)]
pub struct Training {
    base: String,
    base_sha256: String,
    /// Where the base was found: a name of the catalogue, or a path.
    base_from: Option<String>,
    template: Template,
    /// As `promptimal train` tells of losses.
    history: Option<History>,
    /// As the training of a run tells of them.
    #[serde(default)]
    losses: Vec<f64>,
    #[serde(default)]
    validation_losses: Vec<(usize, f64)>,
}

/// Reads what the training of a folder's adapter says; `None` where it says nothing.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn read(dir: &Path) -> anyhow::Result<Option<Training>> {
    let said = lora::report(dir)?.map(Training::deserialize).transpose();
    said.with_context(|| format!("{}: no report of a training", dir.join(REPORT).display()))
}

/// The words to ask in: what is asked for, else those of the training, else those that trainings have by default.
pub fn template(asked: Option<Template>, trained: Option<&Training>) -> Template {
    let trained = trained.map(|training| training.template);
    asked.or(trained).unwrap_or_default()
}

impl Training {
    /// How the losses fell.
    pub fn losses(&self) -> Losses {
        let (steps, validation) = match self.history.clone() {
            Some(History { losses, validation }) => (losses, validation),
            None => (self.losses.clone(), self.validation_losses.clone()),
        };
        Losses::of(&self.base, steps, validation)
    }

    /// The base that it names, by what it is or by where it was; `rewriter` is named where it is not found.
    ///
    /// # Errors
    /// When it is not found; the way out is `--base`.
    pub async fn base_path(&self, rewriter: &str) -> anyhow::Result<PathBuf> {
        let known = model::catalogue::list().iter();
        let mut known = known.filter(|entry| entry.sha256 == self.base_sha256);
        if let Some(entry) = known.next() {
            return models::named("--base", entry.name).await;
        }
        let from = self.base_from.as_deref();
        if let Some(path) = from.map(PathBuf::from).filter(|path| path.exists()) {
            return Ok(path);
        }
        let place = match from {
            Some(from) => format!("which is not at {from}"),
            None => "and does not say where that is".to_owned(),
        };
        bail!(
            "--rewriter {rewriter} was trained on {}, {place}: give --base MODEL",
            self.base
        )
    }
}

/// A base, as a training names it.
#[derive(Debug)]
pub struct Base {
    name: String,
    sha256: String,
}

impl From<Training> for Base {
    fn from(training: Training) -> Self {
        Self {
            name: training.base,
            sha256: training.base_sha256,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_reports_are_read() {
        let by_hand = r#"{"out": "x", "base": "b", "base_sha256": "0a", "base_from": "p", "template": "chat", "pairs": 3}"#;
        let dir = tempfile::tempdir().unwrap();
        let parse = |text: &str| {
            std::fs::write(dir.path().join(REPORT), text).unwrap();
            read(dir.path()).map(Option::unwrap)
        };
        let by_hand = parse(by_hand).unwrap();
        assert_eq!(
            (by_hand.base_from.as_deref(), by_hand.template),
            (Some("p"), Template::Chat)
        );
        let trained = wire::Trained {
            place: "file:///x".into(),
            folder: "trainings/1".into(),
            base: "b".into(),
            base_sha256: "0b".into(),
            template: "inst".into(),
            train: 1,
            validation: 0,
            left_out: 0,
            parameters: 1,
            losses: vec![1.0],
            validation_losses: Vec::new(),
        };
        let of_run = wire::Training::Trained(Box::new(trained));
        let of_run = parse(&serde_json::to_string(&of_run).unwrap()).unwrap();
        assert_eq!(of_run.base_sha256, "0b");
        assert_eq!((of_run.base_from, of_run.template), (None, Template::Inst));
        assert!(parse("{}").is_err());
    }
}
