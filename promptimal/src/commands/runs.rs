//! `promptimal runs`

use crate::{out, render, site::Site};

/// Lists runs, newest first.
pub async fn list(site: &Site, json: bool) -> anyhow::Result<()> {
    let store = site.existing().await?;
    let runs = store.runs().await?;
    if json {
        let rows: Vec<_> = runs
            .iter()
            .map(|r| {
                serde_json::json!({
                    "run": r.id, "name": r.name, "tags": r.tags, "kind": r.kind, "status": r.status,
                    "reason": r.reason, "created_at": r.created_at, "finished_at": r.finished_at,
                })
            })
            .collect();
        return out::json(&rows);
    }
    let mut table = render::table(["run", "name", "kind", "status", "tags", "why"]);
    for run in runs {
        table.add_row([
            run.id.to_string(),
            run.name,
            run.kind.to_string(),
            run.status.to_string(),
            run.tags.join(" "),
            run.reason.unwrap_or_default(),
        ]);
    }
    out::line(table.to_string());
    Ok(())
}
