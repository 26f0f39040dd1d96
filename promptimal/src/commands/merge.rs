//! `promptimal merge`: a base and its adapter as one model.

use crate::{cli::MergeArgs, models, out};
use anyhow::{Context, bail};
use model::base::Base;
use std::path::Path;
use train::peft;

/// `promptimal merge`
pub async fn merge(args: MergeArgs) -> anyhow::Result<()> {
    let out = args.out.clone();
    let base = models::named("--base", &args.base).await?;
    check(&base, &out)?;
    let work = tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
        let config = Base::open(&base)?.config().clone();
        let adapter = peft::read(&args.adapter, &config)?;
        Ok(train::merge(&base, &adapter, &args.out)?)
    });
    work.await.context("merging broke off")??;
    out::line(out.display().to_string());
    Ok(())
}

/// Refuses what is there, and what would be of another kind than its name says.
fn check(base: &Path, out: &Path) -> anyhow::Result<()> {
    let shown = out.display();
    if base.is_dir() {
        if out
            .read_dir()
            .is_ok_and(|mut entries| entries.next().is_some())
            || out.is_file()
        {
            bail!("--out {shown} is not empty: give a folder of its own");
        }
        return Ok(());
    }
    if out.extension().is_none_or(|ending| ending != "gguf") {
        bail!(
            "--out {shown}: the base is a GGUF file, and so is what comes out: give a name that ends in .gguf"
        );
    }
    if out.exists() {
        bail!("--out {shown} is there already: give another name");
    }
    Ok(())
}
