//! Subscriptions that go on whatever happens to the connection.
//!
//! A task subscribes, hands on what comes, and subscribes anew when the stream ends for whatever reason.
//! What it handed on from an ended channel is worthless: the broker delivers it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::link::{Link, Session, jittered};

/// Between two subscriptions on one connection: a queue that is deleted again and again must not spin us.
const PAUSE: Duration = Duration::from_millis(200);
/// How long we wait for a channel to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// What is subscribed to.
#[derive(Clone, Debug)]
pub(super) enum Subscription {
    /// A queue that others may consume, too; every delivery is acknowledged.
    Queue { name: String, prefetch: u16 },
    /// A copy of everything an exchange gets, in a queue of our own that goes when we do.
    Copies { exchange: String },
}

impl Subscription {
    async fn start(&self, session: &Session) -> lapin::Result<(Channel, lapin::Consumer)> {
        let channel = session.channel().await?;
        let (queue, no_ack) = match self {
            Subscription::Queue { name, prefetch } => {
                channel
                    .basic_qos(*prefetch, BasicQosOptions::default())
                    .await?;
                (name.as_str().into(), false)
            }
            Subscription::Copies { exchange } => (own_queue(&channel, exchange).await?, true),
        };
        let options = BasicConsumeOptions {
            no_ack,
            ..BasicConsumeOptions::default()
        };
        let consumer = channel
            .basic_consume(queue, "".into(), options, FieldTable::default())
            .await?;
        Ok((channel, consumer))
    }
}

async fn own_queue(channel: &Channel, exchange: &str) -> lapin::Result<lapin::types::ShortString> {
    let options = QueueDeclareOptions {
        exclusive: true,
        auto_delete: true,
        ..QueueDeclareOptions::default()
    };
    let queue = channel
        .queue_declare("".into(), options, FieldTable::default())
        .await?;
    channel
        .queue_bind(
            queue.name().clone(),
            exchange.into(),
            "".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    Ok(queue.name().clone())
}

/// Whether deliveries of one channel can still be acknowledged.
#[derive(Default)]
pub(super) struct Life(AtomicBool);

impl Life {
    pub(super) fn is_over(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub(super) fn end(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The receiving end of a subscription. Dropping it ends the subscription.
pub(super) struct Pump {
    deliveries: mpsc::UnboundedReceiver<(Delivery, Arc<Life>)>,
}

impl Pump {
    /// Starts a subscription and waits, at most `limit`, until it stands.
    pub(super) async fn start(
        link: Arc<Link>,
        subscription: Subscription,
        limit: Duration,
    ) -> Result<Self, String> {
        // Not bounded, because the broker bounds it by the prefetch.
        let (sender, deliveries) = mpsc::unbounded_channel();
        let (stands, standing) = oneshot::channel();
        tokio::spawn(run(Arc::clone(&link), subscription, sender, stands));
        match timeout(limit, standing).await {
            Ok(Ok(())) => Ok(Self { deliveries }),
            Ok(Err(_)) => Err("the queue is closed".to_owned()),
            Err(_) => {
                let why = link.hindrance();
                let why = why.as_deref().unwrap_or("the broker is silent");
                Err(format!("not subscribed within {limit:?}, {why}"))
            }
        }
    }

    /// The next delivery that can still be acknowledged; `None` once the link is closed. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<(Delivery, Arc<Life>)> {
        loop {
            let (delivery, life) = self.deliveries.recv().await?;
            if !life.is_over() {
                return Some((delivery, life));
            }
        }
    }
}

type Sender = mpsc::UnboundedSender<(Delivery, Arc<Life>)>;

async fn run(
    link: Arc<Link>,
    subscription: Subscription,
    sender: Sender,
    stands: oneshot::Sender<()>,
) {
    let mut stands = Some(stands);
    while !sender.is_closed() {
        let session = tokio::select! {
            session = link.session() => session,
            () = sender.closed() => return,
        };
        let Some(session) = session else {
            return;
        };
        match subscription.start(&session).await {
            Ok((channel, consumer)) => {
                if let Some(stands) = stands.take() {
                    // Whoever asked may have gone: seen when the sender is.
                    let _ = stands.send(());
                }
                hand_on(channel, consumer, &sender).await;
            }
            Err(error) => {
                // The queue may have been deleted: a new session declares it.
                session.complain(error.to_string());
                link.over(&session).await;
            }
        }
        sleep(jittered(PAUSE)).await;
    }
}

/// Hands on what comes until the stream ends, by an error, by the broker (`None`), or because nobody listens.
async fn hand_on(channel: Channel, mut consumer: lapin::Consumer, sender: &Sender) {
    let life = Arc::new(Life::default());
    loop {
        let delivery = tokio::select! {
            biased;
            () = sender.closed() => break,
            delivery = consumer.next() => delivery,
        };
        match delivery {
            Some(Ok(delivery)) => {
                if sender.send((delivery, Arc::clone(&life))).is_err() {
                    break;
                }
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "subscription ended");
                break;
            }
            None => break,
        }
    }
    life.end();
    // Gives back what is not acknowledged. On a connection that is lost the broker has done so already.
    let _ = timeout(FAREWELL, channel.close(200, "OK".into())).await;
}
