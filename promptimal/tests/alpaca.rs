//! Alpaca end to end: a real local model answers, a reward model scores. Needs the data (PROMPTIMAL_DATA) and the small
//! model. The reward model is one that the test trains on a few hundred preference pairs, in seconds: it shows that all
//! works together and judges nothing. PROMPTIMAL_TEST_REWARD names a better one.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests are tests too"
)]

mod support;

use std::{
    env,
    path::{Path, PathBuf},
};
use support::{done, history::number, promptimal, root};

fn skip(why: &str) {
    use std::io::Write;
    println!("skipped: {why}");
    if let Some(log) = env::var_os("PROMPTIMAL_SKIP_LOG") {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log);
        writeln!(log.unwrap(), "skipped: {why}").unwrap();
    }
}

fn data() -> PathBuf {
    let named = env::var_os("PROMPTIMAL_DATA").map(PathBuf::from);
    named.unwrap_or_else(|| root().join("../shared/data"))
}

/// Pairs that the reward model learns from, in all.
const PAIRS: usize = 400;

/// The folder of the reward model: one that is named, or a small one trained here.
fn reward(dir: &Path) -> Option<PathBuf> {
    if let Some(named) = env::var_os("PROMPTIMAL_TEST_REWARD") {
        return Some(PathBuf::from(named));
    }
    let all = std::fs::read_to_string(data().join("preference/pairs.jsonl")).ok()?;
    let some: Vec<&str> = all.lines().take(PAIRS).collect();
    let (pairs, out) = (dir.join("pairs.jsonl"), dir.join("reward"));
    std::fs::write(&pairs, some.join("\n")).unwrap();
    let mut command = promptimal();
    command.args(["reward", "train", "--epochs", "1", "--quiet", "--pairs"]);
    command.arg(pairs).arg("--out").arg(&out);
    let sizes = [
        ("--vocabulary", "2000"),
        ("--width", "64"),
        ("--layers", "1"),
        ("--inner", "96"),
        ("--context", "96"),
    ];
    sizes.iter().for_each(|(name, value)| {
        command.args([name, value]);
    });
    println!("{}", done(&mut command).exits(0).stdout);
    Some(out)
}

fn spec(alpaca: &Path, reward: &Path) -> String {
    format!(
        r#"
[run]
name = "alpaca"
seed = 3

[[datasets]]
name = "alpaca"
format = "alpaca"
path = "{}"
sample = 8
grader = {{ kind = "reward" }}

[models.target]
kind = "local"
model = "smollm2-135m-instruct"
[models.target.sampling]
max_tokens = 256
temperature = 0.7

[models.reward]
kind = "reward"
model = "{}"

[search]
hardest = 2
rewrites = 1
rounds = 1
repeats = 2

[confirm]
repeats = 3
"#,
        alpaca.display(),
        reward.display()
    )
}

#[test]
fn open_instructions_are_answered_scored_and_improved_upon() {
    let folder = data().join("alpaca");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return skip(&format!("Alpaca: {} is not there", folder.display()));
    };
    let files = entries.flatten().map(|e| e.path());
    let Some(file) = files
        .into_iter()
        .find(|f| f.extension().is_some_and(|e| e == "json"))
    else {
        return skip(&format!("Alpaca: {} has no .json", folder.display()));
    };
    let fetched = done(promptimal().args(["models", "fetch", "smollm2-135m-instruct"]));
    if fetched.code != Some(0) {
        return skip(&format!(
            "the small model cannot be had: {}",
            fetched.stderr.trim()
        ));
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(reward) = reward(dir.path()) else {
        return skip("Alpaca: there are no preference pairs to train a reward model on");
    };
    std::fs::write(dir.path().join("alpaca.toml"), spec(&file, &reward)).unwrap();
    let mut command = promptimal();
    command
        .current_dir(dir.path())
        .args(["--data-dir", "data", "run", "alpaca.toml"]);
    // Somebody who tries this by hand reads it.
    let shown = done(&mut command).exits(0).stdout;
    println!("{shown}");
    let mut command = promptimal();
    command
        .current_dir(dir.path())
        .args(["--data-dir", "data", "show", "--json"]);
    let result = done(&mut command).exits(0).json();
    assert_eq!(
        (&result["status"], &result["datasets"][0]["grader"]),
        (&"finished".into(), &"reward".into())
    );
    let reward = &result["datasets"][0]["reward"];
    for value in [&reward["gain"]["mean"], &reward["win_rate"]["mean"]] {
        assert!(value.is_f64(), "{reward}");
    }
    // Every written answer was scored, and different answers differently.
    let data = dir.path().join("data");
    let unscored = "SELECT count(*) FROM v_items WHERE step = 'score' AND raw IS NULL";
    assert_eq!(number(&data, unscored), 0);
    assert!(number(&data, "SELECT count(DISTINCT raw) FROM v_grades") > 8);
}
