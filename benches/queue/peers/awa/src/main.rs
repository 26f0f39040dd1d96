//! No-op jobs of awa: `peer-awa prepare | fill N | work N '{"workers": …, "deadline": …, "claimers": …}'`.
//!
//! A finished job is a row of its terminal history. Jobs are put in by COPY, which awa's documentation names for many.

use anyhow::Context;
use awa::{
    Client, InsertOpts, InsertParams, JobArgs, JobResult, QueueConfig, QueueStorage, QueueStorageConfig, migrations,
};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgPoolOptions};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::io::AsyncBufReadExt;

const QUEUE: &str = "bench";
/// Jobs in one COPY.
const CHUNK: u64 = 5_000;

#[derive(Debug, Serialize, Deserialize, JobArgs)]
struct Nothing {
    number: u64,
}

#[derive(Deserialize)]
struct Settings {
    workers: u32,
    /// Seconds; 0 is none, for which awa has a shorter way.
    deadline: u64,
    claimers: u16,
    /// Jobs that the history holds from before.
    #[serde(default)]
    before: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = || anyhow::Ok(args.get(1).context("N is missing")?.parse()?);
    let url = std::env::var("BENCH_DATABASE_URL")?;
    let pool = PgPoolOptions::new().max_connections(20).connect(&url).await?;
    match args.first().map(String::as_str) {
        Some("prepare") => Ok(migrations::run(&pool).await?),
        Some("fill") => fill(&pool, number()?).await,
        Some("work") => {
            let settings = args.get(2).context("settings are missing")?;
            work(&pool, number()?, serde_json::from_str(settings)?).await
        }
        other => anyhow::bail!("unknown command {other:?}: prepare, fill or work"),
    }
}

async fn fill(pool: &PgPool, n: u64) -> anyhow::Result<()> {
    let store = QueueStorage::new(QueueStorageConfig::default())?;
    println!("ready");
    tokio::io::BufReader::new(tokio::io::stdin()).read_line(&mut String::new()).await?;
    let begun = Instant::now();
    for first in (0..n).step_by(CHUNK as usize) {
        let jobs: Vec<_> = (first..n.min(first + CHUNK)).map(job).collect();
        store.enqueue_params_copy(pool, &jobs).await?;
    }
    println!("{}", serde_json::json!({ "fill_s": begun.elapsed().as_secs_f64() }));
    Ok(())
}

fn job(number: u64) -> InsertParams {
    InsertParams {
        kind: Nothing::kind().to_owned(),
        args: serde_json::json!({ "number": number }),
        opts: InsertOpts {
            queue: QUEUE.into(),
            ..InsertOpts::default()
        },
    }
}

/// Works until `n` jobs are in the terminal history; tells when the first began and when the last was there.
async fn work(pool: &PgPool, n: u64, settings: Settings) -> anyhow::Result<()> {
    let done = Arc::new(AtomicU64::new(0));
    let counted = done.clone();
    let config = QueueConfig {
        max_workers: settings.workers,
        deadline_duration: Duration::from_secs(settings.deadline),
        claimers: settings.claimers,
        ..QueueConfig::default()
    };
    let client = Client::builder(pool.clone()).queue(QUEUE, config).register::<Nothing, _, _>(move |_args, _job| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok(JobResult::Completed) }
    });
    let client = client.build()?;
    client.start().await?;
    println!("ready");
    let store = QueueStorage::new(QueueStorageConfig::default())?;
    while done.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let first = now();
    let wanted = (settings.before + n) as i64;
    while done.load(Ordering::Relaxed) < n || store.queue_counts(pool, QUEUE).await?.terminal < wanted {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{}", serde_json::json!({ "first": first, "last": now() }));
    client.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

/// Seconds since 1970: the harness has the same clock.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}
