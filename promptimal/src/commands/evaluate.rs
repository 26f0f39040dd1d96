//! `promptimal evaluate`: is a rewriter any good?
//!
//! It is an evaluation of rewriters ([`coordinator::plan::rewriters`]) whose models this command fills in: the rewriter,
//! its base without the adapter, and the spec's proposer.

use super::{run, show};
use crate::{
    cli::EvaluateArgs,
    plot::Plots,
    rewriting::{find, training},
    site::Site,
};
use anyhow::{Context, bail};
use coordinator::settings::{PROPOSER, REWRITER};
use std::{path::Path, process::ExitCode};

/// The name that the base gets.
const BASE: &str = "base";

/// `promptimal evaluate`
pub async fn evaluate(site: &Site, args: EvaluateArgs) -> anyhow::Result<ExitCode> {
    let found = find(site, &args.rewriter).await?;
    let Some(adapter) = &found.adapter else {
        bail!(
            "--rewriter {} is a whole model: evaluate takes the adapter that it was merged from, and compares it with its \
             base too",
            args.rewriter.rewriter
        );
    };
    let mut set = models(&found.model, &adapter.path)?;
    let beside = [REWRITER, BASE, PROPOSER].map(|name| format!("{name:?}"));
    set.push(format!("eval.rewriters=[{}]", beside.join(", ")));
    set.push(format!("eval.split={:?}", args.split));
    set.push(format!("eval.repeats={}", args.repeats));
    // What the caller sets goes before what is set here.
    set.extend(args.run.set.iter().cloned());
    let mut run = args.run;
    run.set = set;
    let code = run::evaluate(site, &run).await?;
    // The run trained nothing: how the rewriter learnt stands beside its adapter.
    if let (Some(dir), Some(training), false) =
        (&run.plots, training::read(&adapter.path)?, run.dry_run)
    {
        let plots = Plots::of_training(&training.losses())?;
        show::told(&plots.write(dir)?, dir);
    }
    Ok(code)
}

/// The rewriter and its base as models of a spec. Both are greedy: a rewriter is asked once.
fn models(model: &Path, adapter: &Path) -> anyhow::Result<Vec<String>> {
    let text = |path: &Path| -> anyhow::Result<String> {
        let path = path
            .canonicalize()
            .with_context(|| path.display().to_string())?;
        let path = path.to_str().context("the path is no text in UTF-8")?;
        Ok(serde_json::to_string(path)?)
    };
    let (model, adapter) = (text(model)?, text(adapter)?);
    let of = |name: &str| {
        [
            format!("models.{name}.kind=\"local\""),
            format!("models.{name}.model={model}"),
            format!("models.{name}.sampling.max_tokens=512"),
        ]
    };
    let mut set: Vec<String> = of(REWRITER).into_iter().chain(of(BASE)).collect();
    set.push(format!("models.{REWRITER}.adapter={adapter}"));
    Ok(set)
}
