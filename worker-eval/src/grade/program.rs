//! A user's own program: one long-lived process that reads a JSON line and writes a JSON line.
//!
//! The program sees nothing of our environment but PATH, HOME and LANG, so no key leaks into it. It is started
//! when first needed, answers one question at a time, and is started again when it has died. A question
//! that runs into the time limit, or whose caller goes away, takes the process with it: its late answer can
//! never be read as the answer to the next question.

use super::{
    GradeError,
    external::{MAX_REPLY_BYTES, Question, verdict},
};
use domain::grade::{Grade, GradeInput};
use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex as SyncMutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::Mutex,
    time::timeout,
};

/// How much of the program's complaints is kept for an error message.
const STDERR_BYTES: usize = 400;

/// The program and, once it runs, its process.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    command: Vec<String>,
    limit: Duration,
    process: Mutex<Option<Process>>,
}

impl Program {
    /// Finds the program; starts nothing.
    pub fn new(command: &[String], timeout_seconds: u64) -> Result<Self, GradeError> {
        let name = command.first().map_or("", String::as_str);
        let path = found(name).ok_or_else(|| {
            GradeError::lasting(format!(
                "grader program {name:?} was not found or may not be executed: give a path, or a \
                 name on PATH"
            ))
        })?;
        Ok(Self {
            path,
            command: command.to_vec(),
            limit: Duration::from_secs(timeout_seconds.max(1)),
            process: Mutex::new(None),
        })
    }

    /// Grades one reply; the time limit runs from when its turn has come (a first start included).
    pub async fn grade(&self, input: &GradeInput, reply: &str) -> Result<Grade, GradeError> {
        let question = Question::new(input, reply);
        let mut line = serde_json::to_vec(&question)
            .map_err(|e| GradeError::lasting(format!("the question is no JSON: {e}")))?;
        line.push(b'\n');
        let mut slot = self.process.lock().await;
        let Ok(asked) = timeout(self.limit, self.ask(&mut slot, &line)).await else {
            return Err(GradeError::outage(format!(
                "{} gave no answer within {} s: raise timeout_seconds, or mend the program (it \
                 must flush after each line)",
                self.who(),
                self.limit.as_secs()
            )));
        };
        let (process, said) = asked?;
        let grade = verdict(&self.who(), &said, &question, true)?;
        // Only a process that keeps to the protocol is asked again.
        *slot = Some(process);
        Ok(grade)
    }

    fn who(&self) -> String {
        format!(
            "grader program {:?}",
            self.command.first().map_or("", String::as_str)
        )
    }

    /// Asks the running process, or a fresh one where there is none or it has died.
    async fn ask(
        &self,
        slot: &mut Option<Process>,
        line: &[u8],
    ) -> Result<(Process, Vec<u8>), GradeError> {
        if let Some(mut process) = slot.take()
            && let Some(said) = process.ask(line).await
        {
            return Ok((process, said));
        }
        let mut process = self.start()?;
        match process.ask(line).await {
            Some(said) => Ok((process, said)),
            None => Err(GradeError::outage(format!(
                "{} ended without an answer ({})",
                self.who(),
                process.last_words().await
            ))),
        }
    }

    fn start(&self) -> Result<Process, GradeError> {
        let mut command = Command::new(&self.path);
        command.args(&self.command[1..]).env_clear();
        for name in ["PATH", "HOME", "LANG"] {
            if let Some(value) = env::var_os(name) {
                command.env(name, value);
            }
        }
        let spawned = command
            .env("PYTHONUNBUFFERED", "1") // print() must not wait for a full pipe
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0) // Ctrl-C is for us: we drain, and still need grades
            .kill_on_drop(true)
            .spawn();
        let failed = |e: &dyn std::fmt::Display| {
            GradeError::outage(format!("{} could not be started: {e}", self.who()))
        };
        let child = spawned.map_err(|e| failed(&e))?;
        Process::new(child).ok_or_else(|| failed(&"it has no pipes"))
    }
}

/// The file that a shell would run for this name.
fn found(name: &str) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|p| is_program(p));
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|p| is_program(p))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[derive(Debug)]
struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    stderr: Arc<SyncMutex<Vec<u8>>>,
}

impl Process {
    fn new(mut child: Child) -> Option<Self> {
        let stderr = Arc::default();
        tokio::spawn(keep_tail(child.stderr.take()?, Arc::clone(&stderr)));
        Some(Self {
            stdin: child.stdin.take()?,
            stdout: BufReader::new(child.stdout.take()?),
            child,
            stderr,
        })
    }

    /// One line in, one line out; `None` when the process is gone. A line beyond the limit comes back cut.
    async fn ask(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        self.stdin.write_all(line).await.ok()?;
        self.stdin.flush().await.ok()?;
        let mut said = Vec::new();
        let mut bounded = (&mut self.stdout).take(MAX_REPLY_BYTES);
        bounded.read_until(b'\n', &mut said).await.ok()?;
        let whole = said.ends_with(b"\n") || said.len() as u64 == MAX_REPLY_BYTES;
        whole.then_some(said)
    }

    async fn last_words(&mut self) -> String {
        let status = timeout(Duration::from_secs(1), self.child.wait()).await;
        let status = match status {
            Ok(Ok(status)) => status.to_string(),
            _ => "still running, output closed".to_owned(),
        };
        // What it wrote before it ended is in the pipe; give the reader a turn to fetch it.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        match String::from_utf8_lossy(&stderr).trim().lines().next_back() {
            Some(last) => format!("{status}, last words {last:?}"),
            None => status,
        }
    }
}

/// Keeps reading, so that a talkative program never blocks, and keeps the end.
async fn keep_tail(mut stderr: ChildStderr, tail: Arc<SyncMutex<Vec<u8>>>) {
    let mut buffer = [0; 1024];
    while let Ok(n @ 1..) = stderr.read(&mut buffer).await {
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(&buffer[..n]);
        let surplus = tail.len().saturating_sub(STDERR_BYTES);
        tail.drain(..surplus);
    }
}
