//! Money: charged once for each call that was made, and never less than was paid.

use super::world::{POLICY, START, World, failed, good, report};
use crate::Store;
use domain::call::Usage;
use wire::{Action, Paid, Report};

/// A failed call is charged what its report says was paid; without that it was not billed.
pub async fn failed_calls_are_charged_when_they_were_billed(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1, 2, 3]], &[]).await;
    let task = w.dispatch(START).await.remove(0);
    assert_eq!(w.calls().await, 3);
    let retry = Action::Retry { after_ms: 0 };
    let mut billed = failed(1, 2, retry);
    billed.paid = Some(Paid {
        usage: Usage {
            prompt_tokens: 50,
            completion_tokens: 40,
        },
        cost_micros: 8,
    });
    let items = vec![good(0, 1), billed, failed(2, 3, retry)];
    let failed = report(task.task, task.epoch, items);
    store.apply(&[failed], POLICY, START).await.expect("apply");
    let spend = store.spend(w.run).await.expect("spend");
    assert_eq!((spend.calls, spend.tokens, spend.cost_micros), (2, 97, 11));
    assert_eq!(store.totals(w.run).await.expect("totals").spend, spend);
}

/// The queue may deliver an attempt to two workers: both are paid, one report counts.
pub async fn an_attempt_run_twice_is_charged_twice(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1]], &[]).await;
    let task = w.dispatch(START).await.remove(0);
    let first = report(task.task, task.epoch, vec![good(0, 1)]);
    let second = Report {
        worker: "another".to_owned(),
        ..first.clone()
    };
    let batch = [first.clone(), second.clone()];
    let applied = store.apply(&batch, POLICY, START).await.expect("apply");
    assert_eq!((applied.accepted, applied.stale), (1, 1));
    assert_eq!(w.calls().await, 2);
    let third = Report {
        worker: "a third".to_owned(),
        ..first.clone()
    };
    store
        .apply(&[third, first, second], POLICY, START)
        .await
        .expect("apply");
    assert_eq!(w.calls().await, 3);
}
