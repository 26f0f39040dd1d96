//! How fast a store takes items from plan to done: what the examples `throughput` of the adapters measure.
//!
//! No model and no queue: a step is planned in blocks of 16 items, claimed, marked as dispatched and reported in
//! batches. Rows are the size of a multiple-choice question.

use super::world::original;
use crate::{Claimed, NewTask, Result, RetryPolicy, Run, Store};
use domain::{
    call::{Answer, Reply, Usage},
    candidate::{Candidate, Target},
    example::{Example, Reference, Split},
    grade::Grade,
    hash::Hash,
    ids::{RunId, TaskId},
    run::{Item, Limits, Member, RoundKind, RunKind, RunStatus, Spend, Step, StepKey},
};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use wire::{Counted, Report, ReportItem, VERSION};

const BLOCK: usize = 16;
/// Tasks claimed, and reports applied, at once.
const BATCH: u32 = 16;
const POLICY: RetryPolicy = RetryPolicy {
    max_attempts: 5,
    backoff: 1000,
    max_backoff: 1000,
};

/// How long the parts took.
#[derive(Clone, Copy, Debug)]
pub struct Throughput {
    /// Items in all.
    pub items: usize,
    /// Planning them.
    pub plan: Duration,
    /// Claiming their tasks and marking them dispatched.
    pub claim: Duration,
    /// Applying their reports.
    pub apply: Duration,
    /// All of it.
    pub all: Duration,
}

impl std::fmt::Display for Throughput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let us = |d: Duration| d.as_secs_f64() * 1e6 / self.items as f64;
        write!(
            f,
            "{:>7} items: {:>6.0} items/s; microseconds per item: {:.1} plan, {:.1} claim, {:.1} apply",
            self.items,
            self.items as f64 / self.all.as_secs_f64(),
            us(self.plan),
            us(self.claim),
            us(self.apply)
        )
    }
}

/// Takes `n` items through a run of their own.
///
/// # Panics
/// When they are not all done at the end.
///
/// # Errors
/// When the store fails.
pub async fn throughput(store: &dyn Store, n: usize) -> Result<Throughput> {
    let (run, target, candidate, members) = setup();
    store.create_run(&run, &Limits::default()).await?;
    store.add_examples(run.id, &members).await?;
    let tasks = tasks(&run, &target, &candidate, &members, n);
    let asked: HashMap<TaskId, &NewTask> = tasks.iter().map(|t| (t.id, t)).collect();
    let start = Instant::now();
    plan(store, run.id, (target, candidate), &tasks).await?;
    let mut sum = Throughput {
        items: n,
        plan: start.elapsed(),
        claim: Duration::ZERO,
        apply: Duration::ZERO,
        all: Duration::ZERO,
    };
    for now in 1.. {
        let at = Instant::now();
        let claim = store.claim(run.id, BATCH, now, 1_000_000).await?;
        let attempts: Vec<_> = claim.tasks.iter().map(|c| (c.task, c.epoch)).collect();
        store.dispatched(&attempts, now).await?;
        sum.claim += at.elapsed();
        if attempts.is_empty() {
            break;
        }
        let reports: Vec<Report> = claim.tasks.iter().map(|c| report(c, &asked)).collect();
        let at = Instant::now();
        store.apply(&reports, POLICY, now).await?;
        store.last_step(run.id).await?;
        sum.apply += at.elapsed();
    }
    sum.all = start.elapsed();
    let last = store.last_step(run.id).await?.expect("a step");
    assert_eq!((last.items_done, last.open), (n as u64, 0));
    Ok(sum)
}

fn setup() -> (Run, Target, Candidate, Vec<(Member, Example)>) {
    let run = Run {
        id: RunId::new(),
        name: "throughput".to_owned(),
        tags: vec![],
        kind: RunKind::Evaluate,
        status: RunStatus::Running,
        reason: None,
        spec: "{}".to_owned(),
        spec_hash: Hash::of(["{}"]),
        summary: None,
        created_at: 0,
        finished_at: None,
    };
    let members: Vec<_> = (0..500)
        .map(|n| {
            let example = Example {
                input: format!("question {n}: {}", "what is meant by this? ".repeat(8)),
                context: None,
                choices: vec![],
                reference: Reference::None,
                group: None,
            };
            let id = example.id();
            let member = Member {
                example: id,
                dataset: "d".to_owned(),
                cluster: id,
                split: Split::Train,
            };
            (member, example)
        })
        .collect();
    let target = Target {
        id: run.id.target("d"),
        dataset: "d".to_owned(),
        model: "m".to_owned(),
        example: None,
    };
    let candidate = original(run.id.candidate("0"), target.id);
    (run, target, candidate, members)
}

fn tasks(
    run: &Run,
    target: &Target,
    candidate: &Candidate,
    members: &[(Member, Example)],
    n: usize,
) -> Vec<NewTask> {
    let ordinals: Vec<u32> = (0..).take(n).collect();
    let body = format!(r#"{{"model":"m","items":"{}"}}"#, "x".repeat(700 * BLOCK));
    let item = |ordinal: u32| Item {
        ordinal,
        target: target.id,
        candidate: Some(candidate.id),
        example: Some(members[ordinal as usize % members.len()].0.example),
        repeat: ordinal / members.len() as u32,
        key: Hash::of([run.id.to_string(), ordinal.to_string()]),
    };
    ordinals
        .chunks(BLOCK)
        .map(|block| NewTask {
            id: run.id.task(&format!("0/answer/{}", block[0])),
            body: body.clone(),
            items: block.iter().map(|o| item(*o)).collect(),
            worst: Spend {
                calls: block.len() as u64,
                tokens: 1000,
                cost_micros: 100,
            },
            grader: Some(("choice_letter".to_owned(), "1-01234567".to_owned())),
        })
        .collect()
}

async fn plan(
    store: &dyn Store,
    run: RunId,
    (target, candidate): (Target, Candidate),
    tasks: &[NewTask],
) -> Result<()> {
    let key = StepKey {
        run,
        round: 0,
        step: Step::Answer,
    };
    let writer = store.begin_step(key, RoundKind::Baseline, 0).await?;
    let mut writer = writer.expect("not planned before");
    writer.targets(&[target]).await?;
    writer.candidates(&[candidate]).await?;
    writer.tasks(tasks).await?;
    writer.commit().await
}

fn report(claimed: &Claimed, asked: &HashMap<TaskId, &NewTask>) -> Report {
    let planned = asked[&claimed.task];
    let items = claimed.open.iter().map(|place| ReportItem {
        place: *place,
        key: planned.items[*place as usize].key,
        answer: Some(Answer {
            reply: Reply::Text {
                text: "The answer is therefore (B), as the second premise says. ".repeat(4),
            },
            usage: Usage {
                prompt_tokens: 180,
                completion_tokens: 50,
            },
            cost_micros: 12,
        }),
        grade: Some(Grade {
            value: f64::from(place % 2),
            raw: None,
            margin: None,
            feedback: "chose B".to_owned(),
        }),
        error: None,
        paid: None,
    });
    Report {
        v: VERSION,
        task: claimed.task,
        epoch: claimed.epoch,
        worker: "worker-1/7f3a".to_owned(),
        items: items.collect(),
        counted: Counted::default(),
    }
}
