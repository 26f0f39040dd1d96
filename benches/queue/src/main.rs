//! Programs of the benchmark, one binary: `bench-queue coordinate | work | bare | echo | mock | prepare`.
//!
//! `run` says how they are used. Each takes its settings as one JSON argument; where database and broker are is read
//! from `BENCH_DATABASE_URL` and `BENCH_AMQP_URL`, because their passwords are nobody's to see in a list of processes.

mod bare;
mod model;
mod ours;
mod settings;
mod work;

#[path = "../../evaluator/src/measure.rs"]
mod measure;
#[path = "../../evaluator/src/mock.rs"]
mod mock;

use anyhow::Context;
use runtime::telemetry::TelemetryOptions;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|name| name == "mock") {
        return serve_mock(&args);
    }
    runtime::service::start(&TelemetryOptions::default(), async move {
        let name = args.first().context("a command is missing")?;
        let given = args.get(1).context("settings are missing")?;
        match name.as_str() {
            "coordinate" => ours::main(settings::read(given)?).await,
            "work" => work::main(settings::read(given)?).await,
            "bare" => bare::main(settings::read(given)?).await,
            "echo" => bare::echo::main(settings::read(given)?).await,
            "prepare" => ours::prepare().await,
            other => anyhow::bail!("unknown command {other:?}: coordinate, work, bare, echo, prepare or mock"),
        }?;
        Ok(ExitCode::SUCCESS)
    })
}

fn serve_mock(args: &[String]) -> ExitCode {
    let delay = args.get(1).and_then(|ms| ms.parse().ok()).unwrap_or(200);
    match mock::main(0, delay) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
