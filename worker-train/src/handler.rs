//! One task: look what is there already, train, keep the adapter, report.

use crate::{
    Config, Deps,
    kept::Kept,
    learn::{Adapter, Job, Learnt},
    news::News,
    under_way::UnderWay,
};
use artefacts::ArtefactError;
use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    call::{Answer, Usage},
    hash::Hash,
    run::Attempt,
};
use queue::{Message, Unfit};
use runtime::{
    bodies::patiently,
    given_up::GivenUp,
    shutdown::Shutdown,
    work::{Handled, Handler, message},
};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;
use tokio::{sync::Mutex, time::interval};
use train::{CHECKPOINT, Error};
use wire::{
    Action, Counted, ItemError, Report, ReportItem, Task, TrainBody, Trained, Training, VERSION,
};

/// How often it is looked for a new checkpoint and new losses.
const LOOK: Duration = Duration::from_secs(1);
/// How long the artefacts are asked again for what was computed in hours.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long for the last checkpoint of a worker that is to end.
const LAST_PATIENCE: Duration = Duration::from_secs(20);

/// Another worker, or the same one later, may do better; after some attempts the run pauses.
const AGAIN: Action = Action::Retry { after_ms: 0 };

/// Handles `train` tasks.
pub struct TrainHandler {
    config: Config,
    deps: Deps,
    given_up: Arc<GivenUp>,
    shutdown: Shutdown,
    /// A training takes all cores and most of the memory. A broker that was away may bring a second task.
    turn: Arc<Mutex<()>>,
}

/// A task with what is needed of it.
struct Assignment {
    task: Task,
    body: TrainBody,
    key: Hash,
    kept: Kept,
}

/// How work on a task ended.
enum Ended {
    /// It is done, by this attempt or an earlier one.
    Done(Training),
    /// This worker is to end: somebody else goes on from the checkpoint.
    Left,
}

/// Why there is no adapter, and what to do about it.
struct Problem {
    action: Action,
    message: String,
}

impl Problem {
    fn again(message: impl Into<String>) -> Self {
        Self {
            action: AGAIN,
            message: message.into(),
        }
    }
}

impl From<ArtefactError> for Problem {
    fn from(error: ArtefactError) -> Self {
        Self::again(error.to_string())
    }
}

impl From<Error> for Problem {
    /// What the options decide fails everywhere; what a machine lacks another may have.
    fn from(error: Error) -> Self {
        let action = match error {
            Error::Plan(_) | Error::Diverged { .. } => Action::StopRun,
            _ => AGAIN,
        };
        Self {
            action,
            message: format!("training failed: {error}"),
        }
    }
}

impl TrainHandler {
    pub fn new(config: Config, deps: Deps, given_up: Arc<GivenUp>, shutdown: Shutdown) -> Self {
        Self {
            config,
            deps,
            given_up,
            shutdown,
            turn: Arc::default(),
        }
    }

    fn read(&self, message: &[u8]) -> Result<Assignment, String> {
        let (task, body) = Task::decode_train(message).map_err(|e| e.to_string())?;
        let key = body
            .key()
            .ok_or("a training task without an item: there is nothing to report")?;
        let attempt = Attempt {
            task: task.task,
            epoch: task.epoch,
        };
        let kept = Kept::new(self.deps.artefacts.clone(), body.run, &attempt);
        Ok(Assignment {
            task,
            body,
            key,
            kept,
        })
    }

