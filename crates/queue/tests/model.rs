//! Random operations on the in-memory queue against a model of it that is too simple to be wrong.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use queue::memory::MemoryQueue;
use queue::{Consumer, Delivery, Lane, Message, TaskQueue};

const CONSUMERS: usize = 3;

#[derive(Clone, Debug)]
enum Operation {
    Publish {
        count: usize,
    },
    Take {
        consumer: usize,
    },
    Ack {
        consumer: usize,
        which: usize,
    },
    GiveBack {
        consumer: usize,
        which: usize,
    },
    /// Drops the consumer and starts a new one in its place.
    Replace {
        consumer: usize,
        prefetch: usize,
    },
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let consumer = 0..CONSUMERS;
    let operation = prop_oneof![
        2 => (0..4usize).prop_map(|count| Operation::Publish { count }),
        4 => consumer.clone().prop_map(|consumer| Operation::Take { consumer }),
        2 => (consumer.clone(), 0..4usize)
            .prop_map(|(consumer, which)| Operation::Ack { consumer, which }),
        1 => (consumer.clone(), 0..4usize)
            .prop_map(|(consumer, which)| Operation::GiveBack { consumer, which }),
        1 => (consumer, 1..4usize)
            .prop_map(|(consumer, prefetch)| Operation::Replace { consumer, prefetch }),
    ];
    prop::collection::vec(operation, 0..80)
}

/// A message and whether it was delivered before.
type Known = (usize, bool);

/// One consumer, as it is and as it should be; `held` and `model_held` go in step.
struct Hand {
    consumer: Box<dyn Consumer>,
    prefetch: usize,
    held: Vec<Delivery>,
    model_held: Vec<usize>,
}

struct Pair {
    queue: MemoryQueue,
    waiting: VecDeque<Known>,
    hands: Vec<Hand>,
    published: usize,
}

impl Pair {
    fn new() -> Self {
        let queue = MemoryQueue::new();
        let hands = (0..CONSUMERS).map(|_| Hand::new(&queue, 2)).collect();
        Self {
            queue,
            waiting: VecDeque::new(),
            hands,
            published: 0,
        }
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Publish { count } => self.publish(count),
            Operation::Take { consumer } => self.take(consumer),
            Operation::Ack { consumer, which } => {
                if let Some((delivery, _)) = self.hands[consumer].let_go(which) {
                    ready(delivery.receipt.ack()).unwrap();
                }
            }
            Operation::GiveBack { consumer, which } => {
                if let Some((delivery, number)) = self.hands[consumer].let_go(which) {
                    ready(delivery.receipt.give_back()).unwrap();
                    self.waiting.push_front((number, true));
                }
            }
            Operation::Replace { consumer, prefetch } => {
                let old =
                    std::mem::replace(&mut self.hands[consumer], Hand::new(&self.queue, prefetch));
                for &number in old.model_held.iter().rev() {
                    self.waiting.push_front((number, true));
                }
            }
        }
    }

    fn publish(&mut self, count: usize) {
        let numbers = self.published..self.published + count;
        let messages = numbers.clone().map(|number| Message {
            id: number.to_string(),
            ..Message::default()
        });
        ready(self.queue.publish(Lane::Train, messages.collect())).unwrap();
        self.waiting.extend(numbers.map(|number| (number, false)));
        self.published += count;
    }

    fn take(&mut self, consumer: usize) {
        let hand = &mut self.hands[consumer];
        let expected = if hand.held.len() < hand.prefetch {
            self.waiting.pop_front()
        } else {
            None
        };
        let delivery = poll_once(hand.consumer.next()).map(|delivery| delivery.unwrap());
        let got = delivery
            .as_ref()
            .map(|d| (d.message.id.parse().unwrap(), d.redelivered));
        assert_eq!(got, expected);
        hand.held.extend(delivery);
        hand.model_held.extend(expected.map(|(number, _)| number));
    }
}

impl Hand {
    fn new(queue: &MemoryQueue, prefetch: usize) -> Self {
        let consumer = ready(queue.consume(Lane::Train, prefetch)).unwrap();
        Self {
            consumer,
            prefetch,
            held: Vec::new(),
            model_held: Vec::new(),
        }
    }

    fn let_go(&mut self, which: usize) -> Option<(Delivery, usize)> {
        (which < self.held.len()).then(|| (self.held.remove(which), self.model_held.remove(which)))
    }
}

fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    poll_once(future).expect("this never waits in memory")
}

proptest! {
    #[test]
    fn behaves_as_the_model(operations in operations()) {
        let mut pair = Pair::new();
        for operation in operations {
            pair.apply(operation);
            prop_assert_eq!(pair.queue.waiting(Lane::Train), pair.waiting.len());
        }
    }
}
