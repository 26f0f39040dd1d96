//! The leak guard's text rules over the corpus: recall by kind, false positives, and the table in the manual.
//!
//! `UPDATE_DOCS=1` rewrites the table; `LEAK_SHOW=1` prints what is missed and what is rejected for nothing in the
//! dev half (never the held-out one: rules are not to be written while looking at it).

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test's helpers are tests, too

mod leak_corpus;

use leak_corpus::{KINDS, Row, check_manual, corpus};
use std::collections::BTreeMap;

/// The table of the text rules.
fn table(rows: &[Row]) -> String {
    let found = |row: &Row| row.leak().is_some();
    let columns: [leak_corpus::Column; 2] =
        [("dev half", false, &found), ("held-out half", true, &found)];
    leak_corpus::table(rows, &columns)
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
    check_manual("corpus", &table(&rows));
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
