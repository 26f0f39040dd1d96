//! The programs `promptimal` and `coordinator`. Everything they do is composition: services with their dependencies
//! handed in.

mod accuracy;
mod bus;
mod cli;
mod client;
mod commands;
mod embedded;
mod estimate;
mod init;
mod interrupt;
mod lock;
mod models;
mod out;
mod pairs;
mod plot;
mod progress;
mod render;
mod rewriter;
mod rewriting;
mod scoring;
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
    runtime::service::start(&options, commands::dispatch(cli))
}
