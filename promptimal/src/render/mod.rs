//! Results as people read them.

mod instruct;
mod rewriters;

pub use instruct::{further as further_instruct, instruct, messages};
pub use rewriters::rewriters;

use crate::{out, progress::thousands};
use comfy_table::{CellAlignment, Table, presets};
use coordinator::summary::{
    BeforeAfter, Cell, CellRewards, EvalSummary, Gain, OperatorResult, RewardSummary, Summary,
    TrainingSummary,
};
use domain::{reward::LengthBias, run::RunStatus, stats::Estimate};

/// The longest prompt shown whole, characters.
const SHOWN: usize = 600;

/// The result of a search.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn search(summary: &Summary, json: bool) -> anyhow::Result<()> {
    if json {
        return out::json(summary);
    }
    out::line(format!(
        "\n{} · run {} · {}",
        summary.name, summary.run, summary.status
    ));
    out::line(numbers(summary).to_string());
    if summary.datasets.len() > 1 {
        out::line(by_dataset(summary).to_string());
    }
    for d in &summary.datasets {
        if let Some(reward) = &d.reward {
            out::line(rewards(&d.dataset, reward).to_string());
        }
        if let Some(length) = &d.length {
            out::line(lengths(&d.dataset, length).to_string());
        }
    }
    if !summary.operators.is_empty() {
        let header = "better than all before";
        out::line(operators(&summary.operators, header).to_string());
    }
    out::line(costs(summary));
    if let Some(training) = &summary.training {
        out::line(trained(training));
    }
    if !summary.rejected.is_empty() {
        let reasons: Vec<String> = summary
            .rejected
            .iter()
            .map(|(reason, n)| format!("{n} {reason}"))
            .collect();
        out::line(format!("rejected rewrites: {}", reasons.join(", ")));
    }
    summary
        .marks
        .iter()
        .for_each(|m| out::line(format!("note: {m}")));
    for (i, example) in summary.examples.iter().enumerate() {
        out::line(before_after(i + 1, example));
    }
    Ok(())
}

/// Which commands look further into a finished search.
pub fn further(summary: &Summary) {
    if summary.status == RunStatus::Finished {
        out::line(next(summary));
    }
}

fn numbers(s: &Summary) -> Table {
    let mut table = table(["", "mean", "95% interval", "n"]);
    let mut add = |name: &str, e: Option<&Estimate>| {
        if let Some(e) = e {
            table.add_row([
                name.to_owned(),
                format!("{:.3}", e.mean),
                interval(e),
                e.n.to_string(),
            ]);
        }
    };
    add("baseline, all train examples", s.baseline.as_ref());
    for round in &s.rounds {
        add(
            &format!("hardest, best so far after round {}*", round.round),
            Some(&round.best),
        );
    }
    add("hardest, chosen prompts on fresh draws", s.best.as_ref());
    if let Some(gain) = &s.gain {
        add("gain of the winners on fresh draws", Some(&gain.winners));
        add("gain of the placebo arm", gain.placebo.as_ref());
        add("GAIN over placebo (search gain)", Some(&gain.net));
    }
    if !s.rounds.is_empty() {
        table.add_row([
            "* chosen and measured on the same draws: flattering",
            "",
            "",
            "",
        ]);
    }
    table
}

fn by_dataset(s: &Summary) -> Table {
    let mut table = table([
        "data set",
        "grader",
        "targets",
        "original",
        "chosen",
        "gain over placebo",
    ]);
    let mean = |e: &Option<Estimate>| e.map_or("–".to_owned(), |e| format!("{:.3}", e.mean));
    for d in &s.datasets {
        let gain = d.gain.as_ref().map_or("–".to_owned(), signed);
        table.add_row([
            d.dataset.clone(),
            d.grader.clone(),
            d.targets.to_string(),
            mean(&d.original),
            mean(&d.best),
            gain,
        ]);
    }
    table
}

/// What each operator did; the last column says against what its prompts were held.
fn operators(of: &[OperatorResult], better: &str) -> Table {
    let mut out = table([
        "operator", "drawn", "accepted", "rejected", "compared", better,
    ]);
    for o in of {
        out.add_row([
            o.operator.clone(),
            format!("{:.1}%", 100.0 * o.weight),
            o.accepted.to_string(),
            o.rejected.to_string(),
            o.compared.to_string(),
            match o.compared {
                0 => "–".to_owned(),
                _ => format!("{:.0}%", 100.0 * o.success),
            },
        ]);
    }
    out
}

