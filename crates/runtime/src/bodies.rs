//! Bodies that are too large for the broker: they lie among the artefacts, and a [`Reference`] travels in their place.
//!
//! [`ByReference`] is a queue around a queue. Whoever publishes has it [`TaskQueue::fit`] large messages, whoever
//! consumes gets whole ones, and both know nothing of it. A file is deleted when its message is acknowledged; what a
//! kill leaves behind is swept by its age.
//!
//! A body that is gone or damaged makes its message a dead letter. The coordinator reads off the reference which
//! attempt failed; the next one writes the file anew, because what a task asks is in the store.

use crate::clock::Clock;
use artefacts::{ArtefactError, Artefacts};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{hash::Hash, ids::TaskId};
use queue::{Consumer, Control, Delivery, Lane, Message, QueueError, Receipt, TaskQueue, Unfit};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use wire::{Reference, Report, Task, VERSION, WireError};

/// The largest body that is kept, bytes: it is held in memory, on both sides.
pub const MAX_KEPT: usize = 64 << 20;
/// Mebibytes of fetched bodies in the hands of one consumer; at least one of the largest.
const IN_HAND: usize = 128;
/// The folder of the artefacts that bodies are in.
const FOLDER: &str = "bodies";
/// How long writing one may take: less than a claim on a task is held.
const PUT_LIMIT: Duration = Duration::from_secs(20);
/// How long a worker asks for a body again when the artefacts are away: then others may have the task.
const TASK_PATIENCE: Duration = Duration::from_secs(10);
/// How long for a report, which was paid for.
const REPORT_PATIENCE: Duration = Duration::from_secs(600);
/// The first wait before asking again, then ever twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// How often what is left behind is looked for.
const SWEEP: Duration = Duration::from_secs(3_600);

/// A queue that takes bodies up to [`MAX_KEPT`].
#[derive(Clone)]
pub struct ByReference {
    queue: Arc<dyn TaskQueue>,
    artefacts: Artefacts,
}

impl ByReference {
    /// A queue around this one.
    pub fn new(queue: Arc<dyn TaskQueue>, artefacts: Artefacts) -> Self {
        Self { queue, artefacts }
    }

    /// Keeps a body, and says where.
    async fn keep(&self, lane: Lane, body: &Bytes) -> Result<Reference, String> {
        let (task, epoch, items) = asked(lane, body).map_err(|e| e.to_string())?;
        let hash = artefacts::hash(body);
        // A body of the same attempt may be another one: answers that came meanwhile travel with it.
        let name = format!("{FOLDER}/{task}-{epoch}-{}-{hash}", lane.name());
        let put = timeout(PUT_LIMIT, self.artefacts.put(&name, body.clone())).await;
        let put = put.map_err(|_| {
            let seconds = PUT_LIMIT.as_secs();
            format!("{} took longer than {seconds} s", self.artefacts.place())
        })?;
        put.map_err(|e| e.to_string())?;
        tracing::debug!(name, bytes = body.len(), "body kept");
        Ok(Reference {
            reference: VERSION,
            task,
            epoch,
            items,
            name,
            bytes: body.len() as u64,
            hash,
        })
    }

    /// Sweeps for ever what is older than this: longer than a message may wait.
    pub async fn sweep(&self, clock: &dyn Clock, older_than: Duration) {
        let age = i64::try_from(older_than.as_micros()).unwrap_or(i64::MAX);
        loop {
            let before = clock.now_micros().saturating_sub(age);
            match self.artefacts.sweep(FOLDER, before).await {
                Ok(0) => {}
                Ok(files) => tracing::info!(files, "bodies that were left behind are swept"),
                Err(error) => tracing::warn!(%error, "bodies that were left behind are not swept"),
            }
            sleep(SWEEP).await;
        }
    }
}

/// What a body speaks of: attempt, places and answer keys.
type Asked = (TaskId, u32, Vec<(u32, Hash)>);

fn asked(lane: Lane, body: &[u8]) -> Result<Asked, WireError> {
    if lane == Lane::Results {
        let report = Report::decode(body)?;
        let items = report.items.iter().map(|item| (item.place, item.key));
        return Ok((report.task, report.epoch, items.collect()));
    }
    let (task, keys) = Task::decode_keys(body)?;
    let items = task.asked(&keys).collect();
    Ok((task.task, task.epoch, items))
}

