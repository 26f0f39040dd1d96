//! Several coordinators on one store: claims and reports side by side lose nothing and never exceed the cap.

use super::world::{POLICY, START, World, failed, good, grader, report};
use crate::{Applied, Claimed, Quota, RunModel, Store};
use domain::{
    ids::{RunId, TaskId},
    run::Limits,
};
use futures::future::{BoxFuture, join_all};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering},
    },
};
use wire::{Action, Counted, Report};

/// Longer than the test's clock runs: no claim lapses.
const HOLD: i64 = 1_000_000_000;
/// What the first run may use at first: less than it needs.
const CAP: u64 = 50;
const TASKS: u32 = 40;
const QUESTIONS: u32 = 3;
/// Loops after which a coordinator that is not done is stuck.
const PATIENCE: u32 = 5000;

/// One coordinator for each handle; all are handles of one store.
pub async fn coordinators_share(stores: &[&dyn Store]) {
    let (a, b) = (
        World::new(stores[0], Some(CAP)).await,
        World::new(stores[0], None).await,
    );
    // The second run's model has a quota, which is wide enough to hold nothing up.
    let model = RunModel {
        name: "m".to_owned(),
        model: format!("model of {}", b.run),
        quota: Some(Quota {
            requests: Some(1_000),
            tokens: None,
            per: 1_000,
        }),
    };
    let said = stores[0].use_models(b.run, &[model]).await;
    said.expect("models");
    // The runs ask every other question in common; each has items that wait for another.
    let both = [&a, &b].map(|w| async {
        let lists: Vec<Vec<u32>> = (0..TASKS)
            .map(|t| questions(t, w.run == b.run).collect())
            .collect();
        let lists: Vec<&[u32]> = lists.iter().map(Vec::as_slice).collect();
        let waiting: Vec<u32> = questions(1, w.run == b.run).collect();
        w.plan(0, &lists, &waiting).await;
    });
    join_all(both).await;
    let shared = Shared::new(&[&a, &b]);
    let claims = join_all(stores.iter().map(|s| claim_all(*s, a.run))).await;
    let claimed: Vec<Claimed> = claims.into_iter().flatten().collect();
    check_cap(&a, &claimed).await;
    let limits = Limits::default();
    let raised = stores[0].add_limits(a.run, &limits, START).await;
    raised.expect("limits");
    shared.publish(stores[0], claimed).await;
    let applied = join_all(stores.iter().map(|s| shared.coordinate(*s))).await;
    shared.check(&applied, &[&a, &b]).await;
}

/// A step is planned while another run stores the answer that one of its items waits for: `meet` is handed the commit
/// of the one and the report of the other, and lets them overlap. The waiting item must not wait for ever.
pub async fn an_item_is_planned_while_it_is_answered<'a>(
    store: &'a dyn Store,
    meet: impl AsyncFnOnce(BoxFuture<'a, ()>, BoxFuture<'a, ()>),
) {
    let (a, b) = (World::new(store, None).await, World::new(store, None).await);
    a.plan(0, &[&[1]], &[]).await;
    let task = a.dispatch(START).await.remove(0);
    let done = report(task.task, task.epoch, vec![good(0, 1)]);
    let mut writer = b.begin(0).await;
    let waiting = [b.item(0, 1)];
    writer
        .items(&waiting, Some(&grader()))
        .await
        .expect("items");
    writer.tasks(&b.tasks(0, 1, &[&[1]])).await.expect("tasks");
    meet(
        Box::pin(async { writer.commit().await.expect("commit") }),
        Box::pin(async move {
            let applied = store.apply(&[done], POLICY, START).await;
            assert_eq!(applied.expect("apply").answers, 1);
        }),
    )
    .await;
    assert!(b.dispatch(START + 1).await.is_empty(), "it was answered");
    let status = b.status().await;
    assert_eq!((status.items, status.items_done, status.open), (2, 2, 0));
}

/// The questions of a task: the even ones are common to both runs.
fn questions(task: u32, other_run: bool) -> impl Iterator<Item = u32> {
    (task * QUESTIONS..(task + 1) * QUESTIONS).map(move |q| match q % 2 {
        1 if other_run => q + 10_000,
        _ => q,
    })
}

/// Claims until the budget says no.
async fn claim_all(store: &dyn Store, run: RunId) -> Vec<Claimed> {
    let mut out = vec![];
    loop {
        let claim = store.claim(run, 2, START, HOLD).await.expect("claim");
        let nothing = claim.tasks.is_empty();
        out.extend(claim.tasks);
        if nothing {
            assert!(claim.over_budget.is_some());
            return out;
        }
    }
}

/// Each task went to one coordinator, and together they reserved what the cap allows, and no more.
async fn check_cap(w: &World<'_>, claimed: &[Claimed]) {
    let tasks: BTreeSet<TaskId> = claimed.iter().map(|c| c.task).collect();
    assert_eq!(tasks.len(), claimed.len(), "a task was claimed twice");
    let calls = claimed.len() as u64 * u64::from(QUESTIONS);
    assert_eq!(w.calls().await, calls);
    assert!(
        calls <= CAP && calls + u64::from(QUESTIONS) > CAP,
        "{calls}"
    );
}

