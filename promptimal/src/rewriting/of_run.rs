//! The rewriter that a run trained: its adapter lies among the artefacts.

use super::Folder;
use crate::{models, site::Site};
use anyhow::{Context, bail};
use artefacts::{ArtefactError, Artefacts, Place};
use coordinator::{find::find, intake::StoredSpec, summary};
use domain::run::RunStatus;
use model::lora::REPORT;
use std::{fs, path::PathBuf};
use store::Run;
use tempfile::TempDir;
use train::peft;

/// The folder of the adapter that a run trained; a bucket's files are fetched.
///
/// # Errors
/// When there is no such run, it trained none, or the adapter is not there any more.
pub async fn folder(site: &Site, (flag, wanted): (&str, &str)) -> anyhow::Result<Folder> {
    let neither = || format!("{flag} {wanted} is no folder that is here, and no run");
    let store = site.existing().await.with_context(neither)?;
    let run = find(store.as_ref(), wanted).await.with_context(neither)?;
    let spec = StoredSpec::of(&run)?;
    let place = format!("{flag} {wanted}: run {} ({})", run.id, run.name);
    let Some(training) = summary::rewriter(store.as_ref(), &run).await? else {
        bail!("{place} {}", without(&run, &spec));
    };
    let Some(adapter) = training.adapter else {
        let why = training.nothing.unwrap_or_default();
        bail!("{place} trained no rewriter: {why}");
    };
    let kept = site.data_dir.join("rewriters").join(run.id.to_string());
    let path = here(&adapter, kept).await.context(place)?;
    Ok(Folder {
        path,
        run: Some(spec),
    })
}

/// Why a run has no rewriter, and what to do.
fn without(run: &Run, spec: &StoredSpec) -> String {
    match (&spec.spec.train, run.status) {
        (None, _) => format!(
            "trains no rewriter, for its spec has no [train]: `promptimal train --run {} --base MODEL --out DIR` trains one \
             from its pairs",
            run.id
        ),
        (Some(_), RunStatus::Finished) => "trained no rewriter".to_owned(),
        (Some(_), status) => format!("is {status}: its rewriter is trained at its end"),
    }
}

/// The base of a run's training.
///
/// # Errors
/// When it is not here; the way out is `--base`.
pub async fn base(run: &StoredSpec) -> anyhow::Result<PathBuf> {
    let found = models::base(run).await;
    found.map_err(|why| anyhow::anyhow!("the base of the run's training: {why}; give --base MODEL"))
}

/// An adapter's folder on this machine. What a bucket has is fetched once, to a place that stays the same: an evaluation
/// that goes on must find the rewriter where it was.
async fn here(address: &str, kept: PathBuf) -> anyhow::Result<PathBuf> {
    // Whoever summed the run up named a folder of a machine by its path.
    if !address.starts_with("s3://") {
        let path = PathBuf::from(address);
        if !path.join(peft::WEIGHTS).is_file() {
            bail!("its adapter is not at {address} any more, or that is on another machine");
        }
        return Ok(path);
    }
    if kept.join(peft::WEIGHTS).is_file() {
        return Ok(kept);
    }
    let artefacts = Artefacts::open(&address.parse::<Place>()?)?;
    let above = kept.parent().unwrap_or(&kept);
    fs::create_dir_all(above).with_context(|| above.display().to_string())?;
    // Beside its place until it is whole.
    let dir = TempDir::with_prefix_in("fetching-", above).context("no folder for the adapter")?;
    for name in [peft::CONFIG, peft::WEIGHTS, REPORT] {
        artefacts.get_to(name, &dir.path().join(name)).await?;
    }
    let seen = dir.path().join(train::SEEN);
    match artefacts.get_to(train::SEEN, &seen).await {
        // Adapters of before have no such list.
        Ok(()) | Err(ArtefactError::Missing { .. }) => {}
        // It keeps prompts that were trained on from being measured on: an outage must not leave it out.
        Err(error) => return Err(error.into()),
    }
    let fetched = dir.keep();
    match fs::rename(&fetched, &kept) {
        // Somebody else was quicker, and has the same.
        Err(_) if kept.join(peft::WEIGHTS).is_file() => {
            let _ = fs::remove_dir_all(&fetched);
        }
        other => other.with_context(|| kept.display().to_string())?,
    }
    Ok(kept)
}
