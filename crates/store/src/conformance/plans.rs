//! Steps: planned once, whole or not at all.

use super::world::{START, World, good, grader, key, report};
use crate::{KeyQuery, Store};
use domain::{
    candidate::{Arm, Verdict},
    prompt::PromptDoc,
    run::RoundKind,
};

/// The second planning of a step says that there is nothing to do.
pub async fn a_step_is_planned_once(store: &dyn Store) {
    let w = World::new(store, None).await;
    assert_eq!(store.last_step(w.run).await.expect("last"), None);
    w.plan(0, &[&[1, 2], &[3]], &[]).await;
    let again = store
        .begin_step(w.step(0), RoundKind::Search, START)
        .await
        .expect("begin");
    assert!(again.is_none());
    let status = w.status().await;
    assert_eq!(
        (status.items, status.items_done, status.open, status.dead),
        (3, 0, 2, 0)
    );
    assert_eq!((status.key, status.kind), (w.step(0), RoundKind::Search));
    w.plan(1, &[], &[]).await;
    assert_eq!(w.status().await.key, w.step(1));
    let steps = store.steps(w.run).await.expect("steps");
    assert_eq!(
        steps.iter().map(|s| s.key.round).collect::<Vec<_>>(),
        [0, 1]
    );
}

/// Before the commit nothing is seen, and a writer that is dropped leaves nothing behind.
pub async fn nothing_of_a_step_is_visible_before_its_commit(store: &dyn Store) {
    let w = World::new(store, None).await;
    {
        let mut writer = store
            .begin_step(w.step(0), RoundKind::Baseline, START)
            .await
            .expect("begin")
            .expect("not planned");
        writer
            .targets(std::slice::from_ref(&w.target))
            .await
            .expect("targets");
        let candidate = std::slice::from_ref(&w.candidate);
        writer.candidates(candidate).await.expect("candidates");
        writer.tasks(&w.tasks(0, 0, &[&[1]])).await.expect("tasks");
        assert_eq!(store.last_step(w.run).await.expect("last"), None);
        assert_eq!(store.targets(w.run).await.expect("targets"), vec![]);
    }
    assert_eq!(store.last_step(w.run).await.expect("last"), None);
    w.plan(0, &[&[1]], &[]).await;
    assert_eq!(w.status().await.items, 1);
    assert_eq!(store.targets(w.run).await.expect("targets"), vec![w.target]);
}

/// Two planners at once: one plans, the other hears that it is done.
pub async fn one_of_two_callers_plans_a_step(store: &dyn Store) {
    let w = World::new(store, None).await;
    let plan = async || {
        let writer = store
            .begin_step(w.step(0), RoundKind::Search, START)
            .await
            .expect("begin");
        let Some(mut writer) = writer else {
            return false;
        };
        writer
            .targets(std::slice::from_ref(&w.target))
            .await
            .expect("targets");
        writer.commit().await.expect("commit");
        true
    };
    let (a, b, c) = futures::join!(plan(), plan(), plan());
    assert_eq!([a, b, c].iter().filter(|planned| **planned).count(), 1);
}

