//! RabbitMQ: the suite, what its errors say, and what holds when the broker is hurt.
//!
//! Needs a broker: `scripts/test` starts one, and so does `scripts/services/rabbitmq start DIR`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do"
)]

mod support;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use queue::amqp::{self, AmqpQueue, Config};
use queue::conformance::{self, PATIENCE, QUIET};
use queue::{
    Consumer, DELIVERY_LIMIT, DeadLetter, Delivery, Fate, Lane, MAX_BODY, MAX_EVENTS, Message,
    TaskQueue,
};
use support::{Broker, eventually, is_quiet};
use tokio::time::timeout;

fn message(number: usize) -> Message {
    Message {
        id: format!("{number}:1"),
        body: number.to_string().into(),
        ..Message::default()
    }
}

fn messages(numbers: Range<usize>) -> Vec<Message> {
    numbers.map(message).collect()
}

fn ids(numbers: Range<usize>) -> BTreeSet<String> {
    numbers.map(|number| message(number).id).collect()
}

/// The next delivery, over however many reconnections.
async fn next(consumer: &mut dyn Consumer) -> Delivery {
    let delivery = timeout(4 * PATIENCE, consumer.next()).await;
    delivery.expect("a message was lost: none came").unwrap()
}

/// Acknowledges what comes until all of `wanted` came. What could not be acknowledged has to come again.
async fn work_off(consumer: &mut dyn Consumer, mut wanted: BTreeSet<String>) {
    while !wanted.is_empty() {
        let Delivery {
            message, receipt, ..
        } = next(consumer).await;
        if receipt.ack().await.is_ok() {
            wanted.remove(&message.id);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_the_suite() {
    let Some(broker) = Broker::shared("suite") else {
        return;
    };
    let make = async || {
        let queue: Arc<dyn TaskQueue> = Arc::new(broker.queue().await);
        queue
    };
    conformance::all(make).await;
}

#[tokio::test]
async fn tasks_survive_a_restart_and_events_need_not() {
    let Some(broker) = Broker::shared("persistence") else {
        return;
    };
    let config = broker.config();
    let queue = amqp::connect(config.clone()).await.unwrap();
    for (lane, mode) in [(Lane::Train, Some(2)), (Lane::Events, None)] {
        queue.publish(lane, messages(0..1)).await.unwrap();
        let (_connection, channel) = broker.raw().await;
        let name = format!("{}.{}", config.prefix, lane.name());
        let got = channel.basic_get(name.into(), BasicGetOptions::default());
        let properties = got.await.unwrap().unwrap().delivery.properties;
        assert_eq!(*properties.delivery_mode(), mode, "{lane:?}");
        assert_eq!(properties.message_id().as_ref().unwrap().as_str(), "0:1");
    }
}

#[tokio::test]
async fn old_events_make_room() {
    let Some(broker) = Broker::shared("events") else {
        return;
    };
    let queue = broker.queue().await;
    let events = messages(0..MAX_EVENTS + 5);
    queue.publish(Lane::Events, events).await.unwrap();
    let mut consumer = queue.consume(Lane::Events, 1).await.unwrap();
    assert_eq!(next(&mut *consumer).await.message, message(5));
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_sent() {
    let Some(broker) = Broker::shared("large") else {
        return;
    };
    let queue = broker.queue().await;
    let of = |bytes| Message {
        body: vec![0; bytes].into(),
        ..message(1)
    };
    let both = vec![of(MAX_BODY), of(MAX_BODY + 1)];
    let error = queue.publish(Lane::Score, both).await.unwrap_err();
    assert!(error.to_string().contains("262145 bytes"), "{error}");
    let mut consumer = queue.consume(Lane::Score, 1).await.unwrap();
    assert!(is_quiet(&mut *consumer).await, "none of them was sent");
    queue
        .publish(Lane::Score, vec![of(MAX_BODY)])
        .await
        .unwrap();
    let whole = next(&mut *consumer).await.message;
    assert_eq!(whole.body.len(), MAX_BODY);
}

#[tokio::test]
async fn a_prefetch_that_is_none_is_refused() {
    let Some(broker) = Broker::shared("prefetch") else {
        return;
    };
    let queue = broker.queue().await;
    for prefetch in [0, 70_000] {
        let error = queue.consume(Lane::Score, prefetch).await.err().unwrap();
        let start = format!("queue Score: cannot consume with prefetch {prefetch}");
        assert!(error.to_string().starts_with(&start), "{error}");
    }
}

#[tokio::test]
async fn a_message_nobody_can_hold_ends_among_the_dead() {
    let Some(broker) = Broker::shared("poison") else {
        return;
    };
    let config = Config {
        delivery_limit: 3,
        ..broker.config()
    };
    let queue = amqp::connect(config).await.unwrap();
    queue.publish(Lane::Train, messages(0..1)).await.unwrap();
    let mut consumer = queue.consume(Lane::Train, 1).await.unwrap();
    for attempt in 0..4 {
        let delivery = next(&mut *consumer).await;
        assert_eq!(delivery.redelivered, attempt > 0);
        delivery.receipt.give_back().await.unwrap();
    }
    let mut dead = queue.consume(Lane::Dead, 1).await.unwrap();
    let found = next(&mut *dead).await;
    let expected = DeadLetter {
        lane: Some(Lane::Train),
        reason: DELIVERY_LIMIT.to_owned(),
    };
    assert_eq!(DeadLetter::of(&found.message), expected);
    assert_eq!(found.message.id, message(0).id);
    found.receipt.ack().await.unwrap();
    assert!(is_quiet(&mut *consumer).await);
}

#[tokio::test]
async fn a_message_without_a_queue_is_no_success() {
    let Some(broker) = Broker::shared("unroutable") else {
        return;
    };
    let config = broker.config();
    let queue = amqp::connect(config.clone()).await.unwrap();
    for lane in [Lane::Eval, Lane::Events] {
        queue.publish(lane, messages(0..3)).await.unwrap();
        broker.delete(&config.prefix, lane).await;
        let error = queue.publish(lane, messages(3..200)).await.unwrap_err();
        assert!(error.to_string().contains("no queue is bound"), "{error}");
        eventually("the queue is declared again", async || {
            queue.publish(lane, messages(3..200)).await.is_ok()
        })
        .await;
        let mut consumer = queue.consume(lane, 10).await.unwrap();
        work_off(&mut *consumer, ids(3..200)).await;
    }
}

#[tokio::test]
async fn a_consumer_survives_its_queue() {
    let Some(broker) = Broker::shared("cancel") else {
        return;
    };
    let config = broker.config();
    let queue = amqp::connect(config.clone()).await.unwrap();
    let mut consumer = queue.consume(Lane::Eval, 2).await.unwrap();
    queue.publish(Lane::Eval, messages(0..1)).await.unwrap();
    let held = next(&mut *consumer).await;
    broker.delete(&config.prefix, Lane::Eval).await;
    eventually("the queue is declared again", async || {
        queue.publish(Lane::Eval, messages(1..5)).await.is_ok()
    })
    .await;
    work_off(&mut *consumer, ids(1..5)).await;
    let late = held.receipt.ack().await.unwrap_err();
    assert!(late.to_string().contains("delivery of `0:1`"), "{late}");
}

#[tokio::test]
async fn closing_ends_everything() {
    let Some(broker) = Broker::shared("closing") else {
        return;
    };
    let queue = broker.queue().await;
    queue.publish(Lane::Eval, messages(0..2)).await.unwrap();
    let mut consumer = queue.consume(Lane::Eval, 1).await.unwrap();
    let mut control = queue.control().await.unwrap();
    let held = next(&mut *consumer).await;
    queue.close();
    let ended = async {
        (
            consumer.next().await.is_none(),
            control.next().await.is_none(),
        )
    };
    assert_eq!(timeout(PATIENCE, ended).await.unwrap(), (true, true));
    assert!(held.receipt.ack().await.is_err());
    let error = queue.publish(Lane::Eval, messages(2..3)).await.unwrap_err();
    assert_eq!(error.to_string(), "queue Eval: the queue is closed");
    assert!(queue.consume(Lane::Eval, 1).await.is_err());
}

/// What connecting says, which never is the password.
async fn complaint(config: Config) -> String {
    let error = amqp::connect(config).await.err().unwrap();
    format!("{error} {error:?}")
}

#[tokio::test]
async fn errors_name_the_thing_and_the_way_out() {
    let Some(broker) = Broker::shared("errors") else {
        return;
    };
    let at = |url: String| Config {
        url: url.parse().unwrap(),
        connect_limit: Duration::from_secs(10),
        ..broker.config()
    };
    let (before, host) = broker.url.split_once('@').unwrap();
    let (host, _) = host.split_once('/').unwrap();
    let nobody_listens = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = nobody_listens.local_addr().unwrap();
    drop(nobody_listens);
    let cases = [
        (
            format!("amqp://ada:s3cret@{host}/%2f"),
            vec!["refuses user `ada`", "correct user or password"],
        ),
        (
            format!("{before}@{host}/s3cret"),
            vec!["no vhost `s3cret`", "rabbitmqctl add_vhost"],
        ),
        (
            format!("amqp://ada:s3cret@{free}"),
            vec!["cannot be reached", "refused", "start it"],
        ),
    ];
    for (url, parts) in cases {
        let said = complaint(at(url)).await;
        for part in parts {
            assert!(said.contains(part), "`{part}` is missing in: {said}");
        }
        assert!(!said.replace("`s3cret`", "").contains("s3cret"), "{said}");
    }
}

#[tokio::test]
async fn a_queue_that_somebody_declared_otherwise_is_named() {
    let Some(broker) = Broker::shared("otherwise") else {
        return;
    };
    let config = broker.config();
    let name = format!("{}.eval", config.prefix);
    let (_connection, channel) = broker.raw().await;
    let options = QueueDeclareOptions::durable();
    channel
        .queue_declare(name.as_str().into(), options, FieldTable::default())
        .await
        .unwrap();
    let said = complaint(config).await;
    for part in [
        &*format!("queue `{name}`"),
        "declared otherwise",
        "delete it",
    ] {
        assert!(said.contains(part), "`{part}` is missing in: {said}");
    }
}

#[tokio::test]
async fn what_listens_but_is_no_broker_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://{}", listener.local_addr().unwrap());
    let config = Config {
        connect_limit: Duration::from_millis(300),
        ..Config::new(url.parse().unwrap())
    };
    let said = complaint(config).await;
    assert!(said.contains("did not answer within 300ms"), "{said}");
}

#[tokio::test]
async fn a_full_queue_is_no_success() {
    let Some(broker) = Broker::shared("full") else {
        return;
    };
    if std::env::var_os("PROMPTIMAL_TEST_RABBITMQ_DIR").is_none() {
        return drop(Broker::alone("full"));
    }
    let config = broker.config();
    let queue = amqp::connect(config.clone()).await.unwrap();
    let pattern = format!("^{}\\.eval$", config.prefix);
    let policy = [&*config.prefix, &pattern, r#"{"max-length":5}"#];
    let command = [&["set_policy", "--apply-to", "queues"][..], &policy].concat();
    broker.service("ctl", &command);
    let mut refusal = None;
    eventually("the queue is full", async || {
        refusal = queue.publish(Lane::Eval, messages(0..50)).await.err();
        refusal.is_some()
    })
    .await;
    let refusal = refusal.unwrap().to_string();
    assert!(refusal.contains("refused by the broker"), "{refusal}");
    // Other lanes and acknowledgements go on, and so does the lane when there is room again.
    queue.publish(Lane::Score, messages(0..50)).await.unwrap();
    let mut consumer = queue.consume(Lane::Eval, 10).await.unwrap();
    while let Ok(Some(delivery)) = timeout(QUIET, consumer.next()).await {
        delivery.receipt.ack().await.unwrap();
    }
    eventually("there is room", async || {
        queue.publish(Lane::Eval, messages(50..52)).await.is_ok()
    })
    .await;
    work_off(&mut *consumer, ids(50..52)).await;
    // Full again, and nobody makes room: the limit goes.
    let mut taken = BTreeSet::new();
    eventually("the queue is full again", async || {
        let more = messages(100..150);
        let Err(error) = queue.publish_once(Lane::Eval, more.clone()).await else {
            taken.extend(more.into_iter().map(|m| m.id));
            return false;
        };
        // Some were taken before the broker noticed, and that is known of each.
        assert!(error.full && error.fates.len() == more.len(), "{error}");
        let error = &error;
        let of = |fate| (0..more.len()).filter(move |&at| error.fate(at) == fate);
        taken.extend(of(Fate::Taken).map(|at| more[at].id.clone()));
        assert_eq!(of(Fate::InDoubt).count(), 0);
        of(Fate::NotTaken).count() > 0
    })
    .await;
    broker.service("ctl", &["clear_policy", &config.prefix]);
    eventually("the queue takes messages without a limit", async || {
        queue
            .publish_once(Lane::Eval, messages(52..54))
            .await
            .is_ok()
    })
    .await;
    let mut found = BTreeSet::new();
    while let Ok(Some(delivery)) = timeout(QUIET, consumer.next()).await {
        found.insert(delivery.message.id.clone());
        delivery.receipt.ack().await.unwrap();
    }
    taken.extend(ids(52..54));
    assert_eq!(found, taken, "what was said to be taken is there");
}

/// Publishes blocks until each is taken, as whoever has an outbox does.
async fn publish_all(queue: &AmqpQueue, numbers: Range<usize>, block: usize) {
    for first in numbers.clone().step_by(block) {
        let block = messages(first..numbers.end.min(first + block));
        while queue.publish(Lane::Eval, block.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_closed_lose_nothing() {
    const MESSAGES: usize = 2_000;
    const PREFETCH: usize = 7;
    let Some(broker) = Broker::alone("reconnect") else {
        return;
    };
    let queue = Arc::new(broker.queue().await);
    let mut control = queue.control().await.unwrap();
    let publisher = {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move { publish_all(&queue, 0..MESSAGES, 10).await })
    };
    let mut consumer = queue.consume(Lane::Eval, PREFETCH).await.unwrap();
    let worker = tokio::spawn(async move {
        work_off(&mut *consumer, ids(0..MESSAGES)).await;
        consumer
    });
    for _ in 0..4 {
        broker.service("ctl", &["close_all_connections", "the test wants it"]);
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    publisher.await.unwrap();
    let mut consumer = worker.await.unwrap();
    // Closed once more with nothing to do: the same consumer, and no more than its prefetch.
    broker.service("ctl", &["close_all_connections", "the test wants it"]);
    publish_all(&queue, MESSAGES..MESSAGES + 50, 50).await;
    let mut held = Vec::new();
    while held.len() < PREFETCH {
        let delivery = next(&mut *consumer).await;
        if ids(MESSAGES..MESSAGES + 50).contains(&delivery.message.id) {
            held.push(delivery);
        } else {
            // A repeated publication of before.
            delivery.receipt.ack().await.unwrap();
        }
    }
    assert!(is_quiet(&mut *consumer).await, "the prefetch was forgotten");
    held.pop().unwrap().receipt.ack().await.unwrap();
    next(&mut *consumer).await;
    assert!(is_quiet(&mut *consumer).await, "the prefetch was forgotten");
    eventually("words are heard again", async || {
        queue.broadcast("drain".into()).await.unwrap();
        timeout(QUIET, control.next()).await.is_ok()
    })
    .await;
}

/// Connections are closed in the middle: what was confirmed is there, and nothing is there twice unless it is marked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_once_is_never_there_twice() {
    const MESSAGES: usize = 4_000;
    // A connection is closed after a second or so: by then a quick machine has published all of them.
    const MOST: usize = 400_000;
    let Some(broker) = Broker::alone("once") else {
        return;
    };
    let queue = Arc::new(broker.queue().await);
    let publisher = {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move {
            let (mut confirmed, mut published) = (BTreeSet::new(), 0);
            // Until some were in doubt.
            while published < MESSAGES || (confirmed.len() == published && published < MOST) {
                let block = published..published + 20;
                published = block.end;
                let taken = queue
                    .publish_once(Lane::Eval, messages(block.clone()))
                    .await;
                if taken.is_ok() {
                    confirmed.extend(ids(block));
                }
            }
            (confirmed, published)
        })
    };
    while !publisher.is_finished() {
        broker.service("ctl", &["close_all_connections", "the test wants it"]);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let (confirmed, published) = publisher.await.unwrap();
    assert!(
        confirmed.len() < published,
        "no publication was in doubt: the test proves nothing"
    );
    let mut consumer = queue.consume(Lane::Eval, 50).await.unwrap();
    let (mut seen, mut unmarked) = (BTreeSet::new(), BTreeSet::new());
    loop {
        // What is in doubt may come, or not.
        let all = seen.is_superset(&confirmed);
        let wait = if all { QUIET } else { 4 * PATIENCE };
        let Ok(delivery) = timeout(wait, consumer.next()).await else {
            assert!(all, "a message was lost: none came");
            break;
        };
        let delivery = delivery.unwrap();
        let id = delivery.message.id.clone();
        if !delivery.redelivered {
            assert!(unmarked.insert(id.clone()), "message {id} is there twice");
        }
        seen.insert(id);
        let _ = delivery.receipt.ack().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_survives_kill_9() {
    const MESSAGES: usize = 2_000;
    let Some(broker) = Broker::alone("kill9") else {
        return;
    };
    let config = Config {
        publish_limit: Duration::from_secs(2),
        ..broker.config()
    };
    let queue = Arc::new(amqp::connect(config).await.unwrap());
    // RabbitMQ 3.10 writes the names of new queues to disk some seconds late: kill -9 would forget the queue.
    tokio::time::sleep(Duration::from_secs(6)).await;
    publish_all(&queue, 0..3, 3).await;
    let mut consumer = queue.consume(Lane::Eval, 3).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(next(&mut *consumer).await);
    }
    let publisher = {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move { publish_all(&queue, 3..MESSAGES, 20).await })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    broker.service("kill9", &[]);
    let away = queue
        .publish(Lane::Score, messages(0..1))
        .await
        .unwrap_err();
    assert!(away.to_string().contains("the broker is away"), "{away}");
    for delivery in held {
        assert!(
            delivery.receipt.ack().await.is_err(),
            "acknowledged to nobody"
        );
    }
    broker.service("restart", &[]);
    for _ in 0..3 {
        let again = next(&mut *consumer).await;
        assert!(again.redelivered, "{} was in hand before", again.message.id);
        assert!(ids(0..3).contains(&again.message.id));
        again.receipt.ack().await.unwrap();
    }
    work_off(&mut *consumer, ids(3..MESSAGES)).await;
    publisher.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_in_need_stops_publishers_only() {
    let Some(broker) = Broker::alone("alarm") else {
        return;
    };
    let config = Config {
        publish_limit: Duration::from_secs(3),
        ..broker.config()
    };
    let queue = amqp::connect(config).await.unwrap();
    queue.publish(Lane::Eval, messages(0..50)).await.unwrap();
    let mut consumer = queue.consume(Lane::Eval, 5).await.unwrap();
    broker.service("ctl", &["set_vm_memory_high_watermark", "0"]);
    eventually("whoever has nothing to publish knows it", async || {
        let why = queue.hindrance();
        why.is_some_and(|why| why.contains("blocks publishers"))
    })
    .await;
    let mut said = String::new();
    eventually("the broker blocks", async || {
        let outcome = queue.publish(Lane::Score, messages(0..5)).await;
        said = outcome
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        said.contains("blocks publishers")
    })
    .await;
    assert!(said.contains("publish all again"), "{said}");
    work_off(&mut *consumer, ids(0..50)).await;
    broker.service("ctl", &["set_vm_memory_high_watermark", "0.4"]);
    eventually("the broker takes messages again", async || {
        queue.publish(Lane::Score, messages(5..10)).await.is_ok()
    })
    .await;
}
