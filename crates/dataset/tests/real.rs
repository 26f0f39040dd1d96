//! Real data sets, where they are: every row of every file is read, and the counts are known.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests are tests too

mod common;

use common::{real, rows, source};
use dataset::{ClusterBuilder, Clusters, Format, Ratios, Row, assign, near_text};
use domain::example::Reference;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

fn groups(rows: &[Row]) -> BTreeMap<&str, usize> {
    let mut groups = BTreeMap::new();
    for row in rows {
        *groups
            .entry(row.example.group.as_deref().unwrap())
            .or_default() += 1;
    }
    groups
}

#[test]
fn mmlu_has_29_subjects() {
    let Some(path) = real("mmlu") else { return };
    let rows = rows(&source(Format::Mmlu, path));
    assert_eq!((groups(&rows).len(), rows.len()), (29, 7658));
    let Some(path) = real("mmlu/dev") else { return };
    let dev = common::rows(&source(Format::Mmlu, path));
    assert_eq!(
        groups(&dev).into_values().collect::<BTreeSet<_>>(),
        BTreeSet::from([5])
    );
    assert!(groups(&dev).keys().eq(groups(&rows).keys()));
}

#[test]
fn alpaca_has_5000_rows() {
    let Some(path) = real("alpaca/alpaca_data.json") else {
        return;
    };
    let rows = rows(&source(Format::Alpaca, path));
    let none = rows
        .iter()
        .filter(|r| r.example.reference == Reference::None)
        .count();
    assert_eq!((rows.len(), none), (5000, 4));
    assert_eq!(rows[1].line, 7);
}

#[test]
fn humaneval_has_164_problems() {
    let Some(path) = real("humaneval/HumanEval.jsonl.gz") else {
        return;
    };
    let rows = rows(&source(Format::Humaneval, path));
    assert_eq!(rows.len(), 164);
    let code = |r: &Row| matches!(&r.example.reference, Reference::Code { tests, .. } if tests.contains("def check("));
    assert!(rows.iter().all(code));
}

#[test]
fn gsm8k_has_7473_numbers() {
    let Some(path) = real("gsm8k/train.jsonl") else {
        return;
    };
    let rows = rows(&source(Format::Gsm8k, path));
    assert_eq!(rows.len(), 7473);
    let number = |r: &Row| {
        r.example
            .reference_text()
            .is_some_and(|t| t.parse::<f64>().is_ok())
    };
    assert!(rows.iter().all(number));
}

#[test]
fn bbh_has_9_tasks() {
    let Some(path) = real("bbh") else { return };
    let rows = rows(&source(Format::Bbh, path));
    assert_eq!((groups(&rows).len(), rows.len()), (9, 2146));
    let texts = rows.iter().filter(|r| r.example.choices.is_empty());
    let texts: BTreeSet<_> = texts.map(|r| r.example.group.as_deref().unwrap()).collect();
    assert_eq!(
        texts,
        BTreeSet::from(["boolean_expressions", "multistep_arithmetic_two"])
    );
}

#[test]
fn classification_files_have_known_labels() {
    for (name, labels, count) in [("agnews", 4, 1200), ("sst2", 2, 700), ("subj", 2, 700)] {
        let Some(path) = real(&format!("classification/{name}/seed5")) else {
            return;
        };
        let rows = rows(&source(Format::Classification, path));
        let seen: BTreeSet<_> = rows
            .iter()
            .filter_map(|r| r.example.reference_text())
            .collect();
        assert_eq!((rows.len(), seen.len()), (count, labels), "{name}");
    }
}

fn clusters(rows: &[Row]) -> Clusters {
    let mut builder = ClusterBuilder::default();
    for row in rows {
        builder.push(row.example.id(), &near_text(&row.example));
    }
    println!("{} bytes an example", builder.bytes() / rows.len());
    builder.finish()
}

#[test]
fn near_duplicates_in_mmlu_and_alpaca() {
    let (Some(mmlu), Some(alpaca)) = (real("mmlu"), real("alpaca/alpaca_data.json")) else {
        return;
    };
    let mut rows = rows(&source(Format::Mmlu, mmlu));
    rows.extend(common::rows(&source(Format::Alpaca, alpaca)));
    let start = Instant::now();
    let found = clusters(&rows);
    let (seconds, clusters) = (start.elapsed().as_secs_f64(), found.clusters());
    println!(
        "{} examples, {clusters} clusters, {seconds:.2} s",
        found.examples()
    );
    println!("clusters of each size: {:?}", found.sizes());
    print_largest(&rows, &found);
    // Few questions are near-duplicates, and none of the generic stems swallow others.
    assert!(clusters as f64 > 0.9 * found.examples() as f64);
    assert!(clusters < found.examples());
    let largest = found.sizes().into_keys().max().unwrap();
    assert!(largest < 100, "a cluster of {largest}");
    let ratios = Ratios::default();
    let counts = rows.iter().fold(BTreeMap::new(), |mut counts, row| {
        let split = assign(found.of(row.example.id()).unwrap(), 1, &ratios);
        *counts.entry(split).or_insert(0.0) += 1.0 / rows.len() as f64;
        counts
    });
    println!("splits: {counts:?}");
    assert!(
        counts
            .iter()
            .all(|(split, share)| (share - ratios.share(*split)).abs() < 0.02)
    );
}

fn print_largest(rows: &[Row], found: &Clusters) {
    let mut members: BTreeMap<_, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        members
            .entry(found.of(row.example.id()).unwrap())
            .or_default()
            .push(row);
    }
    let mut members: Vec<_> = members.into_values().filter(|m| m.len() > 1).collect();
    members.sort_by_key(|m| std::cmp::Reverse(m.len()));
    for cluster in members.iter().take(4) {
        println!("cluster of {}:", cluster.len());
        for row in cluster.iter().take(3) {
            println!(
                "  {}",
                near_text(&row.example)
                    .replace('\n', " | ")
                    .chars()
                    .take(150)
                    .collect::<String>()
            );
        }
    }
}
