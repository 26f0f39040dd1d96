//! `promptimal models` and `promptimal data`

use crate::{
    cli::{DataCommand, ModelsCommand},
    models, out, render,
};
use model::catalogue::{self, Entry};

/// Lists or fetches models of the catalogue.
pub async fn models(command: ModelsCommand) -> anyhow::Result<()> {
    match command {
        ModelsCommand::Fetch { name } => {
            let path = models::fetch(&name).await?;
            out::line(path.display().to_string());
            Ok(())
        }
        ModelsCommand::List(args) => list(catalogue::list(), args.json),
    }
}

/// Lists or fetches data sets.
pub async fn data(command: DataCommand) -> anyhow::Result<()> {
    match command {
        DataCommand::Fetch { name } => {
            let fetch = move || catalogue::fetch_data(&name, &mut |_| {});
            let path = tokio::task::spawn_blocking(fetch).await??;
            out::line(path.display().to_string());
            Ok(())
        }
        DataCommand::List(args) => list(catalogue::data(), args.json),
    }
}

fn list(entries: &[Entry], json: bool) -> anyhow::Result<()> {
    if json {
        let rows: Vec<_> = entries.iter().map(row).collect();
        return out::json(&rows);
    }
    let mut table = render::table(["name", "file", "licence", "SHA-256", "in the cache"]);
    for entry in entries {
        let cached = cached(entry).map_or("no".to_owned(), |p| p.display().to_string());
        table.add_row([entry.name, entry.file, entry.licence, entry.sha256, &cached]);
    }
    out::line(table.to_string());
    Ok(())
}

fn cached(entry: &Entry) -> Option<std::path::PathBuf> {
    let path = catalogue::cache_dir().ok()?.join(entry.file);
    path.is_file().then_some(path)
}

fn row(entry: &Entry) -> serde_json::Value {
    serde_json::json!({
        "name": entry.name, "file": entry.file, "sha256": entry.sha256, "licence": entry.licence, "path": cached(entry),
    })
}
