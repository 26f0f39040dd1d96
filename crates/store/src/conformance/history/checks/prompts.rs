//! Questions about prompts.

use super::{Check, DEMO, Down, is_leak, line, sorted};
use crate::conformance::history::{
    Line,
    rows::{Asked, History, Row, Score, mean},
};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
};

pub const CHECKS: &[Check] = &[
    ("What are the best prompts of a run?", best),
    ("How much of what the search promised was luck?", luck),
    (
        "How often does a winner beat the unchanged prompt, draw by draw?",
        duels,
    ),
    ("What was tried for one question, and how did it do?", tried),
    ("What did a winner descend from?", descent),
    (
        "Which operators stand on the way to the winners?",
        forebears,
    ),
    ("Which operator writes the most winners?", operators),
    ("What was rejected, and why, round by round?", rejected),
    ("Where did the leaks come from?", leaks),
];

/// The scores of the demo's candidates of an arm in a kind of round.
fn of<'a>(scores: &[Score<'a>], kind: &str, arm: &str) -> Vec<Score<'a>> {
    let wanted =
        |s: &&Score<'_>| s.run.is("name", DEMO) && s.kind == kind && s.candidate.is("arm", arm);
    scores.iter().filter(wanted).copied().collect()
}

fn best(h: &History) -> Vec<Line> {
    let scores = h.scores();
    let one = |s: Score<'_>| {
        let original = h.original(&scores, &s);
        let gain = original.map(|o| s.mean - o);
        let key = (
            Down(gain.unwrap_or(f64::MIN)),
            s.candidate.text("id").to_owned(),
        );
        let input = h.of(s.target, "example_id", "examples").text("input");
        let [question, operator] = ["question", "operator"].map(|c| s.candidate.value(c));
        let dataset = s.target.text("dataset");
        let line = line![
            dataset, input, question, operator, s.mean, original, gain, s.graded
        ];
        (key, line)
    };
    let winners = of(&scores, "confirm", "search").into_iter();
    let mut out = sorted(winners.map(one).collect());
    out.truncate(20);
    out
}

fn luck(h: &History) -> Vec<Line> {
    let scores = h.scores();
    let searched = of(&scores, "search", "search");
    let mut out = vec![];
    for c in of(&scores, "confirm", "search") {
        let id = c.candidate.text("id");
        for s in searched.iter().filter(|s| s.candidate.is("id", id)) {
            let luck = s.mean - c.mean;
            let dataset = c.target.text("dataset");
            out.push(((Down(luck), id), line![dataset, id, s.mean, c.mean, luck]));
        }
    }
    sorted(out)
}

/// Fresh draws beside those of the unchanged prompt: the same target, repeat and grader.
fn duels(h: &History) -> Vec<Line> {
    let drawn = |a: &&Asked<'_>| {
        let steps = ["answer", "score"];
        a.run.is("name", DEMO)
            && a.round.is("kind", "confirm")
            && steps.contains(&a.round.text("step"))
            && a.grade.is_some()
    };
    let asked = h.asked();
    let drawn: Vec<_> = asked.iter().filter(drawn).collect();
    let unchanged = |a: &Asked<'_>| a.candidate.is_some_and(|c| c.is("arm", "original"));
    let same = [
        "round_id",
        "target_id",
        "repeat",
        "grader",
        "grader_version",
    ];
    let mut groups: BTreeMap<[&str; 3], Vec<(f64, f64)>> = BTreeMap::new();
    for a in drawn.iter().filter(|a| !unchanged(a)) {
        let beside = |o: &&&Asked<'_>| {
            unchanged(o) && same.iter().all(|c| o.item.value(c) == a.item.value(c))
        };
        for o in drawn.iter().filter(beside) {
            let (Some(g), Some(og), Some(c)) = (a.grade, o.grade, a.candidate) else {
                continue;
            };
            let worth = |g: &Row| g.value("raw").as_f64().unwrap_or(g.float("value"));
            let won = match worth(g).total_cmp(&worth(og)) {
                Ordering::Greater => 1.0,
                Ordering::Equal => 0.5,
                Ordering::Less => 0.0,
            };
            let key = [
                a.target.text("dataset"),
                a.item.text("grader"),
                c.text("arm"),
            ];
            let gain = g.float("value") - og.float("value");
            groups.entry(key).or_default().push((won, gain));
        }
    }
    let one = |([dataset, grader, arm], draws): (&[&str; 3], &Vec<(f64, f64)>)| {
        let won: f64 = draws.iter().map(|d| d.0).sum();
        let rate = mean(draws.iter().map(|d| d.0));
        let gain = mean(draws.iter().map(|d| d.1));
        line![dataset, grader, arm, draws.len(), won, rate, gain]
    };
    groups.iter().map(one).collect()
}

fn tried(h: &History) -> Vec<Line> {
    let scores = h.scores();
    let hot = h
        .table("examples")
        .iter()
        .find(|e| e.is("input", "Which planet is hot?"));
    let hot = hot.map(|e| e.text("id")).unwrap_or_default();
    let wanted = |s: &&Score<'_>| {
        s.run.is("name", DEMO) && s.target.is("example_id", hot) && s.kind != "confirm"
    };
    let one = |s: &Score<'_>| {
        let c = s.candidate;
        let key = (
            Down(s.mean),
            c.int("round"),
            c.text("arm").to_owned(),
            c.int("ordinal"),
        );
        let gain = h.original(&scores, s).map(|o| s.mean - o);
        let [arm, operator, round, question] =
            ["arm", "operator", "round", "question"].map(|k| c.value(k));
        (
            key,
            line![arm, operator, round, question, s.graded, s.mean, gain],
        )
    };
    sorted(scores.iter().filter(wanted).map(one).collect())
}

