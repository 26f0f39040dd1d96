//! Several processes on one store: whose turn, who leads, what was lost.

use super::world::{POLICY, START, World, good, report};
use crate::{Beat, LeaseAsk, Loss, RescuePolicy, StatusChange, Store, Waits};
use domain::{ids::TaskId, run::RunStatus};

const RESCUE: RescuePolicy = RescuePolicy {
    silent: 30,
    unstarted: 100,
    deadline: 500,
    training: Waits {
        unstarted: 1_000,
        deadline: 5_000,
    },
    max_attempts: 3,
    limit: 100,
};

pub(super) fn beat(task: TaskId, epoch: u32) -> Beat {
    Beat {
        task,
        epoch,
        worker: "w".to_owned(),
    }
}

pub(super) async fn lost(w: &World<'_>, now: i64) -> Vec<(TaskId, u32, Loss, bool)> {
    let lost = w.store.rescue_lost(&RESCUE, now).await.expect("rescue");
    lost.into_iter()
        .filter(|l| l.run == w.run)
        .map(|l| (l.task, l.epoch, l.loss, l.dead))
        .collect()
}

/// A running run is listed with what it has in flight; a paused one is not.
pub async fn running_runs_are_listed_with_their_flight(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1], &[2], &[3]], &[]).await;
    let find = async || {
        let running = store.running().await.expect("running");
        running.into_iter().find(|r| r.id == w.run)
    };
    let fresh = find().await.expect("it runs");
    assert_eq!((fresh.priority, fresh.in_flight), (0, 0));
    w.dispatch(START).await;
    assert!(store.set_priority(w.run, -2).await.expect("priority"));
    let now = find().await.expect("it runs");
    assert_eq!((now.priority, now.in_flight), (-2, 3));
    let change = StatusChange {
        run: w.run,
        from: RunStatus::Running,
        to: RunStatus::Paused,
        reason: None,
        now: START,
    };
    assert!(store.set_status(&change).await.expect("status"));
    assert_eq!(find().await, None);
}

/// A task is lost when its worker falls silent, when nobody begins it, and when it takes too long; not before.
pub async fn each_loss_has_its_clock(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1], &[2]], &[]).await;
    let tasks = w.dispatch(START).await;
    let (begun, never) = (tasks[0].task, tasks[1].task);
    let noted = store.beat(&[beat(begun, 1)], START + 10).await;
    assert_eq!(noted.expect("beat"), 1);
    assert_eq!(lost(&w, START + 40).await, []);
    assert_eq!(
        lost(&w, START + 41).await,
        [(begun, 1, Loss::Silent, false)]
    );
    assert_eq!(lost(&w, START + 100).await, []);
    assert_eq!(
        lost(&w, START + 101).await,
        [(never, 1, Loss::Unstarted, false)]
    );
    // Both are sent again under the next epoch; a sign of life keeps one, up to its deadline.
    let again = w.dispatch(START + 200).await;
    assert_eq!(again.iter().map(|t| t.epoch).collect::<Vec<_>>(), [2, 2]);
    for now in (210..720).step_by(20) {
        let both = [beat(begun, 2), beat(never, 2)];
        assert_eq!(store.beat(&both, START + now).await.expect("beat"), 2);
        if now <= 710 {
            assert_eq!(lost(&w, START + now).await, [], "at {now}");
        }
    }
    let overdue = lost(&w, START + 711).await;
    assert_eq!(
        overdue,
        [
            (begun, 2, Loss::Overdue, false),
            (never, 2, Loss::Overdue, false)
        ]
    );
}

/// A sign of life of an older epoch, or of a closed task, is none.
pub async fn an_old_beat_is_no_sign_of_life(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1]], &[]).await;
    let task = w.dispatch(START).await.remove(0).task;
    store.beat(&[beat(task, 1)], START).await.expect("beat");
    assert_eq!(lost(&w, START + 31).await.len(), 1);
    w.dispatch(START + 40).await;
    let old = store.beat(&[beat(task, 1)], START + 130).await;
    assert_eq!(old.expect("beat"), 0);
    assert_eq!(
        lost(&w, START + 141).await,
        [(task, 2, Loss::Unstarted, false)]
    );
    w.dispatch(START + 150).await;
    let done = report(task, 3, vec![good(0, 1)]);
    store.apply(&[done], POLICY, START).await.expect("apply");
    let closed = store.beat(&[beat(task, 3)], START + 151).await;
    assert_eq!(closed.expect("beat"), 0);
    assert_eq!(lost(&w, START + 10_000).await, []);
}

/// A task whose workers fall silent again and again is dead after its attempts; one that nobody begins is not.
pub async fn a_task_that_silences_its_workers_dies(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1], &[2]], &[]).await;
    let mut now = START;
    for epoch in 1..=3 {
        let tasks = w.dispatch(now).await;
        let poison = tasks[0].task;
        store.beat(&[beat(poison, epoch)], now).await.expect("beat");
        now += 101;
        let losses = lost(&w, now).await;
        let expected = [
            (poison, epoch, Loss::Silent, epoch == 3),
            (tasks[1].task, epoch, Loss::Unstarted, false),
        ];
        assert_eq!(losses, expected);
    }
    let status = w.status().await;
    assert_eq!((status.dead, status.open), (1, 1));
    // What each lost attempt could have used stays charged.
    assert_eq!(w.calls().await, 6);
    assert_eq!(store.revive(w.run, now).await.expect("revive"), 1);
    assert_eq!(w.dispatch(now).await.len(), 2);
}

/// One holder at a time; a lapsed lease goes to whoever asks, under a new term.
pub async fn a_lease_has_one_holder(store: &dyn Store) {
    let ask = async |holder: &'static str, now: i64| {
        let ask = LeaseAsk {
            name: "a lease",
            holder,
            ttl: 100,
            now,
        };
        store.lease(&ask).await.expect("lease")
    };
    let first = ask("a", 1_000).await.expect("free");
    assert_eq!(ask("b", 1_050).await, None);
    assert_eq!(ask("a", 1_050).await, Some(first), "renewed");
    assert_eq!(ask("b", 1_149).await, None);
    let second = ask("b", 1_150).await.expect("lapsed");
    assert!(second > first);
    assert_eq!(ask("a", 1_151).await, None);
    store.release("a lease", "a").await.expect("not its own");
    assert_eq!(ask("a", 1_152).await, None);
    store.release("a lease", "b").await.expect("its own");
    let third = ask("a", 1_153).await.expect("given back");
    assert!(third > second);
    // One that lapsed before its holder came back may have been another's meanwhile: a new term.
    let fourth = ask("a", 2_000).await.expect("nobody's");
    assert!(fourth > third);
}
