//! One connection that never gives up.
//!
//! A supervisor holds the connection and, when anything is wrong with it, builds everything anew: the
//! connection, the topology, and (by those who use it) channels and subscriptions. Nothing is repaired, so
//! nothing is forgotten in a repair.
//!
//! A broker in need tells nobody that it blocks them until they publish. So a connection to publish on knocks: every few
//! seconds it sends a message that no queue takes, and knows by the answer, or by the silence, how the broker is.

use std::future::{Future, pending};
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Event};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, sleep, timeout};

use super::AmqpError;
use super::config::Config;
use super::error::explain_connection;
use super::topology::Topology;
use crate::Lane;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A connection that lived this long starts the waits over when it ends.
const LONG_LIFE: Duration = Duration::from_secs(10);
/// How often we look whether a connection is still one, beside being told.
const LOOK: Duration = Duration::from_millis(500);
/// How often a connection to publish on knocks.
const KNOCK: Duration = Duration::from_secs(5);
/// How long we wait for a goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Publish,
    Consume,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Publish => "publish",
            Role::Consume => "consume",
        }
    }
}

/// A connection, or the wait for the next.
pub(super) struct Link {
    state: Arc<watch::Sender<State>>,
}

#[derive(Clone, Default)]
struct State {
    session: Option<Arc<Session>>,
    /// Why the broker takes no publications now.
    blocked: Option<String>,
    /// Why there is no session.
    trouble: String,
    closed: bool,
}

/// The time between one connection's start and its end.
pub(super) struct Session {
    connection: Connection,
    complaints: mpsc::UnboundedSender<String>,
}

impl Session {
    pub(super) async fn channel(&self) -> lapin::Result<Channel> {
        self.connection.create_channel().await
    }

    /// Something was wrong: the connection is given up and everything is built anew.
    pub(super) fn complain(&self, why: impl Into<String>) {
        // Nobody hears it when the session is over, as it should be.
        let _ = self.complaints.send(why.into());
    }
}

impl Link {
    /// Connects for the first time; whoever starts with a wrong URL is told at once.
    pub(super) async fn open(config: &Config, role: Role) -> Result<Self, AmqpError> {
        let plan = Plan {
            config: config.clone(),
            name: format!("{}-{}", config.name, role.name()),
            role,
            topology: Topology::new(config),
        };
        let first = plan
            .connect()
            .await
            .map_err(|message| config.url.error(message))?;
        let state = Arc::new(watch::Sender::new(State::default()));
        tokio::spawn(plan.supervise(first, Arc::downgrade(&state)));
        let link = Self { state };
        // The supervisor hands the first session over at once: from here on, none means that it was lost.
        link.session().await;
        Ok(link)
    }

    /// The session, as soon as there is one; `None` once the link is closed.
    pub(super) async fn session(&self) -> Option<Arc<Session>> {
        self.wait(|state| state.session.is_some()).await
    }

    /// The session that there is now, or why there is none.
    pub(super) fn now(&self) -> Result<Arc<Session>, String> {
        let state = self.state.borrow();
        let away = || format!("the broker is away ({})", state.trouble);
        state.session.clone().ok_or_else(away)
    }

    /// The session, as soon as it takes publications; `None` once the link is closed.
    pub(super) async fn writable(&self) -> Option<Arc<Session>> {
        self.wait(|state| state.session.is_some() && state.blocked.is_none())
            .await
    }

    /// Waits until a session is over.
    pub(super) async fn over(&self, session: &Arc<Session>) {
        let is_it = |state: &State| holds(state, session);
        let mut states = self.state.subscribe();
        // An error would mean that the link is gone, and the session with it.
        let _ = states.wait_for(|state| !is_it(state)).await;
    }

    /// Whether a session is over.
    pub(super) fn is_over(&self, session: &Arc<Session>) -> bool {
        !holds(&self.state.borrow(), session)
    }

    /// Whether it was ended for good.
    pub(super) fn is_closed(&self) -> bool {
        self.state.borrow().closed
    }

