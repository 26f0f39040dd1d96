//! Open answers that a judge compares: another model of the mock server, which likes the longer one.

use crate::support::{Scene, Watched, history};
use serde_json::Value;

#[test]
fn a_run_shows_what_the_judge_prefers() {
    let scene = Scene::new(4);
    scene.judged(16);
    let done = scene.run(&["run", "judged.toml"]).exits(0);
    done.says(&[
        "baseline scoring: 16/16",
        "round 1 judging",
        "round 1 scoring",
        "confirming, judging",
    ]);
    for words in [
        "GAIN",
        "open, as its judge sees it",
        "winners' answers are longer by",
        "note: where a judge grades",
    ] {
        assert!(done.stdout.contains(words), "{words:?} in {}", done.stdout);
    }
    let result = scene.run(&["show", "--json"]).exits(0).json();
    assert_eq!(
        (&result["status"], &result["unmeasured"]),
        (&"finished".into(), &0.into())
    );
    let open = &result["datasets"][0];
    assert_eq!(
        (&open["grader"], &open["original"]["mean"]),
        (&"judge".into(), &0.5.into())
    );
    assert!(open["best"]["mean"].as_f64().unwrap() > 0.5, "{open}");
    let data = scene.path("data");
    let count = |sql: &str| history::number(&data, sql);
    let graded = "SELECT count(*) FROM v_items WHERE step = 'score' AND grader = 'judge' AND value IS NOT NULL";
    assert!(count(graded) > 16);
    // Its calls are calls: counted, and found in the table of what models cost.
    assert_eq!(result["calls"], scene.server.requests());
    assert!(
        count("SELECT sum(calls) FROM cost_by_model WHERE step = 'judge' AND model = 'judge'") > 0
    );
    assert_eq!(
        count("SELECT sum(calls) FROM cost_by_model WHERE step = 'score'"),
        0
    );
    assert!(count("SELECT count(*) FROM duels WHERE won = 1 AND chars > original_chars") > 0);
    let requests = scene.server.requests();
    // Another run of the same spec asks nobody.
    scene.run(&["run", "judged.toml", "--new"]).exits(0);
    assert_eq!(scene.server.requests(), requests);
}

#[test]
fn an_evaluation_asks_the_judge_about_all_prompts_but_the_first() {
    let scene = Scene::new(4);
    scene.judged(12);
    let more = r#"
[[eval.prompts]]
name = "plain"
[[eval.prompts]]
name = "careful"
user = "Say it clearly: {input}"
"#;
    let spec = std::fs::read_to_string(scene.path("judged.toml")).unwrap();
    std::fs::write(scene.path("judged.toml"), spec + more).unwrap();
    let result = scene
        .run(&["eval", "judged.toml", "--json"])
        .exits(0)
        .json();
    let [plain, careful] = result["cells"].as_array().unwrap().as_slice() else {
        panic!("{result}");
    };
    assert_eq!(
        (&plain["mean"]["mean"], &plain["unmeasured"]),
        (&0.5.into(), &0.into())
    );
    assert!(careful["mean"]["mean"].as_f64().unwrap() > 0.6, "{careful}");
    assert_eq!(plain["reward"], Value::Null);
}

/// Killed among answers, among verdicts, and among the grades that are made of them.
#[test]
fn a_killed_run_ends_as_if_nothing_had_happened() {
    let scene = Scene::new(4);
    scene.judged(16);
    scene.run(&["run", "judged.toml", "--quiet"]).exits(0);
    let expected = history::projection(&scene.path("data"));
    assert!(expected.iter().filter(|l| l.contains("\"judge\"")).count() > 16);
    let here = |args: &[&str]| {
        let mut command = crate::support::promptimal();
        command
            .current_dir(scene.dir.path())
            .args(["--data-dir", "hurt"])
            .args(args);
        command
    };
    for words in ["baseline scoring", "round 1 judging", "round 2 scoring"] {
        let killed = Watched::start(&mut here(&["run", "judged.toml"]));
        killed.wait_for(words);
        killed.kill();
    }
    crate::support::done(&mut here(&["run", "judged.toml", "--quiet"])).exits(0);
    assert_eq!(history::projection(&scene.path("hurt")), expected);
}

#[test]
fn a_dry_run_counts_the_verdicts() {
    let scene = Scene::new(4);
    scene.judged(10);
    let plan = scene
        .run(&["run", "judged.toml", "--dry-run", "--json"])
        .exits(0)
        .json();
    let stages = plan["stages"].as_array().unwrap();
    let judging = stages
        .iter()
        .find(|s| s["stage"] == "judge comparing")
        .unwrap();
    // Four targets: two rewrites in two rounds and four paraphrases, then two winners eight times; both orders.
    assert_eq!(judging["calls"], 2 * 4 * (4 + 4 + 2 * 8));
    assert_eq!(scene.server.requests(), 0);
}

#[test]
fn a_judge_that_is_the_target_is_warned_about() {
    let scene = Scene::new(4);
    scene.judged(4);
    let spec = std::fs::read_to_string(scene.path("judged.toml")).unwrap();
    std::fs::write(scene.path("judged.toml"), spec.replace("referee", "mock")).unwrap();
    let checked = scene.run(&["run", "judged.toml", "--dry-run"]).exits(0);
    assert!(
        checked.stderr.contains("models prefer their own words"),
        "{}",
        checked.stderr
    );
}
