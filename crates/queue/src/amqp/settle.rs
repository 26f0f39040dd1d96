//! Acknowledging many deliveries with few words.
//!
//! To a quorum queue every acknowledgement is a command that it writes and replicates, and one that names many
//! deliveries costs no more than one that names one. So receipts do not speak to the broker: they leave a note with the
//! task that holds the channel, which takes all notes that are there and acknowledges everything up to the first
//! delivery still in somebody's hands with one word, and only what lies beyond it one by one. Nothing waits for company: a
//! note that comes alone is sent at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use lapin::Channel;
use lapin::options::BasicAckOptions;
use tokio::sync::{mpsc, oneshot};

/// Notes taken at once.
const MOST: usize = 4_096;

/// Whether something has ended.
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

/// The way from the receipts of one channel's deliveries back to the task that holds it.
pub(super) struct Line {
    life: Life,
    notes: mpsc::UnboundedSender<Note>,
}

/// A delivery that is in nobody's hands any more.
pub(super) struct Note {
    tag: u64,
    /// It is to be acknowledged, and somebody waits to hear that this was sent. Without it, the broker was told otherwise.
    ack: Option<oneshot::Sender<()>>,
}

impl Line {
    pub(super) fn new() -> (Arc<Self>, Notes) {
        let (notes, sent) = mpsc::unbounded_channel();
        let life = Life::default();
        (Arc::new(Self { life, notes }), Notes(sent))
    }

    pub(super) fn is_over(&self) -> bool {
        self.life.is_over()
    }

    pub(super) fn end(&self) {
        self.life.end();
    }

    /// Acknowledges a delivery; whether that was sent.
    pub(super) async fn ack(&self, tag: u64) -> bool {
        let (ack, sent) = oneshot::channel();
        let note = Note {
            tag,
            ack: Some(ack),
        };
        self.notes.send(note).is_ok() && sent.await.is_ok()
    }

    /// A delivery was given back.
    pub(super) fn given_back(&self, tag: u64) {
        // Nobody listens on a channel that is no more.
        let _ = self.notes.send(Note { tag, ack: None });
    }
}

/// Notes on their way.
pub(super) struct Notes(mpsc::UnboundedReceiver<Note>);

impl Notes {
    /// All that are there, waiting for one. Cancel-safe.
    pub(super) async fn next(&mut self) -> Vec<Note> {
        let mut notes = Vec::new();
        if self.0.recv_many(&mut notes, MOST).await == 0 {
            // The line is held by whoever reads this.
            std::future::pending::<()>().await;
        }
        notes
    }

    /// All that are there now.
    pub(super) fn more(&mut self) -> Vec<Note> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }

    /// All that were left before the end.
    pub(super) fn rest(&mut self) -> Vec<Note> {
        self.0.close();
        self.more()
    }
}

/// The deliveries of a channel that are in somebody's hands: never more than its prefetch.
#[derive(Default)]
pub(super) struct Unsettled(BTreeSet<u64>);

/// What to say to the broker.
#[derive(Debug, Default, PartialEq, Eq)]
struct Words {
    /// This one and all before it.
    up_to: Option<u64>,
    /// Each by itself.
    single: Vec<u64>,
}

impl Unsettled {
    pub(super) fn add(&mut self, tag: u64) {
        self.0.insert(tag);
    }

    /// Sends the acknowledgements, and tells those who wait. On an error nobody is told: they hear that their channel is
    /// gone.
    pub(super) async fn settle(&mut self, channel: &Channel, notes: Vec<Note>) {
        let acked = notes.iter().filter(|note| note.ack.is_some());
        let acked: Vec<u64> = acked.map(|note| note.tag).collect();
        for note in &notes {
            self.0.remove(&note.tag);
        }
        let words = self.words(acked);
        let ack = |tag, multiple| channel.basic_ack(tag, BasicAckOptions { multiple });
        let many = words.up_to.map(|tag| ack(tag, true));
        let said = many
            .into_iter()
            .chain(words.single.iter().map(|tag| ack(*tag, false)));
        match join_all(said)
            .await
            .into_iter()
            .collect::<lapin::Result<()>>()
        {
            Ok(()) => {
                for ack in notes.into_iter().filter_map(|note| note.ack) {
                    // Whoever asked may have gone.
                    let _ = ack.send(());
                }
            }
            Err(error) => tracing::debug!(%error, "acknowledgements not sent"),
        }
    }

    /// Only a delivery that the broker still waits for can be named, so the one up to which all are acknowledged is one
    /// of these.
    fn words(&self, mut acked: Vec<u64>) -> Words {
        acked.sort_unstable();
        let first = self.0.first().copied().unwrap_or(u64::MAX);
        let single = acked.split_off(acked.partition_point(|tag| *tag < first));
        Words {
            up_to: acked.pop(),
            single,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In hand are 1 to 6; then these are acknowledged, batch by batch.
    fn said(batches: &[&[u64]]) -> Vec<(Option<u64>, Vec<u64>)> {
        let mut unsettled = Unsettled((1..=6).collect());
        let batches = batches.iter().map(|tags| {
            for tag in *tags {
                unsettled.0.remove(tag);
            }
            let words = unsettled.words(tags.to_vec());
            (words.up_to, words.single)
        });
        batches.collect()
    }

    #[test]
    fn all_before_the_first_in_hand_are_one_word() {
        assert_eq!(said(&[&[2, 1, 3]]), [(Some(3), vec![])]);
        assert_eq!(said(&[&[6, 5, 4, 3, 2, 1]]), [(Some(6), vec![])]);
    }

    #[test]
    fn nothing_in_hand_is_acknowledged_by_the_word_for_others() {
        // 1 stays in hand, then 3.
        assert_eq!(said(&[&[2, 4]]), [(None, vec![2, 4])]);
        assert_eq!(said(&[&[1, 2, 5]]), [(Some(2), vec![5])]);
    }

    #[test]
    fn what_was_acknowledged_before_is_not_named_again() {
        // 2 and 3 were said already when 1 comes: 3 is not known to the broker any more, and 4 is in hand.
        assert_eq!(
            said(&[&[2, 3], &[1]]),
            [(None, vec![2, 3]), (Some(1), vec![])]
        );
        assert_eq!(
            said(&[&[2, 3], &[1, 4]]),
            [(None, vec![2, 3]), (Some(4), vec![])]
        );
    }
}
