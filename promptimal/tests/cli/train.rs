//! Training a rewriter, and merging what was trained.

use crate::support::{Done, Scene, Watched, done, history, promptimal, root};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

fn base() -> PathBuf {
    root().join("crates/model/tests/fixtures/tiny-plain")
}

const THINGS: [&str; 12] = [
    "rain", "kettles", "windows", "rivers", "stones", "lamps", "paper", "gardens", "bridges",
    "candles", "ladders", "spoons",
];

/// Pairs of a few dozen bytes: the tiny model has a token for each, and reads 128.
fn pairs(dir: &Path, count: usize) -> PathBuf {
    let one = |i: usize| {
        let (a, b) = (THINGS[i % 12], THINGS[(i / 12 + 5) % 12]);
        json!({ "original": format!("{a} {i} {b}?"), "improved": format!("Explain {a} {i} {b}.") })
    };
    let mut rows: Vec<String> = (0..count).map(|i| one(i).to_string()).collect();
    rows.push(rows[0].clone());
    rows.push(json!({"original": "good already", "improved": "good already"}).to_string());
    rows.push(json!({"original": "one side", "improved": null}).to_string());
    let file = dir.join("pairs.jsonl");
    std::fs::write(&file, rows.join("\n")).unwrap();
    file
}

fn train(pairs: &Path, base: &Path, out: &Path, more: &[&str]) -> Done {
    done(training(pairs, base, out).args(more))
}

fn training(pairs: &Path, base: &Path, out: &Path) -> Command {
    let mut command = promptimal();
    command.args(["train", "--pairs"]).arg(pairs);
    command.arg("--base").arg(base).arg("--out").arg(out);
    let quick = [
        "--rank",
        "4",
        "--rate",
        "1e-2",
        "--batch",
        "4",
        "--accumulate",
        "2",
    ];
    command.args(quick);
    command
}

#[test]
fn an_adapter_is_trained_reported_on_and_merged() {
    let dir = tempfile::tempdir().unwrap();
    let (pairs, out) = (pairs(dir.path(), 60), dir.path().join("rewriter"));
    let report = train(&pairs, &base(), &out, &["--json"]).exits(0).json();
    let counts = &report["pairs"];
    let count = |key: &str| counts[key].as_u64().unwrap();
    assert_eq!(
        (count("rows"), count("duplicate"), count("one_sided")),
        (63, 1, 1)
    );
    assert_eq!(count("train") + count("validation"), 61);
    let validation = report["history"]["validation"].as_array().unwrap();
    assert_eq!(validation.len(), 3);
    assert!(
        validation[2][1].as_f64() < validation[0][1].as_f64(),
        "{validation:?}"
    );
    assert_eq!(
        (&report["template"], &report["resumed"]),
        (&json!("inst"), &Value::Null)
    );
    let mut files: Vec<String> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "adapter_config.json",
            "adapter_model.safetensors",
            "loss.svg",
            "trained_on.json",
            "training.json"
        ]
    );
    train(&pairs, &base(), &out, &[])
        .exits(2)
        .complains(&["holds an adapter", "--replace"]);
    let again = train(
        &pairs,
        &base(),
        &out,
        &["--replace", "--template", "chat", "--weights", "q8_0"],
    )
    .exits(0);
    assert!(
        again.stdout.contains("loss on validation pairs"),
        "{}",
        again.stdout
    );
    again.says(&["there twice", "without an improved prompt", "after step"]);

    let merged = dir.path().join("merged");
    let merge = |out: &Path| {
        let mut command = promptimal();
        command
            .arg("merge")
            .arg("--base")
            .arg(base())
            .arg("--adapter");
        done(
            command
                .arg(dir.path().join("rewriter"))
                .arg("--out")
                .arg(out),
        )
    };
    merge(&merged).exits(0);
    assert!(merged.join("model.safetensors").exists() && merged.join("tokenizer.json").exists());
    merge(&merged).exits(2).complains(&["is not empty"]);
    let loss = std::fs::read_to_string(out.join("loss.svg")).unwrap();
    assert!(loss.contains("validation pairs"), "{loss}");
}

#[test]
fn a_file_is_merged_to_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("base.gguf");
    std::fs::write(&base, "no model").unwrap();
    let merge = |out: &str| {
        let mut command = promptimal();
        command.arg("merge").arg("--base").arg(&base);
        command.arg("--adapter").arg(dir.path()).arg("--out");
        done(command.arg(dir.path().join(out)))
    };
    merge("folder").exits(2).complains(&["ends in .gguf"]);
    merge("base.gguf").exits(2).complains(&["is there already"]);
    merge("new.gguf").exits(2).complains(&["base.gguf", "GGUF"]);
    assert!(!dir.path().join("new.gguf").exists());
}

