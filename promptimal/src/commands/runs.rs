//! `promptimal runs`

use crate::{cli::RunsArgs, out, render, site::Site};
use coordinator::api::shapes::RunRow;
use store::RunPage;

/// Lists runs, newest first.
pub async fn list(site: &Site, args: &RunsArgs) -> anyhow::Result<()> {
    let store = site.existing().await?;
    let limit = args.limit.map_or(u32::MAX, |limit| limit.get());
    let runs = store.runs_page(&RunPage::first(limit)).await?;
    let runs: Vec<RunRow> = runs.iter().map(Into::into).collect();
    print(&runs, args.json)
}

/// Prints a list.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn print(runs: &[RunRow], json: bool) -> anyhow::Result<()> {
    if json {
        return out::json(&runs);
    }
    let mut table = render::table(["run", "name", "kind", "status", "tags", "why"]);
    for run in runs {
        table.add_row([
            run.run.to_string(),
            run.name.clone(),
            run.kind.to_string(),
            run.status.to_string(),
            run.tags.join(" "),
            run.reason.clone().unwrap_or_default(),
        ]);
    }
    out::line(table.to_string());
    Ok(())
}
