//! The way there and back, by lapin alone.

use super::rows::Rows;
use crate::settings::{self, Bare};
use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Messages on their way to the broker at once.
pub const UNCONFIRMED: usize = 1_024;
/// How long a first report waits for others.
const LINGER: Duration = Duration::from_millis(25);

/// Connections of one side: one to publish, one to consume.
pub struct Trip {
    publish: Channel,
    consume: Channel,
    tasks: String,
    reports: String,
    // They close when they are dropped.
    _connections: [Connection; 2],
}

impl Trip {
    /// Connects, and declares both queues.
    pub async fn open(asked: &Bare) -> anyhow::Result<Self> {
        let url = settings::broker()?;
        let connect = || Connection::connect(&url, ConnectionProperties::default());
        let connections = [connect().await?, connect().await?];
        let trip = Self {
            publish: connections[0].create_channel().await?,
            consume: connections[1].create_channel().await?,
            tasks: format!("{}.bare-tasks", asked.prefix),
            reports: format!("{}.bare-reports", asked.prefix),
            _connections: connections,
        };
        trip.publish.confirm_select(ConfirmSelectOptions::default()).await?;
        let mut quorum = FieldTable::default();
        quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        for name in [&trip.tasks, &trip.reports] {
            let options = QueueDeclareOptions::durable();
            trip.publish.queue_declare(name.as_str().into(), options, quorum.clone()).await?;
        }
        Ok(trip)
    }

    pub async fn tasks(&self, prefetch: usize) -> anyhow::Result<lapin::Consumer> {
        self.subscribe(&self.tasks, prefetch).await
    }

    async fn subscribe(&self, queue: &str, prefetch: usize) -> anyhow::Result<lapin::Consumer> {
        let prefetch = u16::try_from(prefetch).unwrap_or(u16::MAX);
        self.consume.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        Ok(self.consume.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?)
    }

    /// Acknowledges deliveries that are all there are up to the last of them.
    pub async fn acknowledge(&self, tags: &[u64], plain: bool) -> anyhow::Result<()> {
        if plain {
            let one = |tag: &u64| self.consume.basic_ack(*tag, BasicAckOptions::default());
            futures::future::try_join_all(tags.iter().map(one)).await?;
        } else if let Some(last) = tags.iter().max() {
            self.consume.basic_ack(*last, BasicAckOptions { multiple: true }).await?;
        }
        Ok(())
    }

    /// Publishes a report and waits for its confirm.
    pub async fn report(&self, id: &str, body: &[u8]) -> anyhow::Result<()> {
        publish(&self.publish, &self.reports, id, body).await
    }

    /// All tasks there and back, and their rows written.
    pub async fn run(&self, asked: &Bare, rows: Arc<Rows>, pool: &PgPool) -> anyhow::Result<()> {
        let room = Semaphore::new(asked.window);
        let sending = self.send(&room, &rows);
        let collecting = self.collect(asked, &room, &rows, pool);
        tokio::try_join!(sending, collecting)?;
        Ok(())
    }

    async fn send(&self, room: &Semaphore, rows: &Rows) -> anyhow::Result<()> {
        let numbers = stream::iter(0..rows.len()).then(|i| async move {
            room.acquire().await?.forget();
            anyhow::Ok(i)
        });
        let sent = numbers.map(|i| async move {
            let i = i?;
            publish(&self.publish, &self.tasks, &name(i), &rows.task(i)?).await
        });
        sent.buffered(UNCONFIRMED).try_collect::<()>().await
    }

    async fn collect(&self, asked: &Bare, room: &Semaphore, rows: &Rows, pool: &PgPool) -> anyhow::Result<()> {
        let mut reports = self.subscribe(&self.reports, 2 * asked.batch).await?;
        let mut applied = 0;
        while applied < rows.len() {
            let left = rows.len() - applied;
            let batch = batch(&mut reports, asked.batch.min(left)).await?;
            let done: Vec<usize> = batch.iter().map(number).collect::<anyhow::Result<_>>()?;
            rows.apply(pool, &done).await?;
            let tags: Vec<u64> = batch.iter().map(|d| d.delivery_tag).collect();
            self.acknowledge(&tags, asked.plain).await?;
            room.add_permits(done.len());
            applied += done.len();
        }
        Ok(())
    }
}

/// At least one delivery, and what comes within [`LINGER`] of it.
async fn batch(consumer: &mut lapin::Consumer, most: usize) -> anyhow::Result<Vec<Delivery>> {
    let first = consumer.next().await.context("the broker ended the consumer")??;
    let mut batch = vec![first];
    let until = tokio::time::Instant::now() + LINGER;
    while batch.len() < most {
        match tokio::time::timeout_at(until, consumer.next()).await {
            Ok(next) => batch.push(next.context("the broker ended the consumer")??),
            Err(_) => break,
        }
    }
    Ok(batch)
}

/// As long as `task:epoch`.
fn name(i: usize) -> String {
    format!("{i:036}:1")
}

fn number(delivery: &Delivery) -> anyhow::Result<usize> {
    let id = delivery.properties.message_id().as_ref().context("a report without id")?;
    Ok(id.as_str().trim_end_matches(":1").parse()?)
}

async fn publish(channel: &Channel, queue: &str, id: &str, body: &[u8]) -> anyhow::Result<()> {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let properties = BasicProperties::default().with_delivery_mode(2).with_message_id(id.into());
    let confirmed = channel.basic_publish("".into(), queue.into(), options, body, properties).await?.await?;
    anyhow::ensure!(matches!(confirmed, Confirmation::Ack(None)), "not taken: {confirmed:?}");
    Ok(())
}
