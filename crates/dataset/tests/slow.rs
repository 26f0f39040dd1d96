//! A million rows in bounded memory, and clustering many of them.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests are tests too

mod common;

use common::{Scratch, reader, skipped, source};
use dataset::{ClusterBuilder, FieldMap, Format, Sample, Source};
use domain::hash::Hash;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::Instant;

const ROWS: usize = 1_000_000;
const MOST: u64 = 64 << 10; // KiB

/// Peak resident memory of this process, in KiB.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn write(path: &std::path::Path, format: Format, array: bool) {
    let mut out = BufWriter::new(File::create(path).unwrap());
    if format == Format::Csv {
        writeln!(out, "q,a").unwrap();
    }
    for i in 0..ROWS {
        let filler = "and some words that make the row as long as rows are ".repeat(2);
        let start = if !array {
            ""
        } else if i == 0 {
            "["
        } else {
            ","
        };
        match format {
            Format::Csv => writeln!(out, "\"question {i},\n{filler}\",{i}"),
            _ => writeln!(out, r#"{start}{{"q": "question {i}\n{filler}", "a": {i}}}"#),
        }
        .unwrap();
    }
    if array {
        writeln!(out, "]").unwrap();
    }
    out.flush().unwrap();
}

#[test]
fn a_million_rows_need_no_memory_in_proportion() {
    if std::env::var_os("PROMPTIMAL_FULL").is_none_or(|v| v != "1") {
        return skipped("slow (set PROMPTIMAL_FULL=1)");
    }
    let Some(_) = peak() else {
        return skipped("no /proc to read peak memory from");
    };
    let scratch = Scratch::new(&[]);
    for (name, format, array) in [
        ("rows.jsonl", Format::Jsonl, false),
        ("rows.json", Format::Jsonl, true),
        ("rows.csv", Format::Csv, false),
    ] {
        let path = scratch.path(name);
        write(&path, format, array);
        let size = path.metadata().unwrap().len() >> 20;
        let (before, start) = (peak().unwrap(), Instant::now());
        let fields = Some(FieldMap::new("q", "a"));
        let whole = Source {
            fields,
            ..source(format, &path)
        };
        let sample = Some(Sample {
            rows: 1_000,
            seed: 1,
        });
        let drawn = reader(&Source {
            sample,
            ..whole.clone()
        });
        assert_eq!(drawn.map(Result::unwrap).count(), 1_000);
        let mut reader = reader(&whole);
        let last = reader.by_ref().map(Result::unwrap).last().unwrap();
        let grown = peak().unwrap() - before;
        assert_eq!(last.example.reference_text(), Some("999999"));
        assert_eq!(reader.summary().rows, ROWS as u64);
        let seconds = start.elapsed().as_secs_f64();
        println!("{name}: {size} MiB in {seconds:.1} s, peak memory grew by {grown} KiB");
        assert!(grown < MOST, "{name}: peak memory grew by {grown} KiB");
        std::fs::remove_file(path).unwrap();
    }
    cluster_many();
}

/// Not a test of its own: peak memory is the process's.
fn cluster_many() {
    let (count, start) = (200_000_u64, Instant::now());
    let before = peak().unwrap();
    let mut builder = ClusterBuilder::default();
    for i in 0..count {
        // Every tenth is the one before it with a word more.
        let like = if i % 10 == 9 { i - 1 } else { i };
        let word = |k: u64| {
            format!(
                "w{}",
                Hash::of([(like * 32 + k).to_le_bytes()]).seed() % 50_000
            )
        };
        let mut text = (0..30).map(word).collect::<Vec<_>>().join(" ");
        if like != i {
            text += " please";
        }
        builder.push(Hash::of([text.as_bytes()]), &text);
    }
    let bytes = builder.bytes() as u64 / count;
    let found = builder.finish();
    let grown = (peak().unwrap() - before) * 1024 / count;
    let (clusters, seconds) = (found.clusters(), start.elapsed().as_secs_f64());
    println!(
        "{count} texts in {clusters} clusters in {seconds:.1} s: {bytes} bytes held an example, {grown} at the peak"
    );
    assert_eq!(clusters as u64, count - count / 10);
    assert!(grown < 1024, "{grown} bytes an example");
}
