//! What every adapter of [`TaskQueue`] passes.
//!
//! `make` returns a queue whose lanes are empty; each check asks for one of its own. Checks panic with
//! what went wrong. A check waits [`PATIENCE`] for what must happen and [`QUIET`] before it believes
//! that nothing does, so a slow machine can make a check slow but never make a right adapter fail.
//!
//! [`all`] is for an adapter in good health. [`nothing_is_lost`], [`lanes_are_apart`] and
//! [`prefetch_is_respected`] hold on a bad day, too: see [`crate::faults`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::time::timeout;

use crate::{Consumer, DeadLetter, Delivery, Lane, Message, TaskQueue};

/// How long a check waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long a check waits before it believes that nothing happens.
pub const QUIET: Duration = Duration::from_millis(200);

/// Every check, one after the other.
pub async fn all(make: impl AsyncFn() -> Arc<dyn TaskQueue>) {
    published_messages_arrive_in_order(&make).await;
    prefetch_is_respected(&make).await;
    dropped_consumers_give_back(&make).await;
    acknowledged_messages_stay_away(&make).await;
    given_back_messages_come_again(&make).await;
    late_acknowledgements_fail(&make).await;
    consumers_share_a_lane(&make).await;
    cancelled_waits_lose_nothing(&make).await;
    lanes_are_apart(&make).await;
    what_waits_is_counted(&make).await;
    headers_travel(&make).await;
    rejected_messages_are_dead_letters(&make).await;
    the_dead_stay_dead(&make).await;
    what_is_published_once_is_there_once(&make).await;
    words_reach_every_listener(&make).await;
    nothing_is_lost(&make, 0x5eed).await;
}

/// Messages that wait are counted per lane; those in hand are not.
pub async fn what_waits_is_counted(make: impl AsyncFn() -> Arc<dyn TaskQueue>) {
    let queue = make().await;
    assert_eq!(queue.depth(Lane::Eval).await.expect("a depth"), 0);
    publish(&*queue, Lane::Eval, 0..3).await;
    until_depth(&*queue, 3).await;
    assert_eq!(queue.depth(Lane::Results).await.expect("a depth"), 0);
    let mut consumer = consume(&*queue, Lane::Eval, 1).await;
    let held = next(&mut *consumer).await;
    until_depth(&*queue, 2).await;
    ack(held).await;
    let held = next(&mut *consumer).await;
    until_depth(&*queue, 1).await;
    drop((held, consumer));
    until_depth(&*queue, 2).await;
}

/// A broker may count a little late.
async fn until_depth(queue: &dyn TaskQueue, wanted: u64) {
    let told = async {
        while queue.depth(Lane::Eval).await.expect("a depth") != wanted {
            tokio::time::sleep(QUIET / 10).await;
        }
    };
    let told = timeout(PATIENCE, told).await;
    told.unwrap_or_else(|_| panic!("{wanted} messages should wait"));
}

/// Bodies and ids survive, and one consumer sees the order of publication.
pub async fn published_messages_arrive_in_order(make: impl AsyncFn() -> Arc<dyn TaskQueue>) {
    let queue = make().await;
    publish(&*queue, Lane::Eval, 0..20).await;
    publish(&*queue, Lane::Eval, 20..21).await;
    let mut consumer = consume(&*queue, Lane::Eval, 4).await;
    for number in 0..21 {
        let delivery = next(&mut *consumer).await;
        assert_eq!(delivery.message, message(number));
        assert!(
            !delivery.redelivered,
            "message {number} was never delivered before"
        );
        ack(delivery).await;
    }
    assert_quiet(&mut *consumer).await;
}

/// Once, in order and not marked.
pub async fn what_is_published_once_is_there_once(make: impl AsyncFn() -> Arc<dyn TaskQueue>) {
    let queue = make().await;
    let messages = (0..30).map(message).collect();
    let published = queue.publish_once(Lane::Eval, messages).await;
    published.expect("a healthy queue takes everything");
    let mut consumer = consume(&*queue, Lane::Eval, 4).await;
    for number in 0..30 {
        let delivery = next(&mut *consumer).await;
        assert_eq!(delivery.message, message(number));
        assert!(!delivery.redelivered, "message {number}");
        ack(delivery).await;
    }
    assert_quiet(&mut *consumer).await;
}

