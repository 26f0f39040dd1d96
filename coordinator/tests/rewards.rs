//! Open answers graded by a reward model: a scripted one, in a whole run with real store, queue, workers, coordinator.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use coordinator::{
    Outcome,
    board::Board,
    ingest::{Division, clusters, ingest},
    settings::{DatasetPlan, DrawPlan, EvalPlan, NamedPrompt, Settings, TARGET},
    summary,
};
use dataset::{Format, Ratios, Source};
use domain::{
    call::{Answer, Call, Reply, Usage},
    grade::Grader,
    prompt::PromptDoc,
    run::{Limits, RunKind, Step},
};
use llm::{Identity, ModelError, Request, scripted::ScriptedModel};
use queue::memory::MemoryQueue;
use runtime::{heart::Heart, shutdown::Shutdown};
use search::operator::Operator;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};
use store::{Results, Runs, Tasks};
use store_sqlite::SqliteStore;
use support::World;
use worker_score::scripted::Scripted;

/// A question's own level, by which rewards of two questions do not compare.
fn level(question: &str) -> f32 {
    question.len() as f32 * 10.0
}

/// The reward: the question's level, half a point for each word of the answer, and two for a clear one.
fn reward(question: &str, answer: &str) -> f32 {
    let words = answer.split_whitespace().count() as f32;
    let clear = if answer.contains("clear") { 2.0 } else { 0.0 };
    level(question) + words / 2.0 + clear
}

/// The language model: a rewrite that says "clearly" gets a clear answer; fresh draws differ in length.
fn script(request: &Request) -> Result<Answer, ModelError> {
    let Call::Generate { messages, .. } = &request.call else {
        panic!("no log-likelihood is asked");
    };
    let asked = messages
        .last()
        .map(|m| m.content.clone())
        .unwrap_or_default();
    let text = if asked.contains("<question>") {
        support::text(&asked, request.key)
    } else {
        let words = 3 + request.key.seed() % 4;
        let manner = if asked.contains("clearly") {
            "clear"
        } else {
            "dull"
        };
        format!("{manner} {}", "word ".repeat(words as usize))
    };
    Ok(Answer {
        reply: Reply::Text { text },
        usage: Usage {
            prompt_tokens: 10,
            completion_tokens: 5,
        },
        cost_micros: 3,
    })
}

/// Open questions in Alpaca's layout.
fn questions(n: usize) -> String {
    let row = |i: usize| {
        let about = "very ".repeat(i % 5);
        format!(
            r#"{{"instruction": "Say {about}much of item {i} of the list.", "input": "", "output": "thing {i}"}}"#
        )
    };
    format!("[{}]", (0..n).map(row).collect::<Vec<_>>().join(","))
}

struct Open {
    world: World,
    /// The pairs that the reward model was given, in order.
    scored: Arc<Mutex<Vec<(String, String)>>>,
}

impl Open {
    async fn new(n: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("open.json");
        std::fs::write(&file, questions(n)).unwrap();
        let db = dir.path().join("test.db");
        let store = Arc::new(SqliteStore::open(&db).await.unwrap());
        let run = support::create(store.as_ref(), &Limits::default()).await;
        let source = Source::new("open", Format::Alpaca, &file);
        let division = Division::Split {
            seed: 7,
            ratios: Ratios::new(1.0, 0.0, 0.0).unwrap(),
            clusters: clusters(std::slice::from_ref(&source)).unwrap(),
        };
        ingest(store.as_ref(), run, &source, &division)
            .await
            .unwrap();
        let identity = Identity {
            key: "scripted".into(),
            name: "scripted".into(),
            scores: false,
        };
        let world = World {
            _dir: dir,
            store,
            queue: Arc::new(MemoryQueue::new()),
            model: Arc::new(ScriptedModel::new(identity, script)),
            settings: settings("reward-1"),
            quota: None,
            run,
        };
        Self {
            world,
            scored: Arc::default(),
        }
    }

    /// Both workers, until they are aborted.
    fn workers(&self, reward: fn(&str, &str) -> f32) -> Vec<tokio::task::JoinHandle<()>> {
        let seen = self.scored.clone();
        let model = Scripted::new("reward-1", move |question, answer| {
            seen.lock()
                .unwrap()
                .push((question.to_owned(), answer.to_owned()));
            reward(question, answer)
        });
        let deps = worker_score::Deps {
            queue: self.world.queue.clone(),
            scorers: vec![model.start()],
            heart: Heart::default(),
        };
        let config = worker_score::Config {
            concurrency: 3,
            worker: "scorer".into(),
        };
        let scoring = tokio::spawn(async move {
            worker_score::run(config, deps, Shutdown::new())
                .await
                .unwrap();
        });
        vec![self.world.worker(), scoring]
    }

