//! `run`, `eval` and `resume`: find or make the run, drive it, print what came of it.

use super::{glance, show};
use crate::{
    bus::BusArgs,
    cli::{ResumeArgs, RunArgs, Show},
    embedded::{self, Job},
    estimate, out,
    site::Site,
};
use anyhow::{Context, anyhow};
use coordinator::{
    Outcome,
    find::whole,
    intake::{self, Ask, StoredSpec},
    summary::{self, Shown},
};
use domain::run::{Limits, RunKind, RunStatus};
use runtime::clock::{Clock, SystemClock};
use spec::{Purpose, SpecError};
use std::{path::Path, process::ExitCode, sync::Arc};
use store::{Run, Store};

/// The run stopped before its end and can be resumed.
pub const STOPPED: u8 = 3;
/// A threshold was missed.
const MISSED: u8 = 1;

/// `promptimal run`
pub async fn optimise(site: &Site, args: &RunArgs) -> anyhow::Result<ExitCode> {
    start(site, args, RunKind::Optimise).await
}

/// `promptimal eval`
pub async fn evaluate(site: &Site, args: &RunArgs) -> anyhow::Result<ExitCode> {
    start(site, args, RunKind::Evaluate).await
}

/// Where a run is stored and how its tasks travel.
#[derive(Clone, Copy)]
struct Way<'a> {
    site: &'a Site,
    bus: &'a BusArgs,
    /// Where the result is drawn.
    plots: Option<&'a Path>,
}

async fn start(site: &Site, args: &RunArgs, kind: RunKind) -> anyhow::Result<ExitCode> {
    let purpose = match kind {
        RunKind::Optimise => Purpose::Run,
        RunKind::Evaluate => Purpose::Eval,
    };
    let loaded = spec::load(&args.spec, &args.set, purpose).map_err(|e| unusable(&args.spec, e))?;
    loaded
        .warnings
        .iter()
        .for_each(|w| out::note(format!("warning: {w}")));
    if args.dry_run {
        return estimate::print(&loaded, kind, args.show.json).map(|()| ExitCode::SUCCESS);
    }
    let store = site.open().await?;
    let ask = Ask {
        kind,
        new: args.new,
        reason: intake::READING_ITSELF,
        now: SystemClock.now_micros(),
    };
    let (run, _) = intake::find_or_create(store.as_ref(), &loaded, ask).await?;
    let how = args.show.how();
    // As it is written now: how a model is reached and the thresholds may have changed since the run began.
    let way = Way {
        site,
        bus: &args.bus,
        plots: args.plots.as_deref(),
    };
    go(way, store, (run, StoredSpec::new(&loaded)), how).await
}

/// What a spec error says to people. A spec that is right and only ahead of its place is told so.
fn unusable(file: &Path, error: SpecError) -> anyhow::Error {
    match error.only_absent_files() {
        true => anyhow!(
            "{} is valid, but what it needs is not all here:\n{error}",
            file.display()
        ),
        false => error.into(),
    }
}

/// `promptimal resume`
pub async fn resume(site: &Site, args: &ResumeArgs) -> anyhow::Result<ExitCode> {
    let store = site.existing().await?;
    let run = whole(store.as_ref(), &args.run).await?;
    let old = store.limits(run.id).await?;
    let usd = args.max_usd.map(|usd| (usd * 1e6) as u64);
    let limits = Limits {
        calls: args.max_calls.or(old.calls),
        tokens: args.max_tokens.or(old.tokens),
        cost_micros: usd.or(old.cost_micros),
    };
    if limits != old {
        store
            .add_limits(run.id, &limits, SystemClock.now_micros())
            .await?;
    }
    let how = args.show.how();
    let stored = StoredSpec::of(&run)?;
    let way = Way {
        site,
        bus: &args.bus,
        plots: args.plots.as_deref(),
    };
    go(way, store, (run, stored), how).await
}

/// Drives a run that is not finished; prints the result.
async fn go(
    way: Way<'_>,
    store: Arc<dyn Store>,
    (run, stored): (Run, StoredSpec),
    how: Show,
) -> anyhow::Result<ExitCode> {
    let id = run.id;
    let mut outcome = Outcome::Finished;
    if run.status != RunStatus::Finished {
        if !how.quiet {
            out::note(format!("run {id} ({})", run.name));
        }
        let job = Job {
            store: store.clone(),
            site: way.site,
            bus: way.bus,
            run,
            stored: stored.clone(),
            quiet: how.quiet,
        };
        outcome = embedded::drive(job).await?;
    }
    let run = store
        .run(id)
        .await?
        .context("the run is gone from the store")?;
    let now = SystemClock.now_micros();
    let shown = summary::shown_of(store.as_ref(), &run, &stored, now).await?;
    show::print_here(&shown, how.json)?;
    if !how.json && outcome == Outcome::Finished {
        match glance::lines(way.site, store.as_ref(), &shown).await {
            Ok(lines) => lines.into_iter().for_each(out::line),
            // The run is finished and its result printed: a glance is no reason to call it failed.
            Err(e) => out::note(format!("the rewriter cannot be shown: {e:#}")),
        }
    }
    if let Some(dir) = way.plots {
        show::draw(store.as_ref(), run.id, &shown, dir).await?;
    }
    let code = exit_code(&shown);
    match outcome {
        Outcome::Finished => Ok(code),
        Outcome::Paused(reason) | Outcome::Failed(reason) => {
            out::note(format!("stopped: {reason}"));
            out::note(format!(
                "go on with: promptimal {} resume {id}",
                way.site.arguments()
            ));
            Ok(ExitCode::from(STOPPED))
        }
    }
}

/// What a program exits with whose run is finished.
pub fn exit_code(shown: &Shown) -> ExitCode {
    match shown {
        Shown::Evaluation(of) if !of.missed.is_empty() => ExitCode::from(MISSED),
        _ => ExitCode::SUCCESS,
    }
}
