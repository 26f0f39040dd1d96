//! `promptimal merge`: a base and its adapter as one model.

use crate::{cli::MergeArgs, out};
use anyhow::{Context, bail};
use model::base::Base;
use train::peft;

/// `promptimal merge`
pub async fn merge(args: MergeArgs) -> anyhow::Result<()> {
    let out = args.out.clone();
    if out
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some())
    {
        bail!(
            "--out {} is not empty: give a folder of its own",
            out.display()
        );
    }
    let work = tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
        let config = Base::open(&args.base)?.config().clone();
        let adapter = peft::read(&args.adapter, &config)?;
        Ok(train::merge(&args.base, &adapter, &args.out)?)
    });
    work.await.context("merging broke off")??;
    out::line(out.display().to_string());
    Ok(())
}
