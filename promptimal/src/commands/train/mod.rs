//! `promptimal train`: an adapter that rewrites prompts, from the pairs of a file or of a run.

mod folder;
mod report;
mod source;

use crate::{
    cli::{Show, TuneArgs},
    interrupt::Interrupt,
    models, out,
    plot::Plots,
    progress,
    site::Site,
};
use anyhow::Context;
use model::lora::REPORT;
use report::Report;
use std::{
    fs,
    path::Path,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};
use train::{Error, Model, Place, Plan, Prepared, Progress, Texts, Trained, pairs::Divided, peft};

/// The exit code of a run that stopped before its end.
const STOPPED: u8 = 3;

/// `promptimal train`
pub async fn train(site: &Site, args: TuneArgs) -> anyhow::Result<ExitCode> {
    // Everything that can be wrong without loading a model is told before one is loaded.
    let plan = args.plan();
    plan.check()?;
    let place = args.place()?;
    let divided = source::read(site, &args).await?;
    folder::check(&args.out, args.replace)?;
    let base = models::named("--base", &args.base).await?;
    let how = args.show.how();
    if !how.quiet {
        report::tell(&divided.counts);
    }
    let interrupt = Interrupt::listen();
    let stop = interrupt.flag();
    let work = move || learn(&args, (&plan, place), &divided, &base, (how, &stop));
    let report = tokio::task::spawn_blocking(work);
    let report = report.await.context("training broke off")?;
    drop(interrupt);
    let report = match report {
        Err(e) if matches!(e.downcast_ref(), Some(Error::Stopped { .. })) => {
            out::note(e.to_string());
            return Ok(ExitCode::from(STOPPED));
        }
        other => other?,
    };
    report::print(&report, how)?;
    Ok(ExitCode::SUCCESS)
}

/// Loads, encodes, trains, and keeps the report beside the adapter.
fn learn(
    args: &TuneArgs,
    (plan, place): (&Plan, Place),
    divided: &Divided,
    path: &Path,
    (how, stop): (Show, &AtomicBool),
) -> anyhow::Result<Report> {
    let read = (args.template, args.max_tokens);
    let Prepared {
        mut model,
        texts,
        counts,
    } = train::prepare(path, divided, read, (plan, place))?;
    if counts.too_long > 0 && !how.quiet {
        out::note(format!(
            "{} pairs are longer than {} tokens: left out",
            counts.too_long, args.max_tokens
        ));
    }
    if let Some(from) = &args.from {
        model.start = Some(peft::read(from, model.network.config())?);
    }
    // Only now that all else is there: what is replaced is gone.
    if args.replace {
        folder::clear(&args.out)?;
    }
    let trained = steps(args, plan, &model, &texts, (how, stop))?;
    let report = Report {
        out: args.out.clone(),
        base: model.name,
        base_sha256: model.sha256,
        base_from: models::place(&args.base),
        template: args.template,
        pairs: counts,
        parameters: trained.adapter.parameters(),
        plan: plan.clone(),
        resumed: trained.resumed,
        history: trained.history,
    };
    train::note_seen(&args.out, divided)?;
    let file = args.out.join(REPORT);
    let text = serde_json::to_string_pretty(&report)? + "\n";
    fs::write(&file, text).with_context(|| file.display().to_string())?;
    Plots::of_training(&report.losses())?.write(&args.out)?;
    Ok(report)
}

fn steps(
    args: &TuneArgs,
    plan: &Plan,
    model: &Model,
    texts: &Texts,
    (how, stop): (Show, &AtomicBool),
) -> Result<Trained, Error> {
    let mut bar = progress::training(how.quiet);
    let mut seen = |p: Progress| {
        let said = p
            .validation
            .map(|loss| format!("after step {}: loss on validation pairs {loss:.4}", p.step));
        bar.show((p.step, p.steps), p.loss, said);
        !stop.load(Ordering::Relaxed)
    };
    train::train(model, texts, plan, (&args.out, args.saving()), &mut seen)
}
