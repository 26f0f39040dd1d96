//! `promptimal show`

use crate::{
    cli::ShowArgs,
    out,
    plot::{Losses, Plots},
    render,
    site::Site,
};
use coordinator::{
    find::find,
    summary::{self, Shown},
};
use domain::ids::RunId;
use runtime::clock::{Clock, SystemClock};
use std::path::Path;
use store::Store;

/// Shows a run.
pub async fn show(site: &Site, args: &ShowArgs) -> anyhow::Result<()> {
    let store = site.existing().await?;
    let run = find(store.as_ref(), &args.run).await?;
    let shown = summary::shown(store.as_ref(), &run, SystemClock.now_micros()).await?;
    print_here(&shown, args.json)?;
    match &args.plots {
        Some(dir) => draw(store.as_ref(), run.id, &shown, dir).await,
        None => Ok(()),
    }
}

/// Draws a result into a folder.
///
/// # Errors
/// When the store fails or the folder cannot be written.
pub async fn draw(store: &dyn Store, run: RunId, shown: &Shown, dir: &Path) -> anyhow::Result<()> {
    let trained = summary::trained(store, run).await?;
    let losses = trained.map(Losses::from);
    told(&Plots::of(shown, losses.as_ref())?.write(dir)?, dir);
    Ok(())
}

/// Says which pictures there are now.
pub fn told(names: &[&str], dir: &Path) {
    for name in names {
        out::note(format!("drawn: {}", dir.join(name).display()));
    }
    if names.is_empty() {
        out::note("nothing to draw: the result has no gain yet, and no rewriter was trained");
    }
}

/// Prints any kind of result, and which commands of this machine look further.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn print_here(shown: &Shown, json: bool) -> anyhow::Result<()> {
    print(shown, json)?;
    match shown {
        Shown::Search(summary) if !json => render::further(summary),
        Shown::Instruct(summary) if !json => render::further_instruct(summary),
        _ => {}
    }
    Ok(())
}

/// Prints any kind of result.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn print(shown: &Shown, json: bool) -> anyhow::Result<()> {
    match shown {
        Shown::Search(summary) => render::search(summary, json),
        Shown::Instruct(summary) => render::instruct(summary, json),
        Shown::Evaluation(of) => render::evaluation(&of.summary, &of.missed, json),
        Shown::Rewriters(summary) => render::rewriters(summary, json),
    }
}
