//! A small finished run, `demo`: one target with a baseline, a search round and a confirming one. For tests of what
//! people read.

use super::world::original;
use crate::{NewTask, RetryPolicy, Run, Store};
use domain::{
    call::{Answer, Reply, Usage},
    candidate::{Arm, Candidate, Target, Verdict},
    example::{Example, Reference, Split},
    grade::Grade,
    hash::Hash,
    ids::RunId,
    prompt::PromptDoc,
    run::{Item, Limits, Member, Pair, RoundKind, RunKind, RunStatus, Spend, Step, StepKey},
};
use wire::{Action, Counted, ItemError, Report, ReportItem, VERSION};

/// Three attempts, no long waits.
const POLICY: RetryPolicy = RetryPolicy {
    max_attempts: 3,
    backoff: 10,
    max_backoff: 10,
};

/// Makes the run: the winner gets every question right, the original none.
///
/// # Panics
/// When the store fails.
pub async fn demo(store: &dyn Store, run: RunId) {
    create(store, run).await;
    let (example, target, candidates) = cast(run);
    store
        .add_examples(run, std::slice::from_ref(&example))
        .await
        .expect("examples");
    let [original, winner, leak] = &candidates;
    let plan = Plan {
        store,
        run,
        target: &target,
        example: example.0.example,
    };
    let first = std::slice::from_ref(original);
    plan.step(0, RoundKind::Baseline, first, &[(original, 2)])
        .await;
    let tried = [winner.clone(), leak.clone()];
    plan.step(1, RoundKind::Search, &tried, &[(original, 2), (winner, 3)])
        .await;
    plan.step(2, RoundKind::Confirm, &[], &[(original, 2), (winner, 2)])
        .await;
    work(store, run, &[original, winner]).await;
    store
        .add_pairs(run, &[pair(&target, winner)])
        .await
        .expect("pairs");
}

async fn create(store: &dyn Store, id: RunId) {
    let run = Run {
        id,
        name: "demo".to_owned(),
        tags: vec!["nightly".to_owned()],
        kind: RunKind::Optimise,
        status: RunStatus::Running,
        reason: None,
        spec: "{}".to_owned(),
        spec_hash: Hash::of(["{}"]),
        summary: None,
        created_at: 1_700_000_000_000_000,
        finished_at: None,
    };
    store
        .create_run(&run, &Limits::default())
        .await
        .expect("create run");
}

fn cast(run: RunId) -> ((Member, Example), Target, [Candidate; 3]) {
    let example = Example {
        input: "Which planet is hot?".to_owned(),
        context: None,
        choices: vec!["Venus".to_owned(), "Mars".to_owned()],
        reference: Reference::Choice { index: 0 },
        group: Some("astronomy".to_owned()),
    };
    let id = example.id();
    let member = Member {
        example: id,
        dataset: "planets".to_owned(),
        cluster: id,
        split: Split::Train,
    };
    let target = Target {
        id: run.target("planets/m"),
        dataset: "planets".to_owned(),
        model: "m".to_owned(),
        example: Some(id),
    };
    let original = original(run.candidate("0/original/0"), target.id);
    let made = |ordinal: u32, words: &str| Candidate {
        id: run.candidate(&format!("1/search/{ordinal}")),
        round: 1,
        ordinal,
        arm: Arm::Search,
        operator: "trajectory@1".to_owned(),
        author: "m".to_owned(),
        parents: vec![original.id],
        doc: PromptDoc::rewrite(words),
        ..original.clone()
    };
    let mut leak = made(1, "Is Venus hot?");
    leak.verdict = Verdict::Rejected {
        reason: "leak_verbatim".to_owned(),
        detail: "it names the answer".to_owned(),
    };
    let winner = made(0, "Which of these planets has the hottest surface?");
    ((member, example), target, [original, winner, leak])
}

struct Plan<'a> {
    store: &'a dyn Store,
    run: RunId,
    target: &'a Target,
    example: Hash,
}