    async fn work(&self, of: &Assignment) -> Result<Ended, Problem> {
        let turn = tokio::select! {
            biased;
            () = self.shutdown.drain_requested() => return Ok(Ended::Left),
            turn = self.turn.clone().lock_owned() => turn,
        };
        if let Some(training) = of.kept.finished().await? {
            tracing::info!(training = %of.key, "trained before, its report was lost");
            return Ok(Ended::Done(training));
        }
        let base = self.deps.bases.get(&of.body.identity);
        let base = base.ok_or_else(|| self.unknown(&of.body))?.to_owned();
        let dir = self.folder()?;
        if let Err(error) = of.kept.fetch(dir.path()).await {
            tracing::warn!(%error, "no checkpoint to go on from");
        }
        let job = Job {
            base,
            dir: dir.path().to_owned(),
            body: of.body.clone(),
            save_every: self.config.save_every,
            place: self.config.place,
        };
        let (teller, mut news) = News::new(self.deps.queue.clone(), of.key, of.body.run);
        tracing::info!(training = %of.key, base = of.body.model, pairs = of.body.pairs.len(), "training");
        let under_way = UnderWay::begin(job, teller, turn, self.shutdown.clone());
        let under_way =
            under_way.map_err(|e| Problem::again(format!("no thread for a training: {e}")))?;
        let result = watched(under_way, &of.kept, dir.path(), &mut news).await;
        match result {
            None => Err(Problem::again(
                "the training panicked: see the worker's log",
            )),
            Some(Ok(Learnt::Nothing(why))) => Ok(Ended::Done(Training::Nothing(why))),
            Some(Ok(Learnt::Adapter(adapter))) => {
                let training = Training::Trained(Box::new(trained(of, *adapter)));
                patiently(PATIENCE, || of.kept.finish(dir.path(), &training)).await?;
                Ok(Ended::Done(training))
            }
            Some(Err(Error::Stopped { step })) => {
                tracing::info!(step, "left at a checkpoint");
                patiently(LAST_PATIENCE, || save(&of.kept, dir.path())).await?;
                Ok(Ended::Left)
            }
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// A folder for the time of a training.
    fn folder(&self) -> Result<TempDir, Problem> {
        let mut folder = tempfile::Builder::new();
        folder.prefix("promptimal-train-");
        let made = match &self.config.scratch {
            Some(scratch) => {
                std::fs::create_dir_all(scratch).and_then(|()| folder.tempdir_in(scratch))
            }
            None => folder.tempdir(),
        };
        made.map_err(|e| {
            Problem::again(format!(
                "no folder for a training: {e}: give the worker another --scratch"
            ))
        })
    }

    /// Another worker may have the base: the task is tried again, and its run pauses when nobody has.
    fn unknown(&self, body: &TrainBody) -> Problem {
        Problem::again(format!(
            "worker {} does not have base {:?} ({}): give it the run's train.base with --base",
            self.config.worker, body.model, body.identity
        ))
    }

    fn report(&self, of: &Assignment, ended: Result<Training, Problem>) -> Handled {
        let (answer, error) = match ended {
            Ok(training) => {
                let answer = Answer {
                    reply: training.reply(),
                    usage: Usage::default(),
                    cost_micros: 0,
                };
                (Some(answer), None)
            }
            Err(Problem { action, message }) => (None, Some(ItemError { action, message })),
        };
        let report = Report {
            v: VERSION,
            task: of.task.task,
            epoch: of.task.epoch,
            worker: self.config.worker.clone(),
            // It is an answer, and nobody was asked for it.
            counted: Counted {
                requests: Some(0),
                ..Counted::default()
            },
            items: vec![ReportItem {
                place: of.task.open.first().copied().unwrap_or(0),
                key: of.key,
                answer,
                grade: None,
                error,
                paid: None,
            }],
        };
        Handled::Report(message(&report))
    }
}

/// Sees a training to its end: checkpoints are kept, losses told on.
async fn watched(
    mut under_way: UnderWay,
    kept: &Kept,
    dir: &Path,
    news: &mut News,
) -> Option<Result<Learnt, Error>> {
    let mut saved = written(dir);
    let mut look = interval(LOOK);
    let result = loop {
        tokio::select! {
            biased;
            result = under_way.ended() => break result,
            _ = look.tick() => {}
        }
        news.send().await;
        let now = written(dir);
        if now.is_some() && now != saved {
            match kept.save(dir).await {
                Ok(()) => saved = now,
                // The next look tries again.
                Err(error) => tracing::warn!(%error, "checkpoint not kept"),
            }
        }
    };
    news.send().await;
    result
}

/// When the checkpoint of a folder was written.
fn written(dir: &Path) -> Option<SystemTime> {
    std::fs::metadata(dir.join(CHECKPOINT))
        .ok()?
        .modified()
        .ok()
}

/// Keeps the last checkpoint; before the first step there is none.
async fn save(kept: &Kept, dir: &Path) -> Result<(), ArtefactError> {
    match written(dir) {
        Some(_) => kept.save(dir).await,
        None => Ok(()),
    }
}

/// What there is to say of an adapter.
fn trained(of: &Assignment, adapter: Adapter) -> Trained {
    let Adapter {
        base,
        sha256,
        counts,
        trained,
    } = adapter;
    let validation = trained.history.validation.iter();
    let validation =
        validation.map(|(step, loss)| (u32::try_from(*step).unwrap_or(u32::MAX), *loss));
    Trained {
        place: of.kept.place(),
        folder: of.kept.folder(),
        base,
        base_sha256: sha256,
        template: of.body.tuning.template.clone(),
        train: counts.train,
        validation: counts.validation,
        left_out: counts.rows.saturating_sub(counts.train + counts.validation),
        parameters: trained.adapter.parameters() as u64,
        validation_losses: validation.collect(),
        losses: trained.history.losses,
    }
}

#[async_trait]
impl Handler for TrainHandler {
    /// Training twice costs nothing but time, and there is a checkpoint to go on from.
    async fn handle(&self, message: Bytes, _redelivered: bool) -> Handled {
        let of = match self.read(&message) {
            Ok(of) => of,
            Err(why) => return Handled::Reject(why),
        };
        let _held = self.deps.heart.hold(Attempt {
            task: of.task.task,
            epoch: of.task.epoch,
        });
        let ended = tokio::select! {
            biased;
            () = self.given_up.wait(of.body.run) => None,
            ended = self.work(&of) => Some(ended),
        };
        match ended {
            None => {
                of.kept.forget().await;
                Handled::Unwanted
            }
            Some(Ok(Ended::Left)) => Handled::GiveBack,
            Some(Ok(Ended::Done(training))) => self.report(&of, Ok(training)),
            Some(Err(problem)) => {
                tracing::warn!(why = problem.message, "not trained");
                self.report(&of, Err(problem))
            }
        }
    }

    fn poisoned(&self, message: Bytes) -> Handled {
        let why = "the worker failed again and again on this training: see its log";
        match self.read(&message) {
            Ok(of) => self.report(&of, Err(Problem::again(why))),
            Err(why) => Handled::Reject(why),
        }
    }

    /// What came of it lies among the artefacts: the next attempt finds it there.
    fn shortened(&self, report: Message, why: &Unfit) -> Message {
        tracing::error!(report = report.id, %why, "report is too large");
        let Ok(mut read) = Report::decode(&report.body) else {
            return report;
        };
        for item in &mut read.items {
            item.answer = None;
            item.error = Some(ItemError {
                action: AGAIN,
                message: format!("the report takes {why}"),
            });
        }
        let body = read.encode().into();
        Message { body, ..report }
    }
}
