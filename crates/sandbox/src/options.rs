//! What a sandbox and its programs may use.

use std::{path::PathBuf, time::Duration};

/// How a sandbox is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many programs run at the same time; each further one waits.
    pub slots: usize,
    /// What a program may use.
    pub limits: Limits,
    /// The interpreter; without one, the first `python3` of `PATH` that the slots' users can run.
    pub python: Option<PathBuf>,
    /// Where scratch folders are made; without one, where temporary files go.
    pub scratch: Option<PathBuf>,
    /// The first of two users a slot that root drops to, by number; without one, some between 61,200 and 65,200, which
    /// no distribution gives to people or services.
    pub first_uid: Option<u32>,
    /// After how many programs a slot's processes are replaced.
    pub recycle: u32,
}

impl Default for Options {
    /// One slot for each processor.
    fn default() -> Self {
        Self {
            slots: std::thread::available_parallelism().map_or(1, usize::from),
            limits: Limits::default(),
            python: None,
            scratch: None,
            first_uid: None,
            recycle: 2000,
        }
    }
}

/// What one program may use. A check of an answer has these limits as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From its start to its end.
    pub wall: Duration,
    /// Of one processor; whole seconds, rounded up, as the kernel counts its ticks. Who ignores the signal has one more.
    pub cpu: Duration,
    /// Addresses, in bytes: an interpreter takes some 60 MiB of them.
    pub memory: u64,
    /// Bytes of each of output and errors that are kept; the rest is cut.
    pub output: usize,
    /// Bytes of one file, and of output that is written at all.
    pub file: u64,
    /// Bytes of all files in the scratch folder, looked at every 20 ms.
    pub scratch: u64,
    /// Files in the scratch folder.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(10),
            cpu: Duration::from_secs(5),
            memory: 512 << 20,
            output: 64 << 10,
            file: 1 << 20,
            scratch: 8 << 20,
            files: 64,
        }
    }
}

impl Limits {
    /// As the zygote's children read them.
    pub(crate) fn json(&self) -> serde_json::Value {
        let cpu = self.cpu.as_millis().div_ceil(1000).max(1) as u64;
        serde_json::json!({"memory": self.memory, "cpu": cpu, "file": self.file})
    }
}
