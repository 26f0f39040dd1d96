//! Whether an answer passes tests that it never sees.

use crate::{
    error::Error,
    options::Limits,
    run::{
        Ended, LOOK, Limit, Streams, Times, Written, begun, ended, goes_too_far, lost, put_down,
        spent,
    },
    slot::{Plan, Slot},
    zygote::{Ending, holding, memory, wait},
};
use serde::Deserialize;
use std::{
    fs::File,
    io::{Read, Seek},
    os::{fd::AsFd, unix::process::ExitStatusExt},
    time::Instant,
};

/// A problem in HumanEval's layout.
#[derive(Clone, Debug, Deserialize)]
pub struct Problem {
    /// The start of a program: imports, helpers, and the function to finish.
    pub prompt: String,
    /// The function's name.
    pub entry_point: String,
    /// What defines `check(candidate)`.
    #[serde(rename = "test", alias = "tests")]
    pub tests: String,
}

/// What came out of a check.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Whether every test passed.
    pub passed: bool,
    /// Why not, where not.
    pub failure: Option<Failure>,
    /// How long it took, the tests' side included.
    pub times: Times,
}

/// Why an answer did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub why: Why,
    /// One line of at most some 400 characters: the assertion that failed and what the last call gave, or the exception.
    pub text: String,
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// An assertion failed, or the tests stumbled over what was given.
    Wrong,
    /// The code raised an exception, when defined or when called.
    Raised,
    /// It is no Python.
    Syntax,
    /// It defines no such function.
    Undefined,
    /// It gave something that is no plain value.
    Odd,
    /// It left, with an exit status.
    Exited,
    /// It crashed its interpreter.
    Crashed,
    /// It went beyond a limit.
    Limit(Limit),
}

#[derive(Deserialize)]
struct Report {
    kind: String,
    text: String,
}

/// What each side was given: empty once it has begun.
struct Jobs {
    asked: File,
    known: File,
}

/// How both sides ended.
struct Endings {
    candidate: Ending,
    checker: Ending,
    hit: Option<Limit>,
}

/// Checks code that is a whole program (see [`crate::extract`]) in a slot.
pub(crate) fn judge(
    plan: &Plan,
    slot: &mut Slot,
    problem: &Problem,
    code: &str,
) -> Result<Judged, Error> {
    let limits = plan.options.limits;
    let started = Instant::now();
    let streams = Streams::new()?;
    let report = memory("report")?;
    let jobs = begin(plan, slot, (problem, code), (&streams, &report))?;
    let endings = over(plan, slot, started + limits.wall)?;
    let (_, errors) = streams.read(limits.output)?;
    let failure = settle((plan, problem), &endings, &jobs, (report, errors))?;
    Ok(Judged {
        passed: failure.is_none(),
        failure,
        times: Times {
            wall: started.elapsed(),
            cpu: endings.candidate.cpu + endings.checker.cpu,
        },
    })
}

/// Starts both sides, with a pipe each way between them and the tests' text on one side alone.
fn begin(
    plan: &Plan,
    slot: &mut Slot,
    (problem, code): (&Problem, &str),
    (streams, report): (&Streams, &File),
) -> Result<Jobs, Error> {
    let limits = plan.options.limits;
    let (calls_read, calls_write) = std::io::pipe()?;
    let (answers_read, answers_write) = std::io::pipe()?;
    let asked = serde_json::json!({
        "code": code, "entry_point": problem.entry_point, "limits": limits.json(),
    });
    // What a candidate gives may be large to hold: that must not be the tests' failure.
    let roomy = Limits {
        memory: limits.memory * 2,
        ..limits
    };
    let known = serde_json::json!({
        "prompt": problem.prompt, "tests": problem.tests, "entry_point": problem.entry_point,
        "limits": roomy.json(),
    });
    let asked = holding("candidate", asked.to_string().as_bytes())?;
    let known = holding("tests", known.to_string().as_bytes())?;
    let theirs = Streams::new()?;
    let (candidates, checker) = slot.sides(plan)?;
    let (out, errors) = (streams.out.as_fd(), streams.errors.as_fd());
    candidates
        .fork(&[
            out,
            errors,
            asked.as_fd(),
            calls_read.as_fd(),
            answers_write.as_fd(),
        ])
        .map_err(lost)?;
    let (out, errors) = (theirs.out.as_fd(), theirs.errors.as_fd());
    checker
        .fork(&[
            out,
            errors,
            known.as_fd(),
            answers_read.as_fd(),
            calls_write.as_fd(),
            report.as_fd(),
        ])
        .map_err(lost)?;
    Ok(Jobs { asked, known })
}

