//! How many items a second the store takes from plan to done, and whether that depends on how many there
//! are: `cargo run --release -p store-sqlite --example throughput -- 1000 10000 100000`.
//!
//! One process, no model and no queue; see `store::conformance::throughput`.

use std::{error::Error, path::Path};
use store::conformance::throughput;
use store_sqlite::SqliteStore;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("throughput-{}", std::process::id()));
    for n in std::env::args().skip(1) {
        let n: usize = n.parse()?;
        let line = measure(&folder.join(format!("{n}.db")), n).await?;
        eprintln!("{line}");
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

async fn measure(path: &Path, n: usize) -> Result<String, Box<dyn Error>> {
    let store = SqliteStore::open(path).await?;
    let busy = cpu();
    let took = throughput(&store, n).await?;
    let busy = (cpu() - busy) * 1e6 / n as f64;
    store.close().await;
    let size = std::fs::metadata(path)?.len() as f64 / n as f64;
    Ok(format!(
        "{took}, {busy:.1} processor; {size:.0} bytes per item"
    ))
}

/// Processor seconds of this process, user and system, where the system says (Linux); else 0.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .split(' ')
        .skip(13)
        .take(2)
        .flat_map(str::parse)
        .collect();
    fields.iter().sum::<f64>() / 100.0
}
