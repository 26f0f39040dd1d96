//! Programs that models write: graded by their tests, in the sandbox.

use crate::support::{Scene, done, promptimal};

#[test]
fn programs_are_judged_by_tests_that_they_do_not_see() {
    let scene = Scene::new(1);
    scene.programs(8);
    let more = ["--set", "eval.repeats=2", "--json"];
    let asked = ["eval", "programs.toml"];
    let all: Vec<&str> = asked.into_iter().chain(more).collect();
    let result = scene.run(&all).exits(0).json();
    let cell = &result["cells"][0];
    assert_eq!(
        (&cell["grader"], &cell["asked"], &cell["unmeasured"]),
        (&"code".into(), &16.into(), &0.into())
    );
    // The even items are right; the odd ones cheat, never end, or are wrong.
    assert_eq!(cell["mean"]["mean"], 0.5);
    assert_eq!(cell["pass_at"]["1"]["mean"], 0.5);
    assert_eq!(cell["pass_at"]["2"]["mean"], 0.5);
    assert!(cell["pass_at"]["5"].is_null());
    let told = scene.run(&["show", "last"]).exits(0);
    assert!(told.stdout.contains("pass@1 0.500"), "{}", told.stdout);
}

#[test]
fn a_search_over_programs_hears_why_they_fail() {
    let scene = Scene::new(1);
    scene.programs(8);
    // An endless loop takes its seconds each time it is drawn.
    let few = ["--set", "confirm.repeats=2", "--set", "search.rounds=1"];
    let asked = ["run", "programs.toml", "--json"];
    let all: Vec<&str> = asked.into_iter().chain(few).collect();
    let result = scene.run(&all).exits(0).json();
    assert_eq!(result["baseline"]["mean"], 0.5, "{result}");
    let sql = "SELECT feedback FROM grades WHERE value < 1";
    let told = scene.run(&["sql", sql]).exits(0);
    for words in ["assert candidate", "too long", "left with status"] {
        assert!(told.stdout.contains(words), "{words}: {}", told.stdout);
    }
}

#[test]
fn one_program_can_be_tried() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.py");
    let run = |code: &str, more: &[&str]| {
        std::fs::write(&file, code).unwrap();
        let mut command = promptimal();
        done(command.arg("sandbox").arg(&file).args(more))
    };
    let well = run("print(6 * 7)", &[]).exits(0);
    assert!(
        well.stdout.contains("42") && well.stdout.contains("ended well"),
        "{}",
        well.stdout
    );
    let never = run("while True: pass", &["--seconds", "1", "--json"])
        .exits(1)
        .json();
    assert!(!never["limit"].is_null(), "{never}");
    let denied = run("print(open('/etc/passwd').read())", &[]).exits(1);
    assert!(
        denied.stdout.contains("PermissionError"),
        "{}",
        denied.stdout
    );
    assert!(!denied.stdout.contains("root:"), "{}", denied.stdout);
    let mut absent = promptimal();
    done(absent.args(["sandbox", "no/such.py"]))
        .exits(2)
        .complains(&["no/such.py"]);
}
