//! Progress: bars where a person watches, plain lines elsewhere.

use crate::out;
use coordinator::{Event, Observer};
use domain::run::{RoundKind, Spend, Step, StepKey};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use wire::Loss;

/// Plain lines of one step come at most this often.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Who watches a run.
pub fn observer(quiet: bool) -> Observer {
    if quiet {
        return Arc::new(|_| {});
    }
    let view = Mutex::new(View::new(out::watched()));
    Arc::new(move |event| {
        view.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .see(event)
    })
}

struct View {
    watched: bool,
    bar: Option<ProgressBar>,
    step: Option<StepKey>,
    started: Instant,
    first_done: u64,
    said: Instant,
}

/// How far a step is.
struct At {
    key: StepKey,
    kind: RoundKind,
    items: u64,
    done: u64,
    spend: Spend,
}

impl View {
    fn new(watched: bool) -> Self {
        let now = Instant::now();
        Self {
            watched,
            bar: None,
            step: None,
            started: now,
            first_done: 0,
            said: now,
        }
    }

    fn see(&mut self, event: Event) {
        match event {
            Event::Planned { .. } | Event::Ended { .. } => {}
            Event::Trouble { message, .. } => self.say(&message),
            Event::Learning { loss, steps, .. } => self.learn(loss, steps),
            Event::Progress {
                key,
                kind,
                items,
                done,
                spend,
            } => {
                let fresh = self.step != Some(key);
                if fresh {
                    self.begin(key, kind, items, done);
                }
                match &self.bar {
                    Some(bar) => draw(bar, done, items, spend),
                    None => self.plain(
                        &At {
                            key,
                            kind,
                            items,
                            done,
                            spend,
                        },
                        fresh,
                    ),
                }
            }
        }
    }

    /// How a training goes: each loss on validation pairs, and of the others as many as a person can read.
    fn learn(&mut self, at: Loss, steps: u32) {
        let (step, done) = (at.step, at.step == steps);
        if let Some(bar) = &self.bar {
            bar.set_length(steps.into());
            bar.set_position(step.into());
            if let Some(loss) = at.loss {
                bar.set_message(format!("loss {loss:.4}"));
            }
        } else if let Some(loss) = at.loss
            && (done || self.said.elapsed() >= PLAIN_EVERY)
        {
            self.said = Instant::now();
            out::note(format!("training: step {step}/{steps}, loss {loss:.4}"));
        }
        if let Some(loss) = at.validation {
            self.say(&format!(
                "after step {step}: loss on validation pairs {loss:.4}"
            ));
        }
    }

    fn begin(&mut self, key: StepKey, kind: RoundKind, items: u64, done: u64) {
        if let Some(bar) = self.bar.take() {
            bar.finish();
        }
        self.step = Some(key);
        self.started = Instant::now();
        self.first_done = done;
        if self.watched && items > 0 {
            let bar = ProgressBar::with_draw_target(Some(items), ProgressDrawTarget::stderr());
            bar.set_style(style());
            bar.set_prefix(stage(key, kind));
            bar.enable_steady_tick(Duration::from_millis(250));
            self.bar = Some(bar);
        }
    }

    fn plain(&mut self, at: &At, fresh: bool) {
        let At {
            items, done, spend, ..
        } = *at;
        if items == 0 || (!fresh && done < items && self.said.elapsed() < PLAIN_EVERY) {
            return;
        }
        self.said = Instant::now();
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let rate = done.saturating_sub(self.first_done) as f64 / seconds;
        let eta = match rate > 0.0 {
            true => format!(", {:.0} s left", (items - done) as f64 / rate),
            false => String::new(),
        };
        let stage = stage(at.key, at.kind);
        out::note(format!(
            "{stage}: {done}/{items}, {rate:.1}/s{eta}, {}",
            spent(spend)
        ));
    }

    fn say(&self, message: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| out::note(message)),
            None => out::note(message),
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish();
        }
    }
}

