//! `promptimal runs`, `show` and `export` of a coordinator's runs.

use crate::{
    cli::{ExportArgs, ExportFormat, RunsArgs},
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

/// Runs asked for at a time.
const PAGE: usize = 500;

/// Lists runs, newest first, page after page.
pub async fn runs(client: &Client, args: &RunsArgs) -> anyhow::Result<()> {
    let most = args.limit.map_or(usize::MAX, |limit| limit.get() as usize);
    let mut rows = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let limit = PAGE.min(most - rows.len()).to_string();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(after.as_deref().map(|after| ("after", after)));
        let page: RunList = client.get_where(&["runs"], &query).await?;
        rows.extend(page.runs);
        after = page.next;
        if after.is_none() || rows.len() >= most {
            return runs::print(&rows, args.json);
        }
    }
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
