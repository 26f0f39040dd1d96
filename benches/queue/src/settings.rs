//! What the programs are told, and what they tell.

use anyhow::Context;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::PathBuf;

/// Of a coordinator.
#[derive(Deserialize)]
pub struct Coordinate {
    /// Questions.
    pub n: usize,
    /// Questions in a block, which is a task, which is a message.
    pub block: usize,
    /// Tasks under way at once.
    pub window: usize,
    /// The beginning of all names on the broker.
    pub prefix: String,
    /// Where the spec and its data are written.
    pub folder: PathBuf,
    /// The model server; without one, answers come from a function.
    pub url: Option<String>,
}

/// Of a worker.
#[derive(Deserialize)]
pub struct Work {
    /// Blocks in hand at once.
    pub concurrency: usize,
    /// As in [`Coordinate`].
    pub prefix: String,
    /// As in [`Coordinate`].
    pub url: Option<String>,
}

/// Of the ceiling, and of its worker.
#[derive(Clone, Deserialize)]
pub struct Bare {
    /// Tasks.
    pub n: usize,
    /// Tasks between publication and the commit of their rows.
    pub window: usize,
    /// Reports applied in one transaction, at most.
    pub batch: usize,
    /// Every delivery is acknowledged by itself, as lapin's examples do; else all up to one with one word.
    #[serde(default)]
    pub plain: bool,
    /// The beginning of the names of its queues.
    pub prefix: String,
}

/// Reads the settings of a program.
pub fn read<T: DeserializeOwned>(json: &str) -> anyhow::Result<T> {
    serde_json::from_str(json).with_context(|| format!("settings are not understood: {json}"))
}

/// Where the database is.
pub fn database() -> anyhow::Result<String> {
    std::env::var("BENCH_DATABASE_URL").context("BENCH_DATABASE_URL is not set")
}

/// Where the broker is.
pub fn broker() -> anyhow::Result<String> {
    std::env::var("BENCH_AMQP_URL").context("BENCH_AMQP_URL is not set")
}

/// A line of JSON on standard output, which the harness reads.
pub fn tell(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}

/// Waits until the harness says go: by then all who take part listen.
pub async fn wait_for_a_line() -> anyhow::Result<()> {
    let read = || std::io::stdin().read_line(&mut String::new());
    let bytes = tokio::task::spawn_blocking(read).await??;
    anyhow::ensure!(bytes > 0, "nobody said go");
    Ok(())
}
