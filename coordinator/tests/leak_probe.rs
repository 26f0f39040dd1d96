//! The leak guard's probe over the leak corpus, with the catalogue's small model: recall by kind and false positives,
//! alone and behind the text rules, compared with the table in the manual.
//!
//! Each half of the corpus is played as the guard step of a run: its questions are the board, in the board's order, its
//! rows are the round's rewrites, and the strangers are the board's other references. What is asked and what follows
//! comes from `coordinator::plan::probe`, as in a run. Slow: it runs where PROMPTIMAL_FULL=1.
//! `UPDATE_DOCS=1` rewrites the table; `LEAK_SHOW=1` prints the dev half's rejections (never the held-out half's).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

#[path = "../../crates/domain/tests/leak_corpus/mod.rs"]
mod leak_corpus;

use coordinator::plan::probe;
use domain::{
    call::{Call, Reply},
    example::Example,
    hash::Hash,
    leak::Leak,
};
use leak_corpus::{Column, Row, check_manual, corpus, share, table};
use llm::{
    LanguageModel, Request,
    local::{LocalModel, LocalOptions},
};
use std::collections::{HashMap, HashSet};

const MODEL: &str = "smollm2-135m-instruct";

/// Calls weighed side by side.
const BLOCK: usize = 32;

/// The lifts of each row of a half, by the row's id; empty where the probe asks nothing.
async fn lifts(model: &LocalModel, rows: &[&Row]) -> HashMap<String, Vec<f64>> {
    let mut board: Vec<Example> = rows.iter().map(|r| r.example()).collect();
    board.sort_by_key(Example::id);
    board.dedup_by_key(|e| e.id());
    let asked: Vec<_> = rows
        .iter()
        .map(|row| {
            let example = row.example();
            let at = board.iter().position(|e| *e == example).unwrap();
            let texts = probe::texts(board.iter(), at);
            let calls = probe::calls(&example, &row.rewrite, &texts);
            (row, texts, calls)
        })
        .collect();
    let scores = ask(model, asked.iter().flat_map(|(.., calls)| calls).flatten()).await;
    let lifts = asked.iter().map(|(row, texts, calls)| {
        let of = |[with_added, bare]: &[Call; 2]| {
            probe::lifts(texts, &scores[&key(with_added)], &scores[&key(bare)])
        };
        (row.id.clone(), calls.as_ref().map(of).unwrap_or_default())
    });
    lifts.collect()
}

/// The log-likelihoods that each call gives; like a run, it asks nothing twice.
async fn ask(model: &LocalModel, calls: impl Iterator<Item = &Call>) -> HashMap<Hash, Vec<f64>> {
    let mut keys = HashSet::new();
    let requests: Vec<Request> = calls
        .map(|call| Request {
            key: key(call),
            call: call.clone(),
        })
        .filter(|request| keys.insert(request.key))
        .collect();
    let mut scores = HashMap::new();
    for block in requests.chunks(BLOCK) {
        let answers = model.call(block.to_vec()).await;
        for (request, answer) in block.iter().zip(answers) {
            let Reply::Scores { scores: found } = answer.unwrap().reply else {
                panic!("no scores");
            };
            scores.insert(request.key, found.iter().map(|s| s.logprob).collect());
        }
    }
    scores
}

fn key(call: &Call) -> Hash {
    Hash::of([serde_json::to_string(call).unwrap()])
}

/// The rows of a round that the probe rejects.
fn rejected(round: &[&Row], lifts: &HashMap<String, Vec<f64>>) -> HashMap<String, Leak> {
    let of_round: Vec<Vec<f64>> = round.iter().map(|r| lifts[&r.id].clone()).collect();
    let leaks = probe::judge(&of_round);
    let found = round.iter().zip(leaks);
    found
        .filter_map(|(row, leak)| Some((row.id.clone(), leak?)))
        .collect()
}

/// What the probe adds where the text rules let a row pass.
fn added(rows: &[Row], behind: &HashSet<String>) -> String {
    let half = |held_out: bool, benign: bool| {
        let passed = rows.iter().filter(|r| {
            r.is_held_out() == held_out && (r.kind == "benign") == benign && r.leak().is_none()
        });
        let hits: Vec<bool> = passed.map(|r| behind.contains(&r.id)).collect();
        share(hits.iter().filter(|h| **h).count(), hits.len())
    };
    let line = |what: &str, benign| {
        let (dev, held) = (half(false, benign), half(true, benign));
        format!("| {what} | {dev} | {held} |\n")
    };
    [
        "\n| rejected by the probe of what the text rules let pass | dev half | held-out half |\n| --- | --- | --- |\n",
        &line("leaks", false),
        &line("**benign (false positives)**", true),
    ]
    .concat()
}

#[tokio::test]
async fn the_manual_shows_what_the_probe_finds() {
    if std::env::var_os("PROMPTIMAL_FULL").is_none_or(|v| v != "1") {
        return; // Slow, not skipped.
    }
    let Some(path) = model::catalogue::locate(MODEL).ok().flatten() else {
        return skip("the model smollm2-135m-instruct is not in the cache");
    };
    let model = LocalModel::load(LocalOptions::new(path)).await.unwrap();
    let rows = corpus();
    let (mut alone, mut behind) = (HashSet::new(), HashSet::new());
    for held_out in [false, true] {
        let half: Vec<&Row> = rows
            .iter()
            .filter(|r| r.is_held_out() == held_out)
            .collect();
        let lifts = lifts(&model, &half).await;
        let found = rejected(&half, &lifts);
        if !held_out && std::env::var_os("LEAK_SHOW").is_some() {
            show(&half, &found);
        }
        alone.extend(found.into_keys());
        // As in a run: what the text rules reject is never asked, and sets no threshold.
        let passed: Vec<&Row> = half.into_iter().filter(|r| r.leak().is_none()).collect();
        behind.extend(rejected(&passed, &lifts).into_keys());
    }
    let by_probe = |row: &Row| alone.contains(&row.id);
    let by_both = |row: &Row| row.leak().is_some() || behind.contains(&row.id);
    let columns: [Column; 4] = [
        ("probe alone, dev half", false, &by_probe),
        ("probe alone, held-out half", true, &by_probe),
        ("text rules and probe, dev half", false, &by_both),
        ("text rules and probe, held-out half", true, &by_both),
    ];
    check_manual("probe", &(table(&rows, &columns) + &added(&rows, &behind)));
}

fn show(half: &[&Row], found: &HashMap<String, Leak>) {
    for row in half {
        if let Some(leak) = found.get(&row.id) {
            println!("{} {}\n    {}", row.id, leak.detail, row.rewrite);
        }
    }
}

/// Says that a test is skipped, where it is read: see CONTRIBUTING.md.
fn skip(why: &str) {
    use std::io::Write;
    println!("skipped: {why}");
    if let Some(log) = std::env::var_os("PROMPTIMAL_SKIP_LOG") {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log);
        writeln!(log.unwrap(), "skipped: {why}").unwrap();
    }
}
