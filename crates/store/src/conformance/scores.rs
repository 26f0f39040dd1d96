//! Answers that are graded in a step after the one that asked for them.

use super::world::{HOLD, POLICY, START, World, good, grade, key, report};
use crate::{KeyQuery, NewTask, Store};
use domain::{
    call::Reply,
    grade::Grade,
    run::{RoundKind, Spend, Step, StepKey},
};
use wire::ReportItem;

/// The grader that grades afterwards.
fn scorer() -> (String, String) {
    ("reward".to_owned(), "1-weights".to_owned())
}

/// A task with the two answers of the step before, as ungraded as they came.
fn scores(w: &World<'_>) -> NewTask {
    NewTask {
        id: w.run.task("0/score/0"),
        body: r#"{"work":"score","model":"reward"}"#.to_owned(),
        items: vec![w.item(0, 1), w.item(1, 2)],
        worst: Spend::default(),
        grader: Some(scorer()),
    }
}

async fn plan(w: &World<'_>, round: u32, step: Step, tasks: &[NewTask]) {
    let key = StepKey {
        run: w.run,
        round,
        step,
    };
    let opened = w.store.begin_step(key, RoundKind::Search, START).await;
    let mut writer = opened.expect("begin").expect("not planned before");
    writer
        .targets(std::slice::from_ref(&w.target))
        .await
        .expect("targets");
    if step == Step::Answer {
        let candidate = std::slice::from_ref(&w.candidate);
        writer.candidates(candidate).await.expect("candidates");
    }
    writer.tasks(tasks).await.expect("tasks");
    writer.commit().await.expect("commit");
}

/// Asks questions 1 and 2 without grading their answers.
async fn answered(w: &World<'_>) {
    let mut tasks = w.tasks(0, 0, &[&[1, 2]]);
    tasks[0].grader = None;
    plan(w, 0, Step::Answer, &tasks).await;
    let sent = w.dispatch(START).await;
    let bare = |place, n| ReportItem {
        grade: None,
        ..good(place, n)
    };
    let said = report(sent[0].task, sent[0].epoch, vec![bare(0, 1), bare(1, 2)]);
    w.store.apply(&[said], POLICY, START).await.expect("apply");
    assert_eq!((w.status().await.items_done, w.status().await.open), (2, 0));
}

/// The step of scores follows, after a judge's that has nothing to ask; its tasks bring the answers with them, and its reports store grades alone: for nothing.
pub async fn answers_are_graded_by_a_later_step(store: &dyn Store) {
    let w = World::new(store, Some(2)).await;
    answered(&w).await;
    let spent = store.spend(w.run).await.expect("spend");
    plan(&w, 0, Step::Judge, &[]).await;
    assert_eq!(
        (w.status().await.key.step, w.status().await.open),
        (Step::Judge, 0)
    );
    plan(&w, 0, Step::Score, &[scores(&w)]).await;
    assert_eq!(w.status().await.key.step, Step::Score);
    // The budget of two calls is used up, and scores are no calls.
    let sent = w.dispatch(START).await;
    let text = |n: u32| Reply::Text {
        text: format!("answer {n}"),
    };
    assert_eq!(sent[0].known, [(0, text(1)), (1, text(2))]);
    let reward = |x: f64| Grade {
        raw: Some(x),
        ..grade(0.5)
    };
    let scored = |place: u32, n: u32, x: f64| ReportItem {
        answer: None,
        grade: Some(reward(x)),
        ..good(place, n)
    };
    // The second item is lost on the way: the task comes again with the first one closed.
    let half = report(sent[0].task, sent[0].epoch, vec![scored(0, 1, -1.25)]);
    store.apply(&[half], POLICY, START).await.expect("apply");
    let again = w.dispatch(START + HOLD).await;
    assert_eq!((again[0].open.as_slice(), again[0].epoch), (&[1][..], 2));
    let rest = report(again[0].task, 2, vec![scored(1, 2, 3.5)]);
    let late = report(sent[0].task, sent[0].epoch, vec![scored(1, 2, 9.0)]);
    let applied = store
        .apply(&[rest, late], POLICY, START)
        .await
        .expect("apply");
    assert_eq!(
        (applied.accepted, applied.stale, applied.answers),
        (1, 1, 0)
    );
    let status = w.status().await;
    assert_eq!((status.items, status.items_done, status.open), (2, 2, 0));
    let outcomes = store
        .outcomes(status.key, None, 10)
        .await
        .expect("outcomes");
    let grades: Vec<_> = outcomes.iter().map(|o| o.grade.clone()).collect();
    assert_eq!(grades, [Some(reward(-1.25)), Some(reward(3.5))]);
    assert_eq!(outcomes[1].reply, Some(text(2)));
    assert_eq!(store.spend(w.run).await.expect("spend"), spent);
    let query = [KeyQuery {
        key: key(1),
        example: Some(w.examples[0]),
    }];
    let found = store.stored(&query, Some(&scorer())).await.expect("stored");
    assert_eq!(found, [true]);
}
