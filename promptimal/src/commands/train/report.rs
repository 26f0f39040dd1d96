//! What a training was made of and what came of it.

use crate::{cli::Show, out, plot::Losses, progress, render};
use serde::Serialize;
use std::path::PathBuf;
use train::{
    History, Plan,
    pairs::{Counts, Template},
};

/// What came of a training.
#[derive(Debug, Serialize)]
pub struct Report {
    pub out: PathBuf,
    pub base: String,
    /// SHA-256 of the base's weights.
    pub base_sha256: String,
    /// Where the base was found: a name of the catalogue, or a path.
    pub base_from: String,
    pub template: Template,
    pub pairs: Counts,
    /// Numbers that learnt.
    pub parameters: usize,
    pub plan: Plan,
    /// The step at which this call went on.
    pub resumed: Option<usize>,
    pub history: History,
}

impl Report {
    /// How the losses fell.
    pub fn losses(&self) -> Losses {
        let History { losses, validation } = self.history.clone();
        Losses::of(&self.base, losses, validation)
    }
}

/// Says what became of the rows.
pub fn tell(counts: &Counts) {
    let out = [
        (counts.unreadable, "unreadable"),
        (counts.one_sided, "without an improved prompt"),
        (counts.leaked, "giving the answer away"),
        (counts.duplicate, "there twice"),
        (counts.unchanged_left_out, "unchanged beyond their share"),
    ];
    let out = out.iter().filter(|(count, _)| *count > 0);
    let out: Vec<String> = out.map(|(count, what)| format!("{count} {what}")).collect();
    let left_out = match out.is_empty() {
        true => String::new(),
        false => format!("; left out: {}", out.join(", ")),
    };
    out::note(format!(
        "{} pairs to learn from and {} to measure on, of {} rows{left_out}",
        counts.train, counts.validation, counts.rows
    ));
}

/// Prints it.
pub fn print(report: &Report, how: Show) -> anyhow::Result<()> {
    if how.json {
        return out::json(report);
    }
    let history = &report.history;
    let loss = |loss: Option<&f64>| loss.map_or("–".to_owned(), |loss| format!("{loss:.4}"));
    let mut table = render::table(["", "before", "after"]);
    let (first, last) = (history.losses.first(), history.losses.last());
    table.add_row(["loss of a step".to_owned(), loss(first), loss(last)]);
    let validation = |at: Option<&(usize, f64)>| loss(at.map(|(_, loss)| loss));
    let (first, last) = (history.validation.first(), history.validation.last());
    table.add_row([
        "loss on validation pairs".to_owned(),
        validation(first),
        validation(last),
    ]);
    out::line(format!(
        "{}: an adapter of {} numbers for {}, {} steps on {} pairs",
        report.out.display(),
        progress::thousands(report.parameters as u64),
        report.base,
        history.losses.len(),
        report.pairs.train
    ));
    out::line(table.to_string());
    let risen = history
        .validation
        .windows(2)
        .last()
        .is_some_and(|two| two[1].1 > two[0].1);
    if risen {
        out::line(
            "The loss on validation pairs rose in the last epoch: fewer --epochs or a lower --rate may do better.",
        );
    }
    Ok(())
}