/// A data set that a reward model grades, in rewards.
fn rewards(dataset: &str, r: &RewardSummary) -> Table {
    let mut table = table([
        &format!("{dataset}, in rewards"),
        "mean",
        "95% interval",
        "n",
    ]);
    let mut add = |name: &str, e: &Estimate| {
        table.add_row([
            name.to_owned(),
            format!("{:+.3}", e.mean),
            interval(e),
            e.n.to_string(),
        ]);
    };
    add("gain of the winners on fresh draws", &r.gain.winners);
    if let Some(placebo) = &r.gain.placebo {
        add("gain of the placebo arm", placebo);
    }
    add("GAIN over placebo (search gain)", &r.gain.net);
    table.add_row([
        "answers that win against the original's".to_owned(),
        format!("{:.3}", r.win_rate.mean),
        interval(&r.win_rate),
        r.win_rate.n.to_string(),
    ]);
    if let Some(length) = &r.length {
        length_rows(&mut table, length, "reward");
    }
    table
}

/// How far a judge's verdicts on a data set go with length.
fn lengths(dataset: &str, length: &LengthBias) -> Table {
    let mut table = table([
        &format!("{dataset}, as its judge sees it"),
        "mean",
        "95% interval",
        "n",
    ]);
    length_rows(&mut table, length, "win rate");
    table
}

/// How much of a gain goes with longer answers.
fn length_rows(table: &mut Table, length: &LengthBias, unit: &str) {
    let row = |name: &str, value: String| [name.to_owned(), value, String::new(), String::new()];
    table.add_row(row(
        "winners' answers are longer by",
        format!("×{:.2}", length.longer),
    ));
    if let (Some(doubling), Some(part)) = (length.per_doubling, length.with_length) {
        table.add_row(row(
            &format!("{unit} for each doubling of length"),
            format!("{doubling:+.3}"),
        ));
        table.add_row(row(
            "part of the winners' gain that goes with length",
            format!("{part:+.3}"),
        ));
    }
    if let Some(e) = &length.at_equal_length {
        table.add_row([
            "winners' gain at equal length".to_owned(),
            format!("{:+.3}", e.mean),
            interval(e),
            e.n.to_string(),
        ]);
    }
}

fn signed(gain: &Gain) -> String {
    format!("{:+.3} {}", gain.net.mean, interval(&gain.net))
}

fn interval(e: &Estimate) -> String {
    format!("[{:.3}, {:.3}]", e.ci95.0, e.ci95.1)
}

fn costs(s: &Summary) -> String {
    let mut line = format!(
        "{} pairs kept · {} calls · {} tokens · ${:.4} · {:.0} s · {} leaks rejected",
        s.pairs,
        thousands(s.calls),
        thousands(s.tokens),
        s.cost_usd,
        s.seconds,
        s.leaks_rejected
    );
    if s.unmeasured > 0 {
        line.push_str(&format!(
            " · {} questions unmeasured (not counted as wrong)",
            s.unmeasured
        ));
    }
    line
}

/// Where the rewriter is, or why there is none.
fn trained(t: &TrainingSummary) -> String {
    let Some(adapter) = &t.adapter else {
        let why = t.nothing.as_deref().unwrap_or("no reason is known");
        return format!("no rewriter was trained: {why}");
    };
    let fell = |what: &str, losses: Option<(f64, f64)>| {
        losses.map_or(String::new(), |(first, last)| {
            format!(" · {what} {first:.4} → {last:.4}")
        })
    };
    format!(
        "rewriter: {adapter}, an adapter for {} · {} steps on {} pairs{}{}",
        t.base,
        t.steps,
        t.train,
        fell("loss", t.loss),
        fell("on validation pairs", t.validation_loss)
    )
}

fn before_after(n: usize, e: &BeforeAfter) -> String {
    let confirmed = if e.confirmed {
        "confirmed"
    } else {
        "not confirmed"
    };
    format!(
        "\n{n}. {} · {:.3} -> {:.3} on fresh draws, {confirmed}\n   before: {}\n   after:  {}",
        e.dataset,
        e.original_grade,
        e.improved_grade,
        shorten(&e.original),
        shorten(&e.improved)
    )
}