/// Waits until the tests have ended, and ends the candidate then; ends both where the candidate goes too far.
fn over(plan: &Plan, slot: &mut Slot, deadline: Instant) -> Result<Endings, Error> {
    let limits = plan.options.limits;
    let (mut candidate, mut hit) = (None, None);
    let checker = loop {
        let until = deadline.min(Instant::now() + LOOK);
        if hit.is_none() {
            hit = goes_too_far(slot, &limits, deadline)?;
        }
        let (candidates, checker) = slot.sides(plan)?;
        if hit.is_some() {
            break put_down(checker)?;
        }
        let ready = if candidate.is_none() {
            wait(&[checker, candidates], until)?
        } else {
            wait(&[checker], until)?
        };
        if ready.contains(&1) {
            candidate = Some(candidates.ending().map_err(lost)?);
        }
        if ready.contains(&0) {
            break checker.ending().map_err(lost)?;
        }
    };
    let candidate = match candidate {
        Some(ending) => ending,
        None => put_down(&mut slot.candidates)?,
    };
    Ok(Endings {
        candidate,
        checker,
        hit,
    })
}

/// What report and endings mean; nothing where the answer passed.
fn settle(
    (plan, problem): (&Plan, &Problem),
    endings: &Endings,
    jobs: &Jobs,
    (report, errors): (File, Written),
) -> Result<Option<Failure>, Error> {
    let limits = plan.options.limits;
    begun(&jobs.known, &endings.checker)?;
    if let Some(limit) = endings.hit {
        begun(&jobs.asked, &endings.candidate)?;
        return Ok(Some(beyond(limit)));
    }
    let Some(report) = read(report)? else {
        return unreported(endings, &limits).map(Some);
    };
    let failed = |why| {
        Ok(Some(Failure {
            why,
            text: report.text.clone(),
        }))
    };
    match report.kind.as_str() {
        "passed" => Ok(None),
        "wrong" => failed(Why::Wrong),
        "raised" if report.text.contains("MemoryError") => Ok(Some(beyond(Limit::Memory))),
        "raised" => failed(Why::Raised),
        "syntax" => failed(Why::Syntax),
        "undefined" => failed(Why::Undefined),
        "odd" => failed(Why::Odd),
        "gone" => {
            begun(&jobs.asked, &endings.candidate)?;
            let ended = ended(&endings.candidate, None, &limits, &errors);
            Ok(Some(left(ended)))
        }
        _ => Err(Error::Tests {
            entry_point: problem.entry_point.clone(),
            why: report.text,
        }),
    }
}

fn read(mut report: File) -> Result<Option<Report>, Error> {
    let mut text = String::new();
    report.rewind()?;
    report.read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text).ok())
}

/// The tests' side ended without a word. What a candidate gave may have done it; a machine without memory, too.
fn unreported(endings: &Endings, limits: &Limits) -> Result<Failure, Error> {
    if spent(&endings.checker, limits) {
        return Ok(beyond(Limit::Cpu));
    }
    match endings.checker.status.signal() {
        Some(libc::SIGKILL) | None => Err(Error::Lost(format!(
            "the tests' side ended early, {}",
            endings.checker.status
        ))),
        Some(_) => Ok(Failure {
            why: Why::Odd,
            text: "it gave a value that the tests could not be run on".to_owned(),
        }),
    }
}

fn left(ended: Ended) -> Failure {
    match ended {
        Ended::Exited(code) => Failure {
            why: Why::Exited,
            text: format!("it left with status {code} while it was tested"),
        },
        Ended::Crashed(signal) => Failure {
            why: Why::Crashed,
            text: format!("it crashed the interpreter with signal {signal}"),
        },
        Ended::Killed(limit) => beyond(limit),
    }
}

fn beyond(limit: Limit) -> Failure {
    let text = match limit {
        Limit::Wall => "it took too long",
        Limit::Cpu => "it computed too long",
        Limit::Memory => "it needed too much memory",
        Limit::Scratch => "it wrote too many files",
    };
    Failure {
        why: Why::Limit(limit),
        text: text.to_owned(),
    }
}
