//! What has to do with the machine: `doctor`, `models`, `completions`, help.

use crate::support::{Scene, done, promptimal};
use std::process::{Command, Stdio};

#[test]
fn doctor_says_what_it_found_and_what_to_do() {
    let scene = Scene::new(4);
    scene.spec();
    let found = scene.run(&["doctor", "spec.toml", "--json"]);
    let checks = found.json();
    let checks = checks.as_array().unwrap();
    for what in [
        "python",
        "local model",
        "data folder",
        "disk",
        "spec spec.toml",
    ] {
        assert!(
            checks.iter().any(|c| c["what"] == what),
            "{what} in {checks:?}"
        );
    }
    let well = checks.iter().all(|c| c["ok"] == true);
    assert_eq!(found.code, Some(if well { 0 } else { 1 }), "{checks:?}");
    for check in checks.iter().filter(|c| c["ok"] == false) {
        assert!(check["todo"].is_string(), "{check}");
    }
    let table = scene.run(&["doctor"]).stdout;
    assert!(
        table.contains("python") && table.contains("GiB free"),
        "{table}"
    );
}

#[test]
fn doctor_finds_what_is_wrong() {
    let scene = Scene::new(4);
    scene.write("spec.toml", "api_key_env = \"NO_SUCH_KEY\"", "");
    let done = scene.run(&["doctor", "spec.toml"]).exits(1);
    for words in ["!!", "NO_SUCH_KEY", "mend the spec"] {
        assert!(done.stdout.contains(words), "{words:?} in {}", done.stdout);
    }
    std::fs::write(scene.path("file"), "").unwrap();
    let done = scene.run(&["doctor", "--data-dir", "file/data"]).exits(1);
    assert!(
        done.stdout.contains("choose another --data-dir"),
        "{}",
        done.stdout
    );
}

#[test]
fn models_are_listed() {
    let list = done(promptimal().args(["models", "list", "--json"]))
        .exits(0)
        .json();
    let known = list.as_array().unwrap();
    let small = known.iter().find(|m| m["name"] == "smollm2-135m-instruct");
    let digest = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
    assert_eq!(small.unwrap()["sha256"], digest);
    let table = done(promptimal().args(["models", "list"])).exits(0).stdout;
    assert!(table.contains("smollm2-135m-instruct"), "{table}");
    let unknown = done(promptimal().args(["models", "fetch", "nonesuch"])).exits(2);
    unknown.complains(&["nonesuch", "smollm2-135m-instruct"]);
}

#[test]
fn completions_are_a_script_that_the_shell_reads() {
    for shell in ["bash", "zsh", "fish"] {
        let script = done(promptimal().args(["completions", shell]))
            .exits(0)
            .stdout;
        assert!(
            script.contains("promptimal") && script.contains("export"),
            "{shell}"
        );
    }
    let script = done(promptimal().args(["completions", "bash"])).stdout;
    let checked = Command::new("bash")
        .args(["-n", "-c", &script])
        .stdin(Stdio::null())
        .output();
    let checked = checked.unwrap();
    assert!(
        checked.status.success() && checked.stderr.is_empty(),
        "{checked:?}"
    );
}

#[test]
fn every_command_takes_the_data_folder_and_explains_itself() {
    for command in [
        "run",
        "eval",
        "resume",
        "runs",
        "show",
        "compare",
        "best",
        "export",
        "sql",
        "models",
        "spec",
        "doctor",
        "completions",
    ] {
        let help = done(promptimal().args([command, "--help"])).exits(0).stdout;
        assert!(help.contains("--data-dir"), "{command}: {help}");
    }
    let wrong = done(promptimal().args(["rnu"])).exits(2);
    wrong.complains(&["rnu", "run"]);
}
