//! Questions about the machinery.

use super::{Check, DEMO, Down, line, runs::clock, sorted};
use crate::conformance::history::{
    Line,
    rows::{History, Row},
};
use std::collections::BTreeMap;

pub const CHECKS: &[Check] = &[
    ("Which tasks were slowest?", slowest),
    (
        "How long does a task take, as a rule and at worst?",
        percentiles,
    ),
    ("Which worker did how much, and failed how often?", workers),
    ("How fast did it go?", speed),
    ("Which tasks died, and why?", dead),
    ("What waits, and for how long?", waiting),
    ("How did the loss of a training fall?", training),
];

fn training(h: &History) -> Vec<Line> {
    let mut out = vec![];
    for task in h.within(DEMO, "tasks") {
        if !h.of(task, "round_id", "rounds").is("step", "train") {
            continue;
        }
        let of_task = |i: &&Row| i.value("task_seq") == task.value("seq");
        for item in h.table("items").iter().filter(of_task) {
            let of_item = |l: &&Row| l.value("key") == item.value("key");
            for loss in h.table("training_losses").iter().filter(of_item) {
                let [step, value, held] =
                    ["step", "loss", "validation_loss"].map(|c| loss.value(c));
                let line = line![task.value("model"), step, value, held];
                out.push((loss.int("step"), line));
            }
        }
    }
    sorted(out)
}

fn seconds(task: &Row, from: i64, to: &str) -> Option<f64> {
    task.maybe(to).map(|to| (to - from) as f64 / 1e6)
}

fn work(task: &Row) -> Option<f64> {
    seconds(task, task.maybe("dispatched_at")?, "closed_at")
}

fn items(h: &History, task: &Row) -> usize {
    let own = |i: &&Row| i.value("task_seq") == task.value("seq");
    h.table("items").iter().filter(own).count()
}

fn slowest(h: &History) -> Vec<Line> {
    let mut out = vec![];
    for task in h.within(DEMO, "tasks") {
        let Some(work) = work(task) else { continue };
        let round = h.of(task, "round_id", "rounds");
        let wait = seconds(task, round.int("created_at"), "dispatched_at");
        let [model, worker, attempts] = ["model", "worker", "attempts"].map(|c| task.value(c));
        let (number, step, n) = (round.int("round"), round.text("step"), items(h, task));
        let line = line![number, step, model, worker, n, attempts, wait, work];
        out.push(((Down(work), task.text("id")), line));
    }
    let mut out = sorted(out);
    out.truncate(10);
    out
}

fn percentiles(h: &History) -> Vec<Line> {
    let mut models: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for task in h.table("tasks").iter().filter(|t| t.is("state", "done")) {
        models
            .entry(task.text("model"))
            .or_default()
            .extend(work(task));
    }
    // The smallest time within which so many of a hundred tasks were done.
    let rank = |times: &[f64], percent: usize| times[(percent * times.len()).div_ceil(100) - 1];
    let one = |(model, mut times): (&str, Vec<f64>)| {
        times.sort_by(f64::total_cmp);
        let n = times.len();
        line![model, n, rank(&times, 50), rank(&times, 95), times[n - 1]]
    };
    models.into_iter().map(one).collect()
}

/// What a worker reported.
#[derive(Default)]
struct Tally {
    reports: i64,
    done: i64,
    late: i64,
    tokens: i64,
    cost: i64,
}

fn workers(h: &History) -> Vec<Line> {
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    let ledger = h.table("ledger");
    for row in ledger.iter().filter(|l| l.is("kind", "settle")) {
        let same = |l: &&Row| {
            l.value("task_seq") == row.value("task_seq") && l.value("epoch") == row.value("epoch")
        };
        let attempt: Vec<&Row> = ledger.iter().filter(same).collect();
        let settled = attempt.iter().filter(|l| l.is("kind", "settle"));
        let first = settled.map(|l| l.int("seq")).min() == row.maybe("seq");
        let reserved = attempt
            .iter()
            .find(|l| l.is("kind", "reserve"))
            .filter(|_| first);
        let lost = attempt.iter().any(|l| l.is("kind", "expire"));
        let task = h.of(row, "task_seq", "tasks");
        let closed = task.is("state", "done") && task.value("epoch") == row.value("epoch");
        let own = task.value("worker") == row.value("worker");
        let tally = tallies.entry(row.text("worker")).or_default();
        tally.reports += 1;
        tally.done += i64::from(closed && own);
        tally.late += i64::from(lost || (closed && !own));
        tally.tokens += row.int("tokens") + reserved.map_or(0, |r| r.int("tokens"));
        tally.cost += row.int("cost_micros") + reserved.map_or(0, |r| r.int("cost_micros"));
    }
    let one = |(worker, t): (&str, Tally)| {
        let failed = t.reports - t.done - t.late;
        let percent = 100.0 * failed as f64 / t.reports as f64;
        let dollars = t.cost as f64 / 1e6;
        line![
            worker, t.reports, t.done, t.late, failed, percent, t.tokens, dollars
        ]
    };
    tallies.into_iter().map(one).collect()
}

fn speed(h: &History) -> Vec<Line> {
    let mut minutes: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for task in h.within(DEMO, "tasks").filter(|t| t.is("state", "done")) {
        let minute = clock(task.int("closed_at"))[..16].to_owned();
        let entry = minutes.entry(minute).or_default();
        entry.0 += 1;
        entry.1 += items(h, task);
    }
    let one = |(minute, (tasks, items))| line![minute, tasks, items];
    minutes.into_iter().map(one).collect()
}

/// Run, its id, round, step, model, attempts.
type Place<'a> = (&'a str, &'a str, i64, &'a str, &'a str, i64);

fn place<'a>(h: &'a History, task: &'a Row) -> Place<'a> {
    let run = h.of(task, "run_id", "runs");
    let round = h.of(task, "round_id", "rounds");
    (
        run.text("name"),
        run.text("id"),
        round.int("round"),
        round.text("step"),
        task.text("model"),
        task.int("attempts"),
    )
}

fn dead(h: &History) -> Vec<Line> {
    let mut groups: BTreeMap<(Place<'_>, &str), Vec<i64>> = BTreeMap::new();
    for task in h.table("tasks").iter().filter(|t| t.is("state", "dead")) {
        let key = (place(h, task), task.text("reason"));
        groups.entry(key).or_default().push(task.int("not_before"));
    }
    let one = |((place, reason), times): ((Place<'_>, &str), Vec<i64>)| {
        let (run, _, round, step, model, attempts) = place;
        let line = line![run, round, step, model, attempts, times.len(), reason];
        let first = times.iter().min().copied();
        (
            format!("{place:?}"),
            (usize::MAX - times.len(), first),
            line,
        )
    };
    let rows = groups.into_iter().map(one);
    sorted(rows.map(|(a, b, line)| ((a, b), line)).collect())
}

fn waiting(h: &History) -> Vec<Line> {
    let mut groups: BTreeMap<Place<'_>, Vec<i64>> = BTreeMap::new();
    let open = |t: &&Row| t.has("reason") && !t.is("state", "dead") && !t.is("state", "done");
    for task in h.table("tasks").iter().filter(open) {
        groups
            .entry(place(h, task))
            .or_default()
            .push(task.int("not_before"));
    }
    let one = |(place, times): (Place<'_>, Vec<i64>)| {
        let (run, _, round, step, model, attempts) = place;
        let (first, last) = (times.iter().min(), times.iter().max());
        line![run, round, step, model, attempts, times.len(), first, last]
    };
    groups.into_iter().map(one).collect()
}
