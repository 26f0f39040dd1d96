//! `promptimal runs`

use crate::{out, render, site::Site};
use coordinator::api::shapes::RunRow;

/// Lists runs, newest first.
pub async fn list(site: &Site, json: bool) -> anyhow::Result<()> {
    let store = site.existing().await?;
    let runs: Vec<RunRow> = store.runs().await?.iter().map(Into::into).collect();
    print(&runs, json)
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
