//! Messages on their way to the broker, in the order they were sent.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use lapin::Confirmation;

use super::publish::Item;

type Outcome = lapin::Result<Confirmation>;
type Confirmed = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A message that was answered, or whose channel broke.
pub(super) struct Landed {
    pub(super) item: Item,
    pub(super) outcome: Outcome,
}

/// The messages without an answer.
#[derive(Default)]
pub(super) struct Flight {
    planes: VecDeque<(Item, Confirmed)>,
    bytes: usize,
}

impl Flight {
    pub(super) fn len(&self) -> usize {
        self.planes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.planes.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.planes.iter().map(|(item, _)| item)
    }

    /// Sends a message: the first poll hands it to the connection, so the order of calls is the order sent.
    pub(super) fn add(&mut self, item: Item, mut confirmed: Confirmed) {
        // An answer that is there already is found when the messages before it are answered.
        let mut context = Context::from_waker(Waker::noop());
        let confirmed: Confirmed = match confirmed.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => Box::pin(std::future::ready(outcome)),
            Poll::Pending => confirmed,
        };
        self.bytes += item.message.body.len();
        self.planes.push_back((item, confirmed));
    }

    /// Waits for the oldest message, and takes all that are answered by then. Cancel-safe.
    ///
    /// All, because lapin hands a returned message to whichever confirm it completes next, before it
    /// completes the right one: an answer is believed only when every earlier-given answer was seen.
    pub(super) async fn landed(&mut self) -> Vec<Landed> {
        poll_fn(|context| self.poll_landed(context)).await
    }

    fn poll_landed(&mut self, context: &mut Context<'_>) -> Poll<Vec<Landed>> {
        let Some((_, oldest)) = self.planes.front_mut() else {
            return Poll::Ready(Vec::new());
        };
        let Poll::Ready(first) = oldest.as_mut().poll(context) else {
            return Poll::Pending;
        };
        let mut landed = Vec::new();
        let mut outcome = Some(first);
        let mut flying = VecDeque::with_capacity(self.planes.len());
        let mut context = Context::from_waker(Waker::noop());
        for (item, mut confirmed) in self.planes.drain(..) {
            let polled = match outcome.take() {
                Some(outcome) => Poll::Ready(outcome),
                None => confirmed.as_mut().poll(&mut context),
            };
            match polled {
                Poll::Ready(outcome) => {
                    self.bytes -= item.message.body.len();
                    landed.push(Landed { item, outcome });
                }
                Poll::Pending => flying.push_back((item, confirmed)),
            }
        }
        self.planes = flying;
        Poll::Ready(landed)
    }

    /// Gives up waiting: everything without an answer.
    pub(super) fn ground(&mut self) -> Vec<Item> {
        self.bytes = 0;
        self.planes.drain(..).map(|(item, _)| item).collect()
    }
}

#[cfg(test)]
mod tests {
    use lapin::BasicProperties;
    use tokio::sync::oneshot;

    use super::*;
    use crate::Message;

    type Answer = oneshot::Sender<Outcome>;

    /// Three messages of two bytes, and how to answer them.
    fn three() -> (Flight, Vec<Answer>) {
        let mut flight = Flight::default();
        let answers = (0..3).map(|number| {
            let (answer, confirmed) = oneshot::channel();
            let message = Message {
                body: "ab".into(),
                ..Message::default()
            };
            let item = Item {
                number,
                job: 0,
                place: 0,
                properties: BasicProperties::default(),
                message,
            };
            flight.add(item, Box::pin(async { confirmed.await.unwrap() }));
            answer
        });
        let answers = answers.collect();
        (flight, answers)
    }

    fn numbers<'i>(items: impl IntoIterator<Item = &'i Item>) -> Vec<u64> {
        items.into_iter().map(|item| item.number).collect()
    }

    #[tokio::test]
    async fn an_answer_comes_with_all_that_were_given_before_it() {
        let (mut flight, mut answers) = three();
        // The last message's confirm may carry what is the first one's.
        let ack = || Ok(Confirmation::Ack(None));
        answers.remove(2).send(ack()).unwrap();
        answers.remove(0).send(ack()).unwrap();
        let landed = flight.landed().await;
        assert_eq!(numbers(landed.iter().map(|landed| &landed.item)), [0, 2]);
        assert_eq!(numbers(flight.items()), [1]);
        assert_eq!((flight.len(), flight.bytes()), (1, 2));
        answers.remove(0).send(ack()).unwrap();
        assert_eq!(flight.landed().await.len(), 1);
        assert_eq!((flight.is_empty(), flight.bytes()), (true, 0));
    }

    #[tokio::test]
    async fn what_is_grounded_keeps_its_order() {
        let (mut flight, _answers) = three();
        assert_eq!(numbers(&flight.ground()), [0, 1, 2]);
        assert_eq!((flight.is_empty(), flight.bytes()), (true, 0));
    }
}
