//! How many items a second the store takes from plan to done, and whether that depends on how many there
//! are: `cargo run --release -p store-sqlite --example throughput -- 1000 10000 100000`.
//!
//! One process, no model and no queue: a step is planned in blocks of 16 items, claimed, marked as
//! dispatched and reported in batches. Rows are the size of a multiple-choice question.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

use domain::{
    call::{Answer, Reply, Usage},
    candidate::{Arm, Candidate, Target, Verdict},
    example::{Example, Reference, Split},
    grade::Grade,
    hash::Hash,
    ids::{RunId, TaskId},
    prompt::PromptDoc,
    run::{Item, Limits, Member, RoundKind, RunKind, RunStatus, Spend, Step, StepKey},
};
use std::{collections::HashMap, error::Error, path::Path, time::Instant};
use store::{Examples, NewTask, Plans, RetryPolicy, Run, Runs, Tasks};
use store_sqlite::SqliteStore;
use wire::{Report, ReportItem, VERSION};

const BLOCK: usize = 16;
/// Tasks claimed, and reports applied, at once.
const BATCH: u32 = 16;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("throughput-{}", std::process::id()));
    for n in std::env::args().skip(1) {
        let n: usize = n.parse()?;
        let line = measure(&folder.join(format!("{n}.db")), n).await?;
        eprint!("{line}");
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

async fn measure(path: &Path, n: usize) -> Result<String, Box<dyn Error>> {
    let store = SqliteStore::open(path).await?;
    let (run, target, candidate, members) = setup();
    store.create_run(&run, &Limits::default()).await?;
    store.add_examples(run.id, &members).await?;
    let tasks = tasks(&run, &target, &candidate, &members, n);
    let asked: HashMap<TaskId, &NewTask> = tasks.iter().map(|t| (t.id, t)).collect();
    let busy = cpu();
    let start = Instant::now();
    plan(&store, run.id, (target, candidate), &tasks).await?;
    let planned = start.elapsed().as_secs_f64();
    let mut claiming = 0.0;
    let mut applying = 0.0;
    let mut now = 1;
    loop {
        let at = Instant::now();
        let claim = store.claim(run.id, BATCH, now, 1_000_000).await?;
        let attempts: Vec<_> = claim.tasks.iter().map(|c| (c.task, c.epoch)).collect();
        store.dispatched(&attempts, now).await?;
        claiming += at.elapsed().as_secs_f64();
        if attempts.is_empty() {
            break;
        }
        let reports: Vec<Report> = claim.tasks.iter().map(|c| report(c, &asked)).collect();
        let at = Instant::now();
        store.apply(&reports, POLICY, now).await?;
        store.last_step(run.id).await?;
        applying += at.elapsed().as_secs_f64();
        now += 1;
    }
    let all = start.elapsed().as_secs_f64();
    let last = store.last_step(run.id).await?.ok_or("no step")?;
    assert_eq!((last.items_done, last.open), (n as u64, 0));
    store.close().await;
    let size = std::fs::metadata(path)?.len() as f64 / n as f64;
    let us = |s: f64| s * 1e6 / n as f64;
    Ok(format!(
        "{n:>7} items: {:>6.0} items/s; microseconds per item: {:.1} processor, {:.1} plan, \
         {:.1} claim, {:.1} apply; {size:.0} bytes per item\n",
        n as f64 / all,
        us(cpu() - busy),
        us(planned),
        us(claiming),
        us(applying),
    ))
}

const POLICY: RetryPolicy = RetryPolicy {
    max_attempts: 5,
    backoff: 1000,
    max_backoff: 1000,
};

/// Processor seconds of this process, user and system, where the system says (Linux); else 0.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .split(' ')
        .skip(13)
        .take(2)
        .flat_map(str::parse)
        .collect();
    fields.iter().sum::<f64>() / 100.0
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
    let candidate = Candidate {
        id: run.id.candidate("0"),
        target: target.id,
        round: 0,
        ordinal: 0,
        arm: Arm::Original,
        operator: "none".to_owned(),
        author: "user".to_owned(),
        parents: vec![],
        doc: PromptDoc::default(),
        verdict: Verdict::Accepted,
    };
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
    store: &SqliteStore,
    run: RunId,
    (target, candidate): (Target, Candidate),
    tasks: &[NewTask],
) -> Result<(), Box<dyn Error>> {
    let key = StepKey {
        run,
        round: 0,
        step: Step::Answer,
    };
    let writer = store.begin_step(key, RoundKind::Baseline, 0).await?;
    let mut writer = writer.ok_or("planned before")?;
    writer.targets(&[target]).await?;
    writer.candidates(&[candidate]).await?;
    writer.tasks(tasks).await?;
    Ok(writer.commit().await?)
}

fn report(claimed: &store::Claimed, asked: &HashMap<TaskId, &NewTask>) -> Report {
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
    }
}
