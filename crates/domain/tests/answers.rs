//! How often prompts and replies are told apart, on real ones.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

use domain::proposal::answers;
use serde_json::Value;
use std::path::PathBuf;

fn data(name: &str) -> Option<Vec<Value>> {
    let root = std::env::var_os("PROMPTIMAL_DATA").map(PathBuf::from);
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let file = root.unwrap_or_else(|| beside.into()).join(name);
    match std::fs::read_to_string(&file) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(_) => {
            skip(&format!("{name} is not in the folder of data"));
            None
        }
    }
}

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

/// The share of rows whose text `to` counts as a reply to `from`.
fn share(rows: &[Value], from: &str, to: &str) -> f64 {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let rows = rows.iter().filter(|row| !text(row, to).trim().is_empty());
    let found: Vec<bool> = rows
        .map(|row| answers(&text(row, from), &text(row, to)))
        .collect();
    found.iter().filter(|f| **f).count() as f64 / found.len() as f64
}

#[test]
fn optimised_prompts_are_prompts_and_replies_are_replies() {
    let Some(rows) = data("bpo/bpo_test.json") else {
        return;
    };
    let prompts = share(&rows, "prompt", "optimized_prompt");
    println!("{:.1}% of prompts count as replies", 100.0 * prompts);
    assert!(prompts <= 0.01, "{prompts}");
    for name in ["good_res", "bad_res"] {
        let replies = share(&rows, "prompt", name);
        println!("{:.1}% of {name} do", 100.0 * replies);
        assert!(replies > 0.6, "{name}: {replies}");
    }
}

#[test]
fn instructions_ask_and_their_outputs_do_not() {
    let Some(rows) = data("alpaca/alpaca_data.json") else {
        return;
    };
    // Every instruction as a rewrite of one that certainly asks.
    let mut asked = rows.clone();
    asked
        .iter_mut()
        .for_each(|row| row["from"] = "why is that?".into());
    let prompts = share(&asked, "from", "instruction");
    let replies = share(&asked, "from", "output");
    println!(
        "{:.1}% of instructions and {:.1}% of outputs count as replies",
        100.0 * prompts,
        100.0 * replies
    );
    assert!(prompts < 0.02 && replies > 0.6, "{prompts} {replies}");
}