/// At most `prefetch` deliveries are out; one more comes for each that is acknowledged.
pub async fn prefetch_is_respected(make: impl AsyncFn() -> Arc<dyn TaskQueue>) {
    let queue = make().await;
    publish(&*queue, Lane::Eval, 0..10).await;
    let mut consumer = consume(&*queue, Lane::Eval, 3).await;
    let mut held = vec![next(&mut *consumer).await, next(&mut *consumer).await];
    held.push(next(&mut *consumer).await);
    assert_quiet(&mut *consumer).await;
    ack(held.remove(1)).await;
    held.push(next(&mut *consumer).await);
    assert_quiet(&mut *consumer).await;
    // A receipt that is dropped is not an acknowledgement: it frees no place.
    drop(held.pop());
    assert_quiet(&mut *consumer).await;
}

/// What a dropped consumer held comes again, marked, before what was never delivered.
pub async fn dropped_consumers_give_back(make: impl AsyncFn() -> Arc<dyn TaskQueue>) {
    let queue = make().await;
    publish(&*queue, Lane::Eval, 0..6).await;
    let mut first = consume(&*queue, Lane::Eval, 4).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(next(&mut *first).await);
    }
    drop(first);
    let mut second = consume(&*queue, Lane::Eval, 10).await;
    let mut marked = BTreeMap::new();
    for _ in 0..6 {
        let delivery = next(&mut *second).await;
        marked.insert(delivery.message.id.clone(), delivery.redelivered);
        ack(delivery).await;
    }
    let expected: BTreeMap<_, _> = (0..6).map(|n| (message(n).id, n < 4)).collect();
    assert_eq!(
        marked, expected,
        "exactly what was held is marked as redelivered"
    );
}

/// What was acknowledged is not delivered again when its consumer goes.
pub async fn acknowledged_messages_stay_away(make: impl AsyncFn() -> Arc<dyn TaskQueue>) {
    let queue = make().await;
    publish(&*queue, Lane::Eval, 0..5).await;
    let mut first = consume(&*queue, Lane::Eval, 5).await;
    for _ in 0..3 {
        ack(next(&mut *first).await).await;
    }
    drop(first);
    let mut second = consume(&*queue, Lane::Eval, 5).await;
    let left = [next(&mut *second).await, next(&mut *second).await];
    let ids: BTreeSet<_> = left
        .iter()
        .map(|delivery| delivery.message.id.clone())
        .collect();
    assert_eq!(ids, BTreeSet::from([message(3).id, message(4).id]));
    assert_quiet(&mut *second).await;
}

/// What is given back comes again, marked, and frees its place meanwhile.
pub async fn given_back_messages_come_again(make: impl AsyncFn() -> Arc<dyn TaskQueue>) {
    let queue = make().await;
    publish(&*queue, Lane::Eval, 0..1).await;
    let mut consumer = consume(&*queue, Lane::Eval, 1).await;
    for round in 0..3 {
        let delivery = next(&mut *consumer).await;
        assert_eq!(delivery.message, message(0));
        assert_eq!(delivery.redelivered, round > 0, "in round {round}");
        delivery
            .receipt
            .give_back()
            .await
            .expect("the consumer still lives");
    }
    ack(next(&mut *consumer).await).await;
    assert_quiet(&mut *consumer).await;
}

/// An acknowledgement after its consumer is gone must not pass for one: the message comes again.
pub async fn late_acknowledgements_fail(make: impl AsyncFn() -> Arc<dyn TaskQueue>) {
    let queue = make().await;
    publish(&*queue, Lane::Eval, 0..2).await;
    let mut first = consume(&*queue, Lane::Eval, 2).await;
    let held = [next(&mut *first).await, next(&mut *first).await];
    drop(first);
    let [one, other] = held;
    assert!(
        one.receipt.ack().await.is_err(),
        "acknowledged for a consumer that is gone"
    );
    assert!(
        other.receipt.give_back().await.is_err(),
        "gave back what was given back"
    );
    let mut second = consume(&*queue, Lane::Eval, 5).await;
    let again = [next(&mut *second).await, next(&mut *second).await];
    assert!(again.iter().all(|delivery| delivery.redelivered));
    assert_quiet(&mut *second).await;
}

/// Two consumers of one lane get different messages, and together all of them.
pub async fn consumers_share_a_lane(make: impl AsyncFn() -> Arc<dyn TaskQueue>) {
    let queue = make().await;
    let mut one = consume(&*queue, Lane::Eval, 5).await;
    let mut other = consume(&*queue, Lane::Eval, 5).await;
    publish(&*queue, Lane::Eval, 0..10).await;
    let mut ids = BTreeSet::new();
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(next(&mut *one).await);
        held.push(next(&mut *other).await);
    }
    for delivery in held {
        assert!(
            ids.insert(delivery.message.id.clone()),
            "{} came twice",
            delivery.message.id
        );
        ack(delivery).await;
    }
    assert_eq!(ids, (0..10).map(|n| message(n).id).collect());
}

