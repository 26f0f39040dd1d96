//! `promptimal sql`

use crate::{cli::SqlArgs, out, render, site::Site};
use comfy_table::{Table, presets};
use serde_json::Value;
use store_sqlite::SqliteStore;

/// Asks the history in SQL.
pub async fn sql(site: &Site, args: &SqlArgs) -> anyhow::Result<()> {
    let file = site.existing_file()?;
    let store = SqliteStore::open_read_only(&file).await?;
    let found = store.query_read_only(&args.query).await?;
    if args.json {
        let object = |row: Vec<Value>| -> Value {
            found
                .columns
                .iter()
                .cloned()
                .zip(row)
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let rows: Vec<Value> = found.rows.clone().into_iter().map(object).collect();
        return out::json(&rows);
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_header(found.columns.clone());
    for row in &found.rows {
        table.add_row(row.iter().map(plain));
    }
    out::line(table.to_string());
    Ok(())
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => render::shorten(text),
        other => other.to_string(),
    }
}
