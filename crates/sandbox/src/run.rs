//! One program, from its start to its end.

use crate::{
    error::{Error, Unsupported},
    options::Limits,
    slot::{Plan, Slot},
    zygote::{Ending, Zygote, holding, memory, wait},
};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::{fd::AsFd, unix::process::ExitStatusExt},
    time::{Duration, Instant},
};

/// How often the scratch folder of a running program is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// The status of a child that could not take its filter.
const UNFILTERED: i32 = 71;

/// A Python program, whole.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its text.
    pub code: String,
    /// What it may use; without limits of its own, the sandbox's.
    pub limits: Option<Limits>,
}

impl Program {
    /// A program with the sandbox's limits.
    pub fn new(code: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            limits: None,
        }
    }
}

/// What a program did.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// How it ended.
    pub ended: Ended,
    /// What it wrote to its output.
    pub stdout: Written,
    /// What it wrote to its errors: where an exception ended it, the last line names it.
    pub stderr: Written,
    /// How long it took.
    pub times: Times,
    /// The largest memory it had at once, in bytes.
    pub peak: u64,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with an exit status; 0 where nothing went wrong.
    Exited(i32),
    /// By a signal that nobody sent on purpose: it crashed.
    Crashed(i32),
    /// It went beyond a limit and was ended.
    Killed(Limit),
}

/// A limit that ended a program. Those that are not here (size of files and output, processes, descriptors) make calls
/// fail, and the program goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Time on the clock.
    Wall,
    /// Time on a processor.
    Cpu,
    /// Memory: an exception that nothing caught, or the system's own end to it.
    Memory,
    /// Files in the scratch folder, their number or their size.
    Scratch,
}

/// What was written to a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The start of output, the end of errors; what is no UTF-8 is replaced.
    pub text: String,
    /// Whether there was more.
    pub cut: bool,
}

/// How long something took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// On the clock, waiting for a slot left out.
    pub wall: Duration,
    /// On processors.
    pub cpu: Duration,
}

/// Runs a program in a slot.
pub(crate) fn run(plan: &Plan, slot: &mut Slot, program: &Program) -> Result<Verdict, Error> {
    let limits = program.limits.unwrap_or(plan.options.limits);
    let job = serde_json::json!({
        "code": program.code, "entry_point": null, "limits": limits.json(),
    });
    let started = Instant::now();
    let (job, streams) = (
        holding("program", job.to_string().as_bytes())?,
        Streams::new()?,
    );
    let descriptors = [streams.out.as_fd(), streams.errors.as_fd(), job.as_fd()];
    slot.candidates.fork(&descriptors).map_err(lost)?;
    let hit = over(slot, &limits, started)?;
    let ending = slot.candidates.ending().map_err(lost)?;
    begun(&job, &ending)?;
    let (stdout, stderr) = streams.read(limits.output)?;
    Ok(Verdict {
        ended: ended(&ending, hit, &limits, &stderr),
        stdout,
        stderr,
        times: Times {
            wall: started.elapsed(),
            cpu: ending.cpu,
        },
        peak: ending.peak,
    })
}

/// Waits until a program has ended, or ends it where it goes too far.
fn over(slot: &mut Slot, limits: &Limits, started: Instant) -> Result<Option<Limit>, Error> {
    let deadline = started + limits.wall;
    loop {
        let until = deadline.min(Instant::now() + LOOK);
        if !wait(&[&slot.candidates], until)?.is_empty() {
            return Ok(None);
        }
        if let Some(hit) = goes_too_far(slot, limits, deadline)? {
            slot.candidates.kill().map_err(lost)?;
            return Ok(Some(hit));
        }
    }
}

/// Which limit a running program is beyond, of those that we look after.
pub(crate) fn goes_too_far(
    slot: &Slot,
    limits: &Limits,
    deadline: Instant,
) -> io::Result<Option<Limit>> {
    if Instant::now() >= deadline {
        return Ok(Some(Limit::Wall));
    }
    Ok(slot.scratch.exceeds(limits)?.then_some(Limit::Scratch))
}

/// What an ending means.
pub(crate) fn ended(
    ending: &Ending,
    hit: Option<Limit>,
    limits: &Limits,
    errors: &Written,
) -> Ended {
    if let Some(limit) = hit {
        return Ended::Killed(limit);
    }
    match (ending.status.code(), ending.status.signal()) {
        (Some(1), _) if errors.names("MemoryError") => Ended::Killed(Limit::Memory),
        (Some(code), _) => Ended::Exited(code),
        (None, Some(_)) if spent(ending, limits) => Ended::Killed(Limit::Cpu),
        // Nobody else may signal it: the system does, for want of memory.
        (None, Some(libc::SIGKILL)) => Ended::Killed(Limit::Memory),
        (None, signal) => Ended::Crashed(signal.unwrap_or_default()),
    }
}

/// Whether a child was ended for its time on a processor: by the signal that says so, or, where it did not heed that, by
/// the one that also stands for want of memory. The kernel counts ticks for the limit, and tells less on a busy machine.
pub(crate) fn spent(ending: &Ending, limits: &Limits) -> bool {
    match ending.status.signal() {
        Some(libc::SIGXCPU) => true,
        Some(libc::SIGKILL) => ending.cpu >= limits.cpu / 2,
        _ => false,
    }
}

/// A child empties its job once it is confined. One that did not ran nothing, whatever its end looks like.
pub(crate) fn begun(job: &File, ending: &Ending) -> Result<(), Error> {
    if job.metadata()?.len() == 0 {
        return Ok(());
    }
    if ending.status.code() == Some(UNFILTERED) {
        let why = "prctl refuses it".to_owned();
        return Err(Unsupported::Filter(why).into());
    }
    Err(Error::Lost(format!(
        "a child did not begin, {}",
        ending.status
    )))
}

/// A slot that does not answer.
pub(crate) fn lost(error: io::Error) -> Error {
    Error::Lost(error.to_string())
}

impl Written {
    pub(crate) fn last_line(&self) -> &str {
        self.text.lines().last().unwrap_or_default()
    }

    /// Whether an exception ended the program: finalisers may have complained after it.
    fn names(&self, exception: &str) -> bool {
        let mut last = self.text.lines().rev().take(10);
        last.any(|line| line.starts_with(exception))
    }
}

/// Where a child writes to: files in memory, which have the size limit of all files and need nobody to read them.
pub(crate) struct Streams {
    pub(crate) out: File,
    pub(crate) errors: File,
}

impl Streams {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            out: memory("output")?,
            errors: memory("errors")?,
        })
    }

    /// What was written, once the child is gone.
    pub(crate) fn read(self, most: usize) -> io::Result<(Written, Written)> {
        let out = written(self.out, most, 0)?;
        let length = self.errors.metadata()?.len();
        Ok((
            out,
            written(self.errors, most, length.saturating_sub(most as u64))?,
        ))
    }
}

fn written(mut file: File, most: usize, from: u64) -> io::Result<Written> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.by_ref().take(most as u64).read_to_end(&mut bytes)?;
    Ok(Written {
        text: String::from_utf8_lossy(&bytes).into_owned(),
        cut: file.metadata()?.len() > most as u64,
    })
}

/// Kills a child whose end is not yet known, and tells how it ended.
pub(crate) fn put_down(zygote: &mut Zygote) -> Result<Ending, Error> {
    zygote.kill().map_err(lost)?;
    zygote.ending().map_err(lost)
}