/// By round, target (in the order they were added) and ordinal; verdicts fall once.
pub async fn candidates_come_back_in_order(store: &dyn Store) {
    let w = World::new(store, None).await;
    let mut other = w.target.clone();
    other.id = w.run.target("other");
    other.example = None;
    let rejected = Verdict::Rejected {
        reason: "leak_verbatim".to_owned(),
        detail: "it says the answer".to_owned(),
    };
    let make = |round: u32, ordinal: u32, target, verdict: Verdict| {
        let mut c = w.candidate.clone();
        c.id = w.run.candidate(&format!("{round}/{target}/{ordinal}"));
        c.parents = vec![w.candidate.id, w.candidate.id];
        c.doc = PromptDoc::rewrite(format!("words {ordinal}\0"));
        (c.arm, c.target) = (Arm::Search, target);
        (c.round, c.ordinal, c.verdict) = (round, ordinal, verdict);
        c
    };
    let mut expected = vec![
        w.candidate.clone(),
        make(1, 0, w.target.id, Verdict::Proposed),
        make(1, 1, w.target.id, rejected.clone()),
        make(1, 0, other.id, Verdict::Proposed),
        make(1, 1, other.id, Verdict::Proposed),
    ];
    let mut writer = store
        .begin_step(w.step(0), RoundKind::Search, START)
        .await
        .expect("begin")
        .expect("not planned");
    let targets = [w.target.clone(), other.clone(), w.target.clone()];
    writer.targets(&targets).await.expect("targets");
    let mut shuffled = expected.clone();
    shuffled.reverse();
    writer.candidates(&shuffled).await.expect("candidates");
    let verdicts = [
        (expected[3].id, rejected.clone()),
        (expected[1].id, Verdict::Accepted),
        (expected[2].id, Verdict::Accepted),
        (expected[1].id, rejected.clone()),
    ];
    writer.verdicts(&verdicts).await.expect("verdicts");
    writer.commit().await.expect("commit");
    expected[3].verdict = rejected;
    expected[1].verdict = Verdict::Accepted;
    assert_eq!(store.candidates(w.run).await.expect("candidates"), expected);
    assert_eq!(
        store.targets(w.run).await.expect("targets"),
        [w.target.clone(), other]
    );
    let totals = store.totals(w.run).await.expect("totals");
    assert_eq!(totals.rejected, [("leak_verbatim".to_owned(), 2)]);
}

/// A step that names what is not stored is not stored either.
pub async fn an_item_names_what_is_stored(store: &dyn Store) {
    let w = World::new(store, None).await;
    for nth in 0..3 {
        let mut item = w.item(0, 1);
        match nth {
            0 => item.target = w.run.target("nowhere"),
            1 => item.candidate = Some(w.run.candidate("nowhere")),
            _ => item.example = Some(key(9)),
        }
        let mut tasks = w.tasks(0, 0, &[&[1]]);
        tasks[0].items = vec![item];
        let mut writer = w.begin(0).await;
        let planned = async {
            writer.tasks(&tasks).await?;
            writer.commit().await
        };
        assert!(planned.await.is_err(), "{nth}");
    }
    assert_eq!(store.last_step(w.run).await.expect("last"), None);
    w.plan(0, &[&[1]], &[]).await;
}

/// An item that nobody asks and nobody answered would hold its step for ever.
pub async fn an_item_without_task_needs_a_twin_or_an_answer(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1]], &[]).await;
    let query = [1, 2].map(|n| KeyQuery {
        key: key(n),
        example: Some(w.examples[0]),
    });
    let g = grader();
    assert_eq!(
        store.stored(&query, Some(&g)).await.expect("stored"),
        [false, false]
    );
    let task = w.dispatch(START).await.remove(0);
    let report = report(task.task, task.epoch, vec![good(0, 1)]);
    store
        .apply(&[report], super::world::POLICY, START)
        .await
        .expect("apply");
    assert_eq!(
        store.stored(&query, Some(&g)).await.expect("stored"),
        [true, false]
    );
    assert_eq!(
        store.stored(&query, None).await.expect("stored"),
        [true, false]
    );
    let other = ("exact".to_owned(), "2".to_owned());
    assert_eq!(
        store.stored(&query, Some(&other)).await.expect("stored"),
        [false, false]
    );
    w.plan(1, &[&[3]], &[1, 3]).await;
    let status = w.status().await;
    assert_eq!((status.items, status.items_done), (3, 1));
    let mut writer = store
        .begin_step(w.step(2), RoundKind::Search, START)
        .await
        .expect("begin")
        .expect("not planned");
    writer
        .items(&[w.item(0, 2)], Some(&g))
        .await
        .expect("items");
    assert!(writer.commit().await.is_err());
    assert_eq!(w.status().await.key.round, 1);
}
