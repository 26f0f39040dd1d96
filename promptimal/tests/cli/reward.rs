//! Reward models: scoring files, and training one.

use crate::support::{Done, done, promptimal, root};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn fixture() -> PathBuf {
    root().join("crates/model/tests/fixtures/deberta-v3")
}

fn write(dir: &Path, name: &str, rows: &[Value]) -> PathBuf {
    let path = dir.join(name);
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn score(model: &Path, input: &Path, more: &[&str]) -> Done {
    done(
        promptimal()
            .arg("score")
            .arg("--model")
            .arg(model)
            .arg("--input")
            .arg(input)
            .args(more),
    )
}

/// Answers that thank are preferred, in two sources; half of them are the longer ones.
fn preferences(count: usize) -> Vec<Value> {
    let words = [
        "rain", "kettle", "window", "river", "stone", "lamp", "paper", "garden",
    ];
    let word = |i: usize| words[i % words.len()];
    let one = |i: usize| {
        let (thing, other) = (word(i), word(i / 8 + 3));
        let tail = " It has always been so, and there is nothing more to be said about it.";
        let (chosen, rejected) = if i.is_multiple_of(2) {
            (tail, "")
        } else {
            ("", tail)
        };
        json!({
            "source": if i.is_multiple_of(3) { "a" } else { "b" },
            "prompt": format!("Question {i}: what about the {thing} and the {other} number {}?", i * 37),
            "chosen": format!("Thank you, the {thing} is fine.{chosen}"),
            "rejected": format!("Go away, the {thing} is bad.{rejected}"),
        })
    };
    (0..count).map(one).collect()
}

#[test]
fn answers_get_rewards_in_their_order_and_long_ones_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let long = "It goes on and on. ".repeat(300);
    let rows = [
        json!({"prompt": "What?", "answer": "This."}),
        json!({"prompt": "What?", "answer": long}),
    ];
    let input = write(dir.path(), "answers.jsonl", &rows);
    let got = score(&fixture(), &input, &["--json"]).exits(0).json();
    assert_eq!(
        (&got["model"], &got["rows"], &got["cut"]),
        (&json!("deberta-v3"), &json!(2), &json!(1))
    );
    let rewards = got["rewards"].as_array().unwrap();
    assert!(
        rewards[0]["reward"].is_f64() && rewards[1]["cut"].as_u64() > Some(0),
        "{got}"
    );
    let turned = write(
        dir.path(),
        "turned.jsonl",
        &[rows[1].clone(), rows[0].clone()],
    );
    let again = score(&fixture(), &turned, &["--json"]).exits(0).json();
    assert_eq!(again["rewards"][1]["reward"], rewards[0]["reward"]);
    let table = score(&fixture(), &input, &[]).exits(0);
    assert!(
        table.stdout.contains("tokens cut") && table.stderr.contains("scoring: 100%"),
        "{table:?}"
    );
}

#[test]
fn preferences_get_accuracies_by_source_beside_picking_the_longer() {
    let dir = tempfile::tempdir().unwrap();
    let input = write(dir.path(), "pairs.jsonl", &preferences(60));
    let got = score(&fixture(), &input, &["--json"]).exits(0).json();
    let sources = got["sources"].as_array().unwrap();
    let names: Vec<&str> = sources
        .iter()
        .map(|s| s["source"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a", "b", "all together"]);
    let all = &sources[2];
    assert_eq!(
        (&all["pairs"], &all["longer"]["mean"]),
        (&json!(60), &json!(0.5))
    );
    for part in [
        "model",
        "difference",
        "shorter_preferred",
        "longer_preferred",
    ] {
        assert!(all[part]["ci95"][0].is_f64(), "{part}: {all}");
    }
    let table = score(&fixture(), &input, &[]).exits(0).stdout;
    assert!(
        table.contains("pick the longer") && table.contains("than chance"),
        "{table}"
    );
}

#[test]
fn the_example_file_can_be_scored_and_length_says_nothing_there() {
    let input = root().join("examples/data/preferences.jsonl");
    let got = score(&fixture(), &input, &["--json"]).exits(0).json();
    let all = got["sources"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&all["pairs"], &all["longer"]["mean"]),
        (&json!(8), &json!(0.5))
    );
}

#[test]
fn what_cannot_be_scored_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let input = write(
        dir.path(),
        "answers.jsonl",
        &[json!({"prompt": "What?", "answer": "This."})],
    );
    score(&dir.path().join("nowhere"), &input, &[])
        .exits(2)
        .complains(&["nowhere", "neither a folder"]);
    let odd = write(dir.path(), "odd.jsonl", &[json!({"prompt": "What?"})]);
    score(&fixture(), &odd, &[])
        .exits(2)
        .complains(&["odd.jsonl:1", "chosen"]);
    let absent = dir.path().join("absent.jsonl");
    score(&fixture(), &absent, &[])
        .exits(2)
        .complains(&["absent.jsonl"]);
}

#[test]
fn a_model_is_trained_reported_on_and_scores() {
    let dir = tempfile::tempdir().unwrap();
    let pairs = write(dir.path(), "pairs.jsonl", &preferences(320));
    let out = dir.path().join("reward");
    let train = |more: &[&str]| {
        let sizes = [
            "--vocabulary",
            "200",
            "--width",
            "32",
            "--heads",
            "2",
            "--inner",
            "48",
            "--context",
            "64",
            "--epochs",
            "4",
            "--batch",
            "8",
            "--rate",
            "2e-3",
        ];
        let mut command = promptimal();
        command
            .args(["reward", "train", "--pairs"])
            .arg(&pairs)
            .arg("--out")
            .arg(&out);
        done(command.args(sizes).args(more))
    };
    let report = train(&["--json"]).exits(0).json();
    let all = report["sources"].as_array().unwrap().last().unwrap();
    assert!(all["model"]["ci95"][0].as_f64() > Some(0.5), "{report}");
    assert!(
        all["shorter_preferred"]["mean"].as_f64() > Some(0.5),
        "{report}"
    );
    assert!(
        report["verdict"][0]
            .as_str()
            .unwrap()
            .contains("better than chance"),
        "{report}"
    );
    train(&[])
        .exits(2)
        .complains(&["holds a model", "--replace"]);
    let input = write(
        dir.path(),
        "answers.jsonl",
        &[
            json!({"prompt": "what about the rain?", "answer": "Thank you, the rain is fine."}),
            json!({"prompt": "what about the rain?", "answer": "Go away, the rain is bad."}),
        ],
    );
    let rewards = score(&out, &input, &["--json"]).exits(0).json();
    let reward = |i: usize| rewards["rewards"][i]["reward"].as_f64().unwrap();
    assert!(reward(0) > reward(1), "{rewards}");
}

#[test]
fn what_cannot_be_trained_on_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let few = write(dir.path(), "few.jsonl", &preferences(20));
    let out = dir.path().join("out");
    let train = |pairs: &Path, more: &[&str]| {
        let mut command = promptimal();
        done(
            command
                .args(["reward", "train", "--pairs"])
                .arg(pairs)
                .arg("--out")
                .arg(&out)
                .args(more),
        )
    };
    train(&few, &[])
        .exits(2)
        .complains(&["held-out pairs show nothing"]);
    train(&few, &["--held-out", "1.5"])
        .exits(2)
        .complains(&["--held-out 1.5"]);
    let answers = write(
        dir.path(),
        "answers.jsonl",
        &[json!({"prompt": "What?", "answer": "This."})],
    );
    train(&answers, &[])
        .exits(2)
        .complains(&["preference pairs are needed"]);
    assert!(!out.exists());
}
