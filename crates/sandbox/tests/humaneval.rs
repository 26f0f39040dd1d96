//! The problems of HumanEval, and ours in its layout: solutions pass, wrong variants fail.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use common::{Solved, open, ours, real};
use sandbox::{Sandbox, Why};

fn all() -> Vec<Solved> {
    ours()
        .into_iter()
        .chain(real().unwrap_or_default())
        .collect()
}

/// Judges programs made from the solutions, two at a time; those of which it says so are told.
fn told(make: fn(&Solved) -> String, tell: fn(&sandbox::Judged) -> bool) -> Vec<String> {
    let (sandbox, problems) = (open(), all());
    let half = problems.len().div_ceil(2);
    let judge = |sandbox: &Sandbox, solved: &Solved| {
        let judged = sandbox.judge(&solved.problem, &make(solved)).unwrap();
        tell(&judged).then(|| format!("{}: {:?}", solved.task_id, judged.failure))
    };
    std::thread::scope(|scope| {
        let (sandbox, judge) = (&sandbox, &judge);
        let threads: Vec<_> = problems
            .chunks(half)
            .map(|part| {
                let part = part.iter();
                scope.spawn(move || part.filter_map(|s| judge(sandbox, s)).collect::<Vec<_>>())
            })
            .collect();
        let all = threads.into_iter().flat_map(|t| t.join().unwrap());
        all.collect()
    })
}

#[test]
fn solutions_pass() {
    let failed = told(Solved::program, |judged| !judged.passed);
    assert!(failed.is_empty(), "{failed:#?}");
}

/// The right function, whose result is changed a little on its way out.
fn slightly_wrong(solved: &Solved) -> String {
    let name = &solved.problem.entry_point;
    format!(
        "{}

def changed(value):
    if isinstance(value, bool): return not value
    if isinstance(value, (int, float)): return value + 1
    if isinstance(value, str): return value + '!'
    if isinstance(value, bytes): return value + b'!'
    if isinstance(value, list): return value + [None]
    if isinstance(value, tuple): return value + (None,)
    if isinstance(value, set): return value | {{'nobody'}}
    if isinstance(value, dict): return {{**value, 'nobody': 0}}
    return 0

right_one = {name}

def {name}(*arguments, **named):
    return changed(right_one(*arguments, **named))
",
        solved.program()
    )
}

#[test]
fn wrong_variants_fail() {
    let passed = told(slightly_wrong, |judged| judged.passed);
    assert!(passed.is_empty(), "{passed:#?}");
}

#[test]
fn functions_without_a_body_fail() {
    let empty = |solved: &Solved| format!("{}    pass\n", solved.problem.prompt);
    let passed = told(empty, |judged| judged.passed);
    assert!(passed.is_empty(), "{passed:#?}");
}

/// Models wrap what they write: whatever the reply looks like, the same program comes out.
#[test]
fn solutions_are_found_in_replies() {
    let sandbox = open();
    for solved in all() {
        let (prompt, body) = (&solved.problem.prompt, &solved.canonical_solution);
        for reply in [
            body.clone(),
            body.trim().to_owned(),
            format!("```python\n{body}```"),
            format!("{body}```\n\nThis works because it does what is asked."),
            format!("Here you are:\n\n```python\n{prompt}{body}```\n\nIt does what is asked."),
            format!("Here you are:\n\n{prompt}{body}\nThis does what is asked."),
        ] {
            let judged = sandbox.answer(&solved.problem, &reply).unwrap();
            let failure = judged.failure;
            assert!(
                judged.passed,
                "{}: {failure:?}\n{reply}\n{}",
                solved.task_id,
                sandbox::extract(&reply, prompt, &solved.problem.entry_point)
            );
        }
    }
}

#[test]
fn failures_say_what_was_wrong() {
    let sandbox = open();
    let solved = &ours()[0];
    let failure = |code: &str| {
        let judged = sandbox.judge(&solved.problem, code).unwrap();
        let failure = judged.failure.unwrap();
        (failure.why, failure.text)
    };
    assert_eq!(
        failure("def tide_turns(levels): return 7"),
        (
            Why::Wrong,
            "assert candidate([1, 3, 2, 4]) == 2; tide_turns([1, 3, 2, 4]) gave 7".to_owned()
        )
    );
    assert_eq!(
        failure("def tide_turns(levels): return levels[9]"),
        (
            Why::Raised,
            "tide_turns([1, 3, 2, 4]) raised IndexError: list index out of range".to_owned()
        )
    );
    assert_eq!(failure("def tide_turns(levels) return 7").0, Why::Syntax);
    assert_eq!(
        failure("def other(levels): return 7"),
        (
            Why::Undefined,
            "no function tide_turns is defined".to_owned()
        )
    );
    assert_eq!(
        failure("raise ValueError('no')\ndef tide_turns(levels): return 7"),
        (Why::Raised, "ValueError: no".to_owned())
    );
    assert_eq!(
        failure("def tide_turns(levels): return object()"),
        (
            Why::Odd,
            "tide_turns([1, 3, 2, 4]) gave a value of type object, not a plain value".to_owned()
        )
    );
    assert_eq!(
        failure("import sys\nsys.exit('no')\ndef tide_turns(levels): return 7").0,
        Why::Raised
    );
}

/// Nobody can pass these, and that is not the answer's fault.
#[test]
fn tests_that_are_none_are_no_failure() {
    let sandbox = open();
    for tests in [
        "def check(candidate: pass",
        "x = 1",
        "import nothing_of_that_name",
    ] {
        let problem = sandbox::Problem {
            tests: tests.to_owned(),
            ..ours()[0].problem.clone()
        };
        let judged = sandbox.judge(&problem, &ours()[0].program());
        assert!(
            matches!(judged, Err(sandbox::Error::Tests { .. })),
            "{tests}: {judged:?}"
        );
    }
}
