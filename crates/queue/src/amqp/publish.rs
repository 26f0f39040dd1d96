//! Publishing: many messages on their way at once, each confirmed by itself.
//!
//! Every lane has a channel of its own and a task that alone publishes on it, because confirms are counted
//! and two writers would mix up the count. `Ok` means that the broker has said yes to each message:
//! a message that came back because no queue took it is a no, and so is silence.
//!
//! A channel on which the broker said no is given up when all that it carries is answered. To a quorum queue each channel
//! is a sender of its own, which the queue tells when it is full and when there is room again. Where the limit is lifted by
//! a policy it says nothing (seen on 3.10), and that channel is refused for ever; a new one asks first.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::convert;
use super::flight::{Flight, Landed};
use super::link::{Link, Session};
use crate::{Fate, Message};

/// How many messages of a lane are on their way at once.
const WINDOW: usize = 512;
/// And how many bytes.
const WINDOW_BYTES: usize = 16 * 1024 * 1024;
/// The task answers in time; this is for one that has no time to.
const GRACE: Duration = Duration::from_secs(2);

/// Where a publisher's messages go.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) exchange: String,
    pub(super) key: String,
    /// Written to disk before it is confirmed.
    pub(super) persistent: bool,
    /// It is an error when no queue takes it.
    pub(super) mandatory: bool,
    /// It leads to a quorum queue: a channel that says no for one has not handed it the message. What another kind of queue
    /// did with a message before the no, nobody knows.
    pub(super) quorum: bool,
}

/// What becomes of a message whose channel broke before the broker had said yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InDoubt {
    /// It is sent again: it may be there twice.
    Again,
    /// Its publication fails: it may be there, or not.
    Fail,
}

/// A publication that failed.
#[derive(Clone, Debug)]
pub(super) struct Unpublished {
    pub(super) why: String,
    /// What is certain of each message; empty where nothing is.
    pub(super) fates: Vec<Fate>,
    /// The broker said no.
    pub(super) refused: bool,
}

impl Unpublished {
    /// Nothing of so many messages was handed to a connection.
    pub(super) fn untouched(why: String, messages: usize) -> Self {
        Self {
            why,
            fates: vec![Fate::NotTaken; messages],
            refused: false,
        }
    }

    /// Nobody knows.
    fn in_doubt(why: String) -> Self {
        Self {
            why,
            fates: Vec::new(),
            refused: false,
        }
    }
}

/// The way to one lane.
pub(super) struct Publisher {
    jobs: mpsc::UnboundedSender<Job>,
    persistent: bool,
    limit: Duration,
}

impl Publisher {
    pub(super) fn start(link: Arc<Link>, route: Route, limit: Duration) -> Self {
        let (jobs, orders) = mpsc::unbounded_channel();
        let persistent = route.persistent;
        tokio::spawn(Task::new(link, route).run(orders));
        Self {
            jobs,
            persistent,
            limit,
        }
    }

    /// Publishes messages and waits until each is confirmed.
    pub(super) async fn publish(
        &self,
        messages: Vec<Message>,
        in_doubt: InDoubt,
    ) -> Result<(), Unpublished> {
        if messages.is_empty() {
            return Ok(());
        }
        let count = messages.len();
        let items: Result<Vec<_>, String> = messages
            .into_iter()
            .map(|message| Ok((convert::properties(&message, self.persistent)?, message)))
            .collect();
        let deadline = Instant::now() + self.limit;
        let (reply, answer) = oneshot::channel();
        let job = Job {
            items: items.map_err(|why| Unpublished::untouched(why, count))?,
            in_doubt,
            deadline,
            limit: self.limit,
            reply,
        };
        let gone = || "the queue is closed".to_owned();
        let sent = self.jobs.send(job);
        sent.map_err(|_| Unpublished::untouched(gone(), count))?;
        match timeout_at(deadline + GRACE, answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(Unpublished::in_doubt(gone()))),
            Err(_) => {
                let why = silence(self.limit, "too much waits before it");
                Err(Unpublished::in_doubt(why))
            }
        }
    }
}

