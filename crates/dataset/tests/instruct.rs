//! The data that we wrote for instructions: balanced, right as far as a program can tell, no row twice.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests are tests too

mod common;

use common::{ours, rows, source};
use dataset::{FieldMap, Format, Row, Source, cluster, near_text};
use serde_json::Value;
use std::collections::BTreeMap;

fn mapped(file: &str, input: &str, reference: &str) -> Vec<Row> {
    let rows = rows(&Source {
        fields: Some(FieldMap::new(input, reference)),
        ..source(Format::Jsonl, ours(file))
    });
    apart(&rows);
    rows
}

/// No two rows are near-duplicates.
fn apart(rows: &[Row]) {
    let texts = rows.iter().map(|r| (r.example.id(), near_text(&r.example)));
    let clusters = cluster(texts);
    assert_eq!(clusters.clusters(), rows.len());
}

fn counts(rows: &[Row]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts
            .entry(row.example.reference_text().unwrap())
            .or_insert(0) += 1;
    }
    counts
}

#[test]
fn labels_are_balanced() {
    let sentences = mapped("instruct/sentiment.jsonl", "text", "label");
    let wanted = BTreeMap::from([("negative", 120), ("positive", 120)]);
    assert_eq!(counts(&sentences), wanted);
    let headlines = mapped("instruct/news.jsonl", "headline", "topic");
    let wanted = ["business", "politics", "science", "sports"].map(|topic| (topic, 20));
    assert_eq!(counts(&headlines), BTreeMap::from(wanted));
}

#[test]
fn each_sum_ends_with_its_result() {
    let sums = rows(&source(Format::Gsm8k, ours("instruct/gsm8k.jsonl")));
    apart(&sums);
    assert_eq!(sums.len(), 60);
    let text = std::fs::read_to_string(ours("instruct/gsm8k.jsonl")).unwrap();
    for (line, row) in text.lines().zip(&sums) {
        let row_json: Value = serde_json::from_str(line).unwrap();
        let answer = row_json["answer"].as_str().unwrap();
        let (way, _) = answer.split_once("####").unwrap();
        let (_, last) = way.rsplit_once("= ").unwrap();
        let number = |c: char| c.is_ascii_digit() || ".-".contains(c);
        let result = last.split(|c| !number(c)).next().unwrap();
        let result = result.trim_end_matches('.');
        assert_eq!(row.example.reference_text(), Some(result), "{line}");
    }
}

#[test]
fn orders_are_in_their_mails() {
    let orders = mapped("instruct/extraction.jsonl", "text", "order");
    assert_eq!(orders.len(), 50);
    let mut undated = 0;
    for row in &orders {
        let order: Value = serde_json::from_str(row.example.reference_text().unwrap()).unwrap();
        assert_eq!(order.as_object().unwrap().len(), 4, "{order}");
        for field in ["name", "item"] {
            let said = order[field].as_str().unwrap();
            assert!(row.example.input.contains(said), "{order}");
        }
        assert!(order["quantity"].as_u64() > Some(0), "{order}");
        undated += usize::from(order["date"].is_null());
        if let Some(date) = order["date"].as_str() {
            assert!(date.len() == 10 && date.starts_with("2026-"), "{order}");
        }
    }
    assert_eq!(undated, 5);
}