/// Every candidate that this one was made from, with the shortest way to it.
fn ancestors(h: &History, candidate: &str) -> HashMap<String, u32> {
    let mut out = HashMap::from([(candidate.to_owned(), 0)]);
    let mut open = VecDeque::from([candidate.to_owned()]);
    while let Some(id) = open.pop_front() {
        let next = out[&id] + 1;
        let parents = h.table("candidate_parents").iter();
        for parent in parents.filter(|p| p.is("candidate_id", &id)) {
            let parent = parent.text("parent_id").to_owned();
            if !out.contains_key(&parent) {
                out.insert(parent.clone(), next);
                open.push_back(parent);
            }
        }
    }
    out
}

fn candidate<'a>(h: &'a History, id: &str) -> &'a Row {
    let found = h.table("candidates").iter().find(|c| c.is("id", id));
    found.expect("a candidate")
}

fn descent(h: &History) -> Vec<Line> {
    let mut out = vec![];
    for pair in h.within(DEMO, "pairs") {
        let winner = pair.text("candidate_id");
        for (id, generations) in ancestors(h, winner) {
            let a = candidate(h, &id);
            let words = match a.has("question") {
                true => a.text("question"),
                false => "(unchanged)",
            };
            let [round, arm, operator] = ["round", "arm", "operator"].map(|c| a.value(c));
            let line = line![winner, generations, round, arm, operator, words];
            let place = (a.int("round"), a.text("arm"), a.int("ordinal"));
            out.push(((pair.int("ordinal"), generations, place), line));
        }
    }
    sorted(out)
}

fn forebears(h: &History) -> Vec<Line> {
    let mut operators: BTreeMap<&str, (BTreeSet<&str>, BTreeSet<String>)> = BTreeMap::new();
    for pair in h.within(DEMO, "pairs") {
        let winner = pair.text("candidate_id");
        for id in ancestors(h, winner).into_keys().filter(|id| id != winner) {
            let operator = candidate(h, &id).text("operator");
            let (winners, ancestors) = operators.entry(operator).or_default();
            winners.insert(winner);
            ancestors.insert(id);
        }
    }
    let one = |(operator, (winners, ancestors)): (&str, (BTreeSet<&str>, BTreeSet<String>))| {
        let line = line![operator, winners.len(), ancestors.len()];
        ((usize::MAX - winners.len(), operator.to_owned()), line)
    };
    sorted(operators.into_iter().map(one).collect())
}

fn operators(h: &History) -> Vec<Line> {
    let scores = h.scores();
    let mut groups: BTreeMap<(&str, &str), Vec<&Row>> = BTreeMap::new();
    for c in h
        .within(DEMO, "candidates")
        .filter(|c| !c.is("arm", "original"))
    {
        let key = (c.text("arm"), c.text("operator"));
        groups.entry(key).or_default().push(c);
    }
    let one = |((arm, operator), list): ((&str, &str), Vec<&Row>)| {
        let accepted = list.iter().filter(|c| c.is("verdict", "accepted")).count();
        let confirmed = of(&scores, "confirm", arm);
        let own = confirmed
            .iter()
            .filter(|s| s.candidate.is("operator", operator));
        let gains: Vec<Option<f64>> = own
            .map(|s| h.original(&scores, s).map(|o| s.mean - o))
            .collect();
        let pairs = h.table("pairs").iter();
        let pairs = pairs.filter(|p| list.iter().any(|c| c.is("id", p.text("candidate_id"))));
        let (pairs, n, winners) = (pairs.count(), list.len(), gains.len());
        let gain = mean(gains.into_iter().flatten());
        let percent = 100.0 * pairs as f64 / n as f64;
        let line = line![arm, operator, n, accepted, winners, gain, pairs, percent];
        let more = (usize::MAX - pairs, usize::MAX - winners);
        ((more, [arm, operator].map(str::to_owned)), line)
    };
    sorted(groups.into_iter().map(one).collect())
}

fn rejected(h: &History) -> Vec<Line> {
    let mut groups: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    let all = h.within(DEMO, "candidates");
    for c in all.filter(|c| c.is("verdict", "rejected")) {
        let key = (c.int("round"), c.text("operator"), c.text("reason"));
        groups.entry(key).or_default().push(c.text("target_id"));
    }
    let one = |((round, operator, reason), list): ((i64, &str, &str), Vec<&str>)| {
        let targets: BTreeSet<&str> = list.iter().copied().collect();
        line![round, operator, reason, list.len(), targets.len()]
    };
    groups.into_iter().map(one).collect()
}

fn leaks(h: &History) -> Vec<Line> {
    let mut groups: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    for c in h
        .within(DEMO, "candidates")
        .filter(|c| !c.is("arm", "original"))
    {
        let dataset = h.of(c, "target_id", "targets").text("dataset");
        let key = (c.text("author"), c.text("operator"), dataset);
        let entry = groups.entry(key).or_default();
        entry.0 += 1;
        entry.1 += usize::from(is_leak(c));
    }
    let leaky = groups.into_iter().filter(|(_, (_, leaks))| *leaks > 0);
    let one = |((author, operator, dataset), (n, leaks)): ((&str, &str, &str), (usize, usize))| {
        let percent = 100.0 * leaks as f64 / n as f64;
        let line = line![author, operator, dataset, n, leaks, percent];
        (
            (
                usize::MAX - leaks,
                [author, operator, dataset].map(str::to_owned),
            ),
            line,
        )
    };
    sorted(leaky.map(one).collect())
}
