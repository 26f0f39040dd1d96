//! Random operations against a small model in memory.
//!
//! What is checked after every operation: a task has at most one accepted report and ends in one state
//! (invariant 1); what a run has used is the sum over its attempts, never above the cap (3); the counters of
//! a step equal a recount of its items (4). No claimed item is one whose answer and grade are stored (2). What is claimed
//! is what the model's quota has room for.

use super::world::{HOLD, POLICY, START, World, failed, good, report};
use crate::{
    Claimed, Quota, RunModel, Store,
    quota::{Granted, Meters, Need, Standing},
};
use domain::{
    ids::{RunId, TaskId},
    run::{Limits, Spend},
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use wire::{Action, Counted, Report, ReportItem};

/// The run may make this many calls; it is raised at the end.
const CAP: u64 = 24;
/// Of the quotas.
const PER: i64 = 2 * HOLD;

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Op {
    /// A step is planned: tasks with these questions, graded.
    Plan(Vec<Vec<u32>>),
    /// All that is due is claimed.
    Claim,
    /// An attempt is marked as published.
    Dispatch(prop::sample::Index),
    /// Attempts are reported, in one batch, with what became of their items.
    Report(Vec<(prop::sample::Index, Vec<Fate>)>),
    /// An earlier report comes once more.
    Again(prop::sample::Index),
    /// What is out is given up for lost.
    Rescue,
    /// Dead tasks are planned again.
    Revive,
    /// The run says how many requests its model allows in [`PER`].
    Allow(Option<u64>),
    /// Time passes.
    Wait(i64),
    /// The process dies and comes back.
    Crash,
}

/// What becomes of an item.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// Answered and graded.
    Good,
    /// Failed, to be asked again.
    Retry,
    /// Failed for good.
    GiveUp,
}

/// Random operations.
pub fn operations() -> impl Strategy<Value = Vec<Op>> {
    use prop::{collection::vec, sample::Index};
    let fate = prop_oneof![4 => Just(Fate::Good), 2 => Just(Fate::Retry), 1 => Just(Fate::GiveUp)];
    let attempt = (any::<Index>(), vec(fate, 3));
    let op = prop_oneof![
        2 => vec(vec(0..12u32, 1..=3), 1..=3).prop_map(Op::Plan),
        4 => Just(Op::Claim),
        4 => any::<Index>().prop_map(Op::Dispatch),
        5 => vec(attempt, 1..4).prop_map(Op::Report),
        2 => any::<Index>().prop_map(Op::Again),
        1 => Just(Op::Rescue),
        1 => Just(Op::Revive),
        1 => prop::option::of(2..60u64).prop_map(Op::Allow),
        2 => (1..2 * HOLD).prop_map(Op::Wait),
        1 => Just(Op::Crash),
    ];
    vec(op, 1..40)
}

/// Runs the operations on a fresh store.
///
/// # Panics
/// When the store does other than the model.
pub async fn check<S: Store>(open: &impl AsyncFn(&str) -> S, ops: &[Op]) {
    let name = format!("model-{}", RunId::new());
    let mut store = open(&name).await;
    let world = World::new(&store, Some(CAP)).await;
    let (run, target) = (world.run, world.target.clone());
    let (candidate, examples) = (world.candidate.clone(), world.examples.clone());
    let mut model = Model::new(CAP);
    for op in ops {
        if matches!(op, Op::Crash) {
            drop(store);
            store = open(&name).await;
            continue;
        }
        let world = World {
            store: &store,
            run,
            target: target.clone(),
            candidate: candidate.clone(),
            examples: examples.clone(),
        };
        model.step(&world, op).await;
        model.agrees(&world).await;
    }
    let world = World {
        store: &store,
        run,
        target,
        candidate,
        examples,
    };
    model.finish(&world).await;
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Planned { due: i64, claimed: bool },
    Dispatched { at: i64 },
    Done,
    Dead,
}

struct Task {
    id: TaskId,
    round: u32,
    questions: Vec<u32>,
    done: BTreeSet<usize>,
    given_up: BTreeSet<usize>,
    state: State,
    epoch: u32,
    attempts: u32,
    accepted: u32,
}

impl Task {
    fn open(&self) -> Vec<usize> {
        let closed = |p: &usize| self.done.contains(p) || self.given_up.contains(p);
        (0..self.questions.len()).filter(|p| !closed(p)).collect()
    }