/// How often at least one of k programs passes.
fn passes(cell: &Cell) -> String {
    let each = cell.pass_at.iter();
    let each = each.map(|(k, e)| format!("pass@{k} {:.3} {}", e.mean, interval(e)));
    let all: Vec<String> = each.collect();
    format!(
        "{} / {} / {}: {}",
        cell.prompt,
        cell.model,
        cell.dataset,
        all.join(" · ")
    )
}

/// One line, cut if long. Control characters of untrusted text never reach the terminal.
pub fn shorten(text: &str) -> String {
    let flat: Vec<&str> = text.split_whitespace().collect();
    let clean: String = flat.join(" ").chars().filter(|c| !c.is_control()).collect();
    match clean.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{} …", &clean[..at]),
        None => clean,
    }
}

fn next(s: &Summary) -> String {
    let id = s.run.to_string();
    format!(
        "\nlook further:\n  promptimal best {id}\n  promptimal export {id} pairs --output pairs.jsonl\n  \
         promptimal sql \"SELECT round, operator, verdict, question FROM candidates WHERE run_id = '{id}' LIMIT 20\""
    )
}

/// The result of an evaluation.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn evaluation(summary: &EvalSummary, missed: &[String], json: bool) -> anyhow::Result<()> {
    if json {
        let mut value = serde_json::to_value(summary)?;
        value["missed"] = serde_json::json!(missed);
        return out::json(&value);
    }
    let mut table = table([
        "prompt",
        "model",
        "data set",
        "grader",
        "mean",
        "95% interval",
        "n",
        "unmeasured",
    ]);
    for cell in &summary.cells {
        let (mean, ci, n) = match &cell.mean {
            Some(e) => (format!("{:.3}", e.mean), interval(e), e.n),
            None => ("–".to_owned(), "–".to_owned(), 0),
        };
        table.add_row([
            cell.prompt.clone(),
            cell.model.clone(),
            cell.dataset.clone(),
            cell.grader.clone(),
            mean,
            ci,
            n.to_string(),
            cell.unmeasured.to_string(),
        ]);
    }
    out::line(table.to_string());
    let programs = summary.cells.iter().filter(|c| !c.pass_at.is_empty());
    programs.for_each(|cell| out::line(passes(cell)));
    for cell in &summary.cells {
        if let Some(reward) = &cell.reward {
            out::line(cell_rewards(cell, reward));
        }
    }
    out::line(format!(
        "run {} · {} calls · {} tokens · ${:.4} · {:.0} s",
        summary.run,
        thousands(summary.calls),
        thousands(summary.tokens),
        summary.cost_usd,
        summary.seconds
    ));
    missed
        .iter()
        .for_each(|m| out::line(format!("threshold missed: {m}")));
    Ok(())
}

/// One line about a cell in rewards.
fn cell_rewards(cell: &Cell, reward: &CellRewards) -> String {
    let place = format!("{} / {} / {}", cell.prompt, cell.model, cell.dataset);
    let mean = format!(
        "{place}: mean reward {:+.3} {}",
        reward.mean.mean,
        interval(&reward.mean)
    );
    let Some(against) = &reward.against_first else {
        return mean;
    };
    let (gain, wins) = (&against.gain, &against.win_rate);
    let mut line = format!(
        "{mean}, {:+.3} {} against the first prompt, wins {:.1}%",
        gain.mean,
        interval(gain),
        100.0 * wins.mean
    );
    if let Some(length) = &against.length {
        line.push_str(&format!(", answers ×{:.2} as long", length.longer));
        if let Some(e) = &length.at_equal_length {
            line.push_str(&format!(", {:+.3} {} at equal length", e.mean, interval(e)));
        }
    }
    line
}

/// A table with a header; columns after the first are aligned right where they hold numbers.
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_header(header);
    for (i, name) in header.iter().enumerate() {
        let number = [
            "mean",
            "n",
            "targets",
            "original",
            "chosen",
            "unmeasured",
            "calls",
        ]
        .contains(name);
        if let (true, Some(column)) = (number, table.column_mut(i)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
