//! The last step where a rewriter is trained: one task with all pairs, or none where there are too few.
//!
//! An item belongs to a target; that of a training belongs to the target of its first pair. Its key says what training it
//! is, so a run that finds the same pairs as another one gets that one's adapter.

use super::{Planner, order::Place};
use crate::{
    CoordinatorError,
    board::{Board, step_key},
    settings::TrainPlan,
    summary,
};
use domain::{
    run::{Item, Pair, Spend, StepKey},
    tuning::Tuning,
};
use store::NewTask;
use wire::{TrainBody, TrainItem, TrainPair, Work};

/// Plans the training of a run; does nothing when it was planned before.
pub async fn plan(planner: &Planner<'_>, place: Place, now: i64) -> Result<(), CoordinatorError> {
    let key = step_key(planner.run, place);
    let board = Board::load(planner.store, planner.run, planner.settings).await?;
    let pairs = summary::learnt(&board, planner.settings);
    let task = match &planner.settings.train {
        Some(train) => task(planner, train, key, &pairs)?,
        None => None,
    };
    let Some(mut writer) = planner.store.begin_step(key, place.kind, now).await? else {
        return Ok(());
    };
    writer.tasks(task.as_slice()).await?;
    Ok(writer.commit().await?)
}

/// Why pairs are too few to learn from; `None` where they do.
pub fn too_few(tuning: &Tuning, pairs: usize) -> Option<String> {
    // Without any there is nothing to learn, whatever the spec says.
    let wanted = tuning.min_pairs.max(1);
    let all = match tuning.all_improved() {
        true => "",
        false => {
            ", or learn from all that did better, by chance or not (train.pairs = \"improved\")"
        }
    };
    (pairs < wanted).then(|| {
        format!(
            "{pairs} pairs were found and train.min_pairs is {wanted}: search on more questions (search.hardest), or \
             ask for fewer pairs{all}"
        )
    })
}

fn task(
    planner: &Planner<'_>,
    train: &TrainPlan,
    step: StepKey,
    pairs: &[Pair],
) -> Result<Option<NewTask>, CoordinatorError> {
    let first = match (too_few(&train.tuning, pairs.len()), pairs.first()) {
        (None, Some(first)) => first,
        _ => return Ok(None),
    };
    if train.identity.is_empty() {
        return Err(CoordinatorError::Brief(format!(
            "train.base {:?} was not looked at",
            train.tuning.base
        )));
    }
    let learnt = |pair: &Pair| TrainPair {
        original: pair.original.clone(),
        improved: pair.improved.clone(),
        grades: (pair.original_grade, pair.improved_grade),
    };
    let mut body = TrainBody {
        work: Work::Train,
        run: step.run,
        model: train.tuning.base.clone(),
        identity: train.identity.clone(),
        tuning: train.tuning.clone(),
        seed: planner.settings.seed,
        pairs: pairs.iter().map(learnt).collect(),
        items: Vec::new(),
    };
    let key = body.key_of();
    body.items = vec![TrainItem { key }];
    let item = Item {
        ordinal: 0,
        target: first.target,
        candidate: None,
        example: None,
        repeat: 0,
        key,
    };
    Ok(Some(NewTask {
        id: step.run.task(&format!("{}/{}/0", step.round, step.step)),
        body: serde_json::to_string(&body).unwrap_or_default(),
        items: vec![item],
        // The worker is our own: nobody charges for it.
        worst: Spend::default(),
        grader: None,
    }))
}
