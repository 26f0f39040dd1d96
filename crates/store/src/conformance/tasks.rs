//! The outbox: claim, dispatch, rescue, revive.

use super::world::{HOLD, POLICY, START, World, failed, good, grader, report};
use crate::{Claim, NewTask, Store};
use domain::run::{Limits, RoundKind};
use wire::Action;

async fn claim(w: &World<'_>, limit: u32, now: i64) -> Claim {
    w.store.claim(w.run, limit, now, HOLD).await.expect("claim")
}

/// Whether a claim that lapsed was sent, nobody knows: the task is claimed under the next epoch, with a reservation of
/// its own, and a report of the first one settles that one's.
pub async fn a_claim_reserves_once(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1, 2]], &[]).await;
    let first = claim(&w, 10, START).await;
    assert_eq!(first.tasks.len(), 1);
    assert_eq!(
        (first.tasks[0].task, first.tasks[0].open.as_slice()),
        (w.task_id(0, 0), &[0, 1][..])
    );
    assert_eq!(first.tasks[0].body, r#"{"model":"m","n":0}"#);
    let spend = store.spend(w.run).await.expect("spend");
    assert_eq!((spend.calls, spend.tokens, spend.cost_micros), (2, 200, 20));
    let held = claim(&w, 10, START + HOLD - 1).await;
    assert!(held.tasks.is_empty());
    assert_eq!(held.next_at, Some(START + HOLD));
    let again = claim(&w, 10, START + HOLD).await;
    assert_eq!(again.tasks.len(), 1);
    assert_eq!(again.tasks[0].epoch, first.tasks[0].epoch + 1);
    assert_eq!(w.calls().await, 4, "both may be under way");
    let attempt = [(again.tasks[0].task, again.tasks[0].epoch)];
    for _ in 0..2 {
        let dispatched = store.dispatched(&attempt, START + HOLD).await;
        dispatched.expect("dispatched, and once more");
    }
    let none = claim(&w, 10, START + 10 * HOLD).await;
    assert!(none.tasks.is_empty());
    assert_eq!(none.next_at, None);
    for (attempt, calls) in [(&first.tasks[0], 3), (&again.tasks[0], 2)] {
        let items = vec![good(0, 1), failed(1, 2, Action::GiveUp)];
        let done = report(attempt.task, attempt.epoch, items);
        store.apply(&[done], POLICY, START).await.expect("apply");
        assert_eq!(w.calls().await, calls, "one call each");
    }
}

/// What does not fit is not claimed, whatever comes behind it; a raised limit lets it go.
pub async fn a_claim_stops_at_the_budget(store: &dyn Store) {
    let w = World::new(store, Some(3)).await;
    w.plan(0, &[&[1, 2], &[3, 4], &[5]], &[]).await;
    let first = claim(&w, 10, START).await;
    assert_eq!(first.tasks.len(), 1);
    assert_eq!(first.over_budget, Some(("calls".to_owned(), 3, 4)));
    assert_eq!(w.calls().await, 2);
    let limits = Limits {
        calls: Some(5),
        ..Limits::default()
    };
    store
        .add_limits(w.run, &limits, START)
        .await
        .expect("limits");
    let second = claim(&w, 10, START + 1).await;
    assert_eq!((second.tasks.len(), second.over_budget), (2, None));
    assert_eq!(w.calls().await, 5);
}

/// In the order they were planned, as many as asked for.
pub async fn tasks_are_claimed_oldest_first(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1], &[2], &[3]], &[]).await;
    w.plan(1, &[&[4]], &[]).await;
    let first = claim(&w, 2, START).await;
    let names: Vec<_> = first.tasks.iter().map(|t| t.task).collect();
    assert_eq!(names, [w.task_id(0, 0), w.task_id(0, 1)]);
    let rest = claim(&w, 10, START).await;
    let names: Vec<_> = rest.tasks.iter().map(|t| t.task).collect();
    assert_eq!(names, [w.task_id(0, 2), w.task_id(1, 0)]);
}

/// Another run's answers close what this one planned before they came.
pub async fn stored_answers_are_not_asked_again(store: &dyn Store) {
    let (a, b) = (World::new(store, None).await, World::new(store, None).await);
    a.plan(0, &[&[1, 2]], &[]).await;
    b.plan(0, &[&[1, 2], &[2, 3]], &[]).await;
    let task = a.dispatch(START).await.remove(0);
    let done = report(task.task, task.epoch, vec![good(0, 1), good(1, 2)]);
    let applied = store.apply(&[done], POLICY, START).await.expect("apply");
    assert_eq!((applied.answers, applied.items_done), (2, 2));
    let got = claim(&b, 1, START).await;
    assert_eq!(got.tasks.len(), 1, "the closed task does not count");
    assert_eq!(
        (got.tasks[0].task, got.tasks[0].open.as_slice()),
        (b.task_id(0, 1), &[1][..])
    );
    let status = b.status().await;
    assert_eq!((status.items_done, status.open), (3, 1));
    assert_eq!(b.calls().await, 2, "only the worst case of the second task");
}

