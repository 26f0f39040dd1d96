//! Where pairs come from: a file, or what a run found.

use crate::{cli::TuneArgs, site::Site};
use anyhow::{Context, bail};
use coordinator::find::whole;
use domain::run::RunStatus;
use train::pairs::{self, Divided, Pair, Written};

/// Reads, cleans and divides the pairs.
///
/// # Errors
/// When there is no such file or run, or nothing in it to learn from.
pub async fn read(site: &Site, args: &TuneArgs) -> anyhow::Result<Divided> {
    let (written, place) = match (&args.source.pairs, &args.source.run) {
        (Some(file), _) => {
            let fields = args.fields()?;
            let written = pairs::read(file, fields.as_ref())?;
            (written, file.display().to_string())
        }
        (None, Some(run)) => of_run(site, run).await?,
        // Without either the arguments are refused.
        (None, None) => bail!("no pairs: give --pairs FILE or --run RUN"),
    };
    pairs::clean(written, args.cleaning()).context(place)
}

/// The pairs of a run, as `promptimal export RUN pairs` writes them, and what to call it.
async fn of_run(site: &Site, wanted: &str) -> anyhow::Result<(Written, String)> {
    let store = site.existing().await?;
    let run = whole(store.as_ref(), wanted).await?;
    let place = format!("run {} ({})", run.id, run.name);
    let found = store.pairs(run.id).await?;
    if found.is_empty() && run.status != RunStatus::Finished {
        bail!(
            "{place} is {} and has no pairs: they are kept when a run is finished",
            run.status
        );
    }
    // What gives an answer away was rejected when the run, which knew the answers, wrote it.
    let pairs = found.into_iter().map(|pair| Pair {
        original: pair.original,
        improved: pair.improved,
    });
    Ok((pairs.collect(), place))
}
