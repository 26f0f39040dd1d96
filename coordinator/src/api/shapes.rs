//! The JSON of the API. The command line reads the same types.

use domain::{
    ids::RunId,
    run::{Limits, RoundKind, RunKind, RunStatus, Spend, Step},
};
use serde::{Deserialize, Serialize};
use store::{Run, StepStatus};
use utoipa::{IntoParams, ToSchema};

pub use super::fault::{Failure, Problem, Wrong};

/// A run that is asked for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// The spec: TOML, as a file holds it. Files that it names are found below the coordinator's data root.
    pub spec: String,
    /// Overrides of its keys: `search.hardest=8`.
    #[serde(default)]
    pub set: Vec<String>,
    /// `optimise` (the default) or `evaluate`.
    #[serde(default = "optimise")]
    #[schema(value_type = String, example = "optimise")]
    pub kind: RunKind,
    /// Make a new run also when one of the same work is stored.
    #[serde(default)]
    pub new: bool,
    /// Each step up doubles its share of the workers; from -30 to 30, 0 unless told.
    #[serde(default)]
    pub priority: Option<i32>,
}

fn optimise() -> RunKind {
    RunKind::Optimise
}

/// A run that was asked for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Submitted {
    /// The run.
    #[schema(value_type = String)]
    pub run: RunId,
    /// Whether it is a new one; else it is the stored run of the same work, which goes on if it had stopped.
    pub created: bool,
    /// What people should know of the spec.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Which runs are listed.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only those with this status: running, paused, failed, finished or cancelled.
    #[param(value_type = Option<String>)]
    pub status: Option<RunStatus>,
    /// At most so many, 100 unless told.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Those behind a page: the `next` of that page.
    pub after: Option<String>,
}

/// A page of runs, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunList {
    /// The runs.
    pub runs: Vec<RunRow>,
    /// There are more: `after` of the next page. Null on the last.
    #[serde(default)]
    pub next: Option<String>,
}

/// A run in a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunRow {
    /// Its id.
    #[schema(value_type = String)]
    pub run: RunId,
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// `optimise` or `evaluate`.
    #[schema(value_type = String)]
    pub kind: RunKind,
    /// `running`, `paused`, `failed`, `finished` or `cancelled`.
    #[schema(value_type = String)]
    pub status: RunStatus,
    /// Why it stands there.
    pub reason: Option<String>,
    /// UTC microseconds.
    pub created_at: i64,
    /// UTC microseconds.
    pub finished_at: Option<i64>,
}

impl From<&Run> for RunRow {
    fn from(run: &Run) -> Self {
        Self {
            run: run.id,
            name: run.name.clone(),
            tags: run.tags.clone(),
            kind: run.kind,
            status: run.status,
            reason: run.reason.clone(),
            created_at: run.created_at,
            finished_at: run.finished_at,
        }
    }
}

/// Where a run stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunState {
    /// The run.
    #[serde(flatten)]
    pub run: RunRow,
    /// Its priority, while it is running.
    pub priority: Option<i32>,
    /// What it may use: calls, tokens and millionths of a US dollar; null is no limit.
    #[schema(value_type = Object)]
    pub limits: Limits,
    /// What it has used or reserved: calls, tokens and millionths of a US dollar.
    #[schema(value_type = Object)]
    pub spend: Spend,
    /// The steps planned so far, oldest first.
    pub steps: Vec<StepRow>,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepRow {
    /// 0 is the baseline.
    pub round: u32,
    /// What its round is for: `baseline`, `search`, `placebo` or `confirm`.
    #[schema(value_type = String)]
    pub kind: RoundKind,
    /// `propose`, `guard`, `answer`, `score` or `train`.
    #[schema(value_type = String)]
    pub step: Step,
    /// Its items.
    pub items: u64,
    /// Items done.
    pub done: u64,
    /// Tasks neither done nor dead.
    pub open: u64,
    /// Tasks that were given up.
    pub dead: u64,
}

impl From<&StepStatus> for StepRow {
    fn from(s: &StepStatus) -> Self {
        Self {
            round: s.key.round,
            kind: s.kind,
            step: s.key.step,
            items: s.items,
            done: s.items_done,
            open: s.open,
            dead: s.dead,
        }
    }
}

/// What is asked of a run, where there is nothing to say.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Caps that are changed when a run goes on; those not given stay.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Caps {
    /// The cap on model calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// The cap on tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// The cap on US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_usd: Option<f64>,
}

/// A run's priority.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Priority {
    /// From -30 to 30.
    pub priority: i32,
}

/// What became of a run that was steered.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Steered {
    /// The run.
    #[schema(value_type = String)]
    pub run: RunId,
    /// Its status now.
    #[schema(value_type = String)]
    pub status: RunStatus,
    /// Why it stands there.
    pub reason: Option<String>,
    /// Tasks that were given up before and are tried again.
    pub revived: u64,
}

/// How an export is written.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportAs {
    /// `jsonl` (the default) or `csv`.
    pub format: Option<String>,
}

/// What a stream of events says, as the data of the event of that name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Told {
    /// `planned`: a step was planned. `progress`: it went on.
    Step {
        /// The step.
        #[serde(flatten)]
        step: StepRow,
        /// What the run has used or reserved.
        #[schema(value_type = Object)]
        spend: Spend,
    },
    /// `status`: where the run stands. `ended`: it is not running, and the stream ends.
    Status {
        /// Its status.
        #[schema(value_type = String)]
        status: RunStatus,
        /// Why it stands there.
        reason: Option<String>,
    },
    /// `trouble`: something failed.
    Trouble {
        /// What.
        message: String,
    },
}
