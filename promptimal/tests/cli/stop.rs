//! Runs that stop before their end: budgets, Ctrl-C, servers that are down or refuse.

use crate::support::{Scene, Watched, history::number, server::nobody};
use std::{fs, path::Path};

/// A key that a test can find again.
const KEY: &str = "sk-recognisable-5f2c81";

#[test]
fn a_budget_of_calls_is_never_exceeded_and_can_be_raised() {
    let scene = Scene::new(20);
    scene.write("spec.toml", "", "[budget]\ncalls = 30\n");
    let stopped = scene.run(&["run", "spec.toml"]).exits(3);
    stopped.says(&["budget reached", "30 calls", "resume", "--data-dir data"]);
    assert!(scene.server.requests() <= 30, "{}", scene.server.requests());
    assert!(scene.server.requests() > 20, "the baseline fits");
    let show = scene.run(&["show", "--json"]).exits(0).json();
    assert_eq!(show["status"], "paused");
    // Again without a higher limit: it stops at once.
    let asked = scene.server.requests();
    scene
        .run(&["resume", "last"])
        .exits(3)
        .says(&["budget reached"]);
    assert_eq!(scene.server.requests(), asked);
    let raised = scene
        .run(&["resume", "last", "--max-calls", "10000", "--json"])
        .exits(0);
    assert_eq!(raised.json()["status"], "finished");
    let data = scene.path("data");
    let requests = scene.server.requests() as i64;
    assert_eq!(number(&data, "SELECT sum(calls) FROM ledger"), requests);
    assert_eq!(
        number(&data, "SELECT count(*) FROM run_limits"),
        2,
        "limits are appended"
    );
}

#[test]
fn budgets_of_tokens_and_dollars_hold_too() {
    // Enough questions that the baseline alone uses more than either cap.
    let scene = Scene::new(500);
    let data = scene.path("data");
    for (limit, flag, more) in [
        ("tokens = 6000", "--max-tokens", "100000000"),
        ("usd = 0.003", "--max-usd", "100"),
    ] {
        scene.write("spec.toml", "", &format!("[budget]\n{limit}\n"));
        scene
            .run(&["run", "spec.toml", "--new"])
            .exits(3)
            .says(&["budget reached"]);
        let spend = |what| number(&data, &format!("SELECT max({what}) FROM run_spend"));
        assert!(spend("tokens") > 0);
        if limit.starts_with("tokens") {
            assert!(spend("tokens") <= 6000, "{}", spend("tokens"));
        } else {
            assert!(spend("cost_micros") <= 3000, "{}", spend("cost_micros"));
        }
        scene.run(&["resume", "last", flag, more]).exits(0);
        fs::remove_dir_all(&data).unwrap();
    }
}

#[test]
fn ctrl_c_drains_and_says_how_to_go_on() {
    let scene = Scene::new(80);
    scene.spec();
    scene.server.set_latency(100);
    let run = Watched::start(&mut scene.command(&["run", "spec.toml"]));
    run.wait_for("baseline: 0/80");
    while scene.server.requests() < 6 {
        std::thread::yield_now();
    }
    run.interrupt();
    let stopped = run.finish().exits(3);
    stopped.says(&[
        "interrupted",
        "go on with: promptimal --data-dir data resume ",
    ]);
    let data = scene.path("data");
    // What was under way is finished and stored, not thrown away.
    let stored = number(&data, "SELECT count(*) FROM answers");
    assert_eq!(stored, scene.server.requests() as i64);
    assert!(stored < 80, "it stopped before the baseline was done");
    scene.server.set_latency(1);
    let advice = stopped
        .stderr
        .lines()
        .find_map(|l| l.split("--data-dir data ").nth(1));
    let args: Vec<&str> = advice.unwrap().split(' ').collect();
    scene.run(&args).exits(0);
    let requests = scene.server.requests() as i64;
    assert_eq!(
        number(&data, "SELECT count(*) FROM answers"),
        requests,
        "none was asked twice"
    );
}

#[test]
fn a_server_that_is_down_is_named_and_the_run_goes_on_later() {
    let scene = Scene::new(3);
    let spec = scene.spec();
    let good = fs::read_to_string(&spec).unwrap();
    let away = nobody();
    fs::write(&spec, good.replace(&scene.server.url, &away)).unwrap();
    let stopped = scene.run(&["run", "spec.toml"]).exits(3);
    stopped.says(&[
        &away,
        "could not be measured",
        "go on with: promptimal",
        "resume",
    ]);
    assert_eq!(
        number(&scene.path("data"), "SELECT count(*) FROM grades"),
        0,
        "an outage is no grade"
    );
}

/// Every byte of every file below a folder.
fn bytes(folder: &Path) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => out.extend(bytes(&entry.path())),
            false => out.extend(fs::read(entry.path()).unwrap()),
        }
    }
    out
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|w| w == word.as_bytes())
}

#[test]
fn a_refused_key_stops_the_run_and_is_shown_nowhere() {
    let scene = Scene::new(12);
    scene.write("spec.toml", "api_key_env = \"MOCK_API_KEY\"", "");
    let run = || {
        let mut command = scene.command(&["run", "spec.toml"]);
        crate::support::done(
            command
                .env("MOCK_API_KEY", KEY)
                .env("PROMPTIMAL_LOG", "debug"),
        )
    };
    scene.server.fail_with(401);
    let stopped = run().exits(3);
    stopped.says(&[
        "401",
        &scene.server.url,
        "check the API key",
        "go on with: promptimal",
        "resume",
    ]);
    let show = scene.run(&["show"]).exits(0);
    scene.server.fail_with(0);
    let finished = run().exits(0);
    for said in [stopped, show, finished] {
        assert!(
            !said.stdout.contains(KEY) && !said.stderr.contains(KEY),
            "{said:?}"
        );
    }
    let stored = bytes(&scene.path("data"));
    assert!(
        holds(&stored, "something about item"),
        "the search finds what is stored"
    );
    assert!(!holds(&stored, KEY));
}

#[test]
fn a_spec_that_names_another_key_goes_on_with_it() {
    let scene = Scene::new(6);
    scene.write("spec.toml", "api_key_env = \"MOCK_OLD_KEY\"", "");
    let run = || {
        let mut command = scene.command(&["run", "spec.toml", "--json"]);
        crate::support::done(
            command
                .env("MOCK_OLD_KEY", "old")
                .env("MOCK_NEW_KEY", "new"),
        )
    };
    scene.server.only_with("Bearer new");
    run().exits(3).says(&["401"]);
    scene.write("spec.toml", "api_key_env = \"MOCK_NEW_KEY\"", "");
    assert_eq!(run().exits(0).json()["status"], "finished");
    assert_eq!(number(&scene.path("data"), "SELECT count(*) FROM runs"), 1);
}

#[test]
fn a_server_that_is_busy_for_a_while_costs_no_grade() {
    let scene = Scene::new(12);
    scene.write("spec.toml", "", "");
    scene.server.fail_with(503);
    let run = Watched::start(&mut scene.command(&["run", "spec.toml", "--json"]));
    while scene.server.requests() < 5 {
        std::thread::yield_now();
    }
    scene.server.fail_with(0);
    let result = run.finish().exits(0).json();
    assert_eq!(result["baseline"]["n"], 12);
    assert_eq!(result["baseline"]["mean"], 0.5);
    assert_eq!(result["unmeasured"], 0);
}
