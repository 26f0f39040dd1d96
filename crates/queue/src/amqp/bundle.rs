//! Reports that are ready together travel together.
//!
//! Every message costs a quorum queue two entries in its log and everybody on its way a wake-up, whatever its size. A
//! worker with many tasks in hand ends them in bursts: what is ready while [`FLYING`] publications wait for their confirms
//! leaves as one message. Nothing waits for company, so a report that is alone goes alone, as it is.
//!
//! A bundle's body is its messages one after the other; its header [`HEADER`] says how many. The consumer hands them out
//! one by one; the broker hears of the bundle when the last of them is settled (`consume`).

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use super::convert::MAX_NAME;
use super::publish::{InDoubt, Publisher, Unpublished};
use crate::{Headers, Message};

/// How many messages are in a bundle.
const HEADER: &str = "bundle";
/// Publications that wait for their confirms.
const FLYING: usize = 2;
/// Messages in one bundle.
const PARTS: usize = 128;
/// Bytes at which a bundle is full. What is half as large goes alone, so no bundle is too large for the broker.
const FULL: usize = 64 * 1024;

/// One message to be published, and who waits for it.
struct Order {
    message: Message,
    reply: oneshot::Sender<Result<(), Unpublished>>,
}

/// The way to one lane for many who publish one message each.
pub(super) struct Bundler {
    orders: mpsc::UnboundedSender<Order>,
}

impl Bundler {
    pub(super) fn start(publisher: Arc<Publisher>) -> Self {
        let (orders, taken) = mpsc::unbounded_channel();
        tokio::spawn(run(publisher, taken));
        Self { orders }
    }

    /// Whether a message may travel with others: a large one goes alone, and so does one that the broker will not take.
    pub(super) fn takes(message: &Message) -> bool {
        let names = message.headers.keys().map(String::len).max();
        message.body.len() <= FULL / 2
            && message.id.len().max(names.unwrap_or(0)) <= MAX_NAME
            && !message.headers.contains_key(HEADER)
    }

    /// Publishes a message and waits until it is confirmed.
    pub(super) async fn publish(&self, message: Message) -> Result<(), Unpublished> {
        let (reply, answer) = oneshot::channel();
        let gone = || Unpublished::untouched("the queue is closed".to_owned(), 1);
        let sent = self.orders.send(Order { message, reply });
        sent.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Until the last [`Bundler`] is dropped and what it asked for is answered.
async fn run(publisher: Arc<Publisher>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut flying = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(()) = flying.next(), if !flying.is_empty() => {}
            order = orders.recv(), if flying.len() < FLYING => {
                let Some(first) = order else { break };
                // Whoever can run now may have one, too.
                tokio::task::yield_now().await;
                flying.push(send(Arc::clone(&publisher), gather(first, &mut orders)));
            }
        }
    }
    while flying.next().await.is_some() {}
}

/// What is ready now. Who no longer waits for a report has given its task back.
fn gather(first: Order, orders: &mut mpsc::UnboundedReceiver<Order>) -> Vec<Order> {
    let mut bytes = first.message.body.len();
    let mut bundle = vec![first];
    while bundle.len() < PARTS
        && bytes < FULL
        && let Ok(order) = orders.try_recv()
    {
        bytes += order.message.body.len();
        bundle.push(order);
    }
    bundle.retain(|order| !order.reply.is_closed());
    bundle
}

async fn send(publisher: Arc<Publisher>, bundle: Vec<Order>) {
    let (messages, replies): (Vec<_>, Vec<_>) =
        bundle.into_iter().map(|o| (o.message, o.reply)).unzip();
    if messages.is_empty() {
        return;
    }
    let published = publisher.publish(joined(messages), InDoubt::Again).await;
    for reply in replies {
        // Whoever asked may have gone.
        let _ = reply.send(published.clone());
    }
}

/// One message of several; of one, itself.
fn joined(mut messages: Vec<Message>) -> Vec<Message> {
    if messages.len() == 1 {
        return messages;
    }
    let mut body = BytesMut::new();
    for message in &messages {
        put(&mut body, message.id.as_bytes());
        body.put_u32(message.headers.len() as u32);
        for (name, value) in &message.headers {
            put(&mut body, name.as_bytes());
            put(&mut body, value.as_bytes());
        }
        put(&mut body, &message.body);
    }
    vec![Message {
        headers: Headers::from([(HEADER.to_owned(), messages.len().to_string())]),
        body: body.freeze(),
        id: std::mem::take(&mut messages[0].id),
    }]
}

fn put(body: &mut BytesMut, bytes: &[u8]) {
    body.put_u32(bytes.len() as u32);
    body.put_slice(bytes);
}

