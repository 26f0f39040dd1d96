//! Trainings: their losses, and the clocks that are theirs.

use super::{
    shared::{beat, lost},
    world::{START, World},
};
use crate::{Loss as Lost, NewTask, Store};
use domain::{
    hash::Hash,
    run::{RoundKind, Spend, Step, StepKey},
};
use wire::Loss;

/// What is noted twice stays as it was, and what was missing is added.
pub async fn losses_are_noted_step_by_step(store: &dyn Store) {
    let (one, other) = (Hash::of(["a training"]), Hash::of(["another"]));
    let row = |step: u32, loss: Option<f64>, validation: Option<f64>| Loss {
        step,
        loss,
        validation,
    };
    // Every bit of a number is kept.
    let third = 1.0 / 3.0;
    let first = [row(0, None, Some(3.5)), row(1, Some(third), None)];
    let again = [
        row(1, Some(9.0), Some(0.1 + 0.2)),
        row(2, Some(1e-300), None),
    ];
    for losses in [&first[..], &again[..], &again[..]] {
        let noted = store.note_losses(one, losses, START).await;
        noted.expect("noted");
    }
    let all = [first[0], row(1, Some(third), Some(0.1 + 0.2)), again[1]];
    assert_eq!(store.losses(one).await.expect("losses"), all);
    assert_eq!(store.losses(other).await.expect("losses"), []);
}

/// A training may take and wait longer than other tasks, and not for ever.
pub async fn a_training_has_clocks_of_its_own(store: &dyn Store) {
    let w = World::new(store, None).await;
    let key = StepKey {
        run: w.run,
        round: 9,
        step: Step::Train,
    };
    let task = |n: u32| NewTask {
        id: w.run.task(&format!("9/train/{n}")),
        body: r#"{"work":"train","model":"small"}"#.to_owned(),
        items: vec![w.item(n, n + 1)],
        worst: Spend::default(),
        grader: None,
    };
    let opened = store.begin_step(key, RoundKind::Confirm, START).await;
    let mut writer = opened.expect("begin").expect("not planned before");
    let (target, candidate) = (w.target.clone(), w.candidate.clone());
    writer.targets(&[target]).await.expect("targets");
    writer.candidates(&[candidate]).await.expect("candidates");
    writer.tasks(&[task(0), task(1)]).await.expect("tasks");
    writer.commit().await.expect("commit");
    let sent = w.dispatch(START).await;
    let (begun, waiting) = (sent[0].task, sent[1].task);
    for now in (0..5_100).step_by(20) {
        let noted = store.beat(&[beat(begun, 1)], START + now).await;
        assert_eq!(noted.expect("beat"), 1, "at {now}");
        let expected = match now {
            1_020 => vec![(waiting, 1, Lost::Unstarted, false)],
            5_020 => vec![(begun, 1, Lost::Overdue, false)],
            _ => vec![],
        };
        assert_eq!(lost(&w, START + now).await, expected, "at {now}");
        if now == 5_020 {
            break;
        }
    }
}
