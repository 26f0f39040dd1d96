//! `eval`: one's own prompts on models and data sets, with thresholds that set the exit code.

use crate::support::Scene;

const PROMPTS: &str = r#"
[eval]
models = ["target"]

[[eval.prompts]]
name = "plain"

[[eval.prompts]]
name = "careful"
system = "Think twice."
user = "Say it clearly: {input}"
"#;

fn with(threshold: &str) -> String {
    format!("{PROMPTS}\n[[eval.thresholds]]\n{threshold}\n")
}

#[test]
fn thresholds_that_hold_exit_with_0() {
    let scene = Scene::new(20);
    scene.write("spec.toml", "", &with("min_mean = 0.4\nmax_failed = 0.0"));
    let done = scene.run(&["eval", "spec.toml", "--json"]).exits(0);
    let result = done.json();
    let cells = result["cells"].as_array().unwrap();
    let cell = |name: &str| cells.iter().find(|c| c["prompt"] == name).unwrap();
    assert_eq!(cells.len(), 2);
    // The mock answers half of the plain questions wrongly, and none that say "clearly".
    assert_eq!(cell("plain")["mean"]["mean"], 0.5);
    assert_eq!(cell("careful")["mean"]["mean"], 1.0);
    for cell in cells {
        assert_eq!(cell["mean"]["n"], 20);
        assert!(cell["mean"]["ci95"].is_array());
        assert_eq!(
            (&cell["asked"], &cell["unmeasured"]),
            (&20.into(), &0.into())
        );
        assert_eq!(
            (&cell["model"], &cell["dataset"]),
            (&"target".into(), &"letters".into())
        );
    }
    assert_eq!(result["missed"].as_array().unwrap().len(), 0);
    assert_eq!(result["calls"], 40);
}

#[test]
fn a_missed_threshold_exits_with_1_and_says_which() {
    let scene = Scene::new(20);
    scene.write("spec.toml", "", &with("min_mean = 0.9"));
    let done = scene.run(&["eval", "spec.toml"]).exits(1);
    for words in [
        "plain",
        "careful",
        "0.500",
        "1.000",
        "threshold missed: plain / target / letters",
    ] {
        assert!(done.stdout.contains(words), "{words:?} in {}", done.stdout);
    }
    assert!(!done.stdout.contains("missed: careful"), "{}", done.stdout);
    // Thresholds are no part of the work: another one is judged on what is stored.
    let asked = scene.server.requests();
    scene.write(
        "spec.toml",
        "",
        &with("min_mean = 0.9\nprompt = \"careful\""),
    );
    scene.run(&["eval", "spec.toml"]).exits(0);
    scene.write(
        "spec.toml",
        "",
        &with("min_ci_low = 0.4\nprompt = \"plain\""),
    );
    let json = scene.run(&["eval", "spec.toml", "--json"]).exits(1).json();
    let missed = json["missed"].as_array().unwrap();
    assert!(
        missed[0].as_str().unwrap().contains("95% interval"),
        "{missed:?}"
    );
    assert_eq!((missed.len(), scene.server.requests()), (1, asked));
}

#[test]
fn without_prompts_the_unchanged_questions_are_asked() {
    let scene = Scene::new(10);
    scene.spec();
    let plan = scene
        .run(&["eval", "spec.toml", "--dry-run", "--json"])
        .exits(0)
        .json();
    assert_eq!(plan["calls"], 10);
    let result = scene.run(&["eval", "spec.toml", "--json"]).exits(0).json();
    assert_eq!(result["cells"].as_array().unwrap().len(), 1);
    assert_eq!(result["cells"][0]["mean"]["mean"], 0.5);
    assert_eq!(scene.server.requests(), 10);
}

#[test]
fn a_search_after_an_evaluation_buys_the_baseline_only_once() {
    let scene = Scene::new(10);
    scene.spec();
    scene.run(&["eval", "spec.toml"]).exits(0);
    let run = scene.run(&["run", "spec.toml", "--json"]).exits(0).json();
    assert_eq!(run["baseline"]["n"], 10);
    assert_eq!(run["calls"], scene.server.requests() - 10);
}