/// What the coordinators have in common, beside the store: a clock, and a queue that delivers twice.
struct Shared {
    now: AtomicI64,
    queue: Mutex<Vec<Report>>,
    /// What was asked at each place.
    asked: HashMap<TaskId, (RunId, Vec<u32>)>,
    /// Calls that each attempt made.
    made: Mutex<BTreeMap<(TaskId, u32), u64>>,
}

impl Shared {
    fn new(worlds: &[&World<'_>]) -> Self {
        let mut asked = HashMap::new();
        for (n, w) in worlds.iter().enumerate() {
            for task in 0..TASKS {
                let questions = questions(task, n == 1).collect();
                asked.insert(w.task_id(0, task as usize), (w.run, questions));
            }
        }
        Self {
            now: AtomicI64::new(START),
            queue: Mutex::default(),
            asked,
            made: Mutex::default(),
        }
    }

    /// Claims, publishes and applies until nothing is open.
    async fn coordinate(&self, store: &dyn Store) -> Applied {
        let mut sum = Applied::default();
        let runs: BTreeSet<RunId> = self.asked.values().map(|(run, _)| *run).collect();
        for _ in 0..PATIENCE {
            let now = self.now.fetch_add(50, Ordering::Relaxed);
            let mut open = 0;
            for run in &runs {
                let claim = store.claim(*run, 3, now, HOLD).await.expect("claim");
                self.publish(store, claim.tasks).await;
                let step = store.last_step(*run).await.expect("step").expect("planned");
                open += step.open;
            }
            let batch: Vec<Report> = {
                let mut queue = self.queue.lock().expect("no panic");
                let n = queue.len().min(5);
                queue.drain(..n).collect()
            };
            if batch.is_empty() && open == 0 {
                return sum;
            }
            let applied = store.apply(&batch, POLICY, now).await.expect("apply");
            sum.accepted += applied.accepted;
            sum.stale += applied.stale;
            sum.answers += applied.answers;
        }
        panic!("stuck: {sum:?}");
    }

    /// A worker reports at once; every report is delivered twice, the second time behind others.
    async fn publish(&self, store: &dyn Store, claimed: Vec<Claimed>) {
        let now = self.now.load(Ordering::Relaxed);
        let attempts: Vec<_> = claimed.iter().map(|c| (c.task, c.epoch)).collect();
        store.dispatched(&attempts, now).await.expect("dispatched");
        let reports: Vec<Report> = claimed.iter().map(|c| self.work(c)).collect();
        let mut queue = self.queue.lock().expect("no panic");
        queue.extend(reports.iter().cloned());
        queue.extend(reports.into_iter().rev());
    }

    /// Every third task fails at its last question the first time.
    fn work(&self, claimed: &Claimed) -> Report {
        let (_, questions) = &self.asked[&claimed.task];
        let mut calls = 0;
        let items = claimed.open.iter().map(|place| {
            let question = questions[*place as usize];
            let fails = claimed.epoch == 1 && questions[0] % 9 == 0 && *place == QUESTIONS - 1;
            if fails {
                return failed(*place, question, Action::Retry { after_ms: 0 });
            }
            let mut item = good(*place, question);
            match claimed.known.iter().any(|(p, _)| p == place) {
                true => item.answer = None,
                false => calls += 1,
            }
            item
        });
        let items = items.collect();
        let mut made = self.made.lock().expect("no panic");
        let before = made.insert((claimed.task, claimed.epoch), calls);
        assert_eq!(before, None, "an attempt was claimed twice");
        let grant = claimed.terms.and_then(|terms| terms.grant);
        Report {
            counted: Counted {
                requests: grant.map(|_| calls),
                ..Counted::default()
            },
            ..report(claimed.task, claimed.epoch, items)
        }
    }

    async fn check(&self, applied: &[Applied], worlds: &[&World<'_>]) {
        let made = self.made.lock().expect("no panic").clone();
        let accepted: u64 = applied.iter().map(|a| a.accepted).sum();
        assert_eq!(accepted, made.len() as u64, "each attempt is accepted once");
        let stale: u64 = applied.iter().map(|a| a.stale).sum();
        assert_eq!(stale, accepted, "each was delivered twice");
        let questions = self.asked.values().flat_map(|(_, q)| q);
        let questions: BTreeSet<u32> = questions.copied().collect();
        let answers: u64 = applied.iter().map(|a| a.answers).sum();
        assert_eq!(
            answers,
            questions.len() as u64,
            "each answer is stored once"
        );
        for w in worlds {
            let status = w.status().await;
            let items = u64::from(QUESTIONS * (TASKS + 1));
            assert_eq!((status.items, status.items_done), (items, items));
            assert_eq!((status.open, status.dead), (0, 0));
            let calls = made
                .iter()
                .filter(|((task, _), _)| self.asked[task].0 == w.run);
            let calls: u64 = calls.map(|(_, calls)| calls).sum();
            assert_eq!(w.calls().await, calls, "each call is charged once");
        }
    }
}
