//! An evaluation of rewriters, as people read it.

use super::{interval, table};
use crate::{out, progress::thousands};
use coordinator::summary::{RewriterSummary, Standing};
use domain::stats::Estimate;

/// The result of an evaluation of rewriters.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn rewriters(summary: &RewriterSummary, json: bool) -> anyhow::Result<()> {
    if json {
        return out::json(summary);
    }
    out::line(format!(
        "\n{} · run {} · {} · {} draws of each prompt",
        summary.name, summary.run, summary.status, summary.repeats
    ));
    out::line(standings(summary).to_string());
    summary.rewriters.iter().for_each(details);
    for d in &summary.differences {
        let gain = signed(&d.gain);
        out::line(format!(
            "{}: {} less {}: {gain}",
            d.dataset, d.rewriter, d.than
        ));
    }
    out::line(format!(
        "{} calls · {} tokens · ${:.4} · {:.0} s · {} answers unmeasured (not counted as worse)",
        thousands(summary.calls),
        thousands(summary.tokens),
        summary.cost_usd,
        summary.seconds,
        summary.unmeasured
    ));
    let notes = summary.marks.iter();
    notes.for_each(|m| out::line(format!("note: {m}")));
    Ok(())
}

/// One row for each rewriter, and the controls below: the last column means nothing without them.
fn standings(summary: &RewriterSummary) -> comfy_table::Table {
    let mut table = table([
        "rewriter",
        "data set",
        "prompts",
        "win",
        "tie",
        "loss",
        "gain",
        "gain, hard half",
        "human level",
        "at least as good",
    ]);
    let whole = |e: &Option<Estimate>| e.as_ref().map_or("–".to_owned(), share);
    let gain = |e: &Option<Estimate>| e.as_ref().map_or("–".to_owned(), signed);
    for s in &summary.rewriters {
        let claimed = if s.claimed { " ✓" } else { "" };
        table.add_row([
            s.rewriter.clone(),
            s.dataset.clone(),
            s.prompts.to_string(),
            s.wins.to_string(),
            s.ties.to_string(),
            s.losses.to_string(),
            gain(&s.gain),
            gain(&s.hard),
            format!("{}{claimed}", whole(&s.human_level)),
            whole(&s.as_good),
        ]);
    }
    for c in &summary.controls {
        let controls = [
            ("(unchanged prompt)", &c.unchanged),
            ("(another person's prompt)", &c.resampled),
        ];
        for (name, value) in controls {
            let mut row = vec![name.to_owned(), c.dataset.clone()];
            row.resize(9, String::new());
            row.push(whole(value));
            table.add_row(row);
        }
    }
    table
}

/// What the table has no room for.
fn details(s: &Standing) {
    let place = format!("{} / {}", s.rewriter, s.dataset);
    if !s.fallbacks.is_empty() {
        let kept: u64 = s.fallbacks.values().sum();
        let reasons = s
            .fallbacks
            .iter()
            .map(|(reason, n)| format!("{n} {reason}"));
        let reasons: Vec<String> = reasons.collect();
        out::line(format!(
            "{place}: {kept} prompts stayed as they were: {}",
            reasons.join(", ")
        ));
    }
    if let Some(reward) = &s.reward {
        let mut line = format!("{place}, in rewards: {}", signed(&reward.gain));
        if let Some(length) = &reward.length {
            line.push_str(&format!(", answers ×{:.2} as long", length.longer));
            if let Some(e) = &length.at_equal_length {
                line.push_str(&format!(", {} at equal length", signed(e)));
            }
        }
        out::line(line);
    }
    if s.claimed {
        out::line(format!(
            "{place}: human level is claimed: the interval's lower end is at least 0.5"
        ));
    }
}

fn share(e: &Estimate) -> String {
    format!("{:.3} {}", e.mean, interval(e))
}

fn signed(e: &Estimate) -> String {
    format!("{:+.3} {}", e.mean, interval(e))
}
