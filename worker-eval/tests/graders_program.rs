//! The program grader against real python3 processes.

#![allow(clippy::unwrap_used, reason = "a test helper may panic")]

use domain::{
    call::{Call, Reply, Sampling, Score},
    example::Reference,
    grade::{Grade, GradeInput, Grader},
};
use std::path::Path;
use worker_eval::grade::{GradeError, GraderRuntime};

fn runtime(dir: &Path, script: &str, timeout_seconds: u64) -> GraderRuntime {
    let file = dir.join("grader.py");
    std::fs::write(&file, script).unwrap();
    let command = vec!["python3".to_owned(), file.display().to_string()];
    GraderRuntime::new(&Grader::Program {
        command,
        timeout_seconds,
    })
    .unwrap()
}

async fn grade(runtime: &GraderRuntime, answer: &str) -> Result<Grade, GradeError> {
    let input = GradeInput {
        input: "2+2?".into(),
        choices: vec!["3".into(), "4".into()],
        reference: Reference::Choice { index: 1 },
    };
    let call = Call::Generate {
        messages: vec![],
        sampling: Sampling::default(),
    };
    runtime
        .grade(
            &input,
            &call,
            &Reply::Text {
                text: answer.into(),
            },
        )
        .await
}

const COMPARES: &str = r#"
import json, os, sys
for line in sys.stdin:
    q = json.loads(line)
    right = q["answer"] == q["reference"]
    print(json.dumps({"id": q["id"], "score": 1.0 if right else 0.25,
                      "feedback": f"pid {os.getpid()}, expected {q['reference']}"}))
"#;

#[tokio::test]
async fn one_process_grades_many_answers_and_never_tells_the_reference() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = runtime(dir.path(), COMPARES, 60);
    let (right, wrong) = (
        grade(&runtime, "4").await.unwrap(),
        grade(&runtime, "5").await.unwrap(),
    );
    assert_eq!((right.value, wrong.value), (1.0, 0.25));
    assert_eq!(right.feedback, wrong.feedback, "another process answered");
    assert!(
        wrong.feedback.ends_with("expected [reference]"),
        "{}",
        wrong.feedback
    );
}

#[tokio::test]
async fn answers_asked_side_by_side_keep_their_grades() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = runtime(dir.path(), COMPARES, 60);
    let answers: Vec<String> = (0..20).map(|i| i.to_string()).collect();
    let grades = futures::future::join_all(answers.iter().map(|a| grade(&runtime, a))).await;
    for (answer, grade) in answers.iter().zip(grades) {
        assert_eq!(grade.unwrap().value, if answer == "4" { 1.0 } else { 0.25 });
    }
}

#[tokio::test]
async fn our_environment_stays_ours() {
    let dir = tempfile::tempdir().unwrap();
    let kept = ["PATH", "HOME", "LANG", "PYTHONUNBUFFERED"];
    // A launcher of python may set variables of its own; what counts is what was ours.
    let launcher = ["_", "PWD", "SHLVL", "LC_CTYPE"];
    let ours: Vec<String> = std::env::vars()
        .map(|(name, _)| name)
        .filter(|n| !kept.contains(&n.as_str()) && !launcher.contains(&n.as_str()))
        .filter(|n| !n.contains("PYENV"))
        .collect();
    assert!(ours.iter().any(|n| n == "CARGO_MANIFEST_DIR"));
    let script = r#"
import json, os, sys
for line in sys.stdin:
    q = json.loads(line)
    leaked = sorted(set(os.environ) & set(q["answer"].split()))
    has_path = "PATH" in os.environ
    print(json.dumps({"id": q["id"], "score": float(has_path and not leaked), "feedback": " ".join(leaked)}))
"#;
    let grade = grade(&runtime(dir.path(), script, 60), &ours.join(" "))
        .await
        .unwrap();
    assert_eq!((grade.value, grade.feedback.as_str()), (1.0, ""));
}

#[tokio::test]
async fn a_program_that_dies_is_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"
import json, os, sys
q = json.loads(sys.stdin.readline())
print(json.dumps({"id": q["id"], "score": 0.5, "feedback": str(os.getpid())}))
"#;
    let runtime = runtime(dir.path(), script, 60);
    let (a, b) = (
        grade(&runtime, "1").await.unwrap(),
        grade(&runtime, "2").await.unwrap(),
    );
    assert_eq!((a.value, b.value), (0.5, 0.5));
    assert_ne!(a.feedback, b.feedback);
}

