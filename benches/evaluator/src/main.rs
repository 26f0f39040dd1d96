//! Programs of the benchmark, one binary: `evaluator mock | ceiling | bare | ours`. `run` says how they are used.

mod bare;
mod ceiling;
mod measure;
mod mock;
mod ours;

use anyhow::Context;

/// The question that every client asks, number `i`.
pub fn question(i: usize) -> String {
    format!("Question {i} of the list: which letter is the answer to it?")
}

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, what: &str| -> anyhow::Result<usize> {
        let given = args.get(i).with_context(|| format!("{what} is missing"))?;
        given
            .parse()
            .with_context(|| format!("{what} is no number: {given:?}"))
    };
    let text = |i: usize, what: &str| {
        let given = args.get(i).map(String::as_str);
        given.with_context(|| format!("{what} is missing"))
    };
    match text(0, "a command (mock, ceiling, bare, ours)")? {
        "mock" => mock::main(number(1, "port")?, number(2, "delay in milliseconds")?),
        "ceiling" => ceiling::main(text(1, "URL")?, number(2, "N")?, number(3, "concurrency")?),
        "bare" => bare::main(text(1, "URL")?, number(2, "N")?, number(3, "concurrency")?),
        "ours" => {
            let (n, c) = (number(2, "N")?, number(3, "concurrency")?);
            ours::main(text(1, "URL")?, n, c, text(4, "folder")?)
        }
        // For the product's own binary, which reads them.
        "inputs" => {
            let (n, c) = (number(2, "N")?, number(3, "concurrency")?);
            ours::write_inputs(text(4, "folder")?.as_ref(), text(1, "URL")?, n, c)
        }
        other => anyhow::bail!("unknown command {other:?}: mock, ceiling, bare or ours"),
    }
}

/// The runtime that the product's own binary makes.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let made = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    made.context("no runtime")
}