const REFUSED: &str =
    "refused by the broker, its queue is full or cannot write: publish all again later";

fn silence(limit: Duration, why: &str) -> String {
    format!("not confirmed within {limit:?}, {why}: publish all again")
}

/// One call of `publish`.
struct Job {
    items: Vec<(BasicProperties, Message)>,
    in_doubt: InDoubt,
    deadline: Instant,
    limit: Duration,
    reply: oneshot::Sender<Result<(), Unpublished>>,
}

/// A job that is not answered yet.
struct Open {
    /// Messages without an answer of the broker.
    left: usize,
    in_doubt: InDoubt,
    deadline: Instant,
    limit: Duration,
    /// What is certain of each message so far: nothing of what is not handed to a connection was taken.
    fates: Vec<Fate>,
    /// The broker said no to one of them.
    refused: bool,
    reply: oneshot::Sender<Result<(), Unpublished>>,
}

impl Open {
    fn knows(&mut self, place: usize, fate: Fate) {
        if let Some(known) = self.fates.get_mut(place) {
            *known = fate;
        }
    }
}

/// A message to be sent. Its number is its place in the order of publication.
pub(super) struct Item {
    pub(super) number: u64,
    pub(super) job: u64,
    /// Its place in the job.
    pub(super) place: usize,
    pub(super) properties: BasicProperties,
    pub(super) message: Message,
}

/// A channel in confirm mode, and whose it is.
struct Outlet {
    channel: Channel,
    session: Arc<Session>,
}

type Opening = Pin<Box<dyn Future<Output = Option<Outlet>> + Send>>;

struct Task {
    link: Arc<Link>,
    route: Route,
    outlet: Option<Outlet>,
    opening: Option<Opening>,
    /// The broker said no on this channel: nothing more is sent on it.
    refused: bool,
    waiting: VecDeque<Item>,
    flight: Flight,
    open: BTreeMap<u64, Open>,
    next_job: u64,
    next_number: u64,
}

impl Task {
    fn new(link: Arc<Link>, route: Route) -> Self {
        Self {
            link,
            route,
            outlet: None,
            opening: None,
            refused: false,
            waiting: VecDeque::new(),
            flight: Flight::default(),
            open: BTreeMap::new(),
            next_job: 0,
            next_number: 0,
        }
    }

