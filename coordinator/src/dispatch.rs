//! The dispatcher: outbox rows become messages.
//!
//! Claim (which reserves the budget, and takes what a model's quota allows), publish, await every confirm, and only then
//! mark as dispatched. An attempt is published once: where a kill or a broken connection leaves it in doubt, the task
//! goes out under the next epoch, with a reservation of its own. So it does where the queue certainly has it not, and what it
//! had reserved is given back. A queue that is full is asked ever more rarely ([`crate::pace`]).
//!
//! Runs share the workers: the next tasks are always those of the run that has the least in flight for its priority,
//! so that a small run beside a large one does not wait for its end, and nothing stands still while one has none.

use crate::{
    Config, CoordinatorError, Deps, Outcome, collect, conduct, pace::Paces, pulse::Pulse, watch,
};
use domain::ids::{RunId, TaskId};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use queue::{Fate, Lane, MAX_BODY, Message};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use store::{Claim, Claimed, Running};
use tokio::time::Instant;
use wire::{Action, Report, Task, VERSION, Work, trace::Trace};

/// Tasks claimed at a time. Two transactions and one wait for confirms go into each batch, whatever its size.
const BATCH: u32 = 1_024;
/// Batches on their way at once.
const BATCHES: usize = 2;
/// How long a task waits that could not be sent.
const DOUBT_MS: u64 = 500;
/// The longest wait between two looks, microseconds.
const LONGEST_WAIT: i64 = 1_000_000;

/// Dispatches tasks of `only`, or of all running runs, until it is dropped.
pub async fn run(
    only: Option<RunId>,
    config: &Config,
    deps: &Deps,
    pulse: &Pulse,
) -> Result<(), CoordinatorError> {
    let mut dispatcher = Dispatcher {
        with: (config, deps, pulse),
        paces: Paces::default(),
        sending: Sending::default(),
    };
    loop {
        let ended = dispatcher.look(only).await;
        if ended.is_err() {
            // What is on its way meets the same queue, and sees to its own tasks.
            while !dispatcher.sending.batches.is_empty() {
                dispatcher.sending.landed().await.1.ok();
            }
            return ended;
        }
    }
}

struct Dispatcher<'a> {
    with: With<'a>,
    paces: Paces,
    sending: Sending<'a>,
}

type With<'a> = (&'a Config, &'a Deps, &'a Pulse);

impl Dispatcher<'_> {
    /// Fills the window once, and waits until another look is worth it.
    async fn look(&mut self, only: Option<RunId>) -> Result<(), CoordinatorError> {
        let (_, deps, _) = self.with;
        let mut running = self.beside(deps.store.running()).await??;
        running.retain(|r| only.is_none_or(|only| r.id == only));
        self.paces.keep(|run| running.iter().any(|r| r.id == run));
        for run in &mut running {
            run.in_flight += self.sending.tasks(run.id);
        }
        let wait = self.round(running).await?;
        if wait > 0 {
            self.rest(Duration::from_micros(wait as u64)).await?;
        }
        Ok(())
    }

    /// Fills the window once; says how long to wait before the next look, microseconds.
    async fn round(&mut self, mut running: Vec<Running>) -> Result<i64, CoordinatorError> {
        let (config, deps, pulse) = self.with;
        let mut wait = LONGEST_WAIT;
        loop {
            let taken: u64 = running.iter().map(|r| r.in_flight).sum();
            let room = (config.window as u64).saturating_sub(taken);
            let Some((at, batch)) = share(&running, room) else {
                return Ok(wait);
            };
            let run = running[at];
            if let Some(rest) = self.paces.rest(run.id, Instant::now()) {
                wait = wait.min(i64::try_from(rest.as_micros()).unwrap_or(LONGEST_WAIT));
                running.remove(at);
                continue;
            }
            let together = self.paces.together(run.id, BATCH);
            // A queue that refused is asked again only when it has answered.
            self.land(if together < BATCH { 0 } else { BATCHES - 1 })
                .await?;
            let batch = batch.min(together.into()) as u32;
            let now = deps.clock.now_micros();
            let claim = deps.store.claim(run.id, batch, now, config.hold);
            let claim = self.beside(claim).await??;
            if claim.tasks.is_empty() {
                // Nothing to send: is it the budget, or are tasks waiting for their time?
                if let (Some((limit, cap, asked)), false) = (&claim.over_budget, claim.under_way) {
                    let outcome = Outcome::Paused(budget(limit, *cap, *asked));
                    conduct::stop(run.id, deps, &outcome).await?;
                    pulse.wake();
                }
                wait = wait.min(wait_for(&claim, now));
                running.remove(at);
            } else {
                running[at].in_flight += claim.tasks.len() as u64;
                metrics::counter!("promptimal_requests_granted_total").increment(granted(&claim));
                wait = 0;
                self.sending.begin(run.id, claim.tasks, self.with);
            }
        }
    }

    /// Waits for so long, or until there may be room: what has landed is counted once only from then on. The clock may be a
    /// test's; waiting is real time, bounded, and only a hint.
    async fn rest(&mut self, wait: Duration) -> Result<(), CoordinatorError> {
        let (_, _, pulse) = self.with;
        let landed = tokio::select! {
            _ = tokio::time::timeout(wait, pulse.room()) => return Ok(()),
            landed = self.sending.landed() => landed,
        };
        self.note(landed)
    }

    /// Waits until at most so many batches are on their way.
    async fn land(&mut self, batches: usize) -> Result<(), CoordinatorError> {
        while self.sending.batches.len() > batches {
            let landed = self.sending.landed().await;
            self.note(landed)?;
        }
        Ok(())
    }

    /// Does something while batches are on their way.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> Result<T, CoordinatorError> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                landed = self.sending.landed() => self.note(landed)?,
            }
        }
    }

    fn note(&mut self, (run, sent): Landed) -> Result<(), CoordinatorError> {
        match sent? {
            Sent::Gone => self.paces.taken(run, BATCH),
            Sent::InDoubt => {}
            Sent::Refused { all } => self.paces.refused(run, all, Instant::now()),
        }
        Ok(())
    }
}