    /// Closes the open items that `answers` says are answered and graded; returns how many.
    fn settle(&mut self, answers: impl Fn(u32) -> bool) -> u64 {
        let open = self.open();
        let done: Vec<usize> = open
            .into_iter()
            .filter(|p| answers(self.questions[*p]))
            .collect();
        self.done.extend(&done);
        done.len() as u64
    }
}

/// What a task with so many questions reserves.
fn worst(calls: u64) -> Spend {
    Spend {
        calls,
        tokens: 100 * calls,
        cost_micros: 10 * calls,
    }
}

struct Model {
    now: i64,
    cap: u64,
    rounds: u32,
    tasks: Vec<Task>,
    /// Questions answered and graded, and those only answered.
    graded: BTreeSet<u32>,
    answered: BTreeSet<u32>,
    /// What each attempt is charged.
    charged: HashMap<(TaskId, u32), (Spend, bool)>,
    claimed: Vec<Claimed>,
    reports: Vec<Report>,
    allowed: Option<u64>,
    /// Whether that was ever said: then the store knows of the model.
    limited: bool,
    paced_until: Option<i64>,
    /// What each attempt was granted, and until when it counts.
    grants: HashMap<(TaskId, u32), (u64, i64)>,
}

impl Model {
    fn new(cap: u64) -> Self {
        Self {
            now: START,
            cap,
            rounds: 0,
            tasks: vec![],
            graded: BTreeSet::new(),
            answered: BTreeSet::new(),
            charged: HashMap::new(),
            claimed: vec![],
            reports: vec![],
            allowed: None,
            limited: false,
            paced_until: None,
            grants: HashMap::new(),
        }
    }

    async fn step(&mut self, w: &World<'_>, op: &Op) {
        match op {
            Op::Plan(questions) => self.plan(w, questions).await,
            Op::Claim => self.claim(w).await,
            Op::Dispatch(i) if !self.claimed.is_empty() => {
                let n = i.index(self.claimed.len());
                self.dispatch(w, n).await;
            }
            Op::Report(list) if !self.claimed.is_empty() => {
                let batch = list.iter().map(|(i, fates)| {
                    let attempt = &self.claimed[i.index(self.claimed.len())];
                    self.report(attempt, fates)
                });
                let batch: Vec<Report> = batch.collect();
                self.apply(w, batch).await;
            }
            Op::Again(i) if !self.reports.is_empty() => {
                let again = self.reports[i.index(self.reports.len())].clone();
                self.apply(w, vec![again]).await;
            }
            Op::Rescue => self.rescue(w).await,
            Op::Revive => self.revive(w).await,
            Op::Allow(requests) => self.allow(w, *requests).await,
            Op::Wait(time) => self.now += time,
            Op::Dispatch(_) | Op::Report(_) | Op::Again(_) | Op::Crash => {}
        }
    }

    async fn plan(&mut self, w: &World<'_>, questions: &[Vec<u32>]) {
        // A task does not ask a question twice: the planner takes equal items out.
        let distinct: Vec<Vec<u32>> = questions
            .iter()
            .map(|q| {
                q.iter()
                    .copied()
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect()
            })
            .collect();
        let lists: Vec<&[u32]> = distinct.iter().map(Vec::as_slice).collect();
        let round = self.rounds;
        w.plan(round, &lists, &[]).await;
        let again = w
            .store
            .begin_step(w.step(round), domain::run::RoundKind::Search, self.now);
        assert!(again.await.expect("begin").is_none());
        for (n, questions) in distinct.into_iter().enumerate() {
            self.tasks.push(Task {
                id: w.task_id(round, n),
                round,
                questions,
                done: BTreeSet::new(),
                given_up: BTreeSet::new(),
                state: State::Planned {
                    due: START,
                    claimed: false,
                },
                epoch: 0,
                attempts: 0,
                accepted: 0,
            });
        }
        self.rounds += 1;
    }

    fn spent(&self) -> Spend {
        let mut sum = Spend::default();
        self.charged.values().for_each(|(s, _)| sum += *s);
        sum
    }

    async fn allow(&mut self, w: &World<'_>, requests: Option<u64>) {
        let model = RunModel {
            name: "m".to_owned(),
            model: format!("model of {}", w.run),
            quota: requests.map(|requests| Quota {
                requests: Some(requests),
                tokens: None,
                per: PER,
            }),
        };
        let said = w.store.use_models(w.run, &[model]).await;
        said.expect("models");
        self.allowed = requests;
        self.limited |= requests.is_some();
    }

