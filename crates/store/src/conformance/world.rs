//! A small run to write tests with: two examples, one target, one candidate.

use crate::{Claimed, NewTask, RetryPolicy, Run, StepStatus, StepWriter, Store};
use domain::{
    call::{Answer, Reply, Usage},
    candidate::{Arm, Candidate, Target, Verdict},
    example::{Example, Reference, Split},
    grade::Grade,
    hash::Hash,
    ids::{CandidateId, RunId, TargetId, TaskId},
    prompt::PromptDoc,
    run::{Item, Limits, Member, RoundKind, RunKind, RunStatus, Spend, Step, StepKey},
};
use wire::{Action, Counted, ItemError, Report, ReportItem, VERSION};

/// When tests begin.
pub const START: i64 = 1_000_000;
/// How long a claim holds.
pub const HOLD: i64 = 1_000;
/// Three attempts, 100 to 300 microseconds apart.
pub const POLICY: RetryPolicy = RetryPolicy {
    max_attempts: 3,
    backoff: 100,
    max_backoff: 300,
};

/// A run with what items refer to.
pub struct World<'a> {
    pub store: &'a dyn Store,
    pub run: RunId,
    pub target: Target,
    pub candidate: Candidate,
    pub examples: Vec<Hash>,
}

/// A run as the planner would make it.
pub fn new_run(name: &str, created_at: i64) -> Run {
    Run {
        id: RunId::new(),
        name: name.to_owned(),
        tags: vec!["b".to_owned(), "a".to_owned()],
        kind: RunKind::Optimise,
        status: RunStatus::Running,
        reason: None,
        spec: "{}".to_owned(),
        spec_hash: Hash::of(["{}"]),
        summary: None,
        created_at,
        finished_at: None,
    }
}

/// An example, and its membership.
pub fn member(dataset: &str, input: &str, split: Split) -> (Member, Example) {
    let example = Example {
        input: input.to_owned(),
        context: None,
        choices: vec!["yes".to_owned(), "no".to_owned()],
        reference: Reference::Choice { index: 1 },
        group: Some("law".to_owned()),
    };
    let id = example.id();
    let member = Member {
        example: id,
        dataset: dataset.to_owned(),
        cluster: id,
        split,
    };
    (member, example)
}

/// The grader of the tests.
pub fn grader() -> (String, String) {
    ("exact".to_owned(), "1-abcd".to_owned())
}

/// The key of the `n`th question.
pub fn key(n: u32) -> Hash {
    Hash::of([format!("question {n}")])
}