/// A batch that was sent, or not.
type Landed = (RunId, Result<Sent, CoordinatorError>);

/// Batches on their way to the queue: while one waits for its confirms, the next is claimed.
#[derive(Default)]
struct Sending<'a> {
    batches: FuturesUnordered<BoxFuture<'a, (u64, Landed)>>,
    /// Tasks of each run that are claimed, and not known to be sent.
    tasks: HashMap<RunId, u64>,
}

impl<'a> Sending<'a> {
    fn begin(&mut self, run: RunId, claimed: Vec<Claimed>, with: With<'a>) {
        let tasks = claimed.len() as u64;
        *self.tasks.entry(run).or_default() += tasks;
        let sent = async move { (tasks, (run, send(run, claimed, with).await)) };
        self.batches.push(sent.boxed());
    }

    fn tasks(&self, run: RunId) -> u64 {
        self.tasks.get(&run).copied().unwrap_or(0)
    }

    /// The next batch that is answered; never, where none is on its way. Cancel-safe.
    async fn landed(&mut self) -> Landed {
        let Some((tasks, (run, sent))) = self.batches.next().await else {
            return std::future::pending().await;
        };
        if let Some(left) = self.tasks.get_mut(&run) {
            *left -= tasks;
        }
        self.tasks.retain(|_, left| *left > 0);
        (run, sent)
    }
}

/// Whose turn it is when `room` tasks may be sent, and how many of them: the run with the least in flight for its
/// weight (2 to the power of its priority), up to where the next one would have less.
pub fn share(running: &[Running], room: u64) -> Option<(usize, u64)> {
    if room == 0 {
        return None;
    }
    let weight = |r: &Running| f64::from(r.priority.clamp(-30, 30)).exp2();
    let level = |r: &Running| r.in_flight as f64 / weight(r);
    let (at, least) = running
        .iter()
        .enumerate()
        .min_by(|a, b| level(a.1).total_cmp(&level(b.1)))?;
    let others = running.iter().enumerate().filter(|(i, _)| *i != at);
    let next = others.map(|(_, r)| level(r)).fold(f64::INFINITY, f64::min);
    let until_next = (next * weight(least)).floor() + 1.0 - least.in_flight as f64;
    Some((at, room.min(until_next.max(1.0) as u64)))
}

/// Requests of limited models.
fn granted(claim: &Claim) -> u64 {
    let grants = claim.tasks.iter().filter_map(|t| t.terms?.grant);
    grants.map(|grant| grant.requests).sum()
}

fn wait_for(claim: &Claim, now: i64) -> i64 {
    claim
        .next_at
        .map_or(LONGEST_WAIT, |at| (at - now).clamp(1_000, LONGEST_WAIT))
}

