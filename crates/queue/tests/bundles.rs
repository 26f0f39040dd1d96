//! Reports that travel together over RabbitMQ: each is what it was, and none is done before all are.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do"
)]

#[allow(dead_code, reason = "shared with the other tests of the adapter")]
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use queue::amqp::AmqpQueue;
use queue::conformance::PATIENCE;
use queue::{Consumer, DeadLetter, Delivery, Headers, Lane, Message, TaskQueue};
use support::{Broker, is_quiet};
use tokio::time::timeout;

const MANY: usize = 300;

fn report(number: usize) -> Message {
    Message {
        id: format!("{number}:1"),
        headers: Headers::from([("traceparent".to_owned(), format!("trace {number}"))]),
        // One of them is too large for company.
        body: vec![b'x'; if number == 7 { 50_000 } else { number }].into(),
    }
}

/// Publishes as workers do: each report by itself, all at once.
async fn publish(queue: &Arc<AmqpQueue>) {
    let one = |number| {
        let queue = Arc::clone(queue);
        tokio::spawn(async move { queue.publish(Lane::Results, vec![report(number)]).await })
    };
    for published in join_all((0..MANY).map(one)).await {
        published.unwrap().unwrap();
    }
}

async fn next(consumer: &mut dyn Consumer) -> Delivery {
    let delivery = timeout(PATIENCE, consumer.next()).await;
    delivery.expect("a message was lost: none came").unwrap()
}

async fn take(consumer: &mut dyn Consumer, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    for _ in 0..count {
        taken.push(next(consumer).await);
    }
    taken
}

async fn depth(queue: &AmqpQueue, lane: Lane) -> u64 {
    queue.depth(lane).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_that_are_ready_together_are_few_messages_and_come_out_as_they_were() {
    let Some(broker) = Broker::shared("bundles") else {
        return;
    };
    let queue = Arc::new(broker.queue().await);
    publish(&queue).await;
    let messages = depth(&queue, Lane::Results).await;
    assert!(messages < MANY as u64 / 4, "{messages} messages");
    let mut consumer = queue.consume(Lane::Results, 100).await.unwrap();
    let mut came: Vec<Message> = Vec::new();
    for delivery in take(&mut *consumer, MANY).await {
        assert!(!delivery.redelivered);
        came.push(delivery.message);
        delivery.receipt.ack().await.unwrap();
    }
    came.sort_by_key(|message| message.body.len());
    let mut sent: Vec<Message> = (0..MANY).map(report).collect();
    sent.sort_by_key(|message| message.body.len());
    assert_eq!(came, sent);
    assert!(is_quiet(&mut *consumer).await);
    drop(consumer);
    let mut consumer = queue.consume(Lane::Results, 100).await.unwrap();
    assert!(is_quiet(&mut *consumer).await, "all were acknowledged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_together_comes_again_together_until_all_of_it_is_done() {
    let Some(broker) = Broker::shared("bundles-again") else {
        return;
    };
    let queue = Arc::new(broker.queue().await);
    publish(&queue).await;
    let mut consumer = queue.consume(Lane::Results, 1_000).await.unwrap();
    let mut left = Vec::new();
    for delivery in take(&mut *consumer, MANY).await {
        match delivery.message.id.as_str() {
            "5:1" => left.push(delivery),
            "250:1" => delivery.receipt.give_back().await.unwrap(),
            _ => delivery.receipt.ack().await.unwrap(),
        }
    }
    // What was given back comes at once, once its company is settled; what waits does not.
    let again = next(&mut *consumer).await;
    assert!(again.redelivered);
    drop((again, left, consumer));
    let mut consumer = queue.consume(Lane::Results, 1_000).await.unwrap();
    let mut came = BTreeSet::new();
    while !(came.contains("5:1") && came.contains("250:1")) {
        let delivery = next(&mut *consumer).await;
        assert!(delivery.redelivered);
        came.insert(delivery.message.id);
        delivery.receipt.ack().await.unwrap();
    }
    assert!(came.len() < MANY, "bundles that were done stay away");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_report_is_a_dead_letter_without_its_company() {
    let Some(broker) = Broker::shared("bundles-dead") else {
        return;
    };
    let queue = Arc::new(broker.queue().await);
    publish(&queue).await;
    let mut consumer = queue.consume(Lane::Results, 1_000).await.unwrap();
    for delivery in take(&mut *consumer, MANY).await {
        match delivery.message.id.as_str() {
            "99:1" => delivery.receipt.reject("no report").await.unwrap(),
            _ => delivery.receipt.ack().await.unwrap(),
        }
    }
    assert!(is_quiet(&mut *consumer).await);
    let mut dead = queue.consume(Lane::Dead, 10).await.unwrap();
    let letter = next(&mut *dead).await;
    assert_eq!(DeadLetter::of(&letter.message).reason, "no report");
    assert_eq!(DeadLetter::of(&letter.message).lane, Some(Lane::Results));
    assert_eq!((letter.message.id, letter.message.body), {
        let sent = report(99);
        (sent.id, sent.body)
    });
    letter.receipt.ack().await.unwrap();
    assert!(is_quiet(&mut *dead).await);
}

#[tokio::test]
async fn a_bundle_that_nobody_can_read_is_a_dead_letter_and_holds_up_nothing() {
    let Some(broker) = Broker::shared("bundles-damaged") else {
        return;
    };
    let config = broker.config();
    let queue = queue::amqp::connect(config.clone()).await.unwrap();
    let (_connection, channel) = broker.raw().await;
    let mut headers = FieldTable::default();
    headers.insert("bundle".into(), AMQPValue::LongString("2".into()));
    let properties = BasicProperties::default().with_headers(headers);
    let name = format!("{}.results", config.prefix);
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish("".into(), name.into(), options, b"no bundle", properties);
    sent.await.unwrap().await.unwrap();
    queue.publish(Lane::Results, vec![report(1)]).await.unwrap();
    let mut consumer = queue.consume(Lane::Results, 10).await.unwrap();
    let well = next(&mut *consumer).await;
    assert_eq!(well.message, report(1));
    well.receipt.ack().await.unwrap();
    let mut dead = queue.consume(Lane::Dead, 10).await.unwrap();
    let letter = next(&mut *dead).await;
    let reason = DeadLetter::of(&letter.message).reason;
    assert!(
        reason.contains("a bundle of 2 messages is damaged (9 bytes)"),
        "{reason}"
    );
    letter.receipt.ack().await.unwrap();
}
