//! The programs `promptimal` and `coordinator`. Everything they do is composition: services with their dependencies
//! handed in.

mod bus;
mod cli;
mod client;
mod commands;
mod embedded;
mod estimate;
mod lock;
mod models;
mod out;
mod progress;
mod render;
mod service;
mod site;
mod token;

pub use service::main as coordinator_main;

use clap::Parser;
use std::process::ExitCode;

/// The command line.
pub fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let options = runtime::telemetry::TelemetryOptions::default();
    if let Err(e) = runtime::telemetry::init(&options) {
        out::error(&anyhow::anyhow!("logs: {e}"));
        return ExitCode::from(2);
    }
    let made = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = made
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(commands::dispatch(cli)));
    match result {
        Ok(code) => code,
        Err(e) => {
            out::error(&e);
            ExitCode::from(2)
        }
    }
}