/// What became of tasks that were to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// The queue has them.
    Gone,
    /// A connection broke meanwhile.
    InDoubt,
    /// The queue is full: it refused some, or all.
    Refused { all: bool },
}

async fn send(
    run: RunId,
    tasks: Vec<Claimed>,
    (config, deps, pulse): With<'_>,
) -> Result<Sent, CoordinatorError> {
    let letters = tasks.into_iter().filter_map(|task| letter(run, task));
    let fitted = futures::future::join_all(letters.map(|l| fit(deps, l))).await;
    let mut by_lane: BTreeMap<Lane, Vec<Letter>> = BTreeMap::new();
    for fitted in fitted {
        match fitted {
            Ok(letter) => by_lane.entry(letter.lane).or_default().push(letter),
            // The queue would refuse it for ever, and with it whatever else is to be sent.
            Err(report) => {
                let report: Vec<_> = report.into_iter().collect();
                collect::apply(config, deps, pulse, &report).await?;
            }
        }
    }
    // A step's tasks are all of one kind, so there is one lane.
    let mut sent = Sent::Gone;
    for (lane, letters) in by_lane {
        sent = post(lane, letters, (config, deps, pulse)).await?;
    }
    Ok(sent)
}

/// Sends what goes one way, and marks it as sent.
async fn post(
    lane: Lane,
    letters: Vec<Letter>,
    (config, deps, pulse): With<'_>,
) -> Result<Sent, CoordinatorError> {
    let (attempts, messages): (Vec<_>, Vec<_>) =
        letters.into_iter().map(|l| (l.attempt, l.message)).unzip();
    let published = deps.queue.publish_once(lane, messages.clone()).await;
    let Err(error) = published else {
        sabotage::point("coordinator.published");
        dispatched(deps, &attempts).await?;
        return Ok(Sent::Gone);
    };
    let fates: Vec<Fate> = (0..messages.len()).map(|at| error.fate(at)).collect();
    unsent(config, deps, pulse, messages.iter().zip(&fates)).await;
    let taken = attempts.into_iter().zip(&fates);
    let taken = taken.filter(|(_, fate)| **fate == Fate::Taken);
    let taken: Vec<_> = taken.map(|(attempt, _)| attempt).collect();
    dispatched(deps, &taken).await?;
    let refused = fates.iter().filter(|f| **f == Fate::NotTaken).count();
    if error.full {
        metrics::counter!("promptimal_tasks_refused_total").increment(refused as u64);
        tracing::warn!(%error, refused, "a queue is full, tasks are sent again later");
        let all = taken.is_empty();
        return Ok(Sent::Refused { all });
    }
    // A queue that is away ends the loop; a connection that broke is mended when the tasks go out again.
    if refused == fates.len() {
        return Err(error.into());
    }
    tracing::warn!(%error, "tasks may not have been sent, sending them again");
    Ok(Sent::InDoubt)
}

/// Marks attempts as sent.
async fn dispatched(deps: &Deps, attempts: &[(TaskId, u32)]) -> Result<(), CoordinatorError> {
    if attempts.is_empty() {
        return Ok(());
    }
    metrics::counter!("promptimal_tasks_dispatched_total").increment(attempts.len() as u64);
    let now = deps.clock.now_micros();
    Ok(deps.store.dispatched(attempts, now).await?)
}

/// A task on its way.
struct Letter {
    lane: Lane,
    attempt: (TaskId, u32),
    message: Message,
}

/// A message that the queue takes, or the report that it is too large.
async fn fit(deps: &Deps, letter: Letter) -> Result<Letter, Option<Report>> {
    // A body is counted references: this copies nothing.
    let body = letter.message.body.clone();
    let why = match deps.queue.fit(letter.lane, letter.message).await {
        Ok(message) => return Ok(Letter { message, ..letter }),
        Err(why) => why,
    };
    let (action, way_out) = match why.unkept {
        Some(_) => (watch::AGAIN, ""),
        None if why.limit > MAX_BODY => (Action::GiveUp, ": shorten it"),
        None => (
            Action::GiveUp,
            ": shorten it, or start coordinators and workers with --artefacts",
        ),
    };
    let message = format!("the question takes {why}{way_out}");
    Err(watch::failed(&body, action, &message).ok())
}