#[async_trait]
impl TaskQueue for ByReference {
    async fn publish(&self, lane: Lane, messages: Vec<Message>) -> Result<(), QueueError> {
        self.queue.publish(lane, messages).await
    }

    async fn publish_once(&self, lane: Lane, messages: Vec<Message>) -> Result<(), QueueError> {
        self.queue.publish_once(lane, messages).await
    }

    fn body_limit(&self) -> Option<usize> {
        self.queue.body_limit().map(|limit| limit.max(MAX_KEPT))
    }

    async fn fit(&self, lane: Lane, message: Message) -> Result<Message, Unfit> {
        let limit = self.queue.body_limit();
        let (bytes, most) = (message.body.len(), limit.unwrap_or(usize::MAX));
        if bytes <= most {
            return Ok(message);
        }
        let message = Unfit::check(message, self.body_limit())?;
        let kept = self.keep(lane, &message.body).await;
        let reference = kept.map_err(|why| Unfit {
            bytes,
            limit: most,
            unkept: Some(why),
        })?;
        let body = reference.encode().into();
        Unfit::check(Message { body, ..message }, limit)
    }

    async fn consume(&self, lane: Lane, prefetch: usize) -> Result<Box<dyn Consumer>, QueueError> {
        let inner = self.queue.consume(lane, prefetch).await?;
        Ok(match lane {
            Lane::Events => inner,
            lane => Box::new(Fetching {
                inner,
                lane,
                artefacts: self.artefacts.clone(),
                room: Arc::new(Semaphore::new(IN_HAND)),
                under_way: JoinSet::new(),
            }),
        })
    }

    async fn depth(&self, lane: Lane) -> Result<u64, QueueError> {
        self.queue.depth(lane).await
    }

    async fn broadcast(&self, word: Bytes) -> Result<(), QueueError> {
        self.queue.broadcast(word).await
    }

    async fn control(&self) -> Result<Box<dyn Control>, QueueError> {
        self.queue.control().await
    }
}

/// A consumer that fetches bodies beside handing over what needs no fetching.
struct Fetching {
    inner: Box<dyn Consumer>,
    lane: Lane,
    artefacts: Artefacts,
    /// One permit for each mebibyte.
    room: Arc<Semaphore>,
    under_way: JoinSet<Option<Delivery>>,
}

#[async_trait]
impl Consumer for Fetching {
    async fn next(&mut self) -> Option<Delivery> {
        // No delivery is held across an await here, so dropping this loses none.
        loop {
            let delivery = tokio::select! {
                biased;
                Some(fetched) = self.under_way.join_next() => match fetched {
                    Ok(Some(delivery)) => return Some(delivery),
                    // It became a dead letter; or a panic left it unacknowledged, and it comes again.
                    Ok(None) | Err(_) => continue,
                },
                delivery = self.inner.next() => delivery?,
            };
            if !Reference::is(&delivery.message.body) {
                return Some(delivery);
            }
            if let Some(delivery) = self.begin(delivery) {
                return Some(delivery);
            }
        }
    }
}

impl Fetching {
    /// Begins to fetch a body. Of what is dead the reference is all that anybody wants.
    fn begin(&mut self, delivery: Delivery) -> Option<Delivery> {
        let reference = match Reference::decode(&delivery.message.body) {
            Ok(reference) if reference.name.starts_with(FOLDER) => reference,
            // Whoever gets it says what is wrong with it.
            _ => return Some(delivery),
        };
        if self.lane == Lane::Dead {
            let artefacts = self.artefacts.clone();
            return Some(kept(delivery, artefacts, reference.name, None));
        }
        let fetch = Fetch {
            lane: self.lane,
            artefacts: self.artefacts.clone(),
            room: self.room.clone(),
        };
        self.under_way.spawn(fetch.run(delivery, reference));
        None
    }
}