#[tokio::test]
async fn a_program_that_only_dies_is_an_outage() {
    let dir = tempfile::tempdir().unwrap();
    let script = "import sys\nsys.stdin.readline()\nsys.exit('model file is missing')";
    let error = grade(&runtime(dir.path(), script, 60), "1")
        .await
        .unwrap_err();
    assert!(error.retryable);
    assert!(error.message.contains("model file is missing"), "{error}");
    assert!(error.message.contains("exit status: 1"), "{error}");
}

#[tokio::test]
async fn garbage_is_an_error_and_the_next_answer_gets_a_fresh_process() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"
import json, sys
for line in sys.stdin:
    q = json.loads(line)
    if q["answer"] == "bad":
        print("thinking..."); continue
    score = float(q["answer"])
    print(json.dumps({"id": q["id"], "score": score}))
"#;
    let runtime = runtime(dir.path(), script, 60);
    for answer in ["bad", "1.5", "-1", "nan"] {
        let error = grade(&runtime, answer).await.unwrap_err();
        assert!(!error.retryable, "{answer}: {error}");
        assert!(
            error.message.contains("grader program \"python3\" said"),
            "{error}"
        );
        assert_eq!(grade(&runtime, "0.75").await.unwrap().value, 0.75);
    }
}

#[tokio::test]
async fn a_hanging_program_is_stopped_and_its_late_answer_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"
import json, sys, time
for line in sys.stdin:
    q = json.loads(line)
    if q["answer"] == "hang":
        time.sleep(3600)
    print(json.dumps({"id": q["id"], "score": 0.5}))
"#;
    let runtime = runtime(dir.path(), script, 5);
    let error = grade(&runtime, "hang").await.unwrap_err();
    assert!(
        error.retryable && error.message.contains("within 5 s"),
        "{error}"
    );
    // On a busy machine a fresh start may run into the limit too; what may not come is the old answer.
    for _ in 0..30 {
        match grade(&runtime, "fine").await {
            Ok(grade) => return assert_eq!(grade.value, 0.5),
            Err(error) => assert!(error.retryable, "{error}"),
        }
    }
    panic!("the program was never started again");
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_no_stale_answer() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"
import json, pathlib, sys, time
for line in sys.stdin:
    q = json.loads(line)
    if q["answer"] == "slow":
        (pathlib.Path(__file__).parent / "asked").touch()
        time.sleep(3600)
    print(json.dumps({"id": q["id"], "score": 1}))
"#;
    let runtime = runtime(dir.path(), script, 600);
    let asked = dir.path().join("asked");
    let started = async {
        while !asked.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = grade(&runtime, "slow") => panic!("the slow answer came"),
        () = started => {}
    }
    assert_eq!(grade(&runtime, "fine").await.unwrap().value, 1.0);
}

#[test]
fn a_program_that_does_not_exist_is_named_before_anything_runs() {
    for command in [
        vec![],
        vec!["no-such-grader".to_owned()],
        vec!["/no/such/grader".to_owned()],
    ] {
        let grader = Grader::Program {
            command,
            timeout_seconds: 1,
        };
        let error = GraderRuntime::new(&grader).unwrap_err();
        assert!(
            !error.retryable && error.message.contains("was not found"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn scores_are_no_text() {
    let runtime = GraderRuntime::new(&Grader::Exact).unwrap();
    let input = GradeInput {
        input: "?".into(),
        choices: vec![],
        reference: Reference::Text { text: "4".into() },
    };
    let call = Call::Generate {
        messages: vec![],
        sampling: Sampling::default(),
    };
    let scores = Reply::Scores {
        scores: vec![Score {
            logprob: -1.0,
            tokens: 1,
        }],
    };
    assert!(
        !runtime
            .grade(&input, &call, &scores)
            .await
            .unwrap_err()
            .retryable
    );
    let loglik = GraderRuntime::new(&Grader::ReferenceLoglik).unwrap();
    let text = Reply::Text { text: "4".into() };
    assert!(loglik.grade(&input, &call, &text).await.is_err());
}