    /// Tells when anything of this changes.
    pub(super) fn changes(&self) -> Changes {
        Changes(self.state.subscribe())
    }

    async fn wait(&self, ready: impl Fn(&State) -> bool) -> Option<Arc<Session>> {
        let mut states = self.state.subscribe();
        let state = states.wait_for(|state| state.closed || ready(state)).await;
        state.ok().and_then(|state| state.session.clone())
    }

    /// Why the broker takes no publications now, if it does not.
    pub(super) fn hindrance(&self) -> Option<String> {
        let state = self.state.borrow();
        match (&state.session, &state.blocked) {
            _ if state.closed => Some("the queue is closed".to_owned()),
            (None, _) => Some(format!("the broker is away ({})", state.trouble)),
            (_, Some(reason)) => Some(format!("the broker blocks publishers ({reason})")),
            _ => None,
        }
    }

    /// Ends it for good.
    pub(super) fn close(&self) {
        self.state.send_modify(|state| {
            state.closed = true;
            if let Some(session) = state.session.take() {
                session.complain("the queue is closed");
            }
        });
    }
}

/// The news of a link.
pub(super) struct Changes(watch::Receiver<State>);

impl Changes {
    pub(super) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            pending().await
        }
    }
}

/// How to connect.
struct Plan {
    config: Config,
    name: String,
    role: Role,
    topology: Topology,
}

/// A new connection and what it tells us.
struct Fresh {
    session: Arc<Session>,
    complaints: mpsc::UnboundedReceiver<String>,
    events: Pin<Box<dyn Stream<Item = Event> + Send>>,
    door: Option<Door>,
}

impl Plan {
    async fn connect(&self) -> Result<Fresh, String> {
        let limit = self.config.connect_limit;
        match timeout(limit, self.try_connect()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!(
                "did not answer within {limit:?}: is there a broker behind host and port of the url?"
            )),
        }
    }

    async fn try_connect(&self) -> Result<Fresh, String> {
        let properties =
            ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let connection = Connection::connect_uri(self.config.url.uri(), properties)
            .await
            .map_err(|error| explain_connection(&self.config.url, &error))?;
        // Listened to from the start: a broker may block right away.
        let events = Box::pin(connection.events_listener());
        let channel = connection
            .create_channel()
            .await
            .map_err(|error| explain_connection(&self.config.url, &error))?;
        self.topology.declare(&channel).await?;
        let (sender, complaints) = mpsc::unbounded_channel();
        let session = Arc::new(Session {
            connection,
            complaints: sender,
        });
        let door = (self.role == Role::Publish).then(|| Door {
            channel,
            exchange: self.topology.exchange(Lane::Dead),
        });
        Ok(Fresh {
            session,
            complaints,
            events,
            door,
        })
    }

    /// Keeps the state true until nobody reads it any more or it is closed.
    async fn supervise(self, first: Fresh, state: std::sync::Weak<watch::Sender<State>>) {
        let mut fresh = first;
        let mut wait = FIRST_WAIT;
        loop {
            let born = Instant::now();
            let session = Arc::clone(&fresh.session);
            if !change(&state, |state| {
                *state = State {
                    session: Some(Arc::clone(&session)),
                    ..State::default()
                };
            }) {
                break farewell(&session).await;
            }
            let why = fresh.live(&state).await;
            let goes_on = change(&state, |state| {
                state.session = None;
                state.blocked = None;
                state.trouble.clone_from(&why);
            });
            farewell(&session).await;
            if !goes_on {
                break;
            }
            tracing::warn!(
                connection = self.name,
                why,
                "connection to the broker is lost"
            );
            if born.elapsed() > LONG_LIFE {
                wait = FIRST_WAIT;
            }
            fresh = match self.reconnect(&state, &mut wait).await {
                Some(fresh) => fresh,
                None => break,
            };
            tracing::info!(connection = self.name, "connected to the broker again");
        }
    }

    /// Tries for ever, ever more rarely; `None` when nobody wants it any more.
    async fn reconnect(
        &self,
        state: &std::sync::Weak<watch::Sender<State>>,
        wait: &mut Duration,
    ) -> Option<Fresh> {
        loop {
            sleep(jittered(*wait)).await;
            *wait = LONGEST_WAIT.min(*wait * 2);
            match self.connect().await {
                Ok(fresh) => return Some(fresh),
                Err(why) => {
                    tracing::debug!(connection = self.name, why, "still no connection");
                    if !change(state, |state| state.trouble = why) {
                        return None;
                    }
                }
            }
        }
    }
}