/// The answer is stored, but not its grade under this grader: the reply travels with the task.
pub async fn a_stored_answer_is_graded_not_asked(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1]], &[]).await;
    let task = w.dispatch(START).await.remove(0);
    let done = report(task.task, task.epoch, vec![good(0, 1)]);
    store.apply(&[done], POLICY, START).await.expect("apply");
    let mut writer = store
        .begin_step(w.step(1), RoundKind::Search, START)
        .await
        .expect("begin")
        .expect("not planned");
    let mut tasks: Vec<NewTask> = w.tasks(1, 0, &[&[1, 2]]);
    tasks[0].grader = Some((grader().0, "2".to_owned()));
    writer.tasks(&tasks).await.expect("tasks");
    writer.commit().await.expect("commit");
    let task = w.dispatch(START).await.remove(0);
    assert_eq!(task.open, [0, 1]);
    let reply = super::world::answer(1).reply;
    assert_eq!(task.known, [(0, reply)]);
    let mut graded = good(0, 1);
    graded.answer = None;
    let done = report(task.task, task.epoch, vec![graded, good(1, 2)]);
    let before = w.calls().await;
    let applied = store.apply(&[done], POLICY, START).await.expect("apply");
    assert_eq!((applied.answers, applied.items_done), (1, 2));
    assert_eq!(
        w.calls().await,
        before - 1,
        "two were reserved, one was made"
    );
}

/// Lost tasks come back under the next epoch; what they had reserved stays charged.
pub async fn a_lost_task_is_given_back(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1], &[2]], &[]).await;
    let one = claim(&w, 1, START).await.tasks.remove(0);
    store
        .dispatched(&[(one.task, one.epoch)], START)
        .await
        .expect("dispatched");
    assert_eq!(store.rescue(w.run, START, START).await.expect("rescue"), 0);
    assert_eq!(
        store
            .rescue(w.run, START + 1, START + 5)
            .await
            .expect("rescue"),
        1
    );
    assert_eq!(
        store
            .rescue(w.run, START + 9, START + 5)
            .await
            .expect("rescue"),
        0
    );
    assert_eq!(w.calls().await, 1);
    let again = claim(&w, 10, START + 5).await;
    let attempt = again
        .tasks
        .iter()
        .find(|t| t.task == one.task)
        .expect("planned again");
    assert_eq!(attempt.epoch, one.epoch + 1);
    assert_eq!(w.calls().await, 3);
    store
        .dispatched(&[(one.task, one.epoch)], START + 6)
        .await
        .expect("old epoch");
    assert_eq!(
        store
            .rescue(w.run, START + 99, START + 7)
            .await
            .expect("rescue"),
        0
    );
}

/// Dead tasks get fresh attempts under the next epoch.
pub async fn a_dead_task_is_revived(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1]], &[]).await;
    let policy = crate::RetryPolicy {
        max_attempts: 1,
        ..POLICY
    };
    let task = w.dispatch(START).await.remove(0);
    let lost = report(
        task.task,
        task.epoch,
        vec![failed(0, 1, Action::Retry { after_ms: 0 })],
    );
    store.apply(&[lost], policy, START).await.expect("apply");
    let status = w.status().await;
    assert_eq!((status.open, status.dead), (0, 1));
    assert!(claim(&w, 10, START + 1_000_000).await.tasks.is_empty());
    assert_eq!(store.totals(w.run).await.expect("totals").dead, 1);
    assert_eq!(store.revive(w.run, START).await.expect("revive"), 1);
    assert_eq!(store.revive(w.run, START).await.expect("revive"), 0);
    let again = w.dispatch(START).await.remove(0);
    assert!(again.epoch > task.epoch);
    assert_eq!(again.body, task.body);
    let done = report(again.task, again.epoch, vec![good(0, 1)]);
    assert_eq!(
        store
            .apply(&[done], policy, START)
            .await
            .expect("apply")
            .accepted,
        1
    );
    let status = w.status().await;
    assert_eq!((status.open, status.dead, status.items_done), (0, 0, 1));
}
