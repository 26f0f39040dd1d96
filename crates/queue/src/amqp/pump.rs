//! Subscriptions that go on whatever happens to the connection.
//!
//! A task subscribes, hands on what comes, and subscribes anew when the stream ends for whatever reason.
//! What it handed on from an ended channel is worthless: the broker delivers it again. It also sends what is
//! acknowledged, see `settle`.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::link::{Link, Session, jittered};
use super::settle::{Line, Notes, Unsettled};

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

/// The receiving end of a subscription. Dropping it ends the subscription.
pub(super) struct Pump {
    deliveries: mpsc::UnboundedReceiver<(Delivery, Arc<Line>)>,
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
    pub(super) async fn next(&mut self) -> Option<(Delivery, Arc<Line>)> {
        loop {
            let (delivery, line) = self.deliveries.recv().await?;
            if !line.is_over() {
                return Some((delivery, line));
            }
        }
    }
}

type Sender = mpsc::UnboundedSender<(Delivery, Arc<Line>)>;

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
    let (line, mut notes) = Line::new();
    let mut unsettled = Unsettled::default();
    loop {
        let delivery = tokio::select! {
            biased;
            () = sender.closed() => break,
            delivery = consumer.next() => delivery,
            mut settled = notes.next() => {
                // Receipts are settled in bursts, as confirms come: those that can speak now are let speak.
                tokio::task::yield_now().await;
                settled.extend(notes.more());
                unsettled.settle(&channel, settled).await;
                continue;
            }
        };
        match delivery {
            Some(Ok(delivery)) => {
                unsettled.add(delivery.delivery_tag);
                if sender.send((delivery, Arc::clone(&line))).is_err() {
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
    line.end();
    say_goodbye(&channel, notes, unsettled).await;
}

/// Sends what was acknowledged before the end, then gives back the rest. On a connection that is lost the broker has
/// done so already.
async fn say_goodbye(channel: &Channel, mut notes: Notes, mut unsettled: Unsettled) {
    let last = async {
        unsettled.settle(channel, notes.rest()).await;
        channel.close(200, "OK".into()).await
    };
    let _ = timeout(FAREWELL, last).await;
}
