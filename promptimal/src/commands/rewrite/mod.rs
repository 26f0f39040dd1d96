//! `promptimal rewrite`: better prompts from a trained rewriter.

mod print;
mod source;

use crate::{
    cli::{RewriteArgs, Show},
    interrupt::Interrupt,
    progress,
    rewriting::{self, Done, How, Rewriter},
    site::Site,
};
use anyhow::{Context, bail};
use print::Printer;
use source::Source;
use std::{
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

/// The exit code of work that stopped before its end.
const STOPPED: u8 = 3;

/// `promptimal rewrite`
pub async fn rewrite(site: &Site, args: RewriteArgs) -> anyhow::Result<ExitCode> {
    // Everything that can be wrong without a model is told before one is loaded.
    let how = how(&args)?;
    let source = Source::open(args.text.clone(), args.file.as_deref())?;
    let found = rewriting::find(site, &args.rewriter).await?;
    let interrupt = Interrupt::listen();
    let (stop, show, precision) = (interrupt.flag(), args.show.how(), args.rewriter.precision);
    let work = move || {
        let rewriter = Rewriter::load(&found, precision, how)?;
        work(&rewriter, source, show, &stop)
    };
    let finished = tokio::task::spawn_blocking(work);
    let finished = finished.await.context("rewriting broke off")??;
    drop(interrupt);
    Ok(match finished {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(STOPPED),
    })
}

/// Whether the options go together.
fn how(args: &RewriteArgs) -> anyhow::Result<How> {
    let (temperature, top_p, candidates) = (args.temperature, args.top_p, args.candidates.get());
    if !(temperature.is_finite() && temperature >= 0.0) {
        bail!("--temperature is {temperature}: give 0 or more");
    }
    if !(top_p > 0.0 && top_p <= 1.0) {
        bail!("--top-p is {top_p}: give a share above 0, up to 1");
    }
    if candidates > 1 && temperature == 0.0 {
        bail!("--candidates {candidates} would all be the same: give a --temperature, 0.7 say");
    }
    Ok(How {
        temperature,
        top_p,
        candidates,
        max_tokens: args.max_tokens.get(),
        seed: args.seed,
    })
}

fn work(
    rewriter: &Rewriter,
    source: Source,
    show: Show,
    stop: &Arc<AtomicBool>,
) -> anyhow::Result<bool> {
    let bar = source
        .lines()
        .map(|total| progress::count("rewriting", total, show.quiet));
    let mut printer = Printer::new(show, source.is_text());
    let mut prompts = source.prompts(stop.clone())?;
    let mut failed = None;
    let mut next = |wait: bool| {
        prompts.next(wait).unwrap_or_else(|e| {
            failed = Some(e);
            rewriting::Next::End
        })
    };
    let mut done = |done: Done| -> anyhow::Result<()> {
        printer.print(done)?;
        if let Some(bar) = &bar {
            bar.show(printer.count);
        }
        Ok(())
    };
    let finished = rewriter.run(&mut next, &mut done, stop)?;
    if let Some(error) = failed {
        return Err(error);
    }
    drop(bar);
    printer.close(finished);
    Ok(finished)
}
