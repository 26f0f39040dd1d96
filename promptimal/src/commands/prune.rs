//! `promptimal prune`

use crate::{cli::PruneArgs, out, progress::thousands, render, site::Site};
use anyhow::{Context, bail};
use coordinator::{find::find, summary};
use domain::{ids::RunId, run::RunStatus};
use runtime::clock::{Clock, SystemClock};
use store::{
    Run, StatusChange, Store,
    retention::{Prune, Pruned, prunable, prune as delete},
};

/// Deletes what runs left behind, and gives the space back.
pub async fn prune(site: &Site, args: &PruneArgs) -> anyhow::Result<()> {
    let store = site.existing().await?;
    let store = store.as_ref();
    let wanted = wanted(store, args).await?;
    if args.dry_run {
        let pruned = prunable(store, &wanted).await?;
        return tell(&pruned, args, None);
    }
    keep_results(store, &wanted).await?;
    let pruned = delete(store, &wanted).await?;
    let space = match pruned.rows.is_empty() {
        true => None,
        false => site.compact().await.context(
            "everything asked for is deleted, but the file could not be made smaller; ask again later",
        )?,
    };
    tell(&pruned, args, space)
}

async fn wanted(store: &dyn Store, args: &PruneArgs) -> anyhow::Result<Prune> {
    if args.runs.is_empty() && args.older_than.is_none() && !args.answers {
        bail!("nothing to prune: name runs, or an age with --older-than 30d");
    }
    let now = SystemClock.now_micros();
    let mut runs: Vec<RunId> = vec![];
    for name in &args.runs {
        let run = find(store, name).await?;
        if args.cancel && !args.dry_run {
            cancel(store, &run, now).await?;
        }
        runs.push(run.id);
    }
    let before = args.older_than.map(|age| now.saturating_sub(age.0));
    Ok(Prune {
        runs,
        before,
        answers: args.answers,
        everything: args.everything,
        ..Prune::at(now)
    })
}

/// Results are computed from the rows that go.
async fn keep_results(store: &dyn Store, wanted: &Prune) -> anyhow::Result<()> {
    if wanted.everything {
        return Ok(());
    }
    for run in prunable(store, wanted).await?.runs {
        if store.pruned_at(run.id).await?.is_none()
            && let Err(e) = summary::keep(store, &run, SystemClock.now_micros()).await
        {
            out::note(format!("run {}: its result is not kept: {e}", run.id));
        }
    }
    Ok(())
}

/// A paused run is given up.
async fn cancel(store: &dyn Store, run: &Run, now: i64) -> anyhow::Result<()> {
    let change = StatusChange {
        run: run.id,
        from: RunStatus::Paused,
        to: RunStatus::Cancelled,
        reason: run.reason.clone(),
        now,
    };
    store.set_status(&change).await?;
    Ok(())
}

/// What was, or would be, deleted; how large the file was and is.
fn tell(pruned: &Pruned, args: &PruneArgs, space: Option<(u64, u64)>) -> anyhow::Result<()> {
    if args.json {
        let runs: Vec<_> = pruned
            .runs
            .iter()
            .map(|r| serde_json::json!({ "run": r.id, "name": r.name }))
            .collect();
        let rows: serde_json::Map<_, _> = pruned
            .rows
            .iter()
            .map(|(table, n)| ((*table).to_owned(), (*n).into()))
            .collect();
        return out::json(&serde_json::json!({
            "dry_run": args.dry_run, "runs": runs, "rows": rows,
            "bytes_before": space.map(|s| s.0), "bytes_after": space.map(|s| s.1),
        }));
    }
    if pruned.rows.is_empty() {
        out::line("nothing to prune");
        return Ok(());
    }
    let verb = if args.dry_run {
        "would prune"
    } else {
        "pruned"
    };
    for run in &pruned.runs {
        out::line(format!("{verb} run {} ({})", run.id, run.name));
    }
    let mut table = render::table(["table", "rows"]);
    for (name, n) in &pruned.rows {
        table.add_row([(*name).to_owned(), thousands(*n)]);
    }
    out::line(table.to_string());
    if let Some((before, after)) = space {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        out::line(format!(
            "the file had {:.1} MB and has {:.1} MB",
            mb(before),
            mb(after)
        ));
    }
    Ok(())
}
