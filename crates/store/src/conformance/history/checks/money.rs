//! Questions about money.

use super::{Check, DEMO, line, percent, sorted};
use crate::conformance::history::{
    Line,
    rows::{History, Row},
};
use std::collections::{BTreeMap, BTreeSet};

pub const CHECKS: &[Check] = &[
    ("What did it cost, by model?", by_model),
    ("What did each round cost?", by_round),
    ("What has each run used, of what it may?", limits),
    ("Where did the tokens go?", tokens),
    ("How many answers were reused instead of bought?", reused),
    ("Does the ledger add up?", ledger),
];

/// Calls, tokens, money.
type Sum = [i64; 3];

fn add(sum: &mut Sum, row: &Row) {
    for (part, column) in sum.iter_mut().zip(["calls", "tokens", "cost_micros"]) {
        *part += row.int(column);
    }
}

fn dollars(micros: i64) -> f64 {
    micros as f64 / 1e6
}

fn by_model(h: &History) -> Vec<Line> {
    let mut groups: BTreeMap<_, Sum> = BTreeMap::new();
    for row in h.table("ledger") {
        let run = h.of(row, "run_id", "runs");
        let model = h.of(row, "task_seq", "tasks").text("model");
        let key = (run.text("name"), run.text("id"), model);
        add(groups.entry(key).or_default(), row);
    }
    let one = |((run, id, model), [calls, tokens, cost]): ((&str, &str, &str), Sum)| {
        let line = line![run, model, calls, tokens, dollars(cost)];
        (
            (run.to_owned(), id.to_owned(), -cost, model.to_owned()),
            line,
        )
    };
    sorted(groups.into_iter().map(one).collect())
}

fn by_round(h: &History) -> Vec<Line> {
    let mut groups: BTreeMap<_, Sum> = BTreeMap::new();
    for row in h.within(DEMO, "ledger") {
        let round = h.of(h.of(row, "task_seq", "tasks"), "round_id", "rounds");
        let key = (round.int("round"), round.text("kind"));
        add(groups.entry(key).or_default(), row);
    }
    let one = |((round, kind), [calls, tokens, cost]): ((i64, &str), Sum)| {
        line![round, kind, calls, tokens, dollars(cost)]
    };
    groups.into_iter().map(one).collect()
}

fn limits(h: &History) -> Vec<Line> {
    let one = |spend: &Row| {
        let run = h.of(spend, "run_id", "runs");
        let of = |l: &&Row| l.value("run_id") == run.value("id");
        let rows = h.table("run_limits").iter().filter(of);
        let limit = rows.max_by_key(|l| l.int("seq")).expect("a row of limits");
        let (calls, may) = (spend.int("calls"), limit.maybe("calls"));
        let share = may.map(|may| percent(calls, may));
        let line = line![
            run.text("name"),
            run.text("status"),
            calls,
            may,
            share,
            spend.int("tokens"),
            limit.maybe("tokens"),
            dollars(spend.int("cost_micros")),
            limit.maybe("cost_micros").map(dollars)
        ];
        (
            (run.text("name").to_owned(), run.text("id").to_owned()),
            line,
        )
    };
    sorted(h.table("run_spend").iter().map(one).collect())
}

fn tokens(h: &History) -> Vec<Line> {
    let mut seen = BTreeSet::new();
    let mut groups: BTreeMap<_, (i64, Sum)> = BTreeMap::new();
    for a in h.asked() {
        let Some(answer) = a.answer.filter(|_| a.run.is("name", DEMO)) else {
            continue;
        };
        let (step, model) = (a.round.text("step"), a.target.text("model"));
        if seen.insert((step, model, a.item.text("key"))) {
            let (n, sum) = groups.entry((step, model)).or_default();
            *n += 1;
            let parts = ["prompt_tokens", "completion_tokens", "cost_micros"];
            for (part, column) in sum.iter_mut().zip(parts) {
                *part += answer.int(column);
            }
        }
    }
    let one = |((step, model), (n, [read, written, cost])): ((&str, &str), (i64, Sum))| {
        line![step, model, n, read, written, dollars(cost)]
    };
    groups.into_iter().map(one).collect()
}

fn reused(h: &History) -> Vec<Line> {
    let asked = h.asked();
    let one = |run: &Row| {
        let own = || {
            asked
                .iter()
                .filter(|a| a.run.value("id") == run.value("id"))
        };
        let done = own().filter(|a| a.item.is("state", "done")).count();
        let free = own().filter(|a| !a.item.has("task_seq")).count();
        let of = |row: &&Row| row.value("run_id") == run.value("id");
        let calls: i64 = h
            .table("ledger")
            .iter()
            .filter(of)
            .map(|l| l.int("calls"))
            .sum();
        let key = (run.int("created_at"), run.text("id").to_owned());
        (key, line![run.text("name"), done, calls, free])
    };
    sorted(h.table("runs").iter().map(one).collect())
}

fn ledger(h: &History) -> Vec<Line> {
    let mut groups: BTreeMap<_, Sum> = BTreeMap::new();
    for row in h.table("ledger") {
        let run = h.of(row, "run_id", "runs");
        let key = (run.text("name"), run.text("id"));
        add(groups.entry(key).or_default(), row);
    }
    let one =
        |((run, _), [calls, _, cost]): ((&str, &str), Sum)| line![run, calls, calls, cost, cost];
    groups.into_iter().map(one).collect()
}