/// A delivery whose file goes when it is acknowledged.
fn kept(
    delivery: Delivery,
    artefacts: Artefacts,
    name: String,
    room: Option<OwnedSemaphorePermit>,
) -> Delivery {
    let receipt = Box::new(Kept {
        receipt: delivery.receipt,
        artefacts,
        name,
        _room: room,
    });
    Delivery {
        receipt,
        ..delivery
    }
}

/// How one body is fetched.
struct Fetch {
    lane: Lane,
    artefacts: Artefacts,
    room: Arc<Semaphore>,
}

impl Fetch {
    /// The delivery with its body; `None` when that is not to be had, and it is a dead letter now.
    async fn run(self, delivery: Delivery, reference: Reference) -> Option<Delivery> {
        let (body, room) = match self.body(&reference).await {
            Ok(fetched) => fetched,
            Err(why) => {
                tracing::warn!(task = delivery.message.id, why, "body not fetched");
                if let Err(error) = delivery.receipt.reject(&why).await {
                    tracing::warn!(%error, "it comes again");
                }
                return None;
            }
        };
        let message = Message {
            body,
            ..delivery.message
        };
        let delivery = Delivery {
            message,
            ..delivery
        };
        Some(kept(delivery, self.artefacts, reference.name, Some(room)))
    }

    async fn body(&self, of: &Reference) -> Result<(Bytes, OwnedSemaphorePermit), String> {
        if of.bytes > MAX_KEPT as u64 {
            return Err(format!(
                "its body has {} bytes, over the limit of {MAX_KEPT}",
                of.bytes
            ));
        }
        let mebibytes = (of.bytes >> 20) as u32 + 1;
        let room = self.room.clone().acquire_many_owned(mebibytes).await;
        let room = room.map_err(|e| e.to_string())?;
        let body = self.patiently(of).await.map_err(|e| e.to_string())?;
        if body.len() as u64 != of.bytes || artefacts::hash(&body) != of.hash {
            let place = self.artefacts.place();
            return Err(format!(
                "artefact {} in {place} is damaged: it is not what was written ({} of {} bytes)",
                of.name,
                body.len(),
                of.bytes
            ));
        }
        Ok((body, room))
    }

    /// Asks again for a while when the artefacts are away.
    async fn patiently(&self, of: &Reference) -> Result<Bytes, ArtefactError> {
        let patience = match self.lane {
            Lane::Results => REPORT_PATIENCE,
            _ => TASK_PATIENCE,
        };
        patiently(patience, || self.artefacts.get(&of.name, of.bytes)).await
    }
}

/// Does something with artefacts again for a while, ever more rarely, as long as they are away.
///
/// # Errors
/// As the last try.
pub async fn patiently<T, F>(
    limit: Duration,
    mut work: impl FnMut() -> F,
) -> Result<T, ArtefactError>
where
    F: Future<Output = Result<T, ArtefactError>>,
{
    let (until, mut wait) = (Instant::now() + limit, FIRST_WAIT);
    loop {
        match work().await {
            Err(error) if error.is_passing() && Instant::now() + wait < until => {
                tracing::warn!(%error, "the artefacts are away, trying again");
            }
            ended => return ended,
        }
        sleep(wait).await;
        wait = LONGEST_WAIT.min(wait * 2);
    }
}

/// The receipt of a message whose body is kept.
struct Kept {
    receipt: Box<dyn Receipt>,
    artefacts: Artefacts,
    name: String,
    /// What it takes of the memory for bodies, until it leaves the hands.
    _room: Option<OwnedSemaphorePermit>,
}

#[async_trait]
impl Receipt for Kept {
    async fn ack(self: Box<Self>) -> Result<(), QueueError> {
        self.receipt.ack().await?;
        let (artefacts, name) = (self.artefacts, self.name);
        // Nobody waits for it: what is left behind is swept.
        tokio::spawn(async move {
            if let Err(error) = artefacts.delete(&name).await {
                tracing::warn!(%error, "a body is left behind");
            }
        });
        Ok(())
    }

    async fn give_back(self: Box<Self>) -> Result<(), QueueError> {
        self.receipt.give_back().await
    }

    async fn reject(self: Box<Self>, reason: &str) -> Result<(), QueueError> {
        // The reference becomes the dead letter, and its file goes with that.
        self.receipt.reject(reason).await
    }
}
