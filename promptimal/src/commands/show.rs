//! `promptimal show`

use crate::{cli::ShowArgs, render, site::Site};
use coordinator::{
    find::find,
    summary::{self, Shown},
};
use runtime::clock::{Clock, SystemClock};

/// Shows a run.
pub async fn show(site: &Site, args: &ShowArgs) -> anyhow::Result<()> {
    let store = site.existing().await?;
    let run = find(store.as_ref(), &args.run).await?;
    let shown = summary::shown(store.as_ref(), &run, SystemClock.now_micros()).await?;
    print_here(&shown, args.json)
}

/// Prints any kind of result, and which commands of this machine look further.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn print_here(shown: &Shown, json: bool) -> anyhow::Result<()> {
    print(shown, json)?;
    match shown {
        Shown::Search(summary) if !json => render::further(summary),
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
        Shown::Evaluation(of) => render::evaluation(&of.summary, &of.missed, json),
        Shown::Rewriters(summary) => render::rewriters(summary, json),
    }
}