impl<'a> World<'a> {
    pub async fn new(store: &'a dyn Store, calls: Option<u64>) -> World<'a> {
        let run = new_run("a run", START);
        let limits = Limits {
            calls,
            ..Limits::default()
        };
        store.create_run(&run, &limits).await.expect("create run");
        let members = [
            member("d", "first?", Split::Train),
            member("d", "second?", Split::Train),
        ];
        store
            .add_examples(run.id, &members)
            .await
            .expect("examples");
        let examples: Vec<Hash> = members.iter().map(|m| m.0.example).collect();
        let target = Target {
            id: run.id.target("d/m"),
            dataset: "d".to_owned(),
            model: "m".to_owned(),
            example: Some(examples[0]),
        };
        let candidate = original(run.id.candidate("0/original/0"), target.id);
        World {
            store,
            run: run.id,
            target,
            candidate,
            examples,
        }
    }

    pub fn step(&self, round: u32) -> StepKey {
        StepKey {
            run: self.run,
            round,
            step: Step::Answer,
        }
    }

    /// An item that asks question `n`: of the first example.
    pub fn item(&self, ordinal: u32, n: u32) -> Item {
        Item {
            ordinal,
            target: self.target.id,
            candidate: Some(self.candidate.id),
            example: Some(self.examples[0]),
            repeat: 0,
            key: key(n),
        }
    }

    pub fn task_id(&self, round: u32, n: usize) -> TaskId {
        self.run.task(&format!("{round}/{n}"))
    }

    /// Tasks of graded items, one for each list of questions; ordinals count on from `first`.
    pub fn tasks(&self, round: u32, first: u32, questions: &[&[u32]]) -> Vec<NewTask> {
        let mut ordinal = first;
        let mut out = Vec::new();
        for (n, questions) in questions.iter().enumerate() {
            let items: Vec<Item> = (ordinal..)
                .zip(*questions)
                .map(|(o, q)| self.item(o, *q))
                .collect();
            ordinal += items.len() as u32;
            out.push(NewTask {
                id: self.task_id(round, n),
                body: format!(r#"{{"model":"m","n":{n}}}"#),
                worst: Spend {
                    calls: items.len() as u64,
                    tokens: 100 * items.len() as u64,
                    cost_micros: 10 * items.len() as u64,
                },
                items,
                grader: Some(grader()),
            });
        }
        out
    }

    /// Opens a step with the target and, in the first round, the candidate.
    pub async fn begin(&self, round: u32) -> Box<dyn StepWriter> {
        let mut writer = self
            .store
            .begin_step(self.step(round), RoundKind::Search, START)
            .await
            .expect("begin")
            .expect("not planned before");
        let target = [self.target.clone()];
        writer.targets(&target).await.expect("targets");
        if round == 0 {
            let candidate = [self.candidate.clone()];
            writer.candidates(&candidate).await.expect("candidates");
        }
        writer
    }

    /// Plans a step of graded tasks, and of items without a task behind them.
    pub async fn plan(&self, round: u32, questions: &[&[u32]], without_task: &[u32]) {
        let asked: usize = questions.iter().map(|q| q.len()).sum();
        let tasks = self.tasks(round, without_task.len() as u32, questions);
        assert_eq!(asked, tasks.iter().map(|t| t.items.len()).sum::<usize>());
        let mut writer = self.begin(round).await;
        let free: Vec<Item> = (0..)
            .zip(without_task)
            .map(|(o, q)| self.item(o, *q))
            .collect();
        writer.items(&free, Some(&grader())).await.expect("items");
        writer.tasks(&tasks).await.expect("tasks");
        writer.commit().await.expect("commit");
    }

    /// Claims all that is due and marks it dispatched.
    pub async fn dispatch(&self, now: i64) -> Vec<Claimed> {
        let claim = self
            .store
            .claim(self.run, 100, now, HOLD)
            .await
            .expect("claim");
        let attempts: Vec<_> = claim.tasks.iter().map(|c| (c.task, c.epoch)).collect();
        self.store
            .dispatched(&attempts, now)
            .await
            .expect("dispatched");
        claim.tasks
    }

    pub async fn status(&self) -> StepStatus {
        self.store
            .last_step(self.run)
            .await
            .expect("last step")
            .expect("a step")
    }

    pub async fn calls(&self) -> u64 {
        self.store.spend(self.run).await.expect("spend").calls
    }
}

/// The answer to question `n`: 7 tokens, 3 micro-dollars.
pub fn answer(n: u32) -> Answer {
    Answer {
        reply: Reply::Text {
            text: format!("answer {n}"),
        },
        usage: Usage {
            prompt_tokens: 5,
            completion_tokens: 2,
        },
        cost_micros: 3,
    }
}

pub fn grade(value: f64) -> Grade {
    Grade {
        value,
        raw: None,
        margin: None,
        feedback: "as it is".to_owned(),
    }
}

/// An item answered and graded.
pub fn good(place: u32, n: u32) -> ReportItem {
    ReportItem {
        place,
        key: key(n),
        answer: Some(answer(n)),
        grade: Some(grade(1.0)),
        error: None,
        paid: None,
    }
}

/// An item that failed.
pub fn failed(place: u32, n: u32, action: Action) -> ReportItem {
    ReportItem {
        answer: None,
        grade: None,
        error: Some(ItemError {
            action,
            message: "the model is out".to_owned(),
        }),
        ..good(place, n)
    }
}

pub fn report(task: TaskId, epoch: u32, items: Vec<ReportItem>) -> Report {
    Report {
        v: VERSION,
        task,
        epoch,
        worker: "w".to_owned(),
        items,
        counted: Counted::default(),
    }
}

/// The unchanged prompt of a target.
pub fn original(id: CandidateId, target: TargetId) -> Candidate {
    Candidate {
        id,
        target,
        round: 0,
        ordinal: 0,
        arm: Arm::Original,
        operator: "none".to_owned(),
        author: "user".to_owned(),
        parents: vec![],
        doc: PromptDoc::default(),
        verdict: Verdict::Accepted,
    }
}
