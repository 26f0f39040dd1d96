//! Reports: accepted once, fenced, and never mixed up.

use super::world::{HOLD, POLICY, START, World, answer, failed, good, grade, key, report};
use crate::{Applied, Store};
use domain::call::Reply;
use wire::{Action, Report};

async fn apply(store: &dyn Store, reports: &[Report], now: i64) -> Applied {
    store.apply(reports, POLICY, now).await.expect("apply")
}

/// The same report again, in the same batch or a later one, changes nothing.
pub async fn a_report_is_applied_once(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1, 2]], &[]).await;
    let task = w.dispatch(START).await.remove(0);
    let done = report(task.task, task.epoch, vec![good(0, 1), good(1, 2)]);
    let applied = apply(store, &[done.clone(), done.clone()], START).await;
    assert_eq!((applied.accepted, applied.stale), (1, 1));
    assert_eq!((applied.answers, applied.items_done), (2, 2));
    let status = w.status().await;
    assert_eq!((status.items_done, status.open, status.dead), (2, 0, 0));
    let spend = store.spend(w.run).await.expect("spend");
    assert_eq!((spend.calls, spend.tokens, spend.cost_micros), (2, 14, 6));
    let lines = store.projection(w.run).await.expect("projection");
    let again = apply(store, &[done], START + 1).await;
    let stale = Applied {
        stale: 1,
        ..Applied::default()
    };
    assert_eq!(again, stale);
    assert_eq!(store.spend(w.run).await.expect("spend"), spend);
    assert_eq!(store.projection(w.run).await.expect("projection"), lines);
    assert_eq!(w.status().await, status);
}

/// A worker can be faster than the confirm; but what was never claimed cannot have been worked on.
pub async fn a_report_may_overtake_the_mark(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1], &[2]], &[]).await;
    let early = report(w.task_id(0, 0), 1, vec![good(0, 1)]);
    let claim = store.claim(w.run, 1, START, HOLD).await.expect("claim");
    let (task, epoch) = (claim.tasks[0].task, claim.tasks[0].epoch);
    let done = Report {
        epoch,
        task,
        ..early.clone()
    };
    assert_eq!(apply(store, &[done], START).await.accepted, 1);
    store
        .dispatched(&[(task, epoch)], START)
        .await
        .expect("dispatched");
    assert_eq!(
        store.rescue(w.run, START + 1, START).await.expect("rescue"),
        0
    );
    let unclaimed = report(w.task_id(0, 1), epoch, vec![failed(0, 2, Action::GiveUp)]);
    assert_eq!(apply(store, &[unclaimed], START).await.stale, 1);
    assert_eq!(w.dispatch(START + HOLD).await.len(), 1);
    assert_eq!(w.status().await.open, 1);
}

/// Of a late report the answer is kept and the true cost replaces the worst case; nothing else changes.
pub async fn a_late_report_keeps_its_answer_and_corrects_its_cost(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1]], &[]).await;
    let old = w.dispatch(START).await.remove(0);
    store
        .rescue(w.run, START + 1, START + 2)
        .await
        .expect("rescue");
    let before = store.spend(w.run).await.expect("spend");
    assert_eq!((before.calls, before.tokens), (1, 100));
    let late = report(old.task, old.epoch, vec![good(0, 1)]);
    let applied = apply(store, &[late.clone(), late], START + 3).await;
    assert_eq!(
        (applied.accepted, applied.stale, applied.answers),
        (0, 2, 1)
    );
    assert_eq!((applied.items_done, w.status().await.open), (0, 1));
    let after = store.spend(w.run).await.expect("spend");
    assert_eq!((after.calls, after.tokens, after.cost_micros), (1, 7, 3));
    let outcome = store
        .outcomes(w.step(0), None, 9)
        .await
        .expect("outcomes")
        .remove(0);
    assert_eq!(
        (outcome.reply, outcome.grade),
        (Some(answer(1).reply), None)
    );
    let new = w.dispatch(START + 3).await.remove(0);
    assert_eq!((new.epoch, new.known.len()), (old.epoch + 1, 1));
    let mut graded = good(0, 1);
    graded.answer = None;
    let done = report(new.task, new.epoch, vec![graded]);
    assert_eq!(apply(store, &[done], START + 4).await.items_done, 1);
    assert_eq!(store.spend(w.run).await.expect("spend"), after);
}

