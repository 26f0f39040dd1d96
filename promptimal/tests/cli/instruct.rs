//! `mode = "instruct"`: one instruction for a data set, from the spec to the prompt.

use crate::support::Scene;
use std::fmt::Write as _;

const WORDS: [&str; 16] = [
    "amber", "basket", "candle", "doctor", "engine", "forest", "garden", "hammer", "island",
    "jacket", "kettle", "ladder", "mirror", "needle", "orange", "pepper",
];

/// Questions that do not look alike, so that all splits get some. The mock server fails on all of them where it is told to
/// be rough, and else on none.
fn questions(n: usize) -> String {
    let mut out = String::new();
    for i in 0..n {
        let word = |k: usize| WORDS[(i * (2 * k + 3) + k * k + i / 16 * (k + 1)) % WORDS.len()];
        let about: Vec<&str> = (0..7).map(word).collect();
        let letter = ["A", "B", "C", "D"][i % 4];
        writeln!(
            out,
            "\"{} {i}: item {i} of what?\",alpha {i},beta {i},gamma {i},delta {i},{letter}",
            about.join(" ")
        )
        .unwrap();
    }
    out
}

/// A scene whose `spec.toml` searches an instruction.
fn scene() -> Scene {
    let scene = Scene::new(4);
    std::fs::write(scene.path("letters.csv"), questions(160)).unwrap();
    let more = r#"
[instruct]
calls = 240
rounds = 4
candidates = 3
shots = 2
[[instruct.start]]
instruction = "Answer roughly."
"#;
    let path = scene.write("spec.toml", "", more);
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text
        .replace(
            "name = \"letters\"\ntags",
            "name = \"letters\"\nmode = \"instruct\"\ntags",
        )
        .replace("train = 1.0", "train = 0.5")
        .replace("validation = 0.0", "validation = 0.2")
        .replace("test = 0.0", "test = 0.3");
    std::fs::write(path, text).unwrap();
    scene
}

#[test]
fn an_instruction_is_found_shown_and_handed_over() {
    let scene = scene();
    let planned = scene.run(&["run", "spec.toml", "--dry-run"]).exits(0);
    for words in ["writing", "searching", "240", "last evaluation"] {
        assert!(
            planned.stdout.contains(words),
            "{words}: {}",
            planned.stdout
        );
    }
    assert_eq!(scene.server.requests(), 0);
    let done = scene
        .run(&["run", "spec.toml", "--plots", "plots"])
        .exits(0);
    for words in [
        "GAIN on sealed test examples, paired",
        "start prompt, test",
        "chosen prompt, validation",
        "better than parent",
        "two evaluations of one prompt differ by",
        "may win",
        "promptimal best",
    ] {
        assert!(done.stdout.contains(words), "{words}: {}", done.stdout);
    }
    let asked = scene.server.requests();
    scene.run(&["resume", "last", "--plots", "again"]).exits(0);
    for name in ["gains.svg", "search.svg"] {
        let drawn = |folder| std::fs::read(scene.path(folder).join(name)).expect(name);
        assert_eq!(drawn("plots"), drawn("again"), "{name}");
    }
    let found = scene.run(&["run", "spec.toml", "--json"]).exits(0).json();
    assert_eq!(scene.server.requests(), asked, "nothing is asked again");
    assert_eq!(found["start"]["test"]["mean"], 0.0);
    assert_eq!(found["chosen"]["test"]["mean"], 1.0, "{found}");
    assert_eq!(found["gain"]["mean"], 1.0);
    assert_eq!(found["trajectory"].as_array().unwrap().len(), 5);
    let best = scene.run(&["best"]).exits(0);
    assert!(
        !best.stdout.contains("roughly") && best.stdout.contains("{input}"),
        "{}",
        best.stdout
    );
    let best = scene.run(&["best", "--json"]).exits(0).json();
    let messages = best["messages"].as_array().unwrap();
    let last = messages.last().unwrap();
    assert_eq!(last["role"], "user");
    assert!(
        last["content"].as_str().unwrap().ends_with("{input}"),
        "{last}"
    );
    // Twice the same is no difference.
    let compared = scene.run(&["compare", "last", "last"]).exits(0);
    assert!(compared.stdout.contains("chosen"), "{}", compared.stdout);
}

#[test]
fn a_budget_stops_a_search_cleanly_and_raised_it_goes_on() {
    let scene = scene();
    let set = ["run", "spec.toml", "--json", "--set", "budget.calls=100"];
    let stopped = scene.run(&set).exits(3);
    assert_eq!(stopped.json()["status"], "paused");
    assert!(scene.server.requests() <= 100);
    let whole = scene
        .run(&["resume", "last", "--max-calls", "5000", "--json"])
        .exits(0)
        .json();
    assert_eq!(whole["status"], "finished");
    assert_eq!(whole["chosen"]["test"]["mean"], 1.0, "{whole}");
}