/// The messages of a bundle; `None` when it is none.
///
/// # Errors
/// When it says that it is one, and is not.
pub(super) fn parts(message: &Message) -> Option<Result<Vec<Message>, String>> {
    let count = message.headers.get(HEADER)?;
    let parts = read(message.body.clone()).map(|mut parts| {
        // Why it is dead was said of all of it.
        let said = message.headers.iter().filter(|(name, _)| *name != HEADER);
        for (name, value) in said {
            for part in &mut parts {
                part.headers.insert(name.clone(), value.clone());
            }
        }
        parts
    });
    let right = |parts: &Vec<Message>| !parts.is_empty() && parts.len().to_string() == *count;
    Some(parts.filter(right).ok_or_else(|| {
        let bytes = message.body.len();
        format!(
            "a bundle of {count} messages is damaged ({bytes} bytes): its tasks are worked on again"
        )
    }))
}

fn read(mut body: Bytes) -> Option<Vec<Message>> {
    let mut parts = Vec::new();
    while body.has_remaining() {
        let id = text(&mut body)?;
        let mut headers = Headers::new();
        for _ in 0..number(&mut body)? {
            headers.insert(text(&mut body)?, text(&mut body)?);
        }
        let body = take(&mut body)?;
        parts.push(Message { id, headers, body });
    }
    Some(parts)
}

fn number(body: &mut Bytes) -> Option<u32> {
    body.try_get_u32().ok()
}

fn take(body: &mut Bytes) -> Option<Bytes> {
    let bytes = number(body)? as usize;
    (bytes <= body.len()).then(|| body.split_to(bytes))
}

fn text(body: &mut Bytes) -> Option<String> {
    String::from_utf8(take(body)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    fn messages() -> impl Strategy<Value = Vec<Message>> {
        let headers = btree_map("[a-z]{0,5}", "\\PC{0,9}", 0..3);
        let body = vec(any::<u8>(), 0..20).prop_map(Bytes::from);
        let message = ("\\PC{0,9}", headers, body);
        vec(
            message.prop_map(|(id, headers, body)| Message { id, headers, body }),
            2..9,
        )
    }

    proptest! {
        #[test]
        fn a_bundle_comes_apart_as_it_was_joined(messages in messages()) {
            let bundle = joined(messages.clone());
            prop_assert_eq!(bundle.len(), 1);
            prop_assert_eq!(&bundle[0].id, &messages[0].id);
            prop_assert_eq!(parts(&bundle[0]).unwrap().unwrap(), messages);
        }

        #[test]
        fn a_damaged_bundle_is_told(messages in messages(), cut in 1..400usize, junk: [u8; 3]) {
            let mut bundle = joined(messages).remove(0);
            let whole = bundle.body.clone();
            bundle.body = whole.slice(..whole.len() - cut.min(whole.len()));
            prop_assert!(parts(&bundle).unwrap().is_err());
            bundle.body = [&whole[..], &junk].concat().into();
            prop_assert!(parts(&bundle).unwrap().is_err());
        }
    }

    #[test]
    fn one_message_stays_as_it_is() {
        let alone = Message {
            id: "a".to_owned(),
            ..Message::default()
        };
        assert_eq!(joined(vec![alone.clone()]), vec![alone.clone()]);
        assert!(parts(&alone).is_none());
        assert!(Bundler::takes(&alone));
        let large = Message {
            body: vec![0; FULL / 2 + 1].into(),
            ..alone.clone()
        };
        let named = Message {
            id: "x".repeat(256),
            ..alone
        };
        assert!(!Bundler::takes(&large) && !Bundler::takes(&named));
    }

    #[tokio::test]
    async fn what_is_ready_is_gathered_up_to_a_limit() {
        let (orders, mut taken) = mpsc::unbounded_channel();
        let mut waiting = Vec::new();
        let mut order = |bytes: usize, waits: bool| {
            let (reply, answer) = oneshot::channel();
            waiting.extend(waits.then_some(answer));
            let message = Message {
                body: vec![0; bytes].into(),
                ..Message::default()
            };
            Order { message, reply }
        };
        let first = order(1, true);
        for bytes in [FULL / 2, FULL / 2, 7] {
            orders.send(order(bytes, true)).ok().unwrap();
        }
        orders.send(order(3, false)).ok().unwrap();
        let sizes = |bundle: Vec<Order>| -> Vec<usize> {
            bundle.iter().map(|o| o.message.body.len()).collect()
        };
        assert_eq!(
            sizes(gather(first, &mut taken)),
            [1, FULL / 2, FULL / 2],
            "it is full then"
        );
        let next = taken.recv().await.unwrap();
        assert_eq!(
            sizes(gather(next, &mut taken)),
            [7],
            "nobody waits for the last"
        );
    }
}