/// Giving up a wait costs neither a message nor a place.
pub async fn cancelled_waits_lose_nothing(make: impl AsyncFn() -> Arc<dyn TaskQueue>) {
    let queue = make().await;
    let mut consumer = consume(&*queue, Lane::Eval, 1).await;
    for number in 0..5 {
        assert!(
            timeout(Duration::ZERO, consumer.next()).await.is_err(),
            "the lane is empty"
        );
        publish(&*queue, Lane::Eval, number..number + 1).await;
        let delivery = next(&mut *consumer).await;
        assert_eq!(delivery.message, message(number));
        ack(delivery).await;
    }
}

/// A message travels in the lane it was published on and in no other.
pub async fn lanes_are_apart(make: impl AsyncFn() -> Arc<dyn TaskQueue>) {
    let queue = make().await;
    for lane in Lane::ALL {
        publish(&*queue, lane, own_numbers(lane)).await;
    }
    for lane in Lane::ALL {
        let expected: BTreeSet<_> = own_numbers(lane).map(|n| message(n).id).collect();
        let mut seen = BTreeSet::new();
        let mut consumer = consume(&*queue, lane, 2).await;
        while let Ok(Some(delivery)) = timeout(QUIET, consumer.next()).await {
            seen.insert(delivery.message.id.clone());
            ack(delivery).await;
        }
        assert_eq!(seen, expected, "lane {lane:?}");
    }
}