    async fn summary(&self) -> summary::Summary {
        let run = self.world.store.run(self.world.run).await.unwrap().unwrap();
        summary::search(self.world.store.as_ref(), &run, &self.world.settings, 2)
            .await
            .unwrap()
    }

    /// Every answer that the reward model was given more than once for a question.
    fn scored_again(&self) -> usize {
        let seen = self.scored.lock().unwrap();
        seen.len() - seen.iter().collect::<BTreeSet<_>>().len()
    }
}

fn settings(identity: &str) -> Settings {
    Settings {
        datasets: vec![DatasetPlan {
            name: "open".into(),
            grader: Grader::Reward {
                model: "reward".into(),
                identity: identity.into(),
            },
            hardest: 6,
        }],
        ..support::settings()
    }
}

#[tokio::test]
async fn what_the_reward_model_prefers_is_found_confirmed_and_held_against_length() {
    let open = Open::new(16).await;
    let workers = open.workers(reward);
    assert_eq!(open.world.drive(true).await, Outcome::Finished);
    let steps = open.world.store.steps(open.world.run).await.unwrap();
    let scores = steps.iter().filter(|s| s.key.step == Step::Score);
    // Baseline, two rounds, the placebo arm, the confirmation.
    assert_eq!(scores.clone().count(), 5);
    assert!(
        scores
            .clone()
            .all(|s| s.items > 0 && s.items == s.items_done)
    );
    let summary = open.summary().await;
    assert_eq!((summary.unmeasured, summary.baseline), (0, None));
    let open_set = &summary.datasets[0];
    let reward = open_set.reward.as_ref().unwrap();
    // Winners say "clearly", and a clear answer is two points better than a dull one of the same length.
    assert!(reward.gain.winners.mean > 1.0, "{reward:?}");
    assert!(reward.win_rate.mean > 0.7, "{reward:?}");
    let length = reward.length.unwrap();
    let equal = length.at_equal_length.unwrap();
    assert!((1.0..3.0).contains(&equal.mean), "{length:?}");
    assert!(length.per_doubling.unwrap() > 0.5, "{length:?}");
    // Values are chances of being preferred: half for the unchanged prompt, whatever its question's level.
    assert!((open_set.original.unwrap().mean - 0.5).abs() < 1e-9);
    assert!(summary.best.unwrap().mean > 0.6);
    assert!(
        summary.marks.iter().any(|m| m.contains("reward model")),
        "{:?}",
        summary.marks
    );
    let pairs = open.world.store.pairs(open.world.run).await.unwrap();
    assert!(!pairs.is_empty());
    for pair in &pairs {
        assert!(pair.grader.starts_with("reward@1-"), "{}", pair.grader);
        // In rewards, so at the question's own level.
        assert!(pair.improved_grade > pair.original_grade && pair.original_grade > 100.0);
    }
    workers.iter().for_each(tokio::task::JoinHandle::abort);
}

