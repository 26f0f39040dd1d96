//! `promptimal runs`, `show` and `export` of a coordinator's runs.

use crate::{
    cli::{ExportArgs, ExportFormat},
    client::Client,
    commands::{export::Sink, runs, show},
    out,
};
use anyhow::Context;
use coordinator::{
    api::shapes::{RunList, RunState},
    export::What,
    summary::Shown,
};

/// Lists runs, newest first.
pub async fn runs(client: &Client, json: bool) -> anyhow::Result<()> {
    let list: RunList = client.get(&["runs"]).await?;
    runs::print(&list.runs, json)
}

/// Shows a run.
pub async fn show(client: &Client, run: &str, json: bool) -> anyhow::Result<()> {
    let shown: Shown = client.get(&["runs", run, "result"]).await?;
    show::print(&shown, json)
}

/// Writes a run's pairs, candidates or answers, while they come.
pub async fn export(client: &Client, args: &ExportArgs) -> anyhow::Result<()> {
    let state: RunState = client.get(&["runs", &args.run]).await?;
    let (id, what) = (state.run.run.to_string(), What::from(args.what));
    let format = match args.format {
        ExportFormat::Jsonl => "jsonl",
        ExportFormat::Csv => "csv",
    };
    let path = ["runs", &id, "export", what.as_str()];
    let mut response = client.open(&path, &[("format", format)]).await?;
    let mut sink = Sink::open(args.output.as_deref())?;
    let broken = "the export broke off: ask for it again";
    while let Some(piece) = response.chunk().await.context(broken)? {
        sink.write(&piece)?;
    }
    sink.finish()?;
    if let Some(path) = &args.output {
        out::note(format!("written to {}", path.display()));
    }
    Ok(())
}
