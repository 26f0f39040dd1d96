//! The wall's time, or with `CLOCK=cpu` that which the processor spends on this process, which says something on a busy
//! machine too.

use std::{fs, time::Instant};

pub struct Clock {
    started: Instant,
    spent: Option<f64>,
}

impl Clock {
    pub fn start() -> Self {
        let cpu = std::env::var("CLOCK").is_ok_and(|clock| clock == "cpu");
        Self {
            spent: cpu.then(spent),
            started: Instant::now(),
        }
    }

    pub fn seconds(&self) -> f64 {
        match self.spent {
            Some(before) => spent() - before,
            None => self.started.elapsed().as_secs_f64(),
        }
    }
}

/// Seconds that all threads have run.
fn spent() -> f64 {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let told = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        told.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}