/// It may come from another database's queue.
pub async fn a_report_of_an_unknown_task_changes_nothing(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1]], &[]).await;
    let task = w.dispatch(START).await.remove(0);
    let stranger = report(w.task_id(9, 9), 1, vec![good(0, 1)]);
    let mut other_key = good(0, 7);
    other_key.place = 0;
    let wrong = report(task.task, task.epoch, vec![other_key]);
    let applied = apply(store, &[stranger, wrong], START).await;
    assert_eq!((applied.accepted, applied.stale), (1, 1));
    assert_eq!((applied.answers, applied.items_done), (0, 0));
    assert_eq!(w.status().await.open, 1);
    let query = [crate::KeyQuery {
        key: key(7),
        example: None,
    }];
    assert_eq!(store.stored(&query, None).await.expect("stored"), [false]);
}

/// Epoch and attempts rise; the wait is the model's wish or the back-off, whichever is longer.
pub async fn failed_items_are_asked_again_later(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1, 2]], &[]).await;
    let task = w.dispatch(START).await.remove(0);
    let retry = |after_ms| Action::Retry { after_ms };
    let items = vec![good(0, 1), failed(1, 2, retry(0))];
    let applied = apply(store, &[report(task.task, task.epoch, items)], START).await;
    assert_eq!((applied.accepted, applied.items_done), (1, 1));
    assert_eq!(applied.trouble, [(w.run, "the model is out".to_owned())]);
    let claim = store.claim(w.run, 9, START, HOLD).await.expect("claim");
    assert_eq!((claim.tasks.len(), claim.next_at), (0, Some(START + 100)));
    let now = START + 100;
    let again = w.dispatch(now).await.remove(0);
    assert_eq!(
        (again.epoch, again.open.as_slice()),
        (task.epoch + 1, &[1][..])
    );
    let items = vec![failed(1, 2, retry(5))];
    apply(store, &[report(again.task, again.epoch, items)], now).await;
    let claim = store.claim(w.run, 9, now, HOLD).await.expect("claim");
    assert_eq!(claim.next_at, Some(now + 5_000));
    let status = w.status().await;
    assert_eq!((status.items_done, status.open, status.dead), (1, 1, 0));
}

/// Attempts are counted, and the last one is the end.
pub async fn a_task_dies_after_its_attempts(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1]], &[]).await;
    let mut now = START;
    let mut waits = vec![];
    for attempt in 1..=POLICY.max_attempts {
        let task = w.dispatch(now).await.remove(0);
        let items = vec![failed(0, 1, Action::Retry { after_ms: 0 })];
        let applied = apply(store, &[report(task.task, task.epoch, items)], now).await;
        assert_eq!(applied.trouble.len(), 1);
        let next = store
            .claim(w.run, 9, now, HOLD)
            .await
            .expect("claim")
            .next_at;
        match next {
            Some(at) => waits.push(at - now),
            None => assert_eq!(attempt, POLICY.max_attempts),
        }
        now = next.unwrap_or(now);
    }
    assert_eq!(waits, [100, 200]);
    let status = w.status().await;
    assert_eq!((status.items_done, status.open, status.dead), (0, 0, 1));
    assert_eq!(w.calls().await, 0, "nothing was billed");
}

/// An item that cannot be answered is left; the others, and the task, are done.
pub async fn items_given_up_do_not_hold_their_task(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1, 2, 3]], &[2]).await;
    let task = w.dispatch(START).await.remove(0);
    let retry = Action::Retry { after_ms: 0 };
    let items = vec![
        good(0, 1),
        failed(1, 2, Action::GiveUp),
        failed(2, 3, retry),
    ];
    apply(store, &[report(task.task, task.epoch, items)], START).await;
    let again = w.dispatch(START + 100).await.remove(0);
    assert_eq!(again.open, [2]);
    apply(
        store,
        &[report(again.task, again.epoch, vec![good(2, 3)])],
        START + 100,
    )
    .await;
    let status = w.status().await;
    assert_eq!(
        (status.items, status.items_done, status.open, status.dead),
        (4, 2, 0, 0)
    );
    let outcomes = store.outcomes(w.step(0), None, 9).await.expect("outcomes");
    let answered: Vec<_> = outcomes.iter().map(|o| o.reply.is_some()).collect();
    assert_eq!(answered, [false, true, false, true]);
}

