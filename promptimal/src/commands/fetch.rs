//! `promptimal models`

use crate::{cli::ModelsCommand, models, out, render};
use model::catalogue;

/// Lists or fetches models of the catalogue.
pub async fn models(command: ModelsCommand) -> anyhow::Result<()> {
    match command {
        ModelsCommand::Fetch { name } => {
            let path = models::fetch(&name).await?;
            out::line(path.display().to_string());
        }
        ModelsCommand::List(args) if args.json => {
            let rows: Vec<_> = catalogue::list().iter().map(row).collect();
            out::json(&rows)?;
        }
        ModelsCommand::List(_) => {
            let mut table = render::table(["name", "file", "SHA-256", "in the cache"]);
            for entry in catalogue::list() {
                let cached = catalogue::locate(entry.name)
                    .ok()
                    .flatten()
                    .map_or("no".to_owned(), |p| p.display().to_string());
                table.add_row([entry.name, entry.file, entry.sha256, cached.as_str()]);
            }
            out::line(table.to_string());
        }
    }
    Ok(())
}

fn row(entry: &catalogue::Entry) -> serde_json::Value {
    serde_json::json!({
        "name": entry.name, "file": entry.file, "sha256": entry.sha256, "path": catalogue::locate(entry.name).ok().flatten(),
    })
}
