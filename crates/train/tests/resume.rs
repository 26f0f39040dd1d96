//! Trainings that break off go on to the same end; those that can not go well say so.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use common::{divided, oracle, plan, texts, tiny};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::Duration,
};
use train::{Error, Keep, Model, Order, Plan, Progress, Saving, Texts, Trained, train};

/// Every seventh step has a checkpoint.
const SAVING: Saving = Saving {
    after: Duration::from_secs(3600),
    steps: Some(7),
};

/// A plan in which everything that is drawn matters.
fn drawn() -> Plan {
    let mut plan = plan(&oracle());
    plan.lora.dropout = 0.1;
    plan.order = Order::ByLength;
    plan.checkpointing = true;
    Plan { epochs: 3, ..plan }
}

fn run(model: &Model, data: &Texts, plan: &Plan, dir: &Path) -> train::Result<Trained> {
    train(model, data, plan, (dir, SAVING), &mut |_| true)
}

fn bytes(dir: &Path) -> Vec<u8> {
    std::fs::read(dir.join("adapter_model.safetensors")).unwrap()
}

#[test]
fn a_training_that_was_killed_ends_with_the_same_loss() {
    let (model, data, plan) = (tiny(Keep::F32), divided(texts(&oracle()), 8), drawn());
    let [whole, broken] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let once = run(&model, &data, &plan, whole.path()).unwrap();
    assert_eq!(once.history.losses.len(), 27);
    // Killed: no step after the twelfth runs, and nothing is written then.
    let mut dies = |p: Progress| p.step < 12 || panic!("killed");
    let killed = catch_unwind(AssertUnwindSafe(|| {
        train(&model, &data, &plan, (broken.path(), SAVING), &mut dies)
    }));
    assert!(killed.is_err() && train::unfinished(broken.path()));
    // Stopped in peace: the step before is kept.
    let mut stops = |p: Progress| p.step < 16;
    let stopped = train(&model, &data, &plan, (broken.path(), SAVING), &mut stops).unwrap_err();
    assert!(matches!(stopped, Error::Stopped { step: 16 }), "{stopped}");
    let twice = run(&model, &data, &plan, broken.path()).unwrap();
    assert_eq!((once.resumed, twice.resumed), (None, Some(16)));
    assert_eq!(once.history.validation.len(), 4);
    let ends = [&once, &twice].map(|t| *t.history.losses.last().unwrap());
    assert!((ends[0] - ends[1]).abs() < 1e-4, "{ends:?}");
    // It is more than that: every number is the same.
    assert_eq!(once.history, twice.history);
    assert_eq!(bytes(whole.path()), bytes(broken.path()));
    assert!(!train::unfinished(broken.path()));
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let (model, data, plan) = (tiny(Keep::F32), divided(texts(&oracle()), 0), drawn());
    let dir = tempfile::tempdir().unwrap();
    let stopped = train(&model, &data, &plan, (dir.path(), SAVING), &mut |p| {
        p.step < 2
    });
    assert!(stopped.is_err());
    let refused = |model: &Model, data: &Texts, plan: &Plan| {
        run(model, data, plan, dir.path()).unwrap_err().to_string()
    };
    let other = Plan {
        rate: 1e-4,
        ..plan.clone()
    };
    assert!(refused(&model, &data, &other).contains("another set of options"));
    let fewer = divided(texts(&oracle()), 1);
    assert!(refused(&model, &fewer, &plan).contains("another set of pairs"));
    let mut stranger = tiny(Keep::F32);
    stranger.sha256 = "another".to_owned();
    assert!(refused(&stranger, &data, &plan).contains("another base"));
    std::fs::write(dir.path().join("checkpoint.safetensors"), b"no").unwrap();
    assert!(refused(&model, &data, &plan).contains("checkpoint.safetensors"));
    train::forget(dir.path()).unwrap();
    assert!(!train::unfinished(dir.path()));
}

#[test]
fn the_base_may_be_kept_in_any_way() {
    let data = divided(texts(&oracle()), 8);
    for keep in [Keep::F32, Keep::Bf16, Keep::Q8_0, Keep::Nf4] {
        let (model, mut plan) = (tiny(keep), drawn());
        plan.keep = keep;
        let dir = tempfile::tempdir().unwrap();
        let trained = run(&model, &data, &plan, dir.path()).unwrap();
        let validation = &trained.history.validation;
        let (first, last) = (validation[0], validation[3]);
        assert_eq!((first.0, last.0), (0, 27));
        assert!(last.1 < first.1 - 0.1, "{keep}: {validation:?}");
    }
}

#[test]
fn a_loss_that_is_no_number_is_an_error_and_the_checkpoint_stays() {
    let (model, data) = (tiny(Keep::F32), divided(texts(&oracle()), 0));
    let plan = Plan {
        rate: 1e30,
        warmup: 0.0,
        ..drawn()
    };
    let dir = tempfile::tempdir().unwrap();
    let often = Saving {
        steps: Some(1),
        ..SAVING
    };
    let error = train(&model, &data, &plan, (dir.path(), often), &mut |_| true).unwrap_err();
    assert!(matches!(error, Error::Diverged { .. }), "{error}");
    assert!(error.to_string().contains("lower rate"), "{error}");
    assert!(train::unfinished(dir.path()));
}

#[test]
fn nothing_to_learn_is_told_before_anything_is_written() {
    let model = tiny(Keep::F32);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let error = run(&model, &Texts::default(), &drawn(), &out).unwrap_err();
    assert!(error.to_string().contains("nothing to learn"), "{error}");
    assert!(!out.exists());
}
