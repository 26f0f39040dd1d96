//! Making room.

use crate::support::{Scene, history::number};
use serde_json::Value;

/// What is stored of the runs themselves.
fn rows(scene: &Scene, table: &str) -> i64 {
    number(
        &scene.path("data"),
        &format!("select count(*) from {table}"),
    )
}

#[test]
fn a_pruned_run_keeps_its_result_and_what_it_cost() {
    let scene = Scene::new(16);
    scene.spec();
    let result = scene.run(&["run", "spec.toml", "--json"]).exits(0).json();
    let (items, ledger, answers) = (
        rows(&scene, "items"),
        rows(&scene, "ledger"),
        rows(&scene, "answers"),
    );
    let dry = scene.run(&["prune", "last", "--dry-run", "--json"]);
    let dry = dry.exits(0).json();
    assert_eq!(
        (&dry["rows"]["items"], rows(&scene, "items")),
        (&items.into(), items)
    );
    let done = scene.run(&["prune", "last", "--json"]).exits(0).json();
    assert_eq!(done["rows"], dry["rows"]);
    assert!(
        done["bytes_after"].as_u64() < done["bytes_before"].as_u64(),
        "{done}"
    );
    assert_eq!((rows(&scene, "items"), rows(&scene, "ledger")), (0, ledger));
    assert_eq!(
        rows(&scene, "answers"),
        answers,
        "they are what makes runs cheap"
    );
    let shown = scene.run(&["show", "--json"]).exits(0).json();
    assert_eq!(
        (&shown["gain"], &shown["pairs"]),
        (&result["gain"], &result["pairs"])
    );
    for command in [
        &["best"][..],
        &["resume", "last"],
        &["export", "last", "pairs"],
    ] {
        scene
            .run(command)
            .exits(2)
            .complains(&["was pruned", "promptimal show"]);
    }
    let again = scene.run(&["prune", "last"]).exits(0).stdout;
    assert_eq!(again, "nothing to prune\n");
    let fresh = scene.run(&["run", "spec.toml", "--json"]).exits(0).json();
    assert_ne!(fresh["run"], result["run"]);
    assert_eq!(fresh["calls"], 0, "every answer was kept: {fresh}");
}

#[test]
fn everything_leaves_nothing() {
    let scene = Scene::new(16);
    scene.spec();
    scene.run(&["run", "spec.toml", "--json"]).exits(0);
    let told = scene.run(&["prune", "--older-than", "0d", "--everything", "--answers"]);
    let told = told.exits(0).stdout;
    assert!(told.contains("pruned run") && told.contains("MB"), "{told}");
    for table in ["runs", "ledger", "tasks", "answers", "grades", "examples"] {
        assert_eq!(rows(&scene, table), 0, "{table}");
    }
    let none: Value = scene.run(&["runs", "--json"]).exits(0).json();
    assert_eq!(none, serde_json::json!([]));
}

#[test]
fn people_are_told_what_to_name() {
    let scene = Scene::new(16);
    scene.spec();
    scene.run(&["run", "spec.toml", "--json"]).exits(0);
    let nothing = scene.run(&["prune"]).exits(2);
    nothing.complains(&["nothing to prune", "--older-than 30d"]);
    let age = scene.run(&["prune", "--older-than", "30"]).exits(2);
    age.complains(&["30d"]);
    let young = scene.run(&["prune", "--older-than", "30d"]).exits(0).stdout;
    assert_eq!(young, "nothing to prune\n");
}
