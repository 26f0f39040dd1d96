//! A trained rewriter, asked.

use crate::support::{Done, done, promptimal, root, skip};
use model::{base::Base, catalogue};
use serde_json::{Value, json};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use train::{Adapter, Lora, peft};

pub fn base() -> PathBuf {
    root().join("crates/model/tests/fixtures/tiny-plain")
}

const THINGS: [&str; 20] = [
    "rain", "kettles", "windows", "rivers", "stones", "lamps", "paper", "gardens", "bridges",
    "candles", "ladders", "spoons", "boats", "clouds", "drums", "bread", "roofs", "coins", "maps",
    "bells",
];

/// A rewriter that has learnt to say `improved` whatever it is given.
pub fn parrot(dir: &Path, improved: &str, more: &[&str]) -> PathBuf {
    let row =
        |thing: &&str| json!({"original": format!("{thing}?"), "improved": improved}).to_string();
    let rows: Vec<String> = THINGS.iter().map(row).collect();
    let (pairs, out) = (dir.join("parrot.jsonl"), dir.join("rewriter"));
    std::fs::write(&pairs, rows.join("\n")).unwrap();
    let mut command = promptimal();
    command
        .args(["train", "--quiet", "--replace", "--pairs"])
        .arg(&pairs);
    command.arg("--base").arg(base()).arg("--out").arg(&out);
    let options = "--rank 8 --alpha 32 --rate 2e-2 --epochs 40 --accumulate 1 --dropout 0 --validation 0.1 --targets q,k,v,o,gate,up,down";
    done(command.args(options.split(' ')).args(more)).exits(0);
    out
}

fn rewrite(rewriter: &Path) -> Command {
    let mut command = promptimal();
    command.arg("rewrite").arg("--rewriter").arg(rewriter);
    command
}

fn fed(command: &mut Command, lines: &str) -> Done {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap().into()
}

const BETTER: &str = "Explain it in a few words.";

#[test]
fn a_trained_rewriter_rewrites_an_argument_a_file_and_lines() {
    let dir = tempfile::tempdir().unwrap();
    let rewriter = parrot(dir.path(), BETTER, &[]);
    let one = done(rewrite(&rewriter).arg("bells?")).exits(0);
    assert_eq!(one.stdout, format!("{BETTER}\n"), "{}", one.stderr);

    let lines = "rain?\n\nhow many are 12 bells\nmaps?";
    let long = "x".repeat(200);
    let file = dir.path().join("prompts.txt");
    std::fs::write(&file, format!("{lines}\n{long}\n")).unwrap();
    let all = done(rewrite(&rewriter).arg("--file").arg(&file)).exits(0);
    // The rewrite has lost the 12, and a prompt of 200 bytes does not fit the tiny model: both originals are kept.
    let expected = format!("{BETTER}\n\nhow many are 12 bells\n{BETTER}\n{long}\n");
    assert_eq!(all.stdout, expected, "{}", all.stderr);
    all.says(&[
        "line 3: the original is kept: the rewrite lacks a number",
        "line 5: the original is kept",
        "128",
        "5 prompts; of 2 the original is kept",
    ]);

    let piped = fed(rewrite(&rewriter).arg("--json"), lines).exits(0);
    assert_eq!(piped.stderr, "");
    let rows: Vec<Value> = piped
        .stdout
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(rows.len(), 4);
    assert_eq!(
        rows[0],
        json!({"line": 1, "original": "rain?", "rewritten": BETTER, "changed": true})
    );
    assert_eq!(
        rows[1],
        json!({"line": 2, "original": "", "rewritten": "", "changed": false})
    );
    assert_eq!(rows[2]["rewritten"], "how many are 12 bells");
    assert_eq!(rows[2]["fallback"]["reason"], "lost_number");

    let drawn = |seed: &str| {
        let mut command = rewrite(&rewriter);
        command.args([
            "--json",
            "--candidates",
            "3",
            "--temperature",
            "1.5",
            "--top-p",
            "1",
        ]);
        done(command.args(["--seed", seed, "rain?"]))
            .exits(0)
            .json()
    };
    let (first, again) = (drawn("1"), drawn("1"));
    assert_eq!(first["candidates"].as_array().unwrap().len(), 3);
    assert_eq!(first, again);
}