impl Plan<'_> {
    /// A step with one task for each candidate, with this many repeats.
    async fn step(
        &self,
        round: u32,
        kind: RoundKind,
        new: &[Candidate],
        tried: &[(&Candidate, u32)],
    ) {
        let key = StepKey {
            run: self.run,
            round,
            step: Step::Answer,
        };
        let now = 1_700_000_000_000_000 + i64::from(round);
        let mut writer = self
            .store
            .begin_step(key, kind, now)
            .await
            .expect("demo")
            .expect("demo");
        writer
            .targets(std::slice::from_ref(self.target))
            .await
            .expect("demo");
        writer.candidates(new).await.expect("demo");
        let mut ordinal = 0;
        for (n, (candidate, repeats)) in tried.iter().enumerate() {
            let items: Vec<Item> = (0..*repeats)
                .map(|repeat| Item {
                    ordinal: ordinal + repeat,
                    target: self.target.id,
                    candidate: Some(candidate.id),
                    example: Some(self.example),
                    repeat,
                    key: question(candidate, round, repeat),
                })
                .collect();
            ordinal += repeats;
            let task = NewTask {
                id: self.run.task(&format!("{round}/{n}")),
                body: r#"{"model":"m"}"#.to_owned(),
                worst: Spend {
                    calls: items.len() as u64,
                    tokens: 999,
                    cost_micros: 99,
                },
                items,
                grader: Some(("choice_letter".to_owned(), "1-00000000".to_owned())),
            };
            writer.tasks(&[task]).await.expect("demo");
        }
        writer.commit().await.expect("demo");
    }
}

fn question(candidate: &Candidate, round: u32, repeat: u32) -> Hash {
    Hash::of([
        candidate.id.to_string(),
        round.to_string(),
        repeat.to_string(),
    ])
}

/// A worker: the last repeat of the winner's search fails, everything else is answered.
async fn work(store: &dyn Store, run: RunId, candidates: &[&Candidate]) {
    let now = 1_700_000_000_000_100;
    let claim = store.claim(run, 100, now, 1).await.expect("demo");
    let attempts: Vec<_> = claim.tasks.iter().map(|c| (c.task, c.epoch)).collect();
    store.dispatched(&attempts, now).await.expect("demo");
    for claimed in claim.tasks {
        let (round, n) = (0..3)
            .flat_map(|round| [(round, 0), (round, 1)])
            .find(|(round, n)| run.task(&format!("{round}/{n}")) == claimed.task)
            .expect("demo");
        let items = claimed.open.iter().map(|place| {
            let key = question(candidates[n], round, *place);
            answered(*place, key, n, round == 1 && *place == 2)
        });
        let report = Report {
            v: VERSION,
            task: claimed.task,
            epoch: claimed.epoch,
            worker: "w".to_owned(),
            items: items.collect(),
            counted: Counted::default(),
        };
        store.apply(&[report], POLICY, now).await.expect("demo");
    }
}

fn answered(place: u32, key: Hash, n: usize, fails: bool) -> ReportItem {
    let answer = Answer {
        reply: Reply::Text {
            text: ["B", "A"][n].to_owned(),
        },
        usage: Usage {
            prompt_tokens: 20,
            completion_tokens: 1,
        },
        cost_micros: 5,
    };
    let grade = Grade {
        value: n as f64,
        raw: None,
        margin: None,
        feedback: "one letter".to_owned(),
    };
    let error = ItemError {
        action: Action::Retry { after_ms: 0 },
        message: "the model is out".to_owned(),
    };
    ReportItem {
        place,
        key,
        answer: (!fails).then_some(answer),
        grade: (!fails).then_some(grade),
        error: fails.then_some(error),
        paid: None,
    }
}

fn pair(target: &Target, winner: &Candidate) -> Pair {
    Pair {
        target: target.id,
        candidate: winner.id,
        original: "Which planet is hot?".to_owned(),
        improved: winner.doc.question.clone().expect("demo"),
        original_grade: 0.0,
        improved_grade: 1.0,
        grader: "choice_letter@1-00000000".to_owned(),
        operator: winner.operator.clone(),
        round: 1,
        p_value: 0.25,
    }
}
