//! The ceiling: what must happen to a task on this broker and this database, and nothing else.
//!
//! The rows that Promptimal plans, by COPY; each task published persistent, mandatory and confirmed to a quorum queue; an
//! answer from another process, confirmed before the task is acknowledged; and the rows that Promptimal ends up with,
//! written in large transactions, each committed before its reports are acknowledged. No epochs, no budget, no look-up
//! of what is stored, no triggers, nothing decoded: it cannot lose a task, and it can do nothing else.

pub mod echo;
mod rows;
mod trip;

use crate::{
    measure, settings,
    settings::{Bare, tell, wait_for_a_line},
};
use serde::Serialize;
use sqlx::PgPool;
use std::{sync::Arc, time::Instant};

/// What a run took.
#[derive(Serialize)]
struct Told {
    /// Writing the planned rows, seconds.
    plan_s: f64,
    /// From then to the last commit, seconds.
    work_s: f64,
    /// Processor seconds of this process while the clock ran.
    cpu_s: f64,
}

/// Runs `n` tasks through `echo`, which is another process.
pub async fn main(asked: Bare) -> anyhow::Result<()> {
    let pool = PgPool::connect(&settings::database()?).await?;
    let rows = Arc::new(rows::Rows::new(asked.n));
    rows.prepare(&pool).await?;
    let trip = trip::Trip::open(&asked).await?;
    println!("ready");
    wait_for_a_line().await?;
    let (begun, cpu) = (Instant::now(), measure::used().cpu_s);
    rows.plan(&pool).await?;
    let planned = Instant::now();
    trip.run(&asked, rows.clone(), &pool).await?;
    let told = Told {
        plan_s: (planned - begun).as_secs_f64(),
        work_s: planned.elapsed().as_secs_f64(),
        cpu_s: measure::used().cpu_s - cpu,
    };
    rows.check(&pool).await?;
    tell(&told)?;
    wait_for_a_line().await
}
