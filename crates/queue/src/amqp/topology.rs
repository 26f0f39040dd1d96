//! What there is on the broker, and how it is declared. `docs/decisions/0006-rabbitmq-topology.md` says why.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::config::Config;
use super::error::explain_declaration;
use super::link::Session;
use crate::{Lane, MAX_EVENTS};

/// The names and settings of one installation.
#[derive(Clone, Debug)]
pub(super) struct Topology {
    prefix: String,
    delivery_limit: u32,
}

impl Topology {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            prefix: config.prefix.clone(),
            delivery_limit: config.delivery_limit,
        }
    }

    pub(super) fn queue(&self, lane: Lane) -> String {
        format!("{}.{}", self.prefix, lane.name())
    }

    /// The lane of a queue of ours.
    pub(super) fn lane_of(&self, queue: &str) -> Option<Lane> {
        let name = queue.strip_prefix(&self.prefix)?.strip_prefix('.')?;
        Lane::named(name)
    }

    /// Where messages of a lane are published; the routing key is the lane's name.
    pub(super) fn exchange(&self, lane: Lane) -> String {
        let kind = match lane {
            Lane::Eval | Lane::Score | Lane::Train => "tasks",
            Lane::Results | Lane::Events => "reports",
            Lane::Dead => "dead",
        };
        format!("{}.{kind}", self.prefix)
    }

    /// Where words to everybody are published.
    pub(super) fn control(&self) -> String {
        format!("{}.control", self.prefix)
    }

    /// Declares all of it. What is there already and the same stays as it is.
    pub(super) async fn declare(&self, channel: &Channel) -> Result<(), String> {
        self.declare_exchange(channel, &self.control(), ExchangeKind::Fanout)
            .await?;
        // The dead letters first: a queue must never dead-letter into nothing.
        for lane in Lane::ALL.into_iter().rev() {
            self.declare_exchange(channel, &self.exchange(lane), ExchangeKind::Direct)
                .await?;
            self.declare_queue(channel, lane).await?;
        }
        Ok(())
    }

    /// How many messages of a lane wait.
    pub(super) async fn depth(&self, session: &Session, lane: Lane) -> Result<u64, String> {
        let text = |error: lapin::Error| error.to_string();
        // A channel of its own: asking for a queue that is gone closes it.
        let channel = session.channel().await.map_err(text)?;
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::durable()
        };
        let queue = self.queue(lane);
        let queue = channel
            .queue_declare(queue.into(), options, FieldTable::default())
            .await
            .map_err(text)?;
        channel.close(200, "OK".into()).await.map_err(text)?;
        Ok(queue.message_count().into())
    }

    async fn declare_exchange(
        &self,
        channel: &Channel,
        name: &str,
        kind: ExchangeKind,
    ) -> Result<(), String> {
        let options = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        channel
            .exchange_declare(name.into(), kind, options, FieldTable::default())
            .await
            .map_err(|error| explain_declaration("exchange", name, &error))
    }

    async fn declare_queue(&self, channel: &Channel, lane: Lane) -> Result<(), String> {
        let name = self.queue(lane);
        channel
            .queue_declare(
                name.as_str().into(),
                QueueDeclareOptions::durable(),
                self.arguments(lane),
            )
            .await
            .map_err(|error| explain_declaration("queue", &name, &error))?;
        channel
            .queue_bind(
                name.as_str().into(),
                self.exchange(lane).into(),
                lane.name().into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
            .map_err(|error| explain_declaration("binding of queue", &name, &error))
    }

    /// What the adapter's promises rest on; all else is left to policies.
    fn arguments(&self, lane: Lane) -> FieldTable {
        let mut arguments = FieldTable::default();
        let mut set = |name: &str, value| {
            arguments.insert(name.into(), value);
        };
        let text = |text: &str| AMQPValue::LongString(text.into());
        match lane {
            Lane::Events => {
                set("x-queue-type", text("classic"));
                set("x-overflow", text("drop-head"));
                set("x-max-length", AMQPValue::LongLongInt(MAX_EVENTS as i64));
            }
            Lane::Dead => {
                set("x-queue-type", text("quorum"));
            }
            Lane::Eval | Lane::Score | Lane::Train | Lane::Results => {
                set("x-queue-type", text("quorum"));
                set("x-overflow", text("reject-publish"));
                set("x-dead-letter-exchange", text(&self.exchange(Lane::Dead)));
                set("x-dead-letter-routing-key", text(Lane::Dead.name()));
                set("x-dead-letter-strategy", text("at-least-once"));
                let limit = i64::from(self.delivery_limit);
                set("x-delivery-limit", AMQPValue::LongLongInt(limit));
            }
        }
        arguments
    }
}