    /// Until the last [`Publisher`] is dropped and what it asked for is answered, or the link is closed.
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Job>) {
        let mut more = true;
        let mut changes = self.link.changes();
        while (more || !self.open.is_empty()) && !self.link.is_closed() {
            self.send();
            // All have the same limit, so the oldest is over first.
            let deadline = self.open.first_key_value().map(|(_, open)| open.deadline);
            let room = self.waiting.len() < WINDOW;
            tokio::select! {
                biased;
                landed = self.flight.landed(), if !self.flight.is_empty() => self.settle(landed),
                () = at(deadline), if deadline.is_some() => self.expire(Instant::now()),
                () = changes.next() => {}
                outlet = next(&mut self.opening), if self.opening.is_some() => {
                    self.opening = None;
                    self.outlet = outlet;
                }
                job = orders.recv(), if more && room => match job {
                    Some(job) => self.accept_all(job, &mut orders).await,
                    None => more = false,
                },
            }
        }
    }

    /// Takes a job and those that come with it: workers publish one report each, but not one at a time. What is handed to
    /// the connection together leaves in one packet.
    async fn accept_all(&mut self, job: Job, orders: &mut mpsc::UnboundedReceiver<Job>) {
        self.accept(job);
        if orders.is_empty() {
            // Whoever can run now may have one, too.
            tokio::task::yield_now().await;
        }
        while self.waiting.len() < WINDOW
            && let Ok(job) = orders.try_recv()
        {
            self.accept(job);
        }
    }

    fn accept(&mut self, job: Job) {
        let number = self.next_job;
        self.next_job += 1;
        let open = Open {
            left: job.items.len(),
            in_doubt: job.in_doubt,
            deadline: job.deadline,
            limit: job.limit,
            fates: vec![Fate::NotTaken; job.items.len()],
            refused: false,
            reply: job.reply,
        };
        self.open.insert(number, open);
        for (place, (properties, message)) in job.items.into_iter().enumerate() {
            self.waiting.push_back(Item {
                number: self.next_number,
                job: number,
                place,
                properties,
                message,
            });
            self.next_number += 1;
        }
    }

    /// Sends what waits, as far as the window allows and the broker takes it.
    fn send(&mut self) {
        if self
            .outlet
            .as_ref()
            .is_some_and(|outlet| self.link.is_over(&outlet.session))
        {
            self.start_over(Vec::new());
        }
        if self.refused {
            // What is on its way is answered first, most of it likewise.
            if !self.flight.is_empty() {
                return;
            }
            self.outlet = None;
            self.refused = false;
        }
        if self.outlet.is_none() && self.opening.is_none() && !self.waiting.is_empty() {
            self.opening = Some(Box::pin(open(Arc::clone(&self.link))));
        }
        let Some(Outlet { channel, .. }) = &self.outlet else {
            return;
        };
        // Blocked: what is handed to lapin now would go out when nobody waits for it any more.
        if self.link.hindrance().is_some() {
            return;
        }
        while self.flight.len() < WINDOW && self.flight.bytes() < WINDOW_BYTES {
            let Some(item) = self.waiting.pop_front() else {
                return;
            };
            let open = self.open.get_mut(&item.job);
            if let Some(open) = open.filter(|open| !open.reply.is_closed()) {
                open.knows(item.place, Fate::InDoubt);
                let confirmed = publish(channel.clone(), self.route.clone(), &item);
                self.flight.add(item, Box::pin(confirmed));
            } else {
                self.open.remove(&item.job);
            }
        }
    }

    /// Books what came back.
    fn settle(&mut self, landed: Vec<Landed>) {
        // Returns first: the broker's return of one message may come with the confirm of another.
        for landing in &landed {
            if let Ok(Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned))) =
                &landing.outcome
            {
                let id = returned.delivery.properties.message_id().as_ref();
                self.unroutable(id.map_or("", |id| id.as_str()), &landed);
            }
        }
        let mut lost = None;
        let mut again = Vec::new();
        for Landed { item, outcome } in landed {
            match outcome {
                Ok(Confirmation::Ack(_)) => self.answered(&item, true),
                Ok(Confirmation::Nack(_)) => {
                    self.refused = true;
                    self.answered(&item, false);
                }
                Ok(Confirmation::NotRequested) => {
                    lost = Some("the channel does not confirm".to_owned());
                    again.push(item);
                }
                Err(error) => {
                    lost = Some(error.to_string());
                    again.push(item);
                }
            }
        }
        if let Some(why) = lost {
            self.complain(&why);
            self.start_over(again);
        }
    }

    /// The broker said yes or no to a message. Its job is answered when all of its messages are: then the caller knows
    /// which of them are there.
    fn answered(&mut self, item: &Item, yes: bool) {
        let Some(open) = self.open.get_mut(&item.job) else {
            return;
        };
        match yes {
            true => open.knows(item.place, Fate::Taken),
            // Sent before on a channel that broke, it may be there all the same.
            false if self.route.quorum && open.in_doubt == InDoubt::Fail => {
                open.knows(item.place, Fate::NotTaken)
            }
            false => {}
        }
        open.refused |= !yes;
        open.left -= 1;
        if open.left > 0 {
            return;
        }
        if open.refused {
            self.fail(item.job, REFUSED);
        } else if let Some(open) = self.open.remove(&item.job) {
            // Whoever asked may have gone.
            let _ = open.reply.send(Ok(()));
        }
    }

    fn fail(&mut self, job: u64, why: impl Into<String>) {
        if let Some(open) = self.open.remove(&job) {
            let _ = open.reply.send(Err(Unpublished {
                why: why.into(),
                fates: open.fates,
                refused: open.refused,
            }));
        }
    }

    /// A message came back because no queue took it. Which one is told by its id, not by the confirm that
    /// brought it; when no id of ours matches, everything on its way is in doubt.
    fn unroutable(&mut self, id: &str, landed: &[Landed]) {
        let under_way = || {
            landed
                .iter()
                .map(|landing| &landing.item)
                .chain(self.flight.items())
        };
        let mut jobs: Vec<_> = under_way()
            .filter(|item| item.message.id == id)
            .map(|item| item.job)
            .collect();
        if jobs.is_empty() {
            jobs = under_way().map(|item| item.job).collect();
        }
        let Route { exchange, key, .. } = &self.route;
        let why = format!(
            "message `{id}` was returned, no queue is bound to exchange `{exchange}` with key `{key}`: it is \
             declared again, publish all again"
        );
        for job in jobs {
            self.fail(job, why.clone());
        }
        // Somebody took the topology away; a new session declares it.
        self.complain(&why);
    }

    /// Answers those whose time is over.
    fn expire(&mut self, now: Instant) {
        let over =
            |(job, open): (&u64, &Open)| (open.deadline <= now).then_some((*job, open.limit));
        let expired: Vec<_> = self.open.iter().filter_map(over).collect();
        let hindrance = self.link.hindrance();
        let why = hindrance.as_deref().unwrap_or("the broker is silent");
        for (job, limit) in expired {
            self.fail(job, silence(limit, why));
        }
        self.waiting
            .retain(|item| self.open.contains_key(&item.job));
        if self
            .flight
            .items()
            .any(|item| !self.open.contains_key(&item.job))
        {
            // A broker that blocks us is alive: another connection would be blocked as well.
            if hindrance.is_none() {
                self.complain(why);
            }
            self.start_over(Vec::new());
        }
    }

    fn complain(&self, why: &str) {
        if let Some(outlet) = &self.outlet {
            outlet.session.complain(why);
        }
    }

    /// The channel is no good any more: what was on its way is sent again on another, in order, unless it is to be
    /// sent once.
    fn start_over(&mut self, mut again: Vec<Item>) {
        self.outlet = None;
        self.refused = false;
        again.extend(self.flight.ground());
        for item in &again {
            let open = self.open.get(&item.job);
            if open.is_some_and(|open| open.in_doubt == InDoubt::Fail) {
                self.fail(
                    item.job,
                    "the connection broke before the broker had confirmed: some may be there",
                );
            }
        }
        again.sort_by_key(|item| item.number);
        for item in again.into_iter().rev() {
            self.waiting.push_front(item);
        }
        self.waiting
            .retain(|item| self.open.contains_key(&item.job));
    }
}

/// Opens a channel as soon as the broker takes messages; `None` when the link is closed for good.
async fn open(link: Arc<Link>) -> Option<Outlet> {
    loop {
        let session = link.writable().await?;
        match confirming_channel(&session).await {
            Ok(channel) => return Some(Outlet { channel, session }),
            Err(error) => session.complain(error.to_string()),
        }
        link.over(&session).await;
    }
}

async fn confirming_channel(session: &Session) -> lapin::Result<Channel> {
    let channel = session.channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    Ok(channel)
}

/// Sends one message when it is polled first, and is done when the broker has answered.
fn publish(
    channel: Channel,
    route: Route,
    item: &Item,
) -> impl Future<Output = lapin::Result<Confirmation>> + Send + use<> {
    let (properties, body) = (item.properties.clone(), item.message.body.clone());
    async move {
        let options = BasicPublishOptions {
            mandatory: route.mandatory,
            ..BasicPublishOptions::default()
        };
        let Route { exchange, key, .. } = route;
        channel
            .basic_publish(exchange.into(), key.into(), options, &body, properties)
            .await?
            .await
    }
}

async fn next(opening: &mut Option<Opening>) -> Option<Outlet> {
    match opening {
        Some(opening) => opening.await,
        None => std::future::pending().await,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
