//! The leak guard's text rules over the corpus: recall by kind, false positives, and the table in the manual.
//!
//! `UPDATE_DOCS=1` rewrites the table; `LEAK_SHOW=1` prints what is missed and what is rejected for nothing in the
//! dev half (never the held-out one: rules are not to be written while looking at it).

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test's helpers are tests, too

use domain::{
    hash::Hash,
    leak::{Case, Leak, text_rules},
};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

const KINDS: [&str; 9] = [
    "verbatim",
    "paraphrase",
    "elimination",
    "translation",
    "encoding",
    "position",
    "spelled",
    "example",
    "benign",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    kind: String,
    original: String,
    rewrite: String,
    #[serde(default)]
    context: Option<String>,
    choices: Vec<String>,
    right: Option<usize>,
    reference: Option<String>,
    #[serde(default)]
    style: Option<String>,
}

impl Row {
    fn leak(&self) -> Option<Leak> {
        text_rules(&Case {
            original: &self.original,
            rewrite: &self.rewrite,
            context: self.context.as_deref(),
            choices: &self.choices,
            right: self.right,
            reference: self.reference.as_deref(),
        })
    }

    fn is_held_out(&self) -> bool {
        Hash::of([&self.id]).0[0] & 1 == 1
    }
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn corpus() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in KINDS {
        let path = here().join(format!("tests/leak_corpus/{kind}.jsonl"));
        let text = fs::read_to_string(&path).unwrap();
        let parsed = text
            .lines()
            .map(|l| serde_json::from_str::<Row>(l).unwrap());
        rows.extend(parsed.inspect(|r| assert_eq!(r.kind, kind, "{}", r.id)));
    }
    rows
}

/// `hits` of `n`, as percent with the 95% Wilson interval.
fn share(hits: usize, n: usize) -> String {
    let (p, m, z) = (hits as f64 / n as f64, n as f64, 1.959_964);
    let centre = (p + z * z / (2.0 * m)) / (1.0 + z * z / m);
    let half = z / (1.0 + z * z / m) * (p * (1.0 - p) / m + z * z / (4.0 * m * m)).sqrt();
    let percent = |x: f64| (100.0 * x).abs();
    format!(
        "{hits}/{n} = {:.0} % ({:.0}–{:.0})",
        percent(p),
        percent(centre - half),
        percent(centre + half)
    )
}

/// Rejected and all rows of each group in one half.
fn counts(rows: &[Row], held_out: bool) -> BTreeMap<&str, (usize, usize)> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for row in rows.iter().filter(|r| r.is_held_out() == held_out) {
        let hit = usize::from(row.leak().is_some());
        let mut groups = vec![row.kind.as_str()];
        if row.kind != "benign" {
            groups.push("all kinds");
            if row.kind != "translation" {
                groups.push("all but translation");
            }
            if row.style.is_some() {
                groups.push("held-out styles only");
            }
        }
        for group in groups {
            let count = counts.entry(group).or_default();
            *count = (count.0 + hit, count.1 + 1);
        }
    }
    counts
}

fn table(rows: &[Row]) -> String {
    let (dev, held) = (counts(rows, false), counts(rows, true));
    let mut out = String::from("| rejected | dev half | held-out half |\n| --- | --- | --- |\n");
    let summary = ["all kinds", "all but translation", "held-out styles only"];
    for group in KINDS[..8].iter().chain(&summary).chain(&["benign"]) {
        let cell = |half: &BTreeMap<&str, (usize, usize)>| {
            half.get(group)
                .map_or("–".to_owned(), |(hits, n)| share(*hits, *n))
        };
        let name = if *group == "benign" {
            "**benign (false positives)**"
        } else {
            group
        };
        let _ = writeln!(out, "| {name} | {} | {} |", cell(&dev), cell(&held));
    }
    out
}

