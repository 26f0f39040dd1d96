//! One training, from the pairs of a task to an adapter in a folder. It blocks for hours.

use domain::tuning::Tuning;
use std::{path::PathBuf, time::Duration};
use train::{
    Error, Lora, Place, Plan, Prepared, Progress, Saving, Target, Trained, forget, note_seen,
    pairs::{self, Cleaning, Counts, Pair, Written},
    prepare, train, unfinished,
};
use wire::TrainBody;

/// A training to be done.
pub struct Job {
    /// Where the base is.
    pub base: PathBuf,
    /// The folder for checkpoint and adapter. Where it holds a checkpoint of this training, that is gone on from.
    pub dir: PathBuf,
    /// What is learnt from, and how.
    pub body: TrainBody,
    /// A checkpoint is written so long after the one before.
    pub save_every: Duration,
    /// Where it is computed.
    pub place: Place,
}

/// What came of it.
pub enum Learnt {
    /// An adapter lies in the folder.
    Adapter(Box<Adapter>),
    /// There was nothing to learn from, and why.
    Nothing(String),
}

/// What there is to say of an adapter.
pub struct Adapter {
    /// The base's own name.
    pub base: String,
    /// SHA-256 of its weights.
    pub sha256: String,
    /// What became of the pairs.
    pub counts: Counts,
    /// The losses, and at which step this call went on.
    pub trained: Trained,
}

/// Trains. `progress` says whether to go on.
///
/// # Errors
/// As [`train`]; that there is nothing to learn from is no error.
pub fn learn(job: &Job, progress: &mut dyn FnMut(Progress) -> bool) -> Result<Learnt, Error> {
    match adapter(job, progress) {
        Ok(adapter) => Ok(Learnt::Adapter(Box::new(adapter))),
        Err(Error::Data(why)) => Ok(Learnt::Nothing(why)),
        Err(error) => Err(error),
    }
}

fn adapter(job: &Job, progress: &mut dyn FnMut(Progress) -> bool) -> Result<Adapter, Error> {
    let (tuning, seed) = (&job.body.tuning, job.body.seed);
    let plan = plan(tuning, seed)?;
    let divided = pairs::clean(written(&job.body), cleaning(tuning, seed))?;
    let read = (tuning.template.parse()?, tuning.max_tokens);
    let Prepared {
        model,
        texts,
        counts,
    } = prepare(&job.base, &divided, read, (&plan, job.place))?;
    let saving = Saving {
        after: job.save_every,
        steps: None,
    };
    let mut begun = false;
    let mut noted = |p: Progress| {
        begun = true;
        progress(p)
    };
    let begin = |noted: &mut dyn FnMut(Progress) -> bool| {
        train(&model, &texts, &plan, (&job.dir, saving), noted)
    };
    let trained = match begin(&mut noted) {
        // A checkpoint that cannot be gone on from must not keep the training from ever being done.
        Err(Error::Files(why)) if !begun && unfinished(&job.dir) => {
            tracing::warn!(why, "the checkpoint is of no use, beginning anew");
            forget(&job.dir)?;
            begin(progress)?
        }
        other => other?,
    };
    note_seen(&job.dir, &divided)?;
    Ok(Adapter {
        base: model.name,
        sha256: model.sha256,
        counts,
        trained,
    })
}

/// The pairs as a file would have them. What gives an answer away was rejected by the run, which knew the answers.
fn written(body: &TrainBody) -> Written {
    let pairs = body.pairs.iter().map(|pair| Pair {
        original: pair.original.clone(),
        improved: pair.improved.clone(),
    });
    pairs.collect()
}

fn cleaning(tuning: &Tuning, seed: u64) -> Cleaning {
    Cleaning {
        unchanged: tuning.unchanged,
        validation: tuning.validation,
        seed,
    }
}

/// How the adapter is trained.
///
/// # Errors
/// When a word is none that is known.
fn plan(tuning: &Tuning, seed: u64) -> Result<Plan, Error> {
    // A word of the options, and no fault of a base: no worker could follow it.
    let target = |target: &String| target.parse::<Target>();
    let targets = tuning.targets.iter().map(target);
    let targets = targets.collect::<Result<_, _>>();
    Ok(Plan {
        lora: Lora {
            rank: tuning.rank,
            alpha: tuning.alpha,
            dropout: tuning.dropout,
            rslora: tuning.rslora,
            targets: targets.map_err(|e| Error::Plan(e.to_string()))?,
        },
        keep: tuning.weights.parse()?,
        epochs: tuning.epochs,
        batch: tuning.batch,
        accumulate: tuning.accumulate,
        rate: tuning.rate,
        warmup: tuning.warmup,
        decay: tuning.decay,
        clip: tuning.clip,
        checkpointing: tuning.checkpointing,
        seed,
        ..Plan::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One recipe, whether it is asked for here or by `promptimal train`.
    #[test]
    fn the_defaults_of_a_spec_are_those_of_the_command() {
        let (tuning, of_command) = (Tuning::default(), Plan::default());
        assert_eq!(plan(&tuning, of_command.seed).unwrap(), of_command);
        let known = Cleaning::default();
        assert_eq!(cleaning(&tuning, known.seed), known);
        assert_eq!(tuning.template, pairs::Template::default().to_string());
    }

    #[test]
    fn a_word_that_is_none_is_named() {
        for (change, say) in [
            ((|t| t.weights = "int3".into()) as fn(&mut Tuning), "int3"),
            (|t| t.targets = vec!["lm_head".into()], "lm_head"),
        ] {
            let mut tuning = Tuning::default();
            change(&mut tuning);
            let error = plan(&tuning, 1).unwrap_err();
            assert!(matches!(error, Error::Plan(_)), "{error:?}");
            assert!(error.to_string().contains(say), "{error}");
        }
    }
}
