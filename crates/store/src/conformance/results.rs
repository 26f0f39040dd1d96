//! What the planner and the reports for people read.

use super::world::{POLICY, START, World, failed, good, report};
use crate::Store;
use domain::{
    call::{Answer, Reply, Score, Usage},
    grade::Grade,
    run::{Pair, Spend},
};
use wire::Action;

/// Numbers to the last bit, texts to the last character.
pub async fn grades_and_replies_come_back_to_the_bit(store: &dyn Store) {
    let w = World::new(store, None).await;
    let numbers = [
        0.1 + 0.2,
        1.0 / 3.0,
        -1.234_567_890_123_456_7e-5,
        5e-324,
        2.225_073_858_507_201e-308,
        9.007_199_254_740_993e18,
        -0.0,
        0.999_999_999_999_999_9,
        123_456.789_012_345_67,
    ];
    let questions: Vec<u32> = (0..numbers.len() as u32).collect();
    w.plan(0, &[&questions], &[]).await;
    let task = w.dispatch(START).await.remove(0);
    let mut items: Vec<_> = questions.iter().map(|n| good(*n, *n)).collect();
    for ((n, number), item) in (0..).zip(numbers).zip(&mut items) {
        item.grade = Some(Grade {
            value: number,
            raw: Some(-number),
            margin: (n % 2 == 0).then_some(number * 7.0),
            feedback: format!("\u{1f600} \"{n}\"\n"),
        });
        let reply = match n % 3 {
            0 => Reply::Text {
                text: format!("a\u{0}b {n} $[1] 'x' \u{7}"),
            },
            1 => Reply::Text {
                text: String::new(),
            },
            _ => Reply::Scores {
                scores: vec![Score {
                    logprob: -number,
                    tokens: n,
                }],
            },
        };
        let usage = Usage {
            prompt_tokens: u64::from(n),
            completion_tokens: 2,
        };
        item.answer = Some(Answer {
            reply,
            usage,
            cost_micros: 3 * u64::from(n),
        });
    }
    let done = report(task.task, task.epoch, items.clone());
    let applied = store.apply(&[done], POLICY, START).await.expect("apply");
    assert_eq!(applied.items_done, numbers.len() as u64);
    let mut outcomes = store.outcomes(w.step(0), None, 4).await.expect("outcomes");
    outcomes.extend(
        store
            .outcomes(w.step(0), Some(3), 99)
            .await
            .expect("outcomes"),
    );
    assert_eq!(outcomes.len(), items.len());
    for (outcome, item) in outcomes.iter().zip(items) {
        let (stored, sent) = (
            outcome.grade.clone().expect("a grade"),
            item.grade.expect("sent"),
        );
        // A zero keeps no sign, so that its text is the same in every store.
        let bits = (sent.value + 0.0).to_bits();
        assert_eq!(stored.value.to_bits(), bits, "{:e}", sent.value);
        let bits = sent.raw.map(|raw| (raw + 0.0).to_bits());
        assert_eq!(stored.raw.map(f64::to_bits), bits);
        assert_eq!(stored, sent);
        let spent = item.answer.as_ref().map(|a| Spend {
            calls: 1,
            tokens: a.usage.total(),
            cost_micros: a.cost_micros,
        });
        assert_eq!(outcome.spent, spent);
        assert_eq!(outcome.reply, item.answer.map(|a| a.reply));
    }
}

/// Adding them again changes nothing.
pub async fn pairs_are_stored_once(store: &dyn Store) {
    let w = World::new(store, None).await;
    w.plan(0, &[&[1]], &[]).await;
    let pair = |n: u32| Pair {
        target: w.target.id,
        candidate: w.candidate.id,
        original: format!("question {n}"),
        improved: "clearer".to_owned(),
        original_grade: 0.1 + 0.2,
        improved_grade: 1.0 / 3.0,
        grader: "exact@1-abcd".to_owned(),
        operator: "trajectory@1".to_owned(),
        round: n,
        p_value: 0.03,
    };
    let pairs = [pair(2), pair(1)];
    store.add_pairs(w.run, &pairs).await.expect("add");
    store.add_pairs(w.run, &pairs).await.expect("again");
    assert_eq!(store.pairs(w.run).await.expect("pairs"), pairs);
}

/// Whatever went wrong on the way, two runs of one plan end with the same lines.
pub async fn two_runs_of_a_plan_have_one_projection(store: &dyn Store) {
    let (a, b) = (World::new(store, None).await, World::new(store, None).await);
    let mut lines = vec![];
    for w in [&a, &b] {
        w.plan(0, &[&[1, 2], &[3]], &[2]).await;
        lines.push(store.projection(w.run).await.expect("projection"));
    }
    assert_eq!(lines[0], lines[1]);
    for task in a.dispatch(START).await {
        let retry = Action::Retry { after_ms: 0 };
        let items = task.open.iter().map(|p| failed(*p, 9, retry)).collect();
        store
            .apply(&[report(task.task, task.epoch, items)], POLICY, START)
            .await
            .expect("apply");
    }
    a.dispatch(START + 100).await;
    store
        .rescue(a.run, START + 200, START + 200)
        .await
        .expect("rescue");
    for w in [&a, &b] {
        for task in w.dispatch(START + 200).await {
            let first = if task.task == w.task_id(0, 0) { 1 } else { 3 };
            let items = task.open.iter().map(|p| good(*p, first + p)).collect();
            let done = report(task.task, task.epoch, items);
            store
                .apply(&[done], POLICY, START + 200)
                .await
                .expect("apply");
        }
        assert_eq!(w.status().await.open, 0);
    }
    let ends = [
        store.projection(a.run).await.expect("projection"),
        store.projection(b.run).await.expect("projection"),
    ];
    assert_eq!(ends[0], ends[1]);
    assert_ne!(ends[0], lines[0]);
    assert!(ends[0].is_sorted());
    assert_eq!(ends[0].iter().filter(|l| l.starts_with("item ")).count(), 4);
    for kind in ["run ", "member ", "target ", "candidate "] {
        assert!(
            ends[0].iter().any(|l| l.starts_with(kind)),
            "no line of kind {kind}"
        );
    }
}
