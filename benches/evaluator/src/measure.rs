//! What a process has used so far.

use serde::Serialize;

/// Resources of this process.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Used {
    /// Processor time, user and system, in seconds.
    pub cpu_s: f64,
    /// The largest resident set so far, KiB.
    pub peak_kib: u64,
}

/// Of this process, from its start.
pub fn used() -> Used {
    // SAFETY: an all-zero `rusage` is valid, and `getrusage` writes no more than one.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    Used {
        cpu_s: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        peak_kib: peak(),
    }
}

/// From the kernel's status page: the figure of `getrusage` includes the parent's, from before exec.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}