#[test]
fn what_cannot_be_trained_is_told_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (pairs, out) = (pairs(dir.path(), 20), dir.path().join("out"));
    let cases: [(&Path, &[&str], &[&str]); 6] = [
        (
            Path::new("no/model"),
            &[],
            &["no/model", "smollm2-135m-instruct"],
        ),
        (&base(), &["--targets", "q,lm_head"], &["lm_head", "gate"]),
        (&base(), &["--dropout", "1"], &["dropout is 1"]),
        (&base(), &["--fields", "a"], &["--fields"]),
        (
            &base(),
            &["--fields", "a,b"],
            &["no pair", "could not be read"],
        ),
        (&base(), &["--max-tokens", "5"], &["longer than 5 tokens"]),
    ];
    for (base, more, says) in cases {
        train(&pairs, base, &out, more).exits(2).complains(says);
        assert!(!out.exists(), "{more:?}");
    }
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("thesis.txt"), "precious").unwrap();
    train(&pairs, &base(), &out, &["--replace"])
        .exits(2)
        .complains(&["thesis.txt", "a folder of its own"]);
}

#[cfg(unix)]
#[test]
fn a_training_that_was_killed_goes_on_to_the_same_end() {
    use std::process::Stdio;
    let dir = tempfile::tempdir().unwrap();
    let pairs = pairs(dir.path(), 60);
    let (whole, broken) = (dir.path().join("whole"), dir.path().join("broken"));
    let options = [
        "--epochs",
        "12",
        "--checkpointing",
        "--save-every",
        "0m",
        "--json",
    ];
    let once = train(&pairs, &base(), &whole, &options).exits(0).json();
    let mut child = training(&pairs, &base(), &broken)
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !broken.join("checkpoint.safetensors").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Quick machines are done before: then nothing was killed, and that is told.
    assert!(
        broken.join("checkpoint.safetensors").exists(),
        "the training was over before it was killed"
    );
    train(
        &pairs,
        &base(),
        &broken,
        &["--epochs", "12", "--checkpointing", "--decay", "0.1"],
    )
    .exits(2)
    .complains(&["another set of options", "--replace"]);
    let twice = train(&pairs, &base(), &broken, &options).exits(0).json();
    assert!(twice["resumed"].as_u64() > Some(0), "{twice}");
    assert_eq!(once["history"], twice["history"]);
}

/// The pairs of a run are those that its export has.
#[test]
fn pairs_come_straight_from_a_run() {
    let scene = Scene::new(60);
    let spec = scene.spec();
    let text = std::fs::read_to_string(&spec).unwrap();
    std::fs::write(&spec, text.replace("hardest = 4", "hardest = 24")).unwrap();
    let train = |from: &[&str], out: &str| {
        let mut command = scene.command(&["train", "--json", "--out", out, "--rank", "2"]);
        command.args(["--epochs", "1", "--validation", "0"]);
        done(command.args(from).arg("--base").arg(base()))
    };
    train(&["--run", "last"], "none")
        .exits(2)
        .complains(&["no runs in"]);
    scene.run(&["run", "spec.toml"]).exits(0);
    let of_run = train(&["--run", "letters"], "of-run").exits(0).json();
    scene
        .run(&["rewrite", "--rewriter", "letters", "why?"])
        .exits(2)
        .complains(&["has no [train]", "promptimal train --run"]);
    scene
        .run(&["export", "last", "pairs", "-o", "pairs.jsonl"])
        .exits(0);
    let of_file = train(&["--pairs", "pairs.jsonl"], "of-file")
        .exits(0)
        .json();
    assert!(of_run["pairs"]["train"].as_u64() > Some(0), "{of_run}");
    for part in ["pairs", "history"] {
        assert_eq!(of_run[part], of_file[part]);
    }
    train(&["--run", "nobody"], "none")
        .exits(2)
        .complains(&["nobody"]);
    train(&["--run", "last", "--pairs", "pairs.jsonl"], "none")
        .exits(2)
        .complains(&["cannot be used with"]);
    train(&[], "none").exits(2).complains(&["--pairs", "--run"]);
}

