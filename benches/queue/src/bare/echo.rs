//! The worker of the ceiling: every task is reported, and acknowledged once its report is confirmed.

use super::{
    rows,
    trip::{Trip, UNCONFIRMED},
};
use crate::{measure, settings, settings::Bare};
use anyhow::Context;
use futures::StreamExt;

/// Tasks acknowledged together, at most.
const ACKED: usize = 64;

/// Answers until it has answered all.
pub async fn main(asked: Bare) -> anyhow::Result<()> {
    let trip = Trip::open(&asked).await?;
    let report = rows::report();
    let tasks = trip.tasks(UNCONFIRMED).await?;
    println!("ready");
    let (trip, report) = (&trip, &report);
    let reported = tasks.take(asked.n).map(|task| async move {
        let task = task?;
        let id = task.properties.message_id().as_ref().context("a task without id")?;
        trip.report(id.as_str(), report).await?;
        anyhow::Ok(task.delivery_tag)
    });
    // In order: then one acknowledgement does for all before it.
    let mut done = reported.buffered(UNCONFIRMED).ready_chunks(ACKED);
    while let Some(tags) = done.next().await {
        let tags = tags.into_iter().collect::<anyhow::Result<Vec<u64>>>()?;
        trip.acknowledge(&tags, asked.plain).await?;
    }
    settings::tell(&measure::used())
}
