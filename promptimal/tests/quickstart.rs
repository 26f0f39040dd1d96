//! The README's first command with the real small model, made small: it ends, it is killed and resumed, and both
//! end the same.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests are tests too"
)]

mod support;

use std::{path::Path, process::Command};
use support::{Watched, done, history::projection, promptimal, root};

fn skip(why: &str) {
    use std::io::Write;
    println!("skipped: {why}");
    if let Some(log) = std::env::var_os("PROMPTIMAL_SKIP_LOG") {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log);
        writeln!(log.unwrap(), "skipped: {why}").unwrap();
    }
}

/// The quickstart on a few questions.
fn quickstart(data: &Path) -> Command {
    let mut command = promptimal();
    command.current_dir(root()).arg("--data-dir").arg(data);
    command.args(["run", "examples/quickstart.toml"]);
    for set in [
        "datasets.questions.limit=8",
        "datasets.instructions.limit=4",
        "datasets.programs.limit=3",
        "datasets.questions.hardest=1",
        "datasets.instructions.hardest=1",
        "search.rounds=2",
        "confirm.repeats=2",
        "confirm.controls=2",
        "search.rewrites=1",
    ] {
        command.args(["--set", set]);
    }
    command
}

#[test]
fn the_quickstart_ends_and_a_killed_one_ends_the_same() {
    let fetched = done(promptimal().args(["models", "fetch", "smollm2-135m-instruct"]));
    if fetched.code != Some(0) {
        skip(&format!(
            "the small model cannot be had: {}",
            fetched.stderr.trim()
        ));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
    let result = done(quickstart(&whole).arg("--json")).exits(0).json();
    assert_eq!(result["status"], "finished");
    assert_eq!(result["rounds"].as_array().unwrap().len(), 2);
    for dataset in result["datasets"].as_array().unwrap() {
        assert_eq!(dataset["targets"], 1);
        let mean = dataset["baseline"]["mean"].as_f64().unwrap();
        // Of three functions it may write none.
        let least = if dataset["dataset"] == "programs" {
            0.0
        } else {
            f64::MIN_POSITIVE
        };
        assert!(
            mean >= least && mean < 1.0,
            "a small model knows something: {dataset}"
        );
    }

    let run = Watched::start(&mut quickstart(&killed));
    run.wait_for("round 1 writing: ");
    run.kill();
    done(quickstart(&killed).arg("--quiet")).exits(0);
    assert_eq!(projection(&killed), projection(&whole));
}