fn draw(bar: &ProgressBar, done: u64, items: u64, spend: Spend) {
    bar.set_length(items);
    bar.set_position(done);
    bar.set_message(spent(spend));
    if done == items {
        bar.finish();
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template(
        "{prefix:<26} {bar:28} {pos:>5}/{len:<5} {per_sec:>9} ETA {eta:<4} {msg}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// What a person calls a step.
pub fn stage(key: StepKey, kind: RoundKind) -> String {
    let doing = match key.step {
        Step::Propose => "writing",
        Step::Guard => "leak guard",
        Step::Answer => "trying",
        Step::Judge => "judging",
        Step::Score => "scoring",
        Step::Train => "training",
    };
    match kind {
        RoundKind::Baseline if matches!(key.step, Step::Judge | Step::Score) => {
            format!("baseline {doing}")
        }
        RoundKind::Baseline => "baseline".to_owned(),
        RoundKind::Search => format!("round {} {doing}", key.round),
        RoundKind::Placebo => format!("placebo {doing}"),
        RoundKind::Confirm if matches!(key.step, Step::Judge | Step::Score) => {
            format!("confirming, {doing}")
        }
        RoundKind::Confirm if key.step == Step::Train => "training a rewriter".to_owned(),
        RoundKind::Confirm => "confirming on fresh draws".to_owned(),
    }
}

fn spent(spend: Spend) -> String {
    let cost = match spend.cost_micros {
        0 => String::new(),
        micros => format!(", ${:.4}", micros as f64 / 1e6),
    };
    format!("{} tokens{cost}", thousands(spend.tokens))
}

/// 12345 as 12,345.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A bar for a download, or a line every tenth where nobody watches.
pub struct Download {
    bar: Option<ProgressBar>,
    name: String,
    last_tenth: std::cell::Cell<u64>,
}

/// A download's progress.
pub fn download(name: &str) -> Download {
    let bar = out::watched().then(|| {
        let bar = ProgressBar::no_length();
        let style = ProgressStyle::with_template(
            "{prefix} {bar:28} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(name.to_owned());
        bar
    });
    Download {
        bar,
        name: name.to_owned(),
        last_tenth: std::cell::Cell::new(0),
    }
}

impl Download {
    /// `done` of `total` bytes are here.
    pub fn show(&self, done: u64, total: Option<u64>) {
        if let Some(bar) = &self.bar {
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
            return;
        }
        let tenth = total.filter(|t| *t > 0).map_or(0, |t| 10 * done / t);
        if tenth > self.last_tenth.get() {
            self.last_tenth.set(tenth);
            out::note(format!("fetching {}: {}%", self.name, 10 * tenth));
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Counts what is done: a bar where a person watches, else a line for each tenth.
pub struct Count {
    bar: Option<ProgressBar>,
    what: &'static str,
    total: u64,
    quiet: bool,
    last_tenth: std::cell::Cell<u64>,
}

/// The progress of something with an end.
pub fn count(what: &'static str, total: u64, quiet: bool) -> Count {
    let bar = (out::watched() && !quiet).then(|| {
        let bar = ProgressBar::new(total);
        let style =
            ProgressStyle::with_template("{prefix} {bar:28} {pos}/{len} {per_sec} ETA {eta} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(what);
        bar
    });
    Count {
        bar,
        what,
        total,
        quiet,
        last_tenth: std::cell::Cell::new(0),
    }
}

impl Count {
    /// So much is done.
    pub fn show(&self, done: u64) {
        self.tell(done, String::new());
    }

    fn tell(&self, done: u64, message: String) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(message);
            return;
        }
        let tenth = 10 * done / self.total.max(1);
        if tenth > self.last_tenth.get() && !self.quiet {
            self.last_tenth.set(tenth);
            let message = message.trim();
            out::note(format!("{}: {}% {message}", self.what, 10 * tenth).trim_end());
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The progress of a training, whose length is known after its first step.
pub struct Training {
    count: Option<Count>,
    quiet: bool,
}

/// The progress of a training.
pub fn training(quiet: bool) -> Training {
    Training { count: None, quiet }
}

impl Training {
    /// So many steps of so many are done; what is `said` stays on the terminal.
    pub fn show(&mut self, (step, steps): (usize, usize), loss: Option<f64>, said: Option<String>) {
        let quiet = self.quiet;
        let count = self
            .count
            .get_or_insert_with(|| count("training", steps as u64, quiet));
        let loss = loss.map_or(String::new(), |loss| format!("loss {loss:.4}"));
        count.tell(step as u64, loss);
        if let Some(said) = said.filter(|_| !quiet) {
            match &count.bar {
                Some(bar) => bar.println(said),
                None => out::note(said),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }
}