impl Fresh {
    /// Until it is over; says why.
    async fn live(&mut self, state: &std::sync::Weak<watch::Sender<State>>) -> String {
        let mut looks = interval(LOOK);
        let mut last_error = None;
        let mut knocks = interval(KNOCK);
        let mut knock: Option<Knock> = None;
        loop {
            tokio::select! {
                // One that a blocked connection holds back goes out when it is free again.
                _ = knocks.tick(), if knock.is_none() => {
                    knock = self.door.as_ref().map(Door::knock);
                }
                heard = next(&mut knock) => {
                    knock = None;
                    if let Err(error) = heard {
                        tracing::debug!(%error, "this user may not knock");
                        self.door = None;
                    }
                }
                Some(why) = self.complaints.recv() => return why,
                Some(event) = self.events.next() => match event {
                    Event::ConnectionBlocked(reason) => {
                        change(state, |state| state.blocked = Some(reason));
                    }
                    Event::ConnectionUnblocked => {
                        change(state, |state| state.blocked = None);
                    }
                    Event::Error(error) => last_error = Some(error.to_string()),
                    _ => {}
                },
                _ = looks.tick() => {
                    if state.strong_count() == 0 {
                        return "nobody uses it any more".to_owned();
                    }
                }
            }
            if !self.session.connection.status().connected() {
                return last_error.unwrap_or_else(|| "the broker closed it".to_owned());
            }
        }
    }
}

/// Where a connection knocks: an exchange that every process may publish to, with a key that no queue is bound by.
struct Door {
    channel: Channel,
    exchange: String,
}

type Knock = Pin<Box<dyn Future<Output = lapin::Result<()>> + Send>>;

impl Door {
    fn knock(&self) -> Knock {
        let (channel, exchange) = (self.channel.clone(), self.exchange.as_str().into());
        Box::pin(async move {
            let (options, nothing) = (BasicPublishOptions::default(), BasicProperties::default());
            let sent = channel.basic_publish(exchange, "nobody".into(), options, &[], nothing);
            sent.await.map(drop)
        })
    }
}

async fn next(knock: &mut Option<Knock>) -> lapin::Result<()> {
    match knock {
        Some(knock) => knock.await,
        None => pending().await,
    }
}

fn holds(state: &State, session: &Arc<Session>) -> bool {
    let current = state.session.as_ref();
    current.is_some_and(|current| Arc::ptr_eq(current, session))
}

/// Changes the state; `false` when nobody reads it any more or it is closed.
fn change(state: &std::sync::Weak<watch::Sender<State>>, by: impl FnOnce(&mut State)) -> bool {
    let Some(state) = state.upgrade() else {
        return false;
    };
    state.send_if_modified(|state| {
        if !state.closed {
            by(state);
        }
        !state.closed
    })
}

async fn farewell(session: &Session) {
    let goodbye = session.connection.close(200, "OK".into());
    // What does not say goodbye is closed by the heartbeat or by the kernel.
    let _ = timeout(FAREWELL, goodbye).await;
}

/// Between half of it and all of it, so that a thousand workers do not come back at once.
pub(super) fn jittered(wait: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) as u32;
    wait / 2 + wait.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_differ_and_stay_in_bounds() {
        let waits: Vec<_> = (0..100).map(|_| jittered(LONGEST_WAIT)).collect();
        assert!(
            waits
                .iter()
                .all(|wait| (LONGEST_WAIT / 2..=LONGEST_WAIT).contains(wait))
        );
        assert!(waits.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