    fn meters(&mut self) -> Meters {
        if self.allowed.is_none() {
            (self.limited, self.paced_until) = (false, None);
        }
        if !self.limited {
            return Meters::default();
        }
        let counting = self.grants.values().filter(|g| g.1 > self.now);
        let counting: Vec<_> = counting.collect();
        let standing = Standing {
            name: "m".to_owned(),
            model: "m".to_owned(),
            quota: self.allowed.map(|requests| Quota {
                requests: Some(requests),
                tokens: None,
                per: PER,
            }),
            not_before: None,
            paced_until: self.paced_until,
            held: (
                counting.iter().map(|g| g.0).sum(),
                0,
                counting.iter().filter(|g| g.0 > 0).map(|g| g.1).min(),
            ),
        };
        Meters::new(vec![standing], self.now)
    }

    /// What the store should claim, in order, and what of the quota; tasks with nothing left to ask are done by it, and
    /// claims that lapsed are given up.
    fn expect_claims(&mut self) -> Vec<(usize, Option<Granted>)> {
        let mut meters = self.meters();
        if !meters.closed().is_empty() {
            return vec![];
        }
        let mut due: Vec<(i64, usize)> = vec![];
        for (n, task) in self.tasks.iter().enumerate() {
            if let State::Planned { due: at, .. } = task.state
                && at <= self.now
            {
                due.push((at, n));
            }
        }
        due.sort_unstable();
        let mut calls = self.spent().calls;
        let mut full = false;
        let mut out = vec![];
        for (at, n) in due {
            let (graded, answered) = (&self.graded, &self.answered);
            let task = &mut self.tasks[n];
            task.settle(|q| graded.contains(&q));
            if task.open().is_empty() {
                task.state = State::Done;
                continue;
            }
            if matches!(task.state, State::Planned { claimed: true, .. }) {
                task.epoch += 1;
                task.state = State::Planned {
                    due: at,
                    claimed: false,
                };
            }
            let worst = worst(task.questions.len() as u64);
            let asked = task.open().into_iter();
            let asked = asked.filter(|p| !answered.contains(&task.questions[*p]));
            let need = Need::of(worst, asked.count() as u64);
            if !meters.fits("m", need) {
                continue;
            }
            full |= calls + worst.calls > self.cap;
            if !full {
                calls += worst.calls;
                out.push((n, meters.take("m", need)));
            }
        }
        if let Some((_, paced)) = meters.taken().first() {
            self.paced_until = *paced;
        }
        out
    }

    async fn claim(&mut self, w: &World<'_>) {
        let expected = self.expect_claims();
        let claim = w
            .store
            .claim(w.run, 1000, self.now, HOLD)
            .await
            .expect("claim");
        assert_eq!(claim.tasks.len(), expected.len());
        for ((n, granted), attempt) in expected.into_iter().zip(claim.tasks) {
            let terms = attempt
                .terms
                .map(|t| t.grant.map(|g| (g.requests, g.before)));
            let counted = self.cap != u64::MAX || granted.is_some();
            let grant = granted.as_ref().map(|g| (g.requests, g.before));
            assert_eq!(terms, counted.then_some(grant));
            let places: Vec<usize> = attempt.open.iter().map(|p| *p as usize).collect();
            assert_eq!(places, self.tasks[n].open());
            let task = &mut self.tasks[n];
            assert_eq!(attempt.task, task.id);
            assert!(attempt.epoch >= task.epoch);
            task.epoch = attempt.epoch;
            task.state = State::Planned {
                due: self.now + HOLD,
                claimed: true,
            };
            for place in 0..task.questions.len() {
                let known = attempt.known.iter().any(|(p, _)| *p as usize == place);
                let answered = self.answered.contains(&task.questions[place]);
                assert_eq!(known, answered && places.contains(&place));
            }
            let attempted = (task.id, task.epoch);
            let worst = worst(task.questions.len() as u64);
            self.charged.entry(attempted).or_insert((worst, false));
            if let Some(granted) = granted {
                self.grants
                    .insert(attempted, (granted.requests, granted.until));
            }
            self.claimed.push(attempt);
        }
    }

