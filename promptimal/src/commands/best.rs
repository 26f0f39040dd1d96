//! `promptimal best`

use crate::{cli::BestArgs, out, render, site::Site};
use coordinator::{
    find::whole,
    summary::{self, Shown},
};
use runtime::clock::{Clock, SystemClock};

/// Prints the confirmed pairs with the largest gains.
pub async fn best(site: &Site, args: &BestArgs) -> anyhow::Result<()> {
    let store = site.existing().await?;
    let run = whole(store.as_ref(), &args.run).await?;
    let shown = summary::shown(store.as_ref(), &run, SystemClock.now_micros()).await?;
    if let Shown::Instruct(summary) = shown {
        return chosen(&summary, args.json);
    }
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

/// The one prompt that a search for an instruction chose, as the messages that a program would send.
fn chosen(summary: &summary::InstructSummary, json: bool) -> anyhow::Result<()> {
    let Some(chosen) = &summary.chosen else {
        anyhow::bail!(
            "run {} ({}) has tried no prompt yet: let it go on with promptimal resume {0}",
            summary.run,
            summary.status
        );
    };
    let messages = render::messages(&chosen.doc);
    if json {
        return out::json(&serde_json::json!({
            "candidate": chosen.candidate,
            "messages": messages,
            "document": chosen.doc,
            "test": chosen.test,
            "gain": summary.gain,
        }));
    }
    for message in &messages {
        let role = serde_json::to_value(message.role)?;
        let clean = message
            .content
            .chars()
            .filter(|c| !c.is_control() || *c == '\n');
        let text: String = clean.collect();
        out::line(format!("[{}]\n{text}\n", role.as_str().unwrap_or_default()));
    }
    Ok(())
}
