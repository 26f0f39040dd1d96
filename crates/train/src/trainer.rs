//! The loop: batches to gradients to steps, with checkpoints between them.

use crate::{
    adapter::Adapter,
    batch::{Batch, Text},
    checkpoint::{self, History, Identity},
    error::{Error, Result},
    folder,
    given::{Model, Texts},
    gradient::{Gradients, How, gradients, loss},
    network::Network,
    optimiser::{AdamW, clip, norm, rate},
    order::epoch,
    peft,
    plan::Plan,
};
use candle_core::Device;
use domain::hash::Hash;
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// When a checkpoint is written, beside the one at a stop.
#[derive(Clone, Copy, Debug)]
pub struct Saving {
    /// So long after the one before.
    pub after: Duration,
    /// Every so many steps.
    pub steps: Option<usize>,
}

impl Default for Saving {
    fn default() -> Self {
        Self {
            after: Duration::from_secs(300),
            steps: None,
        }
    }
}

/// How far training has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// The mean loss of the tokens of the last step, before it; `None` before the first.
    pub loss: Option<f64>,
    /// The norm of its gradient, before it was clipped.
    pub norm: Option<f64>,
    /// The mean loss of the validation tokens, where it was measured now.
    pub validation: Option<f64>,
}

impl Progress {
    fn at(step: usize, steps: usize, now: Option<(f64, f64)>, validation: Option<f64>) -> Self {
        Self {
            step,
            steps,
            loss: now.map(|(loss, _)| loss),
            norm: now.map(|(_, norm)| norm),
            validation,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The adapter as it was written.
    pub adapter: Adapter,
    /// All losses.
    pub history: History,
    /// The step at which this call went on.
    pub resumed: Option<usize>,
}

/// Whether a folder holds the checkpoint of a training that has not ended.
pub fn unfinished(dir: &Path) -> bool {
    checkpoint::path(dir).is_file()
}

/// Forgets the checkpoint of a training that shall not go on.
///
/// # Errors
/// When it can not be removed.
pub fn forget(dir: &Path) -> Result<()> {
    let file = checkpoint::path(dir);
    match std::fs::remove_file(&file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::at(&file, e)),
        _ => Ok(()),
    }
}

/// Trains an adapter, or goes on where the folder's checkpoint stands, and writes it to the folder in PEFT's layout.
/// `progress` says whether to go on.
///
/// # Errors
/// When the plan can not be followed, there is nothing to learn, the loss is no number any more, `progress` says stop,
/// or the folder can not be read or written. Checkpoints stay.
pub fn train(
    model: &Model,
    texts: &Texts,
    plan: &Plan,
    (dir, saving): (&Path, Saving),
    progress: &mut dyn FnMut(Progress) -> bool,
) -> Result<Trained> {
    plan.check()?;
    if texts.train.is_empty() || texts.train.iter().any(|text| text.learnt() == 0) {
        return Err(Error::data(
            "there is nothing to learn: no pair, or a pair without an improved prompt",
        ));
    }
    folder::make(dir)?;
    let adapter = model.adapter(plan)?;
    let identity = Identity {
        plan: plan.clone(),
        base: model.digest(&adapter)?,
        texts: texts.digest().to_string(),
    };
    let stood = checkpoint::load(dir, &identity, &adapter)?;
    let resumed = stood.as_ref().map(|(history, _)| history.losses.len());
    let (history, optimiser) = stood.unwrap_or_default();
    let mut run = Run {
        network: &model.network,
        texts,
        identity,
        dir,
        saving,
        adapter,
        optimiser,
        history,
        saved: Instant::now(),
    };
    run.all(progress)?;
    let Run {
        adapter, history, ..
    } = run;
    let adapter = adapter.to_device(&Device::Cpu)?;
    peft::write(dir, &adapter, &model.name)?;
    forget(dir)?;
    Ok(Trained {
        adapter,
        history,
        resumed,
    })
}

/// A training under way.
struct Run<'a> {
    network: &'a Network,
    texts: &'a Texts,
    identity: Identity,
    dir: &'a Path,
    saving: Saving,
    adapter: Adapter,
    optimiser: AdamW,
    history: History,
    saved: Instant,
}

