//! What a rewrite has to keep: lossy and benign rewrites of ours, the benign half of the leak corpus, and real texts.
//!
//! `UPDATE_DOCS=1` rewrites the table in the manual; `MATERIAL_SHOW=1` prints what is judged wrongly.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test's helpers are tests, too

use domain::proposal::lost;
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Material {
    /// Stands in for `{}` in the others.
    passage: String,
    original: String,
    benign: Vec<String>,
    lossy: Vec<String>,
}

fn here(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Originals, each with a rewrite.
type Pairs = Vec<(String, String)>;

/// The benign pairs and the lossy ones.
fn ours() -> (Pairs, Pairs) {
    let text = fs::read_to_string(here("tests/material_corpus.json")).unwrap();
    let all: Vec<Material> = serde_json::from_str(&text).unwrap();
    let (mut benign, mut lossy) = (Vec::new(), Vec::new());
    for m in &all {
        let full = |text: &str| text.replace("{}", &m.passage);
        let pair = |r: &String| (full(&m.original), full(r));
        benign.extend(m.benign.iter().map(pair));
        lossy.extend(m.lossy.iter().map(pair));
    }
    (benign, lossy)
}

fn leak_corpus() -> Pairs {
    let text = fs::read_to_string(here("tests/leak_corpus/benign.jsonl")).unwrap();
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let get = |key: &str| row[key].as_str().unwrap().to_owned();
        (get("original"), get("rewrite"))
    };
    text.lines().map(row).collect()
}

/// How many are rejected, by reason.
fn rejected(pairs: &[(String, String)], wanted: bool) -> BTreeMap<&'static str, usize> {
    let mut by = BTreeMap::new();
    for (original, rewrite) in pairs {
        let found = lost(original, rewrite);
        if let Some(lost) = found {
            *by.entry(lost.name()).or_default() += 1;
        }
        if found.is_some() != wanted && std::env::var_os("MATERIAL_SHOW").is_some() {
            println!("{found:?}\n  {original:.300}\n  {rewrite:.300}");
        }
    }
    by
}

fn row(name: &str, pairs: &[(String, String)], wanted: bool) -> String {
    let n: usize = rejected(pairs, wanted).values().sum();
    format!("| {name} | {n} of {} |\n", pairs.len())
}

#[test]
fn the_table_in_the_manual_is_what_the_code_gives() {
    let (benign, lossy) = ours();
    let table = [
        "| rewrites | rejected |\n| --- | --- |\n".to_owned(),
        row("that lost something, ours", &lossy, true),
        row(
            "that lost nothing, ours, most of long questions",
            &benign,
            false,
        ),
        row(
            "benign ones of the leak corpus, all of short questions",
            &leak_corpus(),
            false,
        ),
    ]
    .concat();
    let path = here("../../docs/leak-guard.md");
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- material: begin -->\n", "<!-- material: end -->");
    let (before, rest) = text.split_once(begin).unwrap();
    let (old, after) = rest.split_once(end).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, [before, begin, &table, end, after].concat()).unwrap();
        return;
    }
    assert_eq!(old, table, "run the tests with UPDATE_DOCS=1");
}

#[test]
fn what_is_lost_is_found_and_what_is_kept_passes() {
    let (benign, lossy) = ours();
    let found: usize = rejected(&lossy, true).values().sum();
    assert!(found * 10 >= lossy.len() * 9, "{found} of {}", lossy.len());
    assert_eq!(rejected(&lossy, true).len(), 3, "each reason occurs");
    assert_eq!(rejected(&benign, false), BTreeMap::new());
    assert_eq!(rejected(&leak_corpus(), false), BTreeMap::new());
}

/// 100 published rewrites, original and rewrite as they are.
#[test]
fn published_rewrites_keep_their_material() {
    let Some(path) = data("bpo/bpo_test.json") else {
        return;
    };
    let rows: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let get = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let pairs: Vec<_> = rows
        .iter()
        .map(|r| (get(r, "prompt"), get(r, "optimized_prompt")))
        .collect();
    let by = rejected(&pairs, false);
    println!("bpo: of {} rejected {by:?}", pairs.len());
    assert!(by.values().sum::<usize>() * 50 <= pairs.len(), "{by:?}");
}

/// Real puzzles and sums, cut down to their last sentence: the question without what it is about.
#[test]
fn questions_cut_down_to_their_last_sentence_are_found() {
    let mut files: Vec<(PathBuf, &str)> = Vec::new();
    for name in [
        "logical_deduction_seven_objects",
        "penguins_in_a_table",
        "temporal_sequences",
    ] {
        files.extend(data(&format!("bbh/{name}.json")).map(|f| (f, "input")));
    }
    files.extend(data("gsm8k/train.jsonl").map(|f| (f, "question")));
    for (file, key) in files {
        let text = fs::read_to_string(&file).unwrap();
        let rows: Vec<Value> = match serde_json::from_str::<Value>(&text) {
            Ok(whole) => whole["examples"].as_array().unwrap().clone(),
            Err(_) => text
                .lines()
                .map(|l| serde_json::from_str(l).unwrap())
                .collect(),
        };
        let inputs = rows.iter().map(|r| r[key].as_str().unwrap().trim());
        let cut = |text: &str| {
            let at = text.trim_end_matches(['.', '?']).rfind(['.', '?', '\n'])?;
            Some((text.to_owned(), text[at + 1..].trim().to_owned()))
        };
        let pairs: Vec<_> = inputs.filter_map(cut).collect();
        let by = rejected(&pairs, true);
        let n: usize = by.values().sum();
        println!(
            "{}: {n} of {} {by:?}",
            file.file_name().unwrap().display(),
            pairs.len()
        );
        assert!(n * 10 >= pairs.len() * 9, "{n} of {}", pairs.len());
    }
}

/// A file of real data; a line that says so where it is not here.
fn data(path: &str) -> Option<PathBuf> {
    let root = std::env::var("PROMPTIMAL_DATA").map_or(here("../../../shared/data"), PathBuf::from);
    let file = root.join(path);
    if !file.exists() {
        skip(&format!("no {path} in PROMPTIMAL_DATA"));
        return None;
    }
    Some(file)
}

/// Says that a test is skipped, where it is read: see CONTRIBUTING.md.
fn skip(why: &str) {
    use std::io::Write;
    println!("skipped: {why}");
    if let Some(log) = std::env::var_os("PROMPTIMAL_SKIP_LOG") {
        let log = fs::OpenOptions::new().create(true).append(true).open(log);
        writeln!(log.unwrap(), "skipped: {why}").unwrap();
    }
}