#[test]
fn the_corpus_is_what_it_claims_to_be() {
    let rows = corpus();
    let ids: std::collections::HashSet<_> = rows.iter().map(|r| &r.id).collect();
    assert_eq!(ids.len(), rows.len(), "ids are unique");
    let originals: std::collections::HashSet<_> = rows.iter().map(|r| &r.original).collect();
    assert!(originals.len() >= 150, "{} originals", originals.len());
    for kind in KINDS {
        let n = rows.iter().filter(|r| r.kind == kind).count();
        assert!(
            n >= if kind == "benign" { 200 } else { 25 },
            "{n} of {kind}"
        );
    }
    for row in &rows {
        assert_ne!(row.original, row.rewrite, "{}", row.id);
        assert_eq!(row.right.is_some(), !row.choices.is_empty(), "{}", row.id);
        assert!(
            row.right.is_none_or(|r| r < row.choices.len()),
            "{}",
            row.id
        );
        assert!(row.right.is_some() != row.reference.is_some(), "{}", row.id);
        assert!(
            row.style.is_none() || row.is_held_out(),
            "{} is in the wrong half",
            row.id
        );
    }
}

#[test]
fn details_never_repeat_the_answer() {
    for row in corpus() {
        let answer = row
            .right
            .map(|r| &row.choices[r])
            .or(row.reference.as_ref())
            .unwrap();
        if let Some(leak) = row.leak().filter(|_| answer.len() > 5) {
            assert!(
                !leak.detail.to_lowercase().contains(&answer.to_lowercase()),
                "{}: {}",
                row.id,
                leak.detail
            );
        }
    }
}

#[test]
fn the_manual_shows_what_is_measured() {
    let rows = corpus();
    if std::env::var_os("LEAK_SHOW").is_some() {
        show(&rows);
    }
    let table = table(&rows);
    let path = here().join("../../docs/leak-guard.md");
    let manual = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- corpus: begin -->\n", "<!-- corpus: end -->");
    let (head, rest) = manual
        .split_once(begin)
        .expect("the manual has no begin marker");
    let (shown, tail) = rest.split_once(end).expect("the manual has no end marker");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{head}{begin}{table}{end}{tail}")).unwrap();
        return;
    }
    assert_eq!(
        shown, table,
        "docs/leak-guard.md is out of date: run this test with UPDATE_DOCS=1"
    );
}

/// Which rules catch which kind, over the whole corpus: a change of a rule shows here.
#[test]
fn rules_by_kind() {
    let mut caught: BTreeMap<(usize, &str), BTreeMap<&str, usize>> = BTreeMap::new();
    for row in &corpus() {
        let kind = KINDS.iter().position(|k| *k == row.kind).unwrap();
        let rule = row.leak().map_or("passed", |l| l.rule.name());
        *caught
            .entry((kind, KINDS[kind]))
            .or_default()
            .entry(rule)
            .or_default() += 1;
    }
    let lines = caught.iter().map(|((_, kind), rules)| {
        let parts: Vec<String> = rules
            .iter()
            .map(|(rule, n)| format!("{rule} {n}"))
            .collect();
        format!("{kind}: {}", parts.join(", "))
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
    verbatim: spelled 1, verbatim 28
    paraphrase: paraphrase 21, passed 6, translation 1, verbatim 2
    elimination: elimination 30
    translation: passed 7, translation 21, verbatim 3
    encoding: encoding 28, passed 2, verbatim 2
    position: passed 2, position 28
    spelled: passed 3, spelled 27
    example: example 17, passed 4, verbatim 9
    benign: paraphrase 1, passed 237, position 1
    ");
}

fn show(rows: &[Row]) {
    for row in rows.iter().filter(|r| !r.is_held_out()) {
        let leak = row.leak();
        if leak.is_some() == (row.kind == "benign") {
            let answer = row
                .right
                .map(|r| &row.choices[r])
                .or(row.reference.as_ref());
            println!("{} {answer:?} {:?}\n    {}", row.id, leak, row.rewrite);
        }
    }
    println!("{}", table(rows));
}
