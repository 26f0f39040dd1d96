//! The rescuer: what was lost is given back.
//!
//! Three clocks: a worker that fell silent, a task that nobody began, a task that takes too long. All are the store's
//! rows and the coordinator's clock; a worker's own clock decides nothing.
//!
//! A clock may only run while it would be noticed that the task is well. After a coordinator or a broker was away no
//! sign of life has been noted for a while, and a task at the end of a long queue was begun by nobody because it is not
//! its turn: what is given back then is paid for twice. So the first look waits until every living worker had time to
//! say so, signs of life and reports that wait are read first, and tasks that wait in the queue have until the deadline
//! to be begun.

use crate::{CoordinatorError, Deps, Event, pulse::Pulse};
use queue::{Lane, QueueError};
use std::time::Duration;
use store::{Lost, RescuePolicy};
use tokio::time::Instant;
use wire::trace::Trace;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(2);

/// Rescues until it is dropped.
pub async fn run(
    policy: &RescuePolicy,
    deps: &Deps,
    pulse: &Pulse,
) -> Result<(), CoordinatorError> {
    let mut patience = Patience::new(policy);
    loop {
        tokio::time::sleep(patience.wait).await;
        let Some(policy) = patience.policy(Backlog::of(deps).await, Instant::now()) else {
            continue;
        };
        let lost = deps
            .store
            .rescue_lost(&policy, deps.clock.now_micros())
            .await?;
        tell(&lost, deps, pulse);
        // A full page may have hidden more.
        if lost.len() as u32 >= policy.limit {
            patience.wait = Duration::ZERO;
        }
    }
}

fn tell(lost: &[Lost], deps: &Deps, pulse: &Pulse) {
    for lost in lost {
        let trace = Trace::of_attempt(lost.run, lost.task, lost.epoch);
        tracing::warn!(
            run = %lost.run,
            trace_id = trace.trace_id(),
            span_id = trace.span_id(),
            task = %lost.task,
            epoch = lost.epoch,
            dead = lost.dead,
            "{}",
            lost.loss.reason()
        );
        metrics::counter!("promptimal_tasks_lost_total", "reason" => lost.loss.reason())
            .increment(1);
        let message = lost.loss.reason().to_owned();
        if pulse.note_trouble(lost.run, &message) {
            let run = lost.run;
            (deps.observer)(Event::Trouble { run, message });
        }
    }
    if !lost.is_empty() {
        pulse.wake();
    }
}

/// What waits in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Backlog {
    /// Tasks that no worker has taken.
    tasks: bool,
    /// Reports or signs of life that no coordinator has taken.
    news: bool,
}

impl Backlog {
    async fn of(deps: &Deps) -> Result<Self, QueueError> {
        let waits = async |lanes: &[Lane]| {
            for &lane in lanes {
                if deps.queue.depth(lane).await? > 0 {
                    return Ok(true);
                }
            }
            Ok::<_, QueueError>(false)
        };
        Ok(Self {
            tasks: waits(&[Lane::Eval, Lane::Score, Lane::Train]).await?,
            news: waits(&[Lane::Results, Lane::Events]).await?,
        })
    }
}

/// When the clocks may run.
struct Patience<'a> {
    policy: &'a RescuePolicy,
    /// Until the next look.
    wait: Duration,
    /// Since when looks are put off because news wait.
    put_off: Option<Instant>,
}

impl<'a> Patience<'a> {
    fn new(policy: &'a RescuePolicy) -> Self {
        Self {
            policy,
            wait: micros(policy.silent),
            put_off: None,
        }
    }

    /// What counts as lost now; `None` when that cannot be told yet.
    fn policy(
        &mut self,
        backlog: Result<Backlog, QueueError>,
        now: Instant,
    ) -> Option<RescuePolicy> {
        let backlog = match backlog {
            Ok(backlog) => backlog,
            Err(error) => {
                tracing::debug!(%error, "not looking for lost tasks: no sign of life gets through");
                *self = Self::new(self.policy);
                return None;
            }
        };
        self.wait = EVERY;
        if !backlog.news {
            self.put_off = None;
        } else if now - *self.put_off.get_or_insert(now) < micros(self.policy.deadline) {
            // Whoever never catches up must not keep what is lost for ever.
            return None;
        }
        let mut policy = *self.policy;
        if backlog.tasks {
            policy.unstarted = policy.unstarted.max(policy.deadline);
            let training = &mut policy.training;
            training.unstarted = training.unstarted.max(training.deadline);
        }
        Some(policy)
    }
}

fn micros(span: i64) -> Duration {
    Duration::from_micros(u64::try_from(span).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::Waits;

    const POLICY: RescuePolicy = RescuePolicy {
        silent: 30_000_000,
        unstarted: 60_000_000,
        deadline: 600_000_000,
        training: Waits {
            unstarted: 60_000_000,
            deadline: 6_000_000_000,
        },
        max_attempts: 5,
        limit: 100,
    };

    fn backlog(tasks: bool, news: bool) -> Result<Backlog, QueueError> {
        Ok(Backlog { tasks, news })
    }

    #[test]
    fn living_workers_have_time_to_say_so_first_and_after_an_outage() {
        let mut patience = Patience::new(&POLICY);
        assert_eq!(patience.wait, Duration::from_secs(30));
        let look = patience.policy(backlog(false, false), Instant::now());
        assert_eq!(look.unwrap().unstarted, POLICY.unstarted);
        assert_eq!(patience.wait, EVERY);
        let away = Err(QueueError::new(None, "the broker is away"));
        assert!(patience.policy(away, Instant::now()).is_none());
        assert_eq!(patience.wait, Duration::from_secs(30));
    }

    #[test]
    fn a_task_that_waits_its_turn_is_not_lost() {
        let mut patience = Patience::new(&POLICY);
        let look = patience.policy(backlog(true, false), Instant::now());
        let look = look.unwrap();
        assert_eq!(
            (look.silent, look.unstarted),
            (POLICY.silent, POLICY.deadline)
        );
        // A training may wait for another one, however long that takes.
        assert_eq!(look.training.unstarted, POLICY.training.deadline);
    }

    #[test]
    fn news_are_read_first_but_not_waited_for_for_ever() {
        let mut patience = Patience::new(&POLICY);
        let begin = Instant::now();
        assert!(patience.policy(backlog(false, true), begin).is_none());
        let late = begin + Duration::from_secs(599);
        assert!(patience.policy(backlog(false, true), late).is_none());
        let over = begin + Duration::from_secs(600);
        assert!(patience.policy(backlog(false, true), over).is_some());
        // Once caught up, it begins anew.
        assert!(patience.policy(backlog(false, false), over).is_some());
        assert!(patience.policy(backlog(false, true), over).is_none());
    }
}
