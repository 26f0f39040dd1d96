//! A trained rewriter, measured: a rewriter that always says the same, a tiny target of random weights, real grades.

use super::rewrite::{base, parrot};
use crate::support::{Done, done, promptimal};
use serde_json::json;
use std::path::Path;

const BETTER: &str = "Explain it in a few words.";
/// The parrot has learnt from the first of these.
const PROMPTS: [&str; 8] = [
    "frogs", "bolts", "ropes", "seeds", "tents", "wheels", "shoes", "plates",
];

fn spec(dir: &Path, prompts: &[&str]) {
    let row =
        |p: &&str| json!({"q": format!("{p}?"), "c": ["red", "blue"], "a": "red"}).to_string();
    let rows: Vec<String> = prompts.iter().map(row).collect();
    std::fs::write(dir.join("prompts.jsonl"), rows.join("\n")).unwrap();
    let text = format!(
        r#"
[run]
name = "measured"
seed = 5

[[datasets]]
name = "words"
format = "jsonl"
path = "prompts.jsonl"
fields = {{ input = "q", choices = "c", reference = "a" }}
grader = {{ kind = "choice_loglik" }}

[models.target]
kind = "local"
model = {:?}
"#,
        base()
    );
    std::fs::write(dir.join("spec.toml"), text).unwrap();
}

fn evaluate(dir: &Path, rewriter: &Path, more: &[&str]) -> Done {
    let mut command = promptimal();
    command
        .current_dir(dir)
        .args(["--data-dir", "data", "evaluate", "spec.toml", "--json"]);
    command
        .arg("--rewriter")
        .arg(rewriter)
        .args(["--split", "all"]);
    // The tiny models read 128 bytes.
    command.args(["--set", "models.rewriter.sampling.max_tokens=60"]);
    done(command.args(more))
}

#[test]
fn a_rewriter_is_measured_beside_its_base_and_the_proposer() {
    let dir = tempfile::tempdir().unwrap();
    let rewriter = parrot(dir.path(), BETTER, &[]);
    spec(dir.path(), &PROMPTS);
    let first = evaluate(dir.path(), &rewriter, &[]).exits(0).json();
    let of = |i: usize| &first["rewriters"][i];
    let names: Vec<&str> = (0..3)
        .map(|i| of(i)["rewriter"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["rewriter", "base", "proposer"]);
    let count = |i: usize, key: &str| of(i)[key].as_u64().unwrap();
    for i in 0..3 {
        assert_eq!(
            count(i, "wins") + count(i, "ties") + count(i, "losses"),
            8,
            "{first}"
        );
    }
    assert_eq!(of(0)["fallbacks"], json!({}), "{first}");
    assert_eq!(
        (of(0)["prompts"].as_u64(), first["repeats"].as_u64()),
        (Some(8), Some(4))
    );
    assert!(of(0)["human_level"]["ci95"].is_array() && of(0)["gain"]["mean"].is_f64());
    assert!(
        first["controls"][0]["unchanged"]["mean"].is_f64(),
        "{first}"
    );
    // What it was asked is the prompt; what it wrote is tried.
    let mut sql = promptimal();
    let asked = "SELECT count(*) AS n FROM candidates WHERE author = 'rewriter' AND question = 'Explain it in a few words.'";
    sql.current_dir(dir.path())
        .args(["--data-dir", "data", "sql", "--json", asked]);
    assert!(done(&mut sql).exits(0).stdout.contains('8'));
    // Asked again it answers from what is stored.
    let again = evaluate(dir.path(), &rewriter, &[]).exits(0).json();
    assert_eq!(first["rewriters"], again["rewriters"]);
    assert_eq!(first["calls"], again["calls"]);
}

#[test]
fn prompts_that_were_trained_on_are_refused_before_any_call() {
    let dir = tempfile::tempdir().unwrap();
    let rewriter = parrot(dir.path(), BETTER, &[]);
    spec(dir.path(), &["frogs", "Rain"]);
    let refused = evaluate(dir.path(), &rewriter, &[]);
    refused.says(&["1 of 2 prompts", "Rain?", "trained on"]);
    assert_ne!(refused.code, Some(0));
    let whole = dir.path().join("merged");
    let mut merge = promptimal();
    merge
        .args(["merge", "--adapter"])
        .arg(&rewriter)
        .arg("--base")
        .arg(base())
        .arg("--out")
        .arg(&whole);
    done(&mut merge).exits(0);
    evaluate(dir.path(), &whole, &[])
        .exits(2)
        .says(&["whole model", "adapter"]);
}
