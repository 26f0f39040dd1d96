//! `run`: what it prints, and what a second one does.

use crate::support::{Scene, Watched, history::number};
use serde_json::Value;

/// A number with its interval.
fn is_estimate(value: &Value) {
    let number = |v: &Value| v.as_f64().unwrap_or_else(|| panic!("no number: {value}"));
    let (mean, n) = (number(&value["mean"]), number(&value["n"]));
    let (low, high) = (number(&value["ci95"][0]), number(&value["ci95"][1]));
    assert!(low <= mean && mean <= high && n >= 1.0, "{value}");
}

#[test]
fn json_holds_what_the_manual_promises() {
    let scene = Scene::new(20);
    scene.spec();
    let result = scene.run(&["run", "spec.toml", "--json"]).exits(0).json();
    assert_eq!(result["status"], "finished");
    assert!(result["run"].is_string());
    let rounds = result["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2, "one entry a round");
    rounds.iter().for_each(is_estimate);
    assert_eq!(
        (&rounds[0]["round"], &rounds[1]["round"]),
        (&1.into(), &2.into())
    );
    for key in ["baseline", "best", "gain"] {
        is_estimate(&result[key]);
    }
    is_estimate(&result["gain"]["placebo"]);
    assert_eq!(result["gain"]["kind"], "search");
    // Half of the questions are vague, and the mock answers those wrongly.
    assert_eq!(result["baseline"]["mean"], 0.5);
    assert_eq!(result["baseline"]["n"], 20);
    for key in ["pairs", "calls", "tokens", "leaks_rejected"] {
        assert!(result[key].as_u64().unwrap() > 0, "{key}: {}", result[key]);
    }
    for key in ["cost_usd", "seconds"] {
        assert!(result[key].as_f64().unwrap() > 0.0, "{key}");
    }
    assert_eq!(
        result["calls"],
        scene.server.requests(),
        "every call was charged, once"
    );
}

#[test]
fn people_get_a_table_examples_and_the_next_step() {
    let scene = Scene::new(20);
    scene.spec();
    let done = scene.run(&["run", "spec.toml"]).exits(0);
    let id = scene.run(&["show", "--json"]).json()["run"].clone();
    for words in [
        "baseline, all train examples",
        "after round 1",
        "after round 2",
        "placebo",
        "95% interval",
        "pairs kept",
        "leaks rejected",
        "before: something about item",
        "after:  Say clearly",
        &format!("promptimal best {}", id.as_str().unwrap()),
        "promptimal export",
    ] {
        assert!(done.stdout.contains(words), "{words:?} in {}", done.stdout);
    }
    done.says(&[
        "baseline: 20/20",
        "round 2 leak guard",
        "confirming",
        "tokens, $",
    ]);
}

#[test]
fn what_each_operator_achieved_is_shown() {
    let scene = Scene::new(20);
    scene.spec();
    let named = "search.operators=[\"improve\", \"reflect\", \"first_order\"]";
    let run = ["run", "spec.toml", "--set", named];
    let done = scene.run(&run).exits(0);
    for words in [
        "better than all before",
        "first_order",
        "reflect",
        "near_copy",
    ] {
        assert!(done.stdout.contains(words), "{words:?} in {}", done.stdout);
    }
    let found = scene.run(&["show", "--json"]).exits(0).json();
    let operators = found["operators"].as_array().unwrap();
    assert_eq!(operators.len(), 3);
    let sum = |key: &str| {
        operators
            .iter()
            .filter_map(|o| o[key].as_f64())
            .sum::<f64>()
    };
    assert!((sum("weight") - 1.0).abs() < 1e-6, "{operators:?}");
    assert!(
        sum("accepted") > 0.0 && sum("compared") > 0.0,
        "{operators:?}"
    );
    // Those that write in turn are no operators that are drawn.
    let plain = scene.run(&["run", "spec.toml", "--json"]).exits(0).json();
    assert_eq!(plain["operators"], Value::Null);
}

#[test]
fn the_same_spec_again_prints_the_same_and_asks_nothing() {
    let scene = Scene::new(16);
    scene.spec();
    let first = scene.run(&["run", "spec.toml", "--json"]).exits(0);
    let asked = scene.server.requests();
    let again = scene.run(&["run", "spec.toml", "--json"]).exits(0);
    assert_eq!(first.stdout, again.stdout);
    let resumed = scene.run(&["resume", "letters", "--json"]).exits(0);
    assert_eq!(first.stdout, resumed.stdout);
    assert_eq!(scene.server.requests(), asked);
}

#[test]
fn new_starts_another_run_and_buys_nothing_that_is_stored() {
    let scene = Scene::new(16);
    scene.spec();
    let first = scene.run(&["run", "spec.toml", "--json"]).exits(0).json();
    let asked = scene.server.requests();
    let new = scene
        .run(&["run", "spec.toml", "--json", "--new"])
        .exits(0)
        .json();
    assert_eq!(scene.server.requests(), asked);
    assert_ne!(first["run"], new["run"]);
    assert_eq!(new["calls"], 0);
    for key in [
        "baseline",
        "rounds",
        "best",
        "gain",
        "pairs",
        "leaks_rejected",
    ] {
        assert_eq!(first[key], new[key], "{key}");
    }
}

#[test]
fn a_changed_spec_is_another_run() {
    let scene = Scene::new(12);
    scene.spec();
    let run = |args: &[&str]| {
        let all = [&["run", "spec.toml", "--json"], args].concat();
        scene.run(&all).exits(0).json()["run"].clone()
    };
    let first = run(&[]);
    assert_ne!(first, run(&["--set", "search.rounds=1"]));
    // Budget and the way a model is reached are no part of the work.
    assert_eq!(
        first,
        run(&[
            "--set",
            "budget.calls=100000",
            "--set",
            "models.target.concurrency=2"
        ])
    );
}

#[test]
fn a_dry_run_asks_nothing_and_stores_nothing() {
    let scene = Scene::new(20);
    scene.spec();
    let table = scene.run(&["run", "spec.toml", "--dry-run"]).exits(0);
    assert!(table.stdout.contains("baseline"), "{}", table.stdout);
    let plan = scene
        .run(&["run", "spec.toml", "--dry-run", "--json"])
        .exits(0)
        .json();
    assert_eq!(scene.server.requests(), 0);
    assert!(!scene.path("data").exists());
    let stages = plan["stages"].as_array().unwrap();
    assert!(
        stages
            .iter()
            .any(|s| s["stage"] == "baseline" && s["calls"] == 20),
        "{plan}"
    );
    let calls: u64 = stages.iter().map(|s| s["calls"].as_u64().unwrap()).sum();
    assert_eq!(plan["calls"], calls);
    let real = scene.run(&["run", "spec.toml", "--json"]).exits(0).json();
    let (planned, real) = (calls as f64, real["calls"].as_f64().unwrap());
    assert!(
        planned >= 0.5 * real && planned <= 2.0 * real,
        "{planned} planned, {real} made"
    );
}

#[test]
fn two_processes_do_not_drive_one_run() {
    let scene = Scene::new(20);
    scene.spec();
    scene.server.set_latency(150);
    let first = Watched::start(&mut scene.command(&["run", "spec.toml"]));
    first.wait_for("baseline: 0/20");
    scene
        .run(&["run", "spec.toml"])
        .exits(2)
        .complains(&["driven by another process"]);
    scene.server.set_latency(1);
    first.finish().exits(0);
    let runs = number(&scene.path("data"), "SELECT count(*) FROM runs");
    assert_eq!(runs, 1);
}

#[test]
fn the_data_folder_can_come_from_the_environment() {
    let scene = Scene::new(8);
    scene.spec();
    let mut command = crate::support::promptimal();
    command
        .current_dir(scene.dir.path())
        .env("PROMPTIMAL_DATA_DIR", "elsewhere")
        .args(["run", "spec.toml", "--quiet"]);
    let done = crate::support::done(&mut command).exits(0);
    assert_eq!(done.stderr, "", "quiet is quiet");
    assert!(scene.path("elsewhere/promptimal.db").exists());
}
