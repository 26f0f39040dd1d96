//! What the tests of the program share: a folder with data and a spec, a mock server, the program as a process.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

pub mod history;
pub mod server;

use serde_json::Value;
use server::Server;
use std::{
    fmt::Write as _,
    future::Future,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{self, Receiver},
    thread::{self, JoinHandle},
};

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The program, with nothing of ours in its environment.
pub fn promptimal() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_promptimal"));
    for (name, _) in std::env::vars_os() {
        let ours = name.to_string_lossy().starts_with("PROMPTIMAL_");
        if ours && name != "PROMPTIMAL_CACHE" {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// What a process left behind.
#[derive(Debug)]
pub struct Done {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// Fails unless the exit code is this.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}\n{}", self.stdout, self.stderr))
    }

    /// Fails unless standard error says all of it, and standard output nothing.
    #[track_caller]
    pub fn complains(&self, words: &[&str]) {
        assert_eq!(self.stdout, "", "errors go to standard error");
        self.says(words);
    }

    /// Fails unless standard error says all of it.
    #[track_caller]
    pub fn says(&self, words: &[&str]) {
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} in: {}", self.stderr);
        }
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs a command to its end.
pub fn done(command: &mut Command) -> Done {
    command.output().unwrap().into()
}

/// A folder with data and specs, and a server to ask.
pub struct Scene {
    pub dir: tempfile::TempDir,
    pub server: Server,
}

impl Scene {
    /// With `n` questions, every other one vague.
    pub fn new(n: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("letters.csv"), questions(n)).unwrap();
        let server = Server::start();
        server.set_latency(2);
        Self { dir, server }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a spec with its own model table and whatever else.
    pub fn write(&self, name: &str, model: &str, more: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, spec(&self.server.url, model, more)).unwrap();
        path
    }

    /// The usual spec.
    pub fn spec(&self) -> PathBuf {
        self.write("spec.toml", "", "")
    }

    /// Writes `open.toml`: open questions, graded by a reward model of random weights, which lies in `reward`.
    pub fn open(&self, n: usize) -> PathBuf {
        self.open_questions(n);
        let (from, to) = (
            root().join("crates/model/tests/fixtures/deberta-v3"),
            self.path("reward"),
        );
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
        let reward = "\n[models.reward]\nkind = \"reward\"\nmodel = \"./reward\"\n";
        self.write_open("open.toml", "reward", reward)
    }

    /// Writes `judged.toml`: open questions, whose answers another model of the server compares.
    pub fn judged(&self, n: usize) -> PathBuf {
        self.open_questions(n);
        let url = &self.server.url;
        let judge = format!(
            "\n[models.judge]\nkind = \"http\"\nbase_url = \"{url}\"\nmodel = \"referee\"\nretries = 0\n"
        );
        self.write_open("judged.toml", "judge", &judge)
    }

    fn write_open(&self, name: &str, grader: &str, more: &str) -> PathBuf {
        let letters = spec(&self.server.url, "", more);
        let open = letters
            .replace("name = \"letters\"", "name = \"open\"")
            .replace("mmlu", "alpaca")
            .replace("letters.csv", "open.json")
            .replace("choice_letter", grader);
        let path = self.path(name);
        std::fs::write(&path, open).unwrap();
        path
    }

    fn open_questions(&self, n: usize) {
        let row = |i: usize| {
            format!(
                r#"{{"instruction": "Say something of item {i} of the list.", "input": "", "output": "x"}}"#
            )
        };
        let rows: Vec<String> = (0..n).map(row).collect();
        std::fs::write(self.path("open.json"), format!("[{}]", rows.join(",\n"))).unwrap();
    }

    /// Writes `programs.toml`: functions to be written, graded by their tests.
    pub fn programs(&self, n: usize) -> PathBuf {
        let row = |i: usize| {
            let prompt = format!(
                "def plus(x):\n    \"\"\"Add the number of item {i} of the list to x.\"\"\"\n"
            );
            let test = format!(
                "def check(candidate):\n    for x in range(3):\n        assert candidate(x) == x + {i}\n"
            );
            let row = serde_json::json!({ "prompt": prompt, "entry_point": "plus", "test": test });
            row.to_string()
        };
        let rows: Vec<String> = (0..n).map(row).collect();
        std::fs::write(self.path("programs.jsonl"), rows.join("\n")).unwrap();
        let letters = spec(&self.server.url, "", "");
        let programs = letters
            .replace("name = \"letters\"", "name = \"programs\"")
            .replace("mmlu", "humaneval")
            .replace("letters.csv", "programs.jsonl")
            .replace("choice_letter", "code");
        let path = self.path("programs.toml");
        std::fs::write(&path, programs).unwrap();
        path
    }

    /// Writes `spec.toml` with a training at its end, of the tiny base, which lies in `tiny`. Its vague questions are enough
    /// for a dozen pairs.
    pub fn training(&self, more: &str) -> PathBuf {
        let (from, to) = (
            root().join("crates/model/tests/fixtures/tiny-plain"),
            self.path("tiny"),
        );
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
        // The questions are all alike: one cluster, which must not fall to validation.
        let train = format!(
            "\n[train]\nbase = \"./tiny\"\nvalidation = 0.0\nmin_pairs = 2\nrank = 4\nrate = 1e-2\nbatch = 2\naccumulate = 1\n{more}\n"
        );
        let text = spec(&self.server.url, "", &train).replace("hardest = 4", "hardest = 16");
        let path = self.path("spec.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program in this folder, with a data folder of its own.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = promptimal();
        command
            .current_dir(self.dir.path())
            .args(["--data-dir", "data"])
            .args(args);
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Done {
        done(&mut self.command(args))
    }
}

/// Multiple choice in MMLU's layout. The mock server knows the right answers.
pub fn questions(n: usize) -> String {
    let mut out = String::new();
    for i in 0..n {
        let vague = if i % 2 == 0 { "something about " } else { "" };
        let letter = ["A", "B", "C", "D"][i % 4];
        writeln!(
            out,
            "\"{vague}item {i} of the long list, which letter?\",alpha {i},beta {i},gamma {i},delta {i},{letter}"
        )
        .unwrap();
    }
    out
}

fn spec(url: &str, model: &str, more: &str) -> String {
    format!(
        r#"
[run]
name = "letters"
tags = ["test"]
seed = 7

[[datasets]]
name = "letters"
format = "mmlu"
path = "letters.csv"
grader = {{ kind = "choice_letter" }}

# The questions are all alike: one cluster, which must not fall into the test split.
[splits]
train = 1.0
validation = 0.0
test = 0.0

[models.target]
kind = "http"
base_url = "{url}"
model = "mock"
concurrency = 4
retries = 0
score_endpoint = true
price_in_usd_per_million = 1.0
price_out_usd_per_million = 2.0
{model}
[models.target.sampling]
max_tokens = 32

[search]
hardest = 4
rewrites = 2
rounds = 2
block = 3

[confirm]
repeats = 8
{more}"#
    )
}

/// A process whose standard error is read line by line.
pub struct Watched {
    pub child: Child,
    pub lines: Receiver<String>,
    stdout: JoinHandle<String>,
}

impl Watched {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let out = child.stdout.take().unwrap();
        let stdout = thread::spawn(move || std::io::read_to_string(out).unwrap_or_default());
        Self {
            child,
            lines,
            stdout,
        }
    }

    /// Waits for a line with these words; fails when there is none.
    #[track_caller]
    pub fn wait_for(&self, words: &str) {
        let found = self.lines.iter().any(|line| line.contains(words));
        assert!(found, "no line says {words:?}");
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// kill -9, and what it said before that nobody has read yet.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.iter().collect()
    }

    /// Waits for the end.
    pub fn finish(mut self) -> Done {
        let lines: Vec<String> = self.lines.iter().collect();
        Done {
            code: self.child.wait().unwrap().code(),
            stdout: self.stdout.join().unwrap(),
            stderr: lines.join("\n"),
        }
    }
}

/// Tells that a test cannot run here.
#[allow(clippy::print_stdout, reason = "whoever runs the tests reads it")]
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

/// Runs a future to its end.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}