/// Attempts that could not be sent: their tasks go out again under the next epoch. What they reserved is given back where
/// it is certain that they were not; else it stays charged until somebody reports. Without this they would wait for their
/// claims to lapse.
async fn unsent<'a>(
    config: &Config,
    deps: &Deps,
    pulse: &Pulse,
    messages: impl Iterator<Item = (&'a Message, &'a Fate)>,
) {
    let again = Action::Again { after_ms: DOUBT_MS };
    let report = |(message, fate): (&Message, &Fate)| {
        let requests = match fate {
            Fate::Taken => return None,
            Fate::NotTaken => Some(0),
            Fate::InDoubt => None,
        };
        let mut report = watch::failed(&message.body, again, "it could not be sent").ok()?;
        report.counted.declined = requests.is_none();
        report.counted.requests = requests;
        Some(report)
    };
    let reports: Vec<_> = messages.filter_map(report).collect();
    if reports.is_empty() {
        return;
    }
    if let Err(error) = collect::apply(config, deps, pulse, &reports).await {
        tracing::warn!(%error, "tasks that could not be sent wait for their claims to lapse");
    }
}

fn letter(run: RunId, claimed: Claimed) -> Option<Letter> {
    let attempt = (claimed.task, claimed.epoch);
    let id = format!("{}:{}", claimed.task, claimed.epoch);
    let lane = match Work::of(&claimed.body) {
        Work::Ask => Lane::Eval,
        Work::Score => Lane::Score,
        Work::Train => Lane::Train,
    };
    let body = match serde_json::value::RawValue::from_string(claimed.body) {
        Ok(body) => body,
        Err(e) => {
            tracing::error!(task = %claimed.task, error = %e, "stored task body is no JSON");
            return None;
        }
    };
    let trace = Trace::of_attempt(run, claimed.task, claimed.epoch);
    tracing::debug!(
        task = id,
        trace_id = trace.trace_id(),
        span_id = trace.span_id(),
        "sending"
    );
    let task = Task {
        v: VERSION,
        task: claimed.task,
        epoch: claimed.epoch,
        open: claimed.open,
        known: claimed.known.into_iter().collect(),
        terms: claimed.terms,
        body,
    };
    let message = Message {
        id,
        headers: runtime::trace::headers(&trace),
        body: task.encode().into(),
    };
    Some(Letter {
        lane,
        attempt,
        message,
    })
}

fn budget(limit: &str, cap: u64, asked: u64) -> String {
    let (cap, asked) = match limit {
        "cost" => (dollars(cap), dollars(asked)),
        _ => (format!("{cap} {limit}"), format!("{asked}")),
    };
    format!("budget reached: the next block could bring the run to {asked}, over the cap of {cap}")
}

fn dollars(micros: u64) -> String {
    format!("${:.4}", micros as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::run::RunKind;

    fn runs(of: &[(u64, i32)]) -> Vec<Running> {
        let one = |&(in_flight, priority): &(u64, i32)| Running {
            id: RunId::new(),
            kind: RunKind::Optimise,
            priority,
            in_flight,
        };
        of.iter().map(one).collect()
    }

    /// Fills a window and says what each run got.
    fn filled(of: &[(u64, i32)], window: u64) -> Vec<u64> {
        let mut runs = runs(of);
        while let Some((at, n)) = share(
            &runs,
            window.saturating_sub(runs.iter().map(|r| r.in_flight).sum()),
        ) {
            runs[at].in_flight += n;
        }
        runs.iter().map(|r| r.in_flight).collect()
    }

    #[test]
    fn equal_runs_get_equal_shares() {
        assert_eq!(filled(&[(0, 0), (0, 0)], 100), [50, 50]);
        assert_eq!(filled(&[(0, 0)], 100), [100]);
    }

    #[test]
    fn a_newcomer_gets_what_becomes_free() {
        assert_eq!(filled(&[(90, 0), (0, 0)], 100), [90, 10]);
    }

    #[test]
    fn each_step_of_priority_doubles_the_share() {
        assert_eq!(filled(&[(0, 1), (0, 0)], 90), [60, 30]);
        let three = filled(&[(0, 2), (0, 0), (0, 1)], 140);
        assert_eq!(three, [80, 20, 40]);
    }

    #[test]
    fn nothing_is_sent_into_a_full_window() {
        assert_eq!(share(&runs(&[(5, 0)]), 0), None);
        assert_eq!(share(&[], 5), None);
    }
}
