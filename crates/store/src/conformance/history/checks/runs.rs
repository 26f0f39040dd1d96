//! Questions about runs.

use super::{Check, DEMO, Down, line, percent, sorted};
use crate::conformance::history::{
    Line,
    rows::{History, Row, Score, mean},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub const CHECKS: &[Check] = &[
    ("Which runs are there, and where do they stand?", standing),
    ("Which runs got better, and by how much?", gains),
    ("How do two runs compare, target by target?", side_by_side),
    ("How far is a run?", progress),
    ("How did the grades move from round to round?", rounds),
    ("Which of my prompts does best on which model?", matrix),
];

/// A time as people read it, in UTC.
pub fn clock(micros: i64) -> String {
    let seconds = micros.div_euclid(1_000_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (mut year, mut left) = (1970, days);
    let long = |y: i64| (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    while left >= 365 + i64::from(long(year)) {
        left -= 365 + i64::from(long(year));
        year += 1;
    }
    let february = 28 + i64::from(long(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!(
        "{year:04}-{month:02}-{:02} {hour:02}:{minute:02}:{:02}",
        left + 1,
        second % 60
    )
}

fn count(h: &History, run: &Row, table: &str, which: impl Fn(&Row) -> bool) -> usize {
    let of = |row: &&Row| row.value("run_id") == run.value("id") && which(row);
    h.table(table).iter().filter(of).count()
}

fn standing(h: &History) -> Vec<Line> {
    let one = |run: &Row| {
        let key = (-run.int("created_at"), run.text("id").to_owned());
        let started = clock(run.int("created_at"));
        let examples = count(h, run, "run_examples", |_| true);
        let targets = count(h, run, "targets", |_| true);
        let candidates = count(h, run, "candidates", |c| !c.is("arm", "original"));
        let [name, kind, status, reason] = ["name", "kind", "status", "reason"];
        let [name, kind, status, reason] = [name, kind, status, reason].map(|c| run.value(c));
        let line = line![
            name, kind, status, reason, started, examples, targets, candidates
        ];
        (key, line)
    };
    sorted(h.table("runs").iter().map(one).collect())
}

/// What the confirming round says of one target: original, winner, placebo.
type Confirmed = (f64, Option<f64>, Option<f64>);

fn confirmed(scores: &[Score<'_>], run: &Row) -> Vec<Confirmed> {
    let own = scores
        .iter()
        .filter(|s| s.kind == "confirm" && s.run.value("id") == run.value("id"));
    let mut targets: BTreeMap<(&str, &str), Vec<&Score<'_>>> = BTreeMap::new();
    for score in own {
        let key = (score.target.text("id"), score.grader);
        targets.entry(key).or_default().push(score);
    }
    let best = |list: &[&Score<'_>], arm: &str| {
        let of = list.iter().filter(|s| s.candidate.is("arm", arm));
        of.map(|s| s.mean).max_by(f64::total_cmp)
    };
    let one = |list: &Vec<&Score<'_>>| {
        let [original, winner, placebo] = ["original", "search", "placebo"].map(|a| best(list, a));
        original.map(|o| (o, winner, placebo))
    };
    targets.values().filter_map(one).collect()
}

fn gains(h: &History) -> Vec<Line> {
    let scores = h.scores();
    let mut out = vec![];
    for run in h.table("runs") {
        let targets = confirmed(&scores, run);
        let Some(original) = mean(targets.iter().map(|t| t.0)) else {
            continue;
        };
        let best = mean(targets.iter().map(|t| t.1.unwrap_or(t.0))).unwrap_or_default();
        let gain = mean(targets.iter().map(|t| t.1.map_or(0.0, |w| w - t.0))).unwrap_or_default();
        let any = targets.iter().any(|t| t.2.is_some());
        let placebo = mean(targets.iter().map(|t| t.2.map_or(0.0, |p| p - t.0))).filter(|_| any);
        let net = gain - placebo.unwrap_or(0.0);
        let pairs = count(h, run, "pairs", |_| true);
        let name = run.text("name");
        let n = targets.len();
        let key = (Down(net), run.text("id").to_owned());
        out.push((
            key,
            line![name, n, original, best, gain, placebo, net, pairs],
        ));
    }
    sorted(out)
}

/// Dataset, model and example of a target, with the values of the unchanged and the best prompt.
type Values<'a> = BTreeMap<[&'a str; 3], (f64, f64)>;

fn values<'a>(scores: &[Score<'a>], run: &str) -> Values<'a> {
    let mut out = Values::new();
    let own = scores
        .iter()
        .filter(|s| s.kind == "confirm" && s.run.is("name", run));
    for score in own.filter(|s| !s.candidate.is("arm", "placebo")) {
        let key = ["dataset", "model", "example_id"].map(|c| score.target.text(c));
        let entry = out.entry(key).or_insert((f64::MIN, f64::MIN));
        entry.1 = entry.1.max(score.mean);
        if score.candidate.is("arm", "original") {
            entry.0 = score.mean;
        }
    }
    out
}

fn side_by_side(h: &History) -> Vec<Line> {
    let scores = h.scores();
    let (demo, again) = (values(&scores, DEMO), values(&scores, "again"));
    let mut out = vec![];
    for (key, a) in demo {
        let Some(b) = again.get(&key) else { continue };
        let difference = b.1 - a.1;
        let line = line![key[0], key[1], key[2], a.0, a.1, b.0, b.1, difference];
        out.push(((Down(difference), key), line));
    }
    sorted(out)
}

fn progress(h: &History) -> Vec<Line> {
    let one = |p: &Row| {
        let key = (
            p.int("created_at"),
            p.int("round"),
            p.text("step").to_owned(),
        );
        let (done, items) = (p.int("items_done"), p.int("items"));
        let (open, dead) = (p.int("tasks_open"), p.int("tasks_dead"));
        let [round, step, kind] = ["round", "step", "kind"].map(|c| p.value(c));
        let line = line![
            round,
            step,
            kind,
            done,
            items,
            percent(done, items),
            open,
            dead
        ];
        (key, line)
    };
    let steps = h.within(DEMO, "rounds").filter(|p| p.int("items") > 0);
    sorted(steps.map(one).collect())
}

fn rounds(h: &History) -> Vec<Line> {
    let mut groups: BTreeMap<_, (BTreeSet<&str>, Vec<f64>)> = BTreeMap::new();
    for a in h.asked() {
        let Some(candidate) = a.candidate else {
            continue;
        };
        if !a.run.is("name", DEMO) || !a.round.is("step", "answer") {
            continue;
        }
        let key = (
            a.target.text("dataset").to_owned(),
            a.round.int("round"),
            candidate.text("arm").to_owned(),
            a.round.text("kind").to_owned(),
        );
        let (candidates, values) = groups.entry(key).or_default();
        candidates.insert(a.item.text("candidate_id"));
        values.extend(a.grade.map(|g| g.float("value")));
    }
    let one = |((dataset, round, arm, kind), (candidates, values))| -> Line {
        let candidates: BTreeSet<&str> = candidates;
        let values: Vec<f64> = values;
        let mean = mean(values.iter().copied());
        line![
            round,
            kind,
            dataset,
            arm,
            candidates.len(),
            values.len(),
            mean
        ]
    };
    groups.into_iter().map(one).collect()
}

fn matrix(h: &History) -> Vec<Line> {
    let scores = h.scores();
    let own = scores
        .iter()
        .filter(|s| s.run.is("name", "prompts") && s.kind == "baseline");
    let one = |s: &Score<'_>| {
        let place = h.place(&scores, s);
        let [dataset, model] = ["dataset", "model"].map(|c| s.target.text(c).to_owned());
        let author = s.candidate.text("author").to_owned();
        let line: Vec<Value> = line![dataset, model, author, place, s.mean, s.graded];
        (
            (
                dataset,
                model,
                place,
                author,
                s.target.text("id").to_owned(),
            ),
            line,
        )
    };
    sorted(own.map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::clock;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(clock(0), "1970-01-01 00:00:00");
        assert_eq!(clock(951_782_400_000_000), "2000-02-29 00:00:00");
        assert_eq!(clock(1_795_507_200_999_999), "2026-11-24 08:00:00");
    }
}
