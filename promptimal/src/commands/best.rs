//! `promptimal best`

use crate::{cli::BestArgs, out, render, site::Site};
use coordinator::find::whole;

/// Prints the confirmed pairs with the largest gains.
pub async fn best(site: &Site, args: &BestArgs) -> anyhow::Result<()> {
    let store = site.existing().await?;
    let run = whole(store.as_ref(), &args.run).await?;
    let mut pairs = store.pairs(run.id).await?;
    let gain = |p: &domain::run::Pair| p.improved_grade - p.original_grade;
    pairs.sort_by(|a, b| {
        gain(b)
            .total_cmp(&gain(a))
            .then(a.candidate.cmp(&b.candidate))
    });
    pairs.truncate(args.limit);
    if args.json {
        return out::json(&pairs);
    }
    if pairs.is_empty() {
        out::line(format!(
            "run {} ({}) has no confirmed pair: no rewrite beat its original beyond chance, or it is not finished",
            run.id, run.status
        ));
    }
    for (i, pair) in pairs.iter().enumerate() {
        out::line(format!(
            "{}. {:.3} -> {:.3} ({}, round {}, {})\n   before: {}\n   after:  {}",
            i + 1,
            pair.original_grade,
            pair.improved_grade,
            pair.grader,
            pair.round,
            pair.operator,
            render::shorten(&pair.original),
            render::shorten(&pair.improved)
        ));
    }
    Ok(())
}
