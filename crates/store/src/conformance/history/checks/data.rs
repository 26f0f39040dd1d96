//! Questions about data.

use super::{Check, DEMO, Down, line, sorted};
use crate::conformance::history::{
    Line,
    rows::{Asked, History, Row, Score, mean},
};
use std::collections::{BTreeMap, BTreeSet};

pub const CHECKS: &[Check] = &[
    ("Which questions does nobody solve?", unsolved),
    ("Which examples are hardest?", hardest),
    ("Which groups (subjects, categories) do badly?", groups),
    ("How many pairs came out, by dataset?", pairs_by_dataset),
    ("Which pairs are they?", pairs),
];

fn unsolved(h: &History) -> Vec<Line> {
    let scores = h.scores();
    let mut targets: BTreeMap<&str, Vec<&Score<'_>>> = BTreeMap::new();
    for score in scores.iter().filter(|s| s.run.is("name", DEMO)) {
        let id = score.target.text("id");
        targets.entry(id).or_default().push(score);
    }
    let mut out = vec![];
    for (id, list) in targets {
        let prompts: BTreeSet<&str> = list.iter().map(|s| s.candidate.text("id")).collect();
        let best = list.iter().map(|s| s.mean).fold(f64::MIN, f64::max);
        let target = list[0].target;
        let input = h.of(target, "example_id", "examples").text("input");
        let dataset = target.text("dataset");
        if best < 0.5 {
            let key = (std::cmp::Reverse(Down(best)), dataset, id);
            out.push((key, line![dataset, input, prompts.len(), best]));
        }
    }
    sorted(out)
}

/// The graded items of the demo's baseline.
fn baseline(h: &History) -> Vec<(Asked<'_>, &Row)> {
    let own = h
        .asked()
        .into_iter()
        .filter(|a| a.run.is("name", DEMO) && a.round.is("kind", "baseline"));
    own.filter_map(|a| Some((a, a.grade?))).collect()
}

fn hardest(h: &History) -> Vec<Line> {
    let mut examples: BTreeMap<_, Vec<&Row>> = BTreeMap::new();
    for (asked, grade) in baseline(h) {
        let input = asked.example.map_or("", |e| e.text("input"));
        let key = (
            asked.target.text("dataset"),
            asked.item.text("example_id"),
            input,
        );
        examples.entry(key).or_default().push(grade);
    }
    let one = |((dataset, id, input), grades): ((&str, &str, &str), Vec<&Row>)| {
        let of = |column: &str| mean(grades.iter().map(|g| g.float(column))).unwrap_or_default();
        let (value, margin) = (of("value"), of("margin"));
        let up = |n: f64| std::cmp::Reverse(Down(n));
        let key = (up(value), up(margin), [dataset, id].map(str::to_owned));
        (key, line![dataset, id, input, grades.len(), value, margin])
    };
    let mut out = sorted(examples.into_iter().map(one).collect());
    out.truncate(20);
    out
}

fn groups(h: &History) -> Vec<Line> {
    let mut groups: BTreeMap<&str, (BTreeSet<&str>, Vec<f64>)> = BTreeMap::new();
    for (asked, grade) in baseline(h) {
        let group = asked.example.map_or("", |e| e.text("group_name"));
        let (examples, values) = groups.entry(group).or_default();
        examples.insert(asked.item.text("example_id"));
        values.push(grade.float("value"));
    }
    let one = |(group, (examples, values)): (&str, (BTreeSet<&str>, Vec<f64>))| {
        let mean = mean(values.into_iter()).unwrap_or_default();
        let key = (std::cmp::Reverse(Down(mean)), group.to_owned());
        (key, line![group, examples.len(), mean])
    };
    sorted(groups.into_iter().map(one).collect())
}

fn gain(pair: &Row) -> f64 {
    pair.float("improved_grade") - pair.float("original_grade")
}

fn pairs_by_dataset(h: &History) -> Vec<Line> {
    let mut groups: BTreeMap<_, Vec<&Row>> = BTreeMap::new();
    for pair in h.table("pairs") {
        let run = h.of(pair, "run_id", "runs");
        let dataset = h.of(pair, "target_id", "targets").text("dataset");
        let key = (run.text("name"), dataset, run.text("id"));
        groups.entry(key).or_default().push(pair);
    }
    let one = |((run, dataset, _), pairs): ((&str, &str, &str), Vec<&Row>)| {
        let weakest = pairs.iter().map(|p| p.float("p_value")).fold(0.0, f64::max);
        let gain = mean(pairs.iter().map(|p| gain(p)));
        line![run, dataset, pairs.len(), gain, weakest]
    };
    groups.into_iter().map(one).collect()
}

fn pairs(h: &History) -> Vec<Line> {
    let one = |p: &Row| {
        let key = (Down(gain(p)), p.text("run_id").to_owned(), p.int("ordinal"));
        let line = [
            "original",
            "improved",
            "original_grade",
            "improved_grade",
            "operator",
            "p_value",
        ];
        (key, line.map(|c| p.value(c).clone()).to_vec())
    };
    sorted(h.within(DEMO, "pairs").map(one).collect())
}
