//! Samples: which rows are drawn, in which order, and what a bad row does.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use common::{Scratch, reader, rows, source};
use dataset::{Format, OnBadRow, Sample, Source};
use proptest::prelude::*;

/// `n` rows `row 0`, `row 1`, … in two files, the first of them half as long as the second.
fn folder(n: usize) -> Scratch {
    let line = |i| format!("row {i}\tx\n");
    let (a, b): (Vec<_>, Vec<_>) = (0..n).partition(|i| *i < n / 3);
    let text = |of: Vec<usize>| of.into_iter().map(line).collect::<String>();
    Scratch::new(&[
        ("d/a.txt", text(a).as_bytes()),
        ("d/b.txt", text(b).as_bytes()),
    ])
}

fn of(folder: &Scratch, rows: usize, seed: u64) -> Source {
    Source {
        sample: Some(Sample { rows, seed }),
        ..source(Format::Classification, folder.path("d"))
    }
}

fn number(text: &str) -> usize {
    text.trim_start_matches("row ").parse().unwrap()
}

fn drawn(folder: &Scratch, n: usize, seed: u64) -> Vec<usize> {
    let rows = rows(&of(folder, n, seed));
    rows.iter().map(|r| number(&r.example.input)).collect()
}

/// Written down, so that another machine or a later version that draws other rows fails.
#[test]
fn the_same_seed_draws_the_same_rows_everywhere() {
    let folder = folder(100);
    insta::assert_snapshot!(format!("{:?}", drawn(&folder, 6, 7)), @"[23, 48, 58, 67, 74, 78]");
    insta::assert_snapshot!(format!("{:?}", drawn(&folder, 6, 8)), @"[7, 13, 24, 38, 42, 45]");
}

#[test]
fn a_row_is_drawn_once_however_often_it_occurs() {
    let scratch = Scratch::new(&[
        ("d/a.txt", "same\tx\n".repeat(50).as_bytes()),
        ("d/b.txt", b"other\tx\n"),
    ]);
    let rows = rows(&of(&scratch, 10, 1));
    let inputs: Vec<_> = rows.iter().map(|r| r.example.input.as_str()).collect();
    assert_eq!(inputs, ["same", "other"]);
    assert_eq!((rows[0].line, rows[1].line), (1, 1));
}

#[test]
fn every_row_has_the_same_chance() {
    let folder = folder(40);
    let mut counts = [0; 40];
    for seed in 0..400 {
        drawn(&folder, 10, seed)
            .into_iter()
            .for_each(|i| counts[i] += 1);
    }
    // 100 are expected of each, with a standard deviation below 9.
    assert!(counts.iter().all(|n| (60..=140).contains(n)), "{counts:?}");
}

#[test]
fn a_bad_row_anywhere_counts() {
    let text = "one\t1\ntwo\t2\nbad\n";
    let scratch = Scratch::new(&[("d/a.txt", text.as_bytes())]);
    let failing: Vec<_> = reader(&of(&scratch, 1, 1)).collect();
    assert!(
        matches!(&failing[..], [Err(e)] if e.line == 3),
        "{failing:?}"
    );
    let skipping = Source {
        on_bad_row: OnBadRow::Skip,
        ..of(&scratch, 1, 1)
    };
    let mut reader = reader(&skipping);
    assert_eq!(reader.by_ref().filter(Result::is_ok).count(), 1);
    assert_eq!((reader.skipped(), reader.summary().rows), (1, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_sample_has_its_size_keeps_the_order_and_holds_the_smaller_ones(n in 1usize..60, few in 1usize..70, more in 0usize..20, seed: u64) {
        let folder = folder(n);
        let small = drawn(&folder, few, seed);
        prop_assert_eq!(small.len(), few.min(n));
        prop_assert!(small.is_sorted());
        let large = drawn(&folder, few + more, seed);
        prop_assert!(small.iter().all(|i| large.contains(i)));
    }
}