#[test]
fn what_is_no_prompt_is_not_used() {
    for (said, reason) in [
        ("I'm sorry, but I can't do it.", "declined"),
        ("They are things of the world.", "answer"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let rewriter = parrot(dir.path(), said, &["--template", "chat"]);
        let kept = done(rewrite(&rewriter).args(["--json", "bells?"]))
            .exits(0)
            .json();
        assert_eq!(kept["rewritten"], "bells?");
        assert_eq!(kept["fallback"]["reason"], reason, "{kept}");
        let told = done(rewrite(&rewriter).arg("bells?")).exits(0);
        assert_eq!(told.stdout, "bells?\n");
        told.says(&["the original is kept: the rewriter"]);
        // Cut off, it is no prompt either.
        let cut = done(rewrite(&rewriter).args(["--json", "--max-tokens", "4", "bells?"]));
        assert_eq!(cut.exits(0).json()["fallback"]["reason"], "cut_off");
    }
}

#[test]
fn what_cannot_be_followed_is_told_before_a_model_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("none");
    let data = dir.path().to_str().unwrap();
    let cases: [(&[&str], &[&str]); 5] = [
        (
            &["why?", "--data-dir", data],
            &["none is no folder that is here", "no runs in"],
        ),
        (&["why?", "--temperature", "nan"], &["--temperature is NaN"]),
        (&["why?", "--top-p", "0"], &["--top-p is 0"]),
        (
            &["why?", "--candidates", "3"],
            &["--candidates 3", "--temperature"],
        ),
        (&["--file", "no/such.txt"], &["no/such.txt"]),
    ];
    for (args, says) in cases {
        done(rewrite(&none).args(args)).exits(2).complains(says);
    }
    done(rewrite(dir.path()).arg("why?")).exits(2).complains(&[
        "is no rewriter",
        "adapter_config.json",
        "a run that trained one",
    ]);
}

#[test]
fn an_adapter_for_another_base_or_without_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let adapter = dir.path().join("adapter");
    let config = Base::open(&base()).unwrap().config().clone();
    peft::write(
        &adapter,
        &Adapter::new(Lora::default(), &config, 1).unwrap(),
        "x",
    )
    .unwrap();
    done(rewrite(&adapter).arg("why?"))
        .exits(2)
        .complains(&["training.json", "--base"]);
    let report = json!({
        "base": "somebody's model", "base_sha256": "0123456789abcdef", "base_from": "no/such/model", "template": "inst",
    });
    std::fs::write(adapter.join("training.json"), report.to_string()).unwrap();
    done(rewrite(&adapter).arg("why?")).exits(2).complains(&[
        "somebody's model",
        "no/such/model",
        "--base",
    ]);
    done(rewrite(&adapter).arg("--base").arg(base()).arg("why?"))
        .exits(2)
        .complains(&["somebody's model", "0123456789ab", "another model"]);
}

#[test]
fn a_merged_model_rewrites_too() {
    let dir = tempfile::tempdir().unwrap();
    let rewriter = parrot(dir.path(), BETTER, &[]);
    let merged = dir.path().join("merged");
    let mut merge = promptimal();
    merge
        .arg("merge")
        .arg("--base")
        .arg(base())
        .arg("--adapter")
        .arg(&rewriter);
    done(merge.arg("--out").arg(&merged)).exits(0);
    let one = done(rewrite(&merged).arg("bells?")).exits(0);
    assert_eq!(one.stdout, format!("{BETTER}\n"), "{}", one.stderr);
}

#[test]
fn the_small_model_answers_where_it_should_rewrite_and_the_original_is_kept() {
    let Some(file) = catalogue::locate("smollm2-135m-instruct").ok().flatten() else {
        return skip("the model smollm2-135m-instruct is not in the cache");
    };
    // A new adapter changes nothing: the model does what it was made for.
    let dir = tempfile::tempdir().unwrap();
    let config = Base::open(&file).unwrap().config().clone();
    let lora = Lora {
        rank: 2,
        ..Lora::default()
    };
    peft::write(dir.path(), &Adapter::new(lora, &config, 1).unwrap(), "x").unwrap();
    let mut command = rewrite(dir.path());
    command.args([
        "--base",
        "smollm2-135m-instruct",
        "--template",
        "chat",
        "--json",
    ]);
    let kept = done(command.arg("What is the capital of France?"))
        .exits(0)
        .json();
    assert_eq!(
        kept["rewritten"], "What is the capital of France?",
        "{kept}"
    );
    assert_eq!(kept["fallback"]["reason"], "answer", "{kept}");
}
