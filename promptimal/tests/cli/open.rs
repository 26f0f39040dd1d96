//! Open answers, graded by a reward model in the same process: a tiny one with random weights, so that what it likes is
//! nothing, and every number is there.

use crate::support::{Scene, Watched, history};
use serde_json::Value;

/// `[low, high]` around the mean.
fn is_estimate(value: &Value) {
    let number = |v: &Value| v.as_f64().unwrap_or_else(|| panic!("no number: {value}"));
    let (low, high) = (number(&value["ci95"][0]), number(&value["ci95"][1]));
    assert!(
        low <= number(&value["mean"]) && number(&value["mean"]) <= high,
        "{value}"
    );
}

#[test]
fn a_run_shows_gains_in_rewards_wins_and_length() {
    let scene = Scene::new(4);
    scene.open(16);
    let done = scene.run(&["run", "open.toml"]).exits(0);
    done.says(&[
        "baseline scoring: 16/16",
        "round 1 scoring",
        "confirming, scoring",
    ]);
    for words in [
        "open, in rewards",
        "GAIN over placebo",
        "answers that win against the original's",
        "note: the reward model that chose the winners also judges them",
    ] {
        assert!(done.stdout.contains(words), "{words:?} in {}", done.stdout);
    }
    let result = scene.run(&["show", "--json"]).exits(0).json();
    assert_eq!(
        (&result["status"], &result["unmeasured"]),
        (&"finished".into(), &0.into())
    );
    assert_eq!(
        result["baseline"],
        Value::Null,
        "rewards of different questions have no mean"
    );
    let reward = &result["datasets"][0]["reward"];
    is_estimate(&reward["gain"]);
    is_estimate(&reward["gain"]["placebo"]);
    is_estimate(&reward["win_rate"]);
    let data = scene.path("data");
    let count = |sql: &str| history::number(&data, sql);
    // Every answer to a question has its reward, and none was bought for it.
    let scored = "SELECT count(*) FROM v_items WHERE step = 'score' AND raw IS NOT NULL AND grader = 'reward'";
    let asked = "SELECT count(*) FROM v_items WHERE step = 'answer'";
    assert!(count(scored) >= count(asked) && count(asked) > 16);
    assert_eq!(
        count("SELECT sum(calls) FROM cost_by_model WHERE step = 'score'"),
        0
    );
    assert_eq!(result["calls"], scene.server.requests());
    assert!(count("SELECT count(*) FROM duels WHERE raw_gain IS NOT NULL AND chars > 0") > 0);
    assert!(
        count("SELECT count(*) FROM leaderboard WHERE kind = 'confirm' AND raw_gain IS NOT NULL")
            > 0
    );
}

#[test]
fn an_evaluation_compares_prompts_in_rewards() {
    let scene = Scene::new(4);
    scene.open(12);
    let more = r#"
[[eval.prompts]]
name = "plain"
[[eval.prompts]]
name = "careful"
user = "Say it clearly: {input}"
"#;
    let spec = std::fs::read_to_string(scene.path("open.toml")).unwrap();
    std::fs::write(scene.path("open.toml"), spec + more).unwrap();
    let result = scene.run(&["eval", "open.toml", "--json"]).exits(0).json();
    let [plain, careful] = result["cells"].as_array().unwrap().as_slice() else {
        panic!("{result}");
    };
    assert!((plain["mean"]["mean"].as_f64().unwrap() - 0.5).abs() < 1e-9);
    is_estimate(&careful["mean"]);
    is_estimate(&plain["reward"]["mean"]);
    let against = &careful["reward"]["against_first"];
    is_estimate(&against["gain"]);
    is_estimate(&against["win_rate"]);
    assert!(
        against["length"]["longer"].as_f64().unwrap() > 1.0,
        "{against}"
    );
    let shown = scene.run(&["eval", "open.toml"]).exits(0).stdout;
    assert!(shown.contains("against the first prompt, wins"), "{shown}");
}

/// Killed while answers wait for their scores, and once more among the scores of a later round.
#[test]
fn a_killed_run_ends_as_if_nothing_had_happened() {
    let scene = Scene::new(4);
    scene.open(16);
    scene.run(&["run", "open.toml", "--quiet"]).exits(0);
    let expected = history::projection(&scene.path("data"));
    assert!(expected.iter().filter(|l| l.contains("\"score\"")).count() > 16);
    let here = |args: &[&str]| {
        let mut command = crate::support::promptimal();
        command
            .current_dir(scene.dir.path())
            .args(["--data-dir", "hurt"])
            .args(args);
        command
    };
    for words in ["baseline scoring", "round 1 trying", "round 2 scoring"] {
        let killed = Watched::start(&mut here(&["run", "open.toml"]));
        killed.wait_for(words);
        killed.kill();
    }
    crate::support::done(&mut here(&["run", "open.toml", "--quiet"])).exits(0);
    assert_eq!(history::projection(&scene.path("hurt")), expected);
}

#[test]
fn a_reward_model_that_cannot_be_loaded_is_named() {
    let scene = Scene::new(4);
    scene.open(4);
    std::fs::remove_file(scene.path("reward/model.safetensors")).unwrap();
    let refused = scene.run(&["run", "open.toml"]).exits(2);
    refused.complains(&["models.reward", "reward"]);
    assert_eq!(scene.server.requests(), 0);
}

#[test]
fn a_dry_run_counts_the_answers_to_score() {
    let scene = Scene::new(4);
    scene.open(10);
    let plan = scene
        .run(&["run", "open.toml", "--dry-run"])
        .exits(0)
        .stdout;
    assert!(plan.contains("scoring"), "{plan}");
    assert_eq!(scene.server.requests(), 0);
}