/// A run whose spec has [train] ends with an adapter that loads, for no call.
#[test]
fn a_run_ends_with_a_rewriter() {
    let scene = Scene::new(32);
    scene.training("epochs = 3");
    let run = scene.run(&["run", "spec.toml", "--json"]).exits(0).json();
    assert_eq!(
        run["calls"],
        scene.server.requests(),
        "a training is no call"
    );
    let training = &run["training"];
    let folder = PathBuf::from(training["adapter"].as_str().unwrap());
    assert!(folder.starts_with(scene.path("data/artefacts").canonicalize().unwrap()));
    let base = model::base::Base::open(&scene.path("tiny")).unwrap();
    let adapter = train::peft::read(&folder, base.config()).unwrap();
    assert_eq!(adapter.lora().rank, 4);
    // All losses are kept, and they fell.
    let (data, steps) = (scene.path("data"), training["steps"].as_i64().unwrap());
    let noted =
        "SELECT count(*) FROM training_loss WHERE run = 'letters' AND loss > 0 AND base = './tiny'";
    assert_eq!(history::number(&data, noted), steps);
    assert!(steps > 0 && training["loss"][1].as_f64() < training["loss"][0].as_f64());
    assert_eq!(run["pairs"], training["train"]);
    // The same training is not done twice.
    let again = scene
        .run(&["run", "spec.toml", "--new", "--json"])
        .exits(0)
        .json();
    assert_ne!(again["run"], run["run"]);
    assert_eq!(again["training"], run["training"]);
    let table = scene.run(&["show", "last"]).exits(0).stdout;
    assert!(
        table.contains("rewriter: ") && table.contains("loss"),
        "{table}"
    );
    asked_by_its_run(&scene, &folder);
}

/// A run is as good a name for its rewriter as the folder that it lies in.
fn asked_by_its_run(scene: &Scene, folder: &Path) {
    let drawn = "--json --candidates 4 --temperature 1 --max-tokens 12".split(' ');
    let rewritten = |more: &[&str]| {
        let mut command = scene.command(&["rewrite", "item 3?"]);
        done(command.args(drawn.clone()).args(more))
    };
    let of_run = rewritten(&["--rewriter", "letters"]).exits(0).json();
    let folder = ["--rewriter", folder.to_str().unwrap()];
    let of_folder = rewritten(&[folder[0], folder[1], "--base", "tiny"]);
    assert_eq!(of_run, of_folder.exits(0).json());
    assert_eq!(of_run["candidates"].as_array().unwrap().len(), 4);
    // The folder alone does not say where its base is.
    rewritten(&folder).exits(2).complains(&["--base"]);
    rewritten(&["--rewriter", "nobody"])
        .exits(2)
        .complains(&["--rewriter nobody", "no run \"nobody\""]);
    let moved = scene.path("elsewhere");
    std::fs::rename(folder[1], &moved).unwrap();
    rewritten(&["--rewriter", "last"]).exits(2).complains(&[
        "--rewriter last",
        folder[1],
        "any more",
    ]);
    std::fs::rename(&moved, folder[1]).unwrap();
}

/// Too few pairs: the run finishes, and says that nothing was trained and why. A base that is not there is told before
/// anything is asked.
#[test]
fn a_run_without_a_rewriter_says_why() {
    let scene = Scene::new(32);
    scene.training("");
    let asked = ["run", "spec.toml", "--set", "train.min_pairs=1000"];
    let few = scene.run(&asked).exits(0);
    let told = "no rewriter was trained: ";
    assert!(few.stdout.contains(told), "{}", few.stdout);
    assert!(
        few.stdout.contains("train.min_pairs is 1000"),
        "{}",
        few.stdout
    );
    scene
        .run(&["rewrite", "--rewriter", "last", "why?"])
        .exits(2)
        .complains(&["trained no rewriter", "train.min_pairs is 1000"]);
    let calls = scene.server.requests();
    let broken = scene.path("tiny/model.safetensors");
    std::fs::write(broken, "no weights").unwrap();
    scene
        .run(&["run", "spec.toml", "--new"])
        .exits(2)
        .complains(&["train.base", "tiny"]);
    scene
        .run(&["run", "spec.toml", "--set", "train.base=nobody"])
        .exits(2)
        .complains(&["train.base", "smollm2-135m-instruct"]);
    assert_eq!(scene.server.requests(), calls);
}

/// Ctrl-C in the middle of a training: the run goes on from its checkpoint.
#[cfg(unix)]
#[test]
fn a_run_that_is_stopped_while_it_trains_goes_on() {
    let scene = Scene::new(32);
    scene.training("epochs = 200");
    let mut command = scene.command(&["run", "spec.toml"]);
    let running = Watched::start(&mut command);
    running.wait_for("training a rewriter: 0/1");
    let told = "SELECT count(*) FROM training_loss";
    while history::number(&scene.path("data"), told) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    running.interrupt();
    let stopped = running.finish();
    assert_eq!(stopped.code, Some(3), "{}", stopped.stderr);
    let resumed = scene.run(&["resume", "last", "--json"]).exits(0).json();
    let (training, data) = (&resumed["training"], scene.path("data"));
    assert!(training["adapter"].is_string(), "{resumed}");
    let noted = "SELECT count(*) FROM training_loss WHERE loss > 0";
    assert_eq!(
        history::number(&data, noted),
        training["steps"].as_i64().unwrap()
    );
    // It was another attempt, whose folder it is.
    assert!(
        training["adapter"].as_str().unwrap().ends_with("/2"),
        "{training}"
    );
}