/// A wrong key is no fault of the task's.
pub async fn stopping_a_run_counts_no_attempt(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1, 2]], &[]).await;
    let mut epochs = vec![];
    for _ in 0..POLICY.max_attempts + 1 {
        let task = w.dispatch(START).await.remove(0);
        epochs.push(task.epoch);
        let items = vec![
            failed(0, 1, Action::Retry { after_ms: 9 }),
            failed(1, 2, Action::StopRun),
        ];
        let applied = apply(store, &[report(task.task, task.epoch, items)], START).await;
        assert_eq!(applied.stop, [(w.run, "the model is out".to_owned())]);
        assert_eq!(w.status().await.open, 1);
    }
    assert!(epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
}

/// What equal items wait for closes them; those of another task are closed by its own report.
pub async fn equal_items_close_together(store: &dyn Store) {
    let (a, b) = (World::new(store, None).await, World::new(store, None).await);
    a.plan(0, &[&[1, 2]], &[1, 2]).await;
    b.plan(0, &[&[1]], &[]).await;
    let (one, other) = (
        a.dispatch(START).await.remove(0),
        b.dispatch(START).await.remove(0),
    );
    let items = vec![good(0, 1), failed(1, 2, Action::GiveUp)];
    let applied = apply(store, &[report(one.task, one.epoch, items)], START).await;
    assert_eq!(applied.items_done, 2);
    let status = a.status().await;
    assert_eq!((status.items, status.items_done, status.open), (4, 2, 0));
    let done = report(other.task, other.epoch, vec![good(0, 1)]);
    let applied = apply(store, &[done], START).await;
    assert_eq!(
        (applied.accepted, applied.answers, applied.items_done),
        (1, 0, 1)
    );
    assert_eq!(b.status().await.open, 0);
    assert_eq!(b.calls().await, 1, "it was asked twice, and paid twice");
}

/// Two workers answered one question differently: the first answer is kept, and only its own grade.
pub async fn an_answer_is_only_graded_by_its_own_report(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1]], &[]).await;
    let old = w.dispatch(START).await.remove(0);
    store
        .rescue(w.run, START + 1, START + 2)
        .await
        .expect("rescue");
    let new = w.dispatch(START + 2).await.remove(0);
    let mut first = good(0, 1);
    first.grade = Some(grade(0.0));
    apply(
        store,
        &[report(old.task, old.epoch, vec![first])],
        START + 3,
    )
    .await;
    let mut second = good(0, 1);
    let text = "another answer".to_owned();
    second.answer = Some(domain::call::Answer {
        reply: Reply::Text { text },
        ..answer(1)
    });
    let applied = apply(
        store,
        &[report(new.task, new.epoch, vec![second])],
        START + 3,
    )
    .await;
    assert_eq!(
        (applied.accepted, applied.answers, applied.items_done),
        (1, 0, 0)
    );
    let outcome = store
        .outcomes(w.step(0), None, 9)
        .await
        .expect("outcomes")
        .remove(0);
    assert_eq!(
        (outcome.reply, outcome.grade),
        (Some(answer(1).reply), None)
    );
    let third = w.dispatch(START + 3).await.remove(0);
    assert_eq!(third.known, [(0, answer(1).reply)]);
    let mut graded = good(0, 1);
    (graded.answer, graded.grade) = (None, Some(grade(0.0)));
    apply(
        store,
        &[report(third.task, third.epoch, vec![graded])],
        START + 4,
    )
    .await;
    let outcome = store
        .outcomes(w.step(0), None, 9)
        .await
        .expect("outcomes")
        .remove(0);
    assert_eq!(outcome.grade, Some(grade(0.0)));
}