/// What travels beside a body arrives with it, on every lane, and is nobody's business in between.
pub async fn headers_travel(make: impl AsyncFn() -> Arc<dyn TaskQueue>) {
    let queue = make().await;
    for lane in Lane::ALL {
        let headers = [
            (
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
            ("leer", ""),
            ("żółw", "\u{1f422}"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let sent = Message {
            headers: headers.into(),
            ..message(1)
        };
        let published = queue.publish(lane, vec![sent.clone()]).await;
        published.expect("the queue is in good health");
        let delivery = next(&mut *consume(&*queue, lane, 1).await).await;
        assert_eq!(delivery.message, sent, "lane {lane:?}");
    }
}

/// What is rejected moves to the dead letters, with its lane, its reason and all it had; its place is free.
pub async fn rejected_messages_are_dead_letters(make: impl AsyncFn() -> Arc<dyn TaskQueue>) {
    let queue = make().await;
    let lanes = [Lane::Eval, Lane::Results];
    for lane in lanes {
        publish(&*queue, lane, 0..2).await;
        let mut consumer = consume(&*queue, lane, 1).await;
        let bad = next(&mut *consumer).await;
        let rejected = bad.receipt.reject("version 9 is unknown").await;
        rejected.expect("the consumer still lives");
        let good = next(&mut *consumer).await;
        assert_eq!(good.message, message(1));
        ack(good).await;
        assert_quiet(&mut *consumer).await;
    }
    let mut dead = consume(&*queue, Lane::Dead, 4).await;
    let mut seen = BTreeSet::new();
    for _ in lanes {
        let delivery = next(&mut *dead).await;
        assert_eq!(delivery.message.id, message(0).id);
        assert_eq!(delivery.message.body, message(0).body);
        let letter = DeadLetter::of(&delivery.message);
        assert_eq!(letter.reason, "version 9 is unknown");
        seen.insert(letter.lane);
        ack(delivery).await;
    }
    assert_eq!(seen, lanes.map(Some).into());
    assert_quiet(&mut *dead).await;
}

/// What is dead can be given back and acknowledged, but not rejected, which would go on for ever.
pub async fn the_dead_stay_dead(make: impl AsyncFn() -> Arc<dyn TaskQueue>) {
    let queue = make().await;
    publish(&*queue, Lane::Eval, 0..1).await;
    let mut consumer = consume(&*queue, Lane::Eval, 1).await;
    let rejected = next(&mut *consumer).await.receipt.reject("no task").await;
    rejected.expect("the consumer still lives");
    let mut dead = consume(&*queue, Lane::Dead, 1).await;
    let refused = next(&mut *dead).await.receipt.reject("again").await;
    assert!(refused.is_err(), "rejected what is dead");
    let again = next(&mut *dead).await;
    assert!(again.redelivered);
    assert_eq!(DeadLetter::of(&again.message).reason, "no task");
    ack(again).await;
    assert_quiet(&mut *dead).await;
    drop(consumer);
    let late = consume(&*queue, Lane::Eval, 1).await;
    publish(&*queue, Lane::Eval, 1..2).await;
    late_rejection(&*queue, late, dead).await;
}

/// A rejection after its consumer is gone must not make a dead letter: the message comes again.
async fn late_rejection(
    queue: &dyn TaskQueue,
    mut consumer: Box<dyn Consumer>,
    mut dead: Box<dyn Consumer>,
) {
    let held = next(&mut *consumer).await;
    drop(consumer);
    let rejected = held.receipt.reject("too late").await;
    assert!(rejected.is_err(), "rejected for a consumer that is gone");
    assert_quiet(&mut *dead).await;
    let again = next(&mut *consume(queue, Lane::Eval, 1).await).await;
    assert_eq!(again.message, message(1));
}

/// A word reaches all who listen when it is said, in order, and nobody who begins later.
pub async fn words_reach_every_listener(make: impl AsyncFn() -> Arc<dyn TaskQueue>) {
    let queue = make().await;
    // Said to nobody: no error, and nobody hears it later.
    say(&*queue, "early").await;
    let mut listeners = Vec::new();
    for _ in 0..3 {
        listeners.push(queue.control().await.expect("the queue is in good health"));
    }
    for word in ["cancel", "pause", "drain"] {
        say(&*queue, word).await;
    }
    for listener in &mut listeners {
        for word in ["cancel", "pause", "drain"] {
            let heard = timeout(PATIENCE, listener.next()).await;
            assert_eq!(
                heard.expect("a word was lost").expect("the queue is open"),
                word
            );
        }
        let quiet = timeout(QUIET, listener.next()).await;
        assert!(quiet.is_err(), "nothing should be heard, but {quiet:?} was");
    }
}

async fn say(queue: &dyn TaskQueue, word: &'static str) {
    let said = queue.broadcast(word.into()).await;
    said.expect("the queue is in good health");
}

fn own_numbers(lane: Lane) -> std::ops::Range<usize> {
    let first = 10 * lane as usize;
    first..first + 5
}

/// Of 1,000 messages, published in blocks while consumers come and go without acknowledging all they
/// took, each is acknowledged in the end; a repeated one may come unmarked only where the queue itself
/// duplicates publications.
pub async fn nothing_is_lost(make: impl AsyncFn() -> Arc<dyn TaskQueue>, seed: u64) {
    const MESSAGES: usize = 1_000;
    const BLOCK: usize = 50;
    let queue = make().await;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut done = BTreeSet::new();
    let mut published = 0;
    while done.len() < MESSAGES {
        if published < MESSAGES {
            publish(&*queue, Lane::Eval, published..published + BLOCK).await;
            published += BLOCK;
        }
        let prefetch = rng.random_range(1..40);
        let mut consumer = consume(&*queue, Lane::Eval, prefetch).await;
        let mut held = Vec::new();
        for _ in 0..rng.random_range(1..80) {
            if done.len() == published || held.len() == prefetch {
                break;
            }
            let delivery = next(&mut *consumer).await;
            if rng.random_bool(0.7) {
                done.insert(delivery.message.id.clone());
                ack(delivery).await;
            } else {
                held.push(delivery);
            }
            // All that is left may be in our own hands, where no next message comes from.
            if done.len() + held.len() >= published {
                break;
            }
        }
    }
    assert_eq!(done, (0..MESSAGES).map(|n| message(n).id).collect());
}

fn message(number: usize) -> Message {
    let body = format!("{{\"number\":{number},\"text\":\"żółw \u{1f422}\"}}");
    Message {
        id: format!("task-{number}:1"),
        body: body.into(),
        ..Message::default()
    }
}

/// Publishes until the queue has taken everything, as the contract asks.
async fn publish(queue: &dyn TaskQueue, lane: Lane, numbers: std::ops::Range<usize>) {
    let messages: Vec<_> = numbers.map(message).collect();
    let taken = async { while queue.publish(lane, messages.clone()).await.is_err() {} };
    timeout(PATIENCE, taken)
        .await
        .expect("the queue never took the messages");
}

async fn consume(queue: &dyn TaskQueue, lane: Lane, prefetch: usize) -> Box<dyn Consumer> {
    queue
        .consume(lane, prefetch)
        .await
        .expect("the queue could not be consumed")
}

async fn next(consumer: &mut dyn Consumer) -> Delivery {
    let delivery = timeout(PATIENCE, consumer.next()).await;
    delivery
        .expect("a message was lost: none came")
        .expect("the queue is closed")
}

async fn ack(delivery: Delivery) {
    delivery
        .receipt
        .ack()
        .await
        .expect("the consumer still lives");
}

async fn assert_quiet(consumer: &mut dyn Consumer) {
    if let Ok(delivery) = timeout(QUIET, consumer.next()).await {
        let id = delivery.map(|delivery| delivery.message.id);
        panic!("nothing should come, but {id:?} did");
    }
}