    async fn dispatch(&mut self, w: &World<'_>, n: usize) {
        let (id, epoch) = (self.claimed[n].task, self.claimed[n].epoch);
        w.store
            .dispatched(&[(id, epoch)], self.now)
            .await
            .expect("dispatched");
        let at = self.now;
        for task in &mut self.tasks {
            if task.id == id
                && task.epoch == epoch
                && matches!(task.state, State::Planned { claimed: true, .. })
            {
                task.state = State::Dispatched { at };
            }
        }
    }

    /// What a worker reports of an attempt: known replies are graded, the others are asked.
    fn report(&self, attempt: &Claimed, fates: &[Fate]) -> Report {
        let task = self
            .tasks
            .iter()
            .find(|t| t.id == attempt.task)
            .expect("a task");
        let items = attempt.open.iter().map(|place| {
            let question = task.questions[*place as usize];
            let known = attempt.known.iter().any(|(p, _)| p == place);
            let good = good(*place, question);
            match fates[*place as usize] {
                Fate::Good if known => ReportItem {
                    answer: None,
                    ..good
                },
                Fate::Good => good,
                Fate::Retry => failed(*place, question, Action::Retry { after_ms: 0 }),
                Fate::GiveUp => failed(*place, question, Action::GiveUp),
            }
        });
        // Each question that is not known was sent once.
        let sent = (attempt.open.len() - attempt.known.len()) as u64;
        let grant = attempt.terms.and_then(|terms| terms.grant);
        Report {
            counted: Counted {
                requests: grant.map(|_| sent),
                ..Counted::default()
            },
            ..report(attempt.task, attempt.epoch, items.collect())
        }
    }

    async fn apply(&mut self, w: &World<'_>, batch: Vec<Report>) {
        let fresh: BTreeSet<u32> = self.answered.clone();
        let mut accepted = vec![];
        for report in &batch {
            let n = self
                .tasks
                .iter()
                .position(|t| t.id == report.task)
                .expect("a task");
            let task = &mut self.tasks[n];
            let out = matches!(
                task.state,
                State::Dispatched { .. } | State::Planned { claimed: true, .. }
            );
            let taken = accepted.iter().any(|(m, _)| *m == n);
            if out && task.epoch == report.epoch && !taken {
                accepted.push((n, report.clone()));
            }
            self.book(report);
            let task = &self.tasks[n];
            for item in report.items.iter().filter(|i| i.answer.is_some()) {
                self.answered.insert(task.questions[item.place as usize]);
            }
        }
        for (n, report) in &accepted {
            for item in report.items.iter().filter(|i| i.grade.is_some()) {
                self.graded
                    .insert(self.tasks[*n].questions[item.place as usize]);
            }
        }
        let count = accepted.len() as u64;
        let done = self.settle(&accepted);
        for (n, report) in accepted {
            self.close(n, &report);
        }
        let applied = w
            .store
            .apply(&batch, POLICY, self.now)
            .await
            .expect("apply");
        assert_eq!(
            (applied.accepted, applied.stale),
            (count, batch.len() as u64 - count)
        );
        assert_eq!(applied.answers, (self.answered.len() - fresh.len()) as u64);
        assert_eq!(applied.items_done, done);
        self.reports.extend(batch);
    }

    /// Accepted reports close the items of their tasks whose answers are graded.
    fn settle(&mut self, accepted: &[(usize, Report)]) -> u64 {
        let graded = &self.graded;
        let mut sum = 0;
        for (n, _) in accepted {
            sum += self.tasks[*n].settle(|q| graded.contains(&q));
        }
        sum
    }

    /// The first report of an attempt replaces its worst case by what was used.
    fn book(&mut self, report: &Report) {
        let attempted = (report.task, report.epoch);
        if let (Some(sent), Some(grant)) =
            (report.counted.requests, self.grants.get_mut(&attempted))
        {
            *grant = (grant.0.min(sent), grant.1.min(self.now + PER));
        }
        let charge = self
            .charged
            .get_mut(&(report.task, report.epoch))
            .expect("reserved");
        if !charge.1 {
            let answers = report.items.iter().filter(|i| i.answer.is_some()).count() as u64;
            let used = Spend {
                calls: answers,
                tokens: 7 * answers,
                cost_micros: 3 * answers,
            };
            *charge = (used, true);
        }
    }