impl Run<'_> {
    fn all(&mut self, progress: &mut dyn FnMut(Progress) -> bool) -> Result<()> {
        let plan = self.identity.plan.clone();
        let (per_epoch, steps) = plan.steps(self.texts.train.len());
        let done = self.history.losses.len();
        let validation = if done == 0 { self.validate()? } else { None };
        self.tell(Progress::at(done, steps, None, validation), progress)?;
        let mut batches = Vec::new();
        for step in done..steps {
            if batches.is_empty() || step.is_multiple_of(per_epoch) {
                let nth = step / per_epoch;
                batches = epoch(&self.texts.train, plan.batch, plan.order, plan.seed, nth);
            }
            let first = step % per_epoch * plan.accumulate;
            let last = (first + plan.accumulate).min(batches.len());
            let (loss, norm) = self.step(step, steps, &batches[first..last])?;
            self.history.losses.push(loss);
            let ended = (step + 1).is_multiple_of(per_epoch);
            let validation = if ended { self.validate()? } else { None };
            let at = Progress::at(step + 1, steps, Some((loss, norm)), validation);
            self.tell(at, progress)?;
        }
        Ok(())
    }

    /// One step: the mean loss of its tokens before it, and the norm of its gradient.
    fn step(&mut self, step: usize, steps: usize, batches: &[Vec<usize>]) -> Result<(f64, f64)> {
        let plan = &self.identity.plan;
        let texts = &self.texts.train;
        // The mean is over all tokens of the step: a batch of few tokens counts little.
        let tokens: usize = batches.iter().flatten().map(|i| texts[*i].learnt()).sum();
        let (mut loss, mut sums) = (0.0, Gradients::new());
        for (nth, batch) in batches.iter().enumerate() {
            let batch: Vec<&Text> = batch.iter().map(|i| &texts[*i]).collect();
            let how = How {
                weight: 1.0 / tokens as f32,
                dropout: Some(dropout_seed(plan.seed, step, nth)),
                checkpointing: plan.checkpointing,
            };
            let batch = Batch::new(&batch)?;
            loss += gradients(self.network, &self.adapter, &batch, how, &mut sums)?;
        }
        let loss = loss / tokens as f64;
        let norm = norm(&sums)?;
        for (what, number) in [("loss", loss), ("gradient", norm)] {
            if !number.is_finite() {
                return Err(Error::Diverged { what, step });
            }
        }
        let warmup = (plan.warmup * steps as f64).round() as usize;
        let rate = rate(plan.rate, step, warmup, steps);
        let scale = clip(norm, plan.clip);
        self.optimiser
            .step(&self.adapter, &sums, scale, (rate, plan.decay))?;
        Ok((loss, norm))
    }

    /// The mean loss of the validation tokens, kept in the history.
    fn validate(&mut self) -> Result<Option<f64>> {
        let mut places: Vec<&Text> = self.texts.validation.iter().collect();
        places.retain(|text| text.learnt() > 0);
        if places.is_empty() {
            return Ok(None);
        }
        places.sort_by_key(|text| text.ids.len());
        let tokens: usize = places.iter().map(|text| text.learnt()).sum();
        let mut sum = 0.0;
        for batch in places.chunks(self.identity.plan.batch) {
            sum += loss(self.network, &self.adapter, &Batch::new(batch)?)?;
        }
        let mean = sum / tokens as f64;
        self.history
            .validation
            .push((self.history.losses.len(), mean));
        Ok(Some(mean))
    }

    /// Tells how far it has come, writes a checkpoint where one is due, and ends where that is wished.
    fn tell(&mut self, at: Progress, progress: &mut dyn FnMut(Progress) -> bool) -> Result<()> {
        let go_on = progress(at);
        let due = self.saved.elapsed() >= self.saving.after
            || self
                .saving
                .steps
                .is_some_and(|n| at.step.is_multiple_of(n.max(1)));
        // At the end the adapter itself is written; until then it would be lost.
        if at.step > 0 && (due || !go_on || at.step == at.steps) {
            let state = (&self.adapter, &self.optimiser);
            checkpoint::save(self.dir, &self.identity, &self.history, state)?;
            self.saved = Instant::now();
        }
        match go_on {
            true => Ok(()),
            false => Err(Error::Stopped { step: at.step }),
        }
    }
}

fn dropout_seed(seed: u64, step: usize, batch: usize) -> u64 {
    let numbers = [seed, step as u64, batch as u64].map(u64::to_le_bytes);
    Hash::of(std::iter::once(&b"dropout"[..]).chain(numbers.iter().map(|n| &n[..]))).seed()
}
