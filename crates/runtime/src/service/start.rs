//! From `main` to the work and back to an exit code.

use crate::telemetry::{self, TelemetryOptions};
use std::{
    fmt::Display,
    future::Future,
    io::{self, Write},
    process::ExitCode,
};

/// The exit code of a program that could not do what it was asked.
const FAILED: u8 = 2;

/// Starts logging and a runtime, and runs a program to its end. An error is told on standard error.
pub fn start<E: Display>(
    logs: &TelemetryOptions,
    work: impl Future<Output = Result<ExitCode, E>>,
) -> ExitCode {
    if let Err(error) = telemetry::init(logs) {
        return failed(format!("logs: {error}"));
    }
    let made = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match made {
        Err(error) => failed(format!("no runtime: {error}")),
        // The alternate form of an error names its causes.
        Ok(runtime) => runtime
            .block_on(work)
            .unwrap_or_else(|error| failed(format!("{error:#}"))),
    }
}

fn failed(error: String) -> ExitCode {
    tell(format!("error: {error}"));
    ExitCode::from(FAILED)
}

/// A line on standard error. Nothing sensible is left to do when that is gone.
pub fn tell(line: String) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