    fn close(&mut self, n: usize, report: &Report) {
        let task = &mut self.tasks[n];
        let open = task.open();
        let mut left = false;
        for item in report
            .items
            .iter()
            .filter(|i| open.contains(&(i.place as usize)))
        {
            match item.error.as_ref().map(|e| e.action) {
                Some(Action::GiveUp) => drop(task.given_up.insert(item.place as usize)),
                _ => left = true,
            }
        }
        if !left {
            task.accepted += 1;
            task.state = State::Done;
            return;
        }
        let wait = (POLICY.backoff << task.attempts.min(20)).min(POLICY.max_backoff);
        task.attempts += 1;
        task.state = match task.attempts >= POLICY.max_attempts {
            true => State::Dead,
            false => State::Planned {
                due: self.now + wait,
                claimed: false,
            },
        };
        if task.state != State::Dead {
            task.epoch += 1;
        }
    }

    async fn rescue(&mut self, w: &World<'_>) {
        let mut expected = 0;
        for task in &mut self.tasks {
            if matches!(task.state, State::Dispatched { at } if at < self.now) {
                task.state = State::Planned {
                    due: self.now,
                    claimed: false,
                };
                task.epoch += 1;
                expected += 1;
            }
        }
        let rescued = w
            .store
            .rescue(w.run, self.now, self.now)
            .await
            .expect("rescue");
        assert_eq!(rescued, expected);
    }

    async fn revive(&mut self, w: &World<'_>) {
        let mut expected = 0;
        for task in self.tasks.iter_mut().filter(|t| t.state == State::Dead) {
            task.state = State::Planned {
                due: self.now,
                claimed: false,
            };
            task.epoch += 1;
            task.attempts = 0;
            expected += 1;
        }
        assert_eq!(
            w.store.revive(w.run, self.now).await.expect("revive"),
            expected
        );
    }

    /// The store's counters are those of the model, and those of a recount.
    async fn agrees(&self, w: &World<'_>) {
        let spend = w.store.spend(w.run).await.expect("spend");
        assert_eq!(spend, self.spent());
        assert!(
            spend.calls <= self.cap,
            "{} calls of {}",
            spend.calls,
            self.cap
        );
        let mut rounds: BTreeMap<u32, [u64; 4]> = BTreeMap::new();
        for task in &self.tasks {
            let sums = rounds.entry(task.round).or_default();
            sums[0] += task.questions.len() as u64;
            sums[2] += u64::from(matches!(
                task.state,
                State::Planned { .. } | State::Dispatched { .. }
            ));
            sums[3] += u64::from(task.state == State::Dead);
            sums[1] += task.done.len() as u64;
        }
        for step in w.store.steps(w.run).await.expect("steps") {
            let counters = [step.items, step.items_done, step.open, step.dead];
            assert_eq!(counters, rounds[&step.key.round], "{:?}", step.key);
            let outcomes = w
                .store
                .outcomes(step.key, None, 1000)
                .await
                .expect("outcomes");
            assert_eq!(outcomes.len() as u64, step.items);
            let graded = outcomes
                .iter()
                .filter(|o| o.reply.is_some() && o.grade.is_some());
            assert!(step.items_done <= graded.count() as u64);
        }
        assert!(self.tasks.iter().all(|t| t.accepted <= 1));
    }

    /// With budget, time and a model that answers, every task comes to its end.
    async fn finish(&mut self, w: &World<'_>) {
        let limits = Limits::default();
        w.store
            .add_limits(w.run, &limits, self.now)
            .await
            .expect("limits");
        self.cap = u64::MAX;
        self.allow(w, None).await;
        self.now += HOLD;
        self.rescue(w).await;
        self.revive(w).await;
        for _ in 0..4 {
            self.now += 10 * HOLD;
            self.claimed.clear();
            self.claim(w).await;
            for n in 0..self.claimed.len() {
                self.dispatch(w, n).await;
            }
            let good = [Fate::Good; 3];
            let batch: Vec<Report> = self.claimed.iter().map(|c| self.report(c, &good)).collect();
            self.apply(w, batch).await;
            self.agrees(w).await;
        }
        assert!(self.tasks.iter().all(|t| t.state == State::Done));
        let closed = |t: &Task| t.done.len() + t.given_up.len() == t.questions.len();
        assert!(self.tasks.iter().all(closed));
        let lines = w.store.projection(w.run).await.expect("projection");
        let items = lines.iter().filter(|l| l.starts_with("item ")).count();
        let planned: usize = self.tasks.iter().map(|t| t.questions.len()).sum();
        assert_eq!(items, planned);
    }
}