/// The question that is scored is the data's, whatever words it was asked in; and nothing is scored twice.
#[tokio::test]
async fn candidates_answer_for_the_original_question_and_once() {
    let open = Open::new(16).await;
    let workers = open.workers(reward);
    open.world.drive(true).await;
    assert!(open.scored.lock().unwrap().len() > 50);
    assert!(
        open.scored
            .lock()
            .unwrap()
            .iter()
            .all(|(q, _)| q.starts_with("Say ") && !q.contains("clearly"))
    );
    // Equal answers to a question have different keys on different draws, and may be scored for each; no more than that.
    let keys = "SELECT count(*), count(DISTINCT key) FROM items i JOIN rounds r ON r.id = i.round_id WHERE step = 'score'
                AND task_seq IS NOT NULL";
    let found = open.world.store.query_read_only(keys).await.unwrap().rows;
    assert_eq!(found[0][0], found[0][1]);
    assert_eq!(
        found[0][0].as_u64().unwrap(),
        open.scored.lock().unwrap().len() as u64
    );
    workers.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Rewards differ by question far more than by answer: the lowest are no measure of hardness.
#[tokio::test]
async fn the_hardest_are_not_those_with_the_lowest_rewards() {
    let open = Open::new(40).await;
    let workers = open.workers(reward);
    open.world.drive(true).await;
    let board = Board::load(
        open.world.store.as_ref(),
        open.world.run,
        &open.world.settings,
    )
    .await
    .unwrap();
    let lengths: BTreeSet<usize> = board
        .spots
        .iter()
        .map(|s| s.example.input.len() / 5)
        .collect();
    assert_eq!(board.spots.len(), 6);
    assert!(lengths.len() > 2, "all of one level: {lengths:?}");
    workers.iter().for_each(tokio::task::JoinHandle::abort);
}

/// With repeats, the questions whose own answers differ most come first.
#[tokio::test]
async fn with_repeats_the_most_varied_questions_are_mined() {
    let mut open = Open::new(20).await;
    open.world.settings.repeats = 3;
    // Only questions of one manner have answers that differ.
    let workers = open.workers(|question, answer| match question.contains("very very") {
        true => reward(question, answer),
        false => level(question),
    });
    open.world.drive(true).await;
    let board = Board::load(
        open.world.store.as_ref(),
        open.world.run,
        &open.world.settings,
    )
    .await
    .unwrap();
    assert_eq!(board.spots.len(), 6);
    assert!(
        board
            .spots
            .iter()
            .all(|s| s.example.input.contains("very very"))
    );
    workers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn the_same_twice_and_nothing_is_scored_again_in_another_run() {
    let (a, b) = (Open::new(16).await, Open::new(16).await);
    for open in [&a, &b] {
        let workers = open.workers(reward);
        assert_eq!(open.world.drive(true).await, Outcome::Finished);
        workers.iter().for_each(tokio::task::JoinHandle::abort);
    }
    let of = async |o: &Open| o.world.store.projection(o.world.run).await.unwrap();
    let (left, right) = (of(&a).await, of(&b).await);
    assert!(left.iter().filter(|l| l.contains("score")).count() > 50);
    assert_eq!(left, right);
}

/// Replies that say which operator was asked.
fn telling(request: &Request) -> Result<Answer, ModelError> {
    let mut answer = script(request)?;
    let Call::Generate { messages, .. } = &request.call else {
        return Ok(answer);
    };
    let asked = &messages[messages.len() - 1].content;
    let who = match asked {
        a if a.contains("Which wording leads a model") => "guessed from good answers",
        a if a.contains("Find what in the words") => "learnt from what went wrong",
        _ => return Ok(answer),
    };
    if let Reply::Text { text } = &mut answer.reply {
        *text = text.replace("for item", &format!("({who}) for item"));
    }
    Ok(answer)
}

/// Where no answer is the right one, words may be guessed from good answers. Drafts are computed a second time when
/// replies are read, in round 1 before its originals have rewards of their own: they are the same drafts.
#[tokio::test]
async fn operators_see_what_was_preferred_and_are_noted_as_they_were_asked() {
    let mut open = Open::new(16).await;
    let identity = Identity {
        key: "scripted".into(),
        name: "scripted".into(),
        scores: false,
    };
    open.world.model = Arc::new(ScriptedModel::new(identity, telling));
    (open.world.settings.rewrites, open.world.settings.rounds) = (3, 3);
    open.world.settings.drawn = Some(DrawPlan {
        operators: vec![Operator::Lamarckian, Operator::Reflect, Operator::ZeroOrder],
        weights: Vec::new(),
    });
    let workers = open.workers(reward);
    assert_eq!(open.world.drive(true).await, Outcome::Finished);
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    let mut seen: BTreeSet<(u32, String)> = BTreeSet::new();
    for c in open.world.store.candidates(open.world.run).await.unwrap() {
        let Some(words) = c.doc.question.filter(|_| c.operator != "paraphrase@1") else {
            continue;
        };
        let expected = match &words {
            w if w.contains("guessed") => "lamarckian@1",
            w if w.contains("learnt") => "reflect@1",
            _ => "zero_order@1",
        };
        assert_eq!(c.operator, expected, "{words}");
        seen.insert((c.round, c.operator));
    }
    for operator in ["reflect@1", "zero_order@1"] {
        assert!(seen.contains(&(1, operator.to_owned())), "{seen:?}");
    }
    assert!(seen.iter().any(|(_, o)| o == "lamarckian@1"), "{seen:?}");
    let summary = open.summary().await;
    assert_eq!(summary.operators.len(), 3);
    assert!(summary.operators.iter().any(|o| o.success > 0.0));
}

/// The coordinator dies again and again, and the scoring worker is replaced while tasks are in its hands.
#[tokio::test]
async fn no_death_of_coordinator_or_scorer_loses_or_doubles_anything() {
    let whole = Open::new(16).await;
    let workers = whole.workers(reward);
    whole.world.drive(true).await;
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    let expected = whole.world.store.projection(whole.world.run).await.unwrap();

    let hurt = Open::new(16).await;
    let mut workers = hurt.workers(reward);
    let replaced = |life| {
        if life % 5 == 4 {
            workers.iter().for_each(tokio::task::JoinHandle::abort);
            workers = hurt.workers(reward);
        }
    };
    let polls = |life| 5 + life % 37;
    hurt.world.outlive(2_000, polls, replaced).await;
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    let found = hurt.world.store.projection(hurt.world.run).await.unwrap();
    assert_eq!(found, expected);
    let spend = |w: &Open| {
        let (store, run) = (w.world.store.clone(), w.world.run);
        async move { store.spend(run).await.unwrap() }
    };
    // Scores are no calls and cost nothing.
    let (a, b) = (spend(&whole).await, spend(&hurt).await);
    assert!(b.calls >= a.calls && a.calls > 0);
    let _ = hurt.scored_again();
}

/// A reward that is no number is no grade: its answer is unmeasured, and nothing else is.
#[tokio::test]
async fn a_reward_that_is_no_number_is_no_grade() {
    let open = Open::new(12).await;
    let workers = open.workers(|question, answer| match question.contains("item 3 ") {
        true => f32::NAN,
        false => reward(question, answer),
    });
    assert_eq!(open.world.drive(true).await, Outcome::Finished);
    assert_eq!(open.summary().await.unmeasured, 1);
    let asked = "SELECT count(*), max(i.reason) FROM items i WHERE i.state = 'given_up'";
    let found = open.world.store.query_read_only(asked).await.unwrap().rows;
    assert_eq!(found[0][0], 1);
    assert!(found[0][1].as_str().unwrap().contains("NaN"), "{found:?}");
    workers.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Where no worker has the model, the run pauses and says which it is.
#[tokio::test]
async fn a_model_that_nobody_has_pauses_the_run() {
    let mut open = Open::new(6).await;
    open.world.settings = settings("another");
    let workers = open.workers(reward);
    let Outcome::Paused(reason) = open.world.drive(true).await else {
        panic!("not paused");
    };
    assert!(reason.contains("\"reward\" (another)"), "{reason}");
    workers.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Two prompts on the same questions: the second gets clear answers.
#[tokio::test]
async fn an_evaluation_holds_prompts_against_the_first() {
    let mut open = Open::new(16).await;
    let named = |name: &str, user: &str| NamedPrompt {
        name: name.into(),
        doc: PromptDoc {
            user: user.into(),
            ..PromptDoc::default()
        },
    };
    open.world.settings = Settings {
        kind: RunKind::Evaluate,
        repeats: 2,
        eval: EvalPlan {
            models: vec![TARGET.into()],
            prompts: vec![
                named("plain", "{input}"),
                named("clear", "Answer clearly: {input}"),
            ],
            ..EvalPlan::default()
        },
        ..settings("reward-1")
    };
    let workers = open.workers(reward);
    assert_eq!(open.world.drive(true).await, Outcome::Finished);
    let run = open.world.store.run(open.world.run).await.unwrap().unwrap();
    let summary = summary::evaluation(open.world.store.as_ref(), &run, &open.world.settings, 2)
        .await
        .unwrap();
    let [plain, clear] = summary.cells.as_slice() else {
        panic!("{:?}", summary.cells);
    };
    assert_eq!(
        (plain.asked, plain.unmeasured, clear.unmeasured),
        (32, 0, 0)
    );
    assert!((plain.mean.unwrap().mean - 0.5).abs() < 1e-9);
    assert!(clear.mean.unwrap().mean > 0.7);
    assert!(plain.reward.as_ref().unwrap().against_first.is_none());
    let against = clear
        .reward
        .as_ref()
        .unwrap()
        .against_first
        .as_ref()
        .unwrap();
    assert!(
        (1.0..3.0).contains(&against.gain.mean) && against.win_rate.mean > 0.8,
        "{against:?}"
    );
    assert!(
        (1.5..2.5).contains(&against.length.unwrap().at_equal_length.unwrap().mean),
        "{against:?}"
    );
    workers.iter().for_each(tokio::task::JoinHandle::abort);
}
