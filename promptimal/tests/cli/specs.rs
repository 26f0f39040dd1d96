//! Specs that are right, wrong, or ahead of their time.

use crate::support::{Scene, done, promptimal, root};
use std::fs;

#[test]
fn the_printed_spec_loads() {
    let printed = done(promptimal().arg("spec")).exits(0).stdout;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine.toml");
    fs::write(&file, &printed).unwrap();
    let mut command = promptimal();
    command
        .current_dir(root())
        .arg("--data-dir")
        .arg(dir.path());
    let plan = done(command.arg("run").arg(&file).args(["--dry-run", "--json"])).exits(0);
    assert!(plan.json()["calls"].as_u64().unwrap() > 0);
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    let scene = Scene::new(4);
    let spec = scene.spec();
    let good = fs::read_to_string(&spec).unwrap();
    fs::write(&spec, good.replace("rewrites = 2", "rewrits = 2")).unwrap();
    let line = good.lines().position(|l| l == "rewrites = 2").unwrap() + 1;
    let at = format!("spec.toml:{line}");
    for command in ["run", "eval"] {
        let refused = scene.run(&[command, "spec.toml"]).exits(2);
        refused.complains(&["error: ", &at, "search.rewrits", "rewrites"]);
    }
    assert_eq!(scene.server.requests(), 0);
    assert!(
        !scene.path("data").exists(),
        "nothing starts before the spec is right"
    );
}

#[test]
fn every_mistake_is_told_at_once() {
    let scene = Scene::new(4);
    scene.write(
        "spec.toml",
        "api_key_env = \"NO_SUCH_KEY\"",
        "fdr = 7\nplacebo = \"yes\"\n",
    );
    let refused = scene
        .run(&["run", "spec.toml", "--set", "search.rounds=0"])
        .exits(2);
    refused.complains(&[
        "NO_SUCH_KEY",
        "confirm.fdr",
        "7",
        "confirm.placebo",
        "search.rounds",
    ]);
}

#[test]
fn a_missing_file_is_named() {
    let scene = Scene::new(4);
    scene.spec();
    scene
        .run(&["run", "absent.toml"])
        .exits(2)
        .complains(&["absent.toml"]);
    fs::remove_file(scene.path("letters.csv")).unwrap();
    let refused = scene.run(&["run", "spec.toml"]).exits(2);
    refused.complains(&["datasets", "path", "letters.csv"]);
}

#[test]
fn a_bad_row_ends_the_run_before_any_call_or_is_counted() {
    let scene = Scene::new(12);
    scene.spec();
    let data = scene.path("letters.csv");
    let mut rows = fs::read_to_string(&data).unwrap();
    rows.push_str("\"item 99, which letter?\",a,b,c,d,Z\n");
    fs::write(&data, rows).unwrap();
    let refused = scene.run(&["run", "spec.toml"]).exits(2);
    refused.says(&["letters.csv", "13"]);
    assert_eq!(scene.server.requests(), 0);
    let skipping = [
        "run",
        "spec.toml",
        "--set",
        "datasets.letters.on_bad_row=skip",
    ];
    let done = scene.run(&skipping).exits(0);
    done.says(&["1 bad rows skipped", "letters.csv", "letters: 12 examples"]);
}

/// What somebody sees who has nothing but this repository: all of it at once.
#[test]
fn the_reference_experiment_names_all_data_that_are_missing_in_one_go() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("reference.toml");
    fs::copy(root().join("examples/reference.toml"), &copy).unwrap();
    let mut command = promptimal();
    command.current_dir(dir.path()).args(["--data-dir", "data"]);
    let told = done(command.args(["run", "reference.toml"])).exits(2);
    told.complains(&[
        "reference.toml is valid, but what it needs is not all here",
        "--set datasets.mmlu.path=PATH",
        "--set datasets.alpaca.path=PATH",
        "--set datasets.humaneval.path=PATH",
        "--set train.base=PATH",
    ]);
    assert_eq!(told.stderr.lines().count(), 5, "{}", told.stderr);
    assert!(!dir.path().join("data").exists());
    // A mistake of the spec's own is no absent file.
    let broken = ["run", "reference.toml", "--set", "search.rounds=0"];
    let mut command = promptimal();
    let told = done(command.current_dir(dir.path()).args(broken)).exits(2);
    assert!(!told.stderr.contains("is valid"), "{}", told.stderr);
}

#[test]
fn the_reference_experiment_is_planned_where_its_data_are() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        format!(
            "datasets.{}.path={}",
            name.split('.').next().unwrap(),
            path.display()
        )
    };
    let mut command = promptimal();
    command.arg("--data-dir").arg(dir.path().join("data"));
    command
        .arg("run")
        .arg(root().join("examples/reference.toml"));
    for set in [
        write("mmlu.csv", "\"Which letter?\",a,b,c,d,A\n"),
        write(
            "alpaca.json",
            r#"[{"instruction": "Say hi.", "input": "", "output": "hi"}]"#,
        ),
        write(
            "humaneval.jsonl",
            r#"{"prompt": "def one():\n    \"\"\"1\"\"\"\n", "entry_point": "one", "test": "def check(f):\n    assert f() == 1\n"}"#,
        ),
    ] {
        command.args(["--set", &set]);
    }
    command.args(["--set", "train.base=smollm2-135m-instruct"]);
    let told = done(command.arg("--dry-run")).exits(0);
    // A question of each data set.
    let baseline = told.stdout.lines().find(|l| l.contains("baseline"));
    assert!(
        baseline.is_some_and(|l| l.contains(" 3 ")),
        "{}",
        told.stdout
    );
    assert!(!dir.path().join("data").exists());
}
