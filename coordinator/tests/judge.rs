//! Answers that a judge compares: a scripted one with a taste, in whole runs with real store, queue, worker, coordinator.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use coordinator::{
    Outcome,
    ingest::{Division, clusters, ingest},
    settings::{DatasetPlan, EvalPlan, InstructPlan, NamedPrompt, Settings, TARGET},
    summary::{self, InstructSummary, Summary},
};
use dataset::{Format, Ratios, Source};
use domain::{
    call::{Answer, Call, Message, Reply, Usage},
    grade::Grader,
    hash::Hash,
    prompt::PromptDoc,
    run::{Limits, RunKind, Step},
};
use llm::{ErrorKind, Identity, ModelError, Request, scripted::ScriptedModel};
use queue::memory::MemoryQueue;
use runtime::shutdown::Shutdown;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};
use store::{Results, Runs, Tasks};
use store_sqlite::SqliteStore;
use support::{JUDGE, World};

/// What a judge prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taste {
    /// Whatever stands first.
    First,
    /// The longer answer.
    Longer,
    /// It says nothing that could be read.
    Silent,
    /// It cannot be reached.
    Away,
}

/// The judge, and what it was asked.
struct Judge {
    taste: Mutex<Taste>,
    asked: Mutex<Vec<(Hash, String)>>,
    /// All calls of all models.
    calls: Mutex<u64>,
}

impl Judge {
    fn new(taste: Taste) -> Arc<Self> {
        Arc::new(Self {
            taste: Mutex::new(taste),
            asked: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    fn says(&self, key: Hash, asked: &str) -> Result<String, ModelError> {
        let taste = *self.taste.lock().unwrap();
        if taste == Taste::Away {
            let kind = ErrorKind::Retry { after: None };
            return Err(ModelError::new(kind, "the judge is away"));
        }
        self.asked.lock().unwrap().push((key, asked.to_owned()));
        let length = |name: &str| {
            let (_, rest) = asked.split_once(&format!("<{name}-")).unwrap();
            let (_, rest) = rest.split_once(">\n").unwrap();
            rest.split("\n</").next().unwrap().len()
        };
        let (a, b) = (length("answer-a"), length("answer-b"));
        Ok(match taste {
            Taste::Silent => "Hard to say.",
            Taste::First => "The first is better.\nVerdict: A",
            _ if a > b => "A says more.\nVerdict: A",
            _ if a < b => "B says more.\nVerdict: B",
            _ => "Verdict: tie",
        }
        .to_owned())
    }

    fn say(&self, request: &Request) -> Result<Answer, ModelError> {
        let Call::Generate { messages, .. } = &request.call else {
            panic!("no log-likelihood is asked");
        };
        let asked = messages.last().map_or("", |m| m.content.as_str());
        let judges = messages[0].content.starts_with("You compare two answers");
        let text = match judges {
            true => self.says(request.key, asked)?,
            false => answer(messages, asked, request.key),
        };
        *self.calls.lock().unwrap() += 1;
        Ok(Answer {
            reply: Reply::Text { text },
            usage: Usage {
                prompt_tokens: 10,
                completion_tokens: 5,
            },
            cost_micros: 3,
        })
    }

    /// How many questions the judge was asked. One may come again where a machine is so slow that a claim lapses.
    fn asked(&self) -> usize {
        let asked = self.asked.lock().unwrap();
        let keys: BTreeSet<Hash> = asked.iter().map(|(key, _)| *key).collect();
        keys.len()
    }

    /// Whether each pair of texts was put to it once in each order, whatever the draw.
    fn no_pair_came_twice(&self) -> bool {
        let asked = self.asked.lock().unwrap();
        let texts: BTreeSet<&String> = asked.iter().map(|(_, text)| text).collect();
        let keys: BTreeSet<Hash> = asked.iter().map(|(key, _)| *key).collect();
        texts.len() == keys.len()
    }
}

/// The target and the proposer: who is asked clearly, or to be careful, says more. Otherwise an answer depends on the item
/// alone.
fn answer(messages: &[Message], asked: &str, key: Hash) -> String {
    if messages.iter().any(|m| m.content.contains("<prompt>")) && !asked.contains("<question>") {
        let manner = ["carefully", "quickly", "roughly"][(key.seed() % 3) as usize];
        let n = key.seed() % 1000;
        return format!("<prompt>Answer the request {manner}, as reader {n} would.</prompt>");
    }
    if asked.contains("<question>") {
        return support::text(asked, key);
    }
    let digits = asked.rsplit("item ").next().unwrap_or_default();
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    let item: usize = digits.parse().unwrap_or_default();
    let more = asked.contains("clearly") || asked.contains("carefully");
    format!(
        "Item {item}{}",
        " word".repeat(3 + item % 4 + if more { 4 } else { 0 })
    )
}

const WORDS: [&str; 24] = [
    "amber", "basket", "candle", "doctor", "engine", "forest", "garden", "hammer", "island",
    "jacket", "kettle", "ladder", "mirror", "needle", "orange", "pepper", "quarry", "ribbon",
    "saddle", "tunnel", "umbrella", "velvet", "walnut", "yellow",
];

/// Open questions in Alpaca's layout: each looks like no other, so that splits can part them.
fn questions(n: usize) -> String {
    let about = |i: usize| {
        let seed = Hash::of([i.to_le_bytes()]).seed();
        let word = |k: u64| WORDS[((seed >> (5 * k)) % WORDS.len() as u64) as usize];
        (0..8).map(word).collect::<Vec<_>>().join(" ")
    };
    let row = |i: usize| {
        let words = about(i);
        format!(r#"{{"instruction": "{words} item {i}", "input": "", "output": "thing {i}"}}"#)
    };
    format!("[{}]", (0..n).map(row).collect::<Vec<_>>().join(","))
}

struct Scene {
    world: World,
    judge: Arc<Judge>,
}

impl Scene {
    async fn new(n: usize, taste: Taste, settings: Settings) -> Self {
        Self::within(n, taste, settings, Limits::default()).await
    }

    async fn within(n: usize, taste: Taste, settings: Settings, limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("open.json");
        std::fs::write(&file, questions(n)).unwrap();
        let store = SqliteStore::open(&dir.path().join("test.db")).await;
        let store = Arc::new(store.unwrap());
        let run = support::create(store.as_ref(), &limits).await;
        let source = Source::new("open", Format::Alpaca, &file);
        let ratios = match settings.instruct {
            Some(_) => Ratios::new(0.5, 0.2, 0.3),
            None => Ratios::new(1.0, 0.0, 0.0),
        };
        let division = Division::Split {
            seed: 7,
            ratios: ratios.unwrap(),
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
        let judge = Judge::new(taste);
        let script = {
            let judge = judge.clone();
            move |request: &Request| judge.say(request)
        };
        let world = World {
            _dir: dir,
            store,
            queue: Arc::new(MemoryQueue::new()),
            model: Arc::new(ScriptedModel::new(identity, script)),
            settings,
            quota: None,
            run,
        };
        Self { world, judge }
    }

    async fn finished(&self) {
        let worker = self.world.worker();
        assert_eq!(self.world.drive(true).await, Outcome::Finished);
        worker.abort();
    }

    async fn run(&self) -> store::Run {
        self.world.store.run(self.world.run).await.unwrap().unwrap()
    }

    async fn summary(&self) -> Summary {
        let store = self.world.store.as_ref();
        let found = summary::search(store, &self.run().await, &self.world.settings, 2).await;
        found.unwrap()
    }

    async fn instruct(&self) -> InstructSummary {
        let store = self.world.store.as_ref();
        let found = summary::instruct(store, &self.run().await, &self.world.settings, 2).await;
        found.unwrap()
    }

    async fn projection(&self) -> Vec<String> {
        self.world.store.projection(self.world.run).await.unwrap()
    }

    async fn count(&self, sql: &str) -> u64 {
        let found = self.world.store.query_read_only(sql).await.unwrap().rows;
        found[0][0].as_u64().unwrap()
    }
}

fn judge() -> Grader {
    Grader::Judge {
        model: JUDGE.into(),
        rubric: None,
        identity: String::new(),
    }
}

fn rewrite() -> Settings {
    Settings {
        datasets: vec![DatasetPlan {
            name: "open".into(),
            grader: judge(),
            hardest: 6,
        }],
        block: 12,
        ..support::settings()
    }
}

const CALLS: u64 = 160;

fn instruct() -> Settings {
    let start = PromptDoc {
        user: "{instruction}\n\n{input}".into(),
        instruction: Some("Answer the request.".into()),
        ..PromptDoc::default()
    };
    Settings {
        instruct: Some(InstructPlan {
            bearing: 4,
            description: "Answer a request.".into(),
            starts: vec![start],
            calls: CALLS,
            rounds: 4,
            candidates: 3,
            population: None,
            shots: 0,
            block: 6,
            alpha: 0.05,
            operators: Vec::new(),
            weights: Vec::new(),
            must_keep: Vec::new(),
            must_not_contain: Vec::new(),
            length_price: 0.0,
            test_repeats: 2,
        }),
        ..rewrite()
    }
}

#[tokio::test]
async fn what_the_judge_prefers_in_both_orders_is_found_and_confirmed() {
    let scene = Scene::new(16, Taste::Longer, rewrite()).await;
    scene.finished().await;
    let summary = scene.summary().await;
    assert_eq!((summary.unmeasured, summary.baseline), (0, None));
    assert_eq!(summary.datasets[0].original.unwrap().mean, 0.5);
    // Winners say "clearly" and are longer every time; a target without such a rewrite stays as it was.
    assert!(summary.best.unwrap().mean > 0.7, "{summary:?}");
    let pairs = scene.world.store.pairs(scene.world.run).await.unwrap();
    assert!(!pairs.is_empty());
    let version = "SELECT DISTINCT 'judge@' || grader_version FROM grades WHERE grader = 'judge'";
    let found = scene.world.store.query_read_only(version).await.unwrap();
    assert_eq!(found.rows.len(), 1);
    for pair in &pairs {
        assert_eq!((pair.original_grade, pair.improved_grade), (0.5, 1.0));
        assert_eq!(pair.grader, found.rows[0][0]);
    }
    // All winners are as much longer, so that nothing can be said of equal length.
    assert!(summary.datasets[0].length.unwrap().longer > 1.5);
    assert!(summary.marks.iter().any(|m| m.contains("0.5 as good")));
    assert!(!summary.marks.iter().any(|m| m.contains("contradicted")));
    // What it is asked about are the data's own words and the right answer, never the rewrite.
    let asked = scene.judge.asked.lock().unwrap().clone();
    assert!(
        asked
            .iter()
            .all(|(_, q)| q.contains(" item ") && q.contains("\nthing "))
    );
    assert!(asked.iter().all(|(_, q)| !q.contains("clearly")));
}

#[tokio::test]
async fn a_judge_that_prefers_a_place_finds_nothing() {
    let scene = Scene::new(16, Taste::First, rewrite()).await;
    scene.finished().await;
    let summary = scene.summary().await;
    assert_eq!(summary.unmeasured, 0);
    assert_eq!((summary.best.unwrap().mean, summary.pairs), (0.5, 0));
    assert_eq!(summary.gain.unwrap().winners.mean, 0.0);
    let other = "SELECT count(*) FROM grades WHERE value <> 0.5";
    assert_eq!(scene.count(other).await, 0);
    let told = |m: &String| m.contains("contradicted itself on");
    assert!(summary.marks.iter().any(told), "{:?}", summary.marks);
}

#[tokio::test]
async fn a_judge_that_cannot_be_read_ties_and_is_told() {
    let scene = Scene::new(12, Taste::Silent, rewrite()).await;
    scene.finished().await;
    let summary = scene.summary().await;
    assert_eq!((summary.unmeasured, summary.pairs), (0, 0));
    let told = |m: &String| m.contains("no verdict that can be read");
    assert!(summary.marks.iter().any(told), "{:?}", summary.marks);
}

/// Every answer has a grade; the judge is asked twice about each pair of texts that differ, and never again.
#[tokio::test]
async fn pairs_are_asked_about_in_both_orders_and_once() {
    let scene = Scene::new(16, Taste::Longer, rewrite()).await;
    scene.finished().await;
    let steps = scene.world.store.steps(scene.world.run).await.unwrap();
    let of = |step| {
        let steps = steps.iter().filter(move |s| s.key.step == step);
        steps.map(|s| s.items).collect::<Vec<_>>()
    };
    // Baseline, two rounds, the placebo arm, the confirmation.
    assert_eq!((of(Step::Judge).len(), of(Step::Score).len()), (5, 5));
    // In the baseline the unchanged prompt would be compared with itself.
    assert_eq!((of(Step::Judge)[0], of(Step::Score)[0]), (0, 16));
    let graded = "SELECT count(*) FROM v_items WHERE step = 'score' AND grader = 'judge' AND value IS NOT NULL";
    let tried = "SELECT count(*) FROM v_items WHERE step IN ('propose', 'answer') AND candidate_id IS NOT NULL";
    assert_eq!(scene.count(graded).await, scene.count(tried).await);
    let judged = scene.judge.asked();
    assert!(judged > 10 && judged % 2 == 0, "{judged}");
    assert!(scene.judge.no_pair_came_twice());
    let bought = "SELECT count(DISTINCT key) FROM v_items WHERE step = 'judge'";
    assert_eq!(scene.count(bought).await, judged as u64);
    // Everything that was called is in the ledger.
    let spend = scene.world.store.spend(scene.world.run).await.unwrap();
    assert!(spend.calls >= *scene.judge.calls.lock().unwrap());
    let lost = "SELECT count(*) FROM tasks WHERE state <> 'done'";
    assert_eq!(scene.count(lost).await, 0);
}

/// The coordinator dies again and again, and so do workers with verdicts in their hands.
#[tokio::test]
async fn no_death_of_coordinator_or_worker_changes_what_is_found() {
    for settings in [rewrite(), instruct()] {
        let n = if settings.instruct.is_some() { 80 } else { 16 };
        let calm = Scene::new(n, Taste::Longer, settings.clone()).await;
        calm.finished().await;
        let hurt = Scene::new(n, Taste::Longer, settings).await;
        let mut worker = hurt.world.worker();
        let replaced = |life| {
            if life % 7 == 6 {
                worker.abort();
                worker = hurt.world.worker();
            }
        };
        let polls = |life| 10 + life % 53;
        hurt.world.outlive(3_000, polls, replaced).await;
        worker.abort();
        assert_eq!(hurt.projection().await, calm.projection().await);
    }
}

/// A judge that is away is no verdict: the run waits for it, and ends as if nothing had been.
#[tokio::test]
async fn an_outage_of_the_judge_is_no_grade() {
    let calm = Scene::new(12, Taste::Longer, rewrite()).await;
    calm.finished().await;
    let scene = Scene::new(12, Taste::Away, rewrite()).await;
    let worker = scene.world.worker();
    let Outcome::Paused(reason) = scene.world.drive(true).await else {
        panic!("not paused");
    };
    assert!(reason.contains("the judge is away"), "{reason}");
    assert_eq!(
        scene
            .count("SELECT count(*) FROM grades WHERE value <> 0.5")
            .await,
        0
    );
    *scene.judge.taste.lock().unwrap() = Taste::Longer;
    scene.world.resume().await;
    scene.world.store.revive(scene.world.run, 4).await.unwrap();
    assert_eq!(scene.world.drive(true).await, Outcome::Finished);
    worker.abort();
    assert_eq!(scene.projection().await, calm.projection().await);
}

/// Verdicts count against the budget like any other call.
#[tokio::test]
async fn a_budget_is_kept_with_a_judge() {
    let cap = 42;
    let limits = Limits {
        calls: Some(cap),
        ..Limits::default()
    };
    let scene = Scene::within(12, Taste::Longer, rewrite(), limits).await;
    let worker = scene.world.worker();
    let Outcome::Paused(reason) = scene.world.drive(true).await else {
        panic!("not paused");
    };
    worker.abort();
    assert!(reason.contains("calls"), "{reason}");
    assert!(scene.judge.asked() > 0);
    assert!(*scene.judge.calls.lock().unwrap() <= cap);
}

#[tokio::test]
async fn an_evaluation_holds_prompts_against_the_first() {
    let named = |name: &str, user: &str| NamedPrompt {
        name: name.into(),
        doc: PromptDoc {
            user: user.into(),
            ..PromptDoc::default()
        },
    };
    let settings = Settings {
        kind: RunKind::Evaluate,
        repeats: 2,
        eval: EvalPlan {
            models: vec![TARGET.into()],
            prompts: vec![
                named("plain", "{input}"),
                named("clear", "Answer clearly: {input}"),
                named("other", "Please: {input}"),
            ],
            ..EvalPlan::default()
        },
        ..rewrite()
    };
    let scene = Scene::new(16, Taste::Longer, settings).await;
    scene.finished().await;
    let (store, run) = (scene.world.store.as_ref(), scene.run().await);
    let summary = summary::evaluation(store, &run, &scene.world.settings, 2).await;
    let cells = summary.unwrap().cells;
    let means: Vec<(&str, f64, u64, u64)> = cells
        .iter()
        .map(|c| {
            (
                c.prompt.as_str(),
                c.mean.unwrap().mean,
                c.asked,
                c.unmeasured,
            )
        })
        .collect();
    let expected = [
        ("plain", 0.5, 32, 0),
        ("clear", 1.0, 32, 0),
        ("other", 0.5, 32, 0),
    ];
    assert_eq!(means, expected);
    // Both repeats of a question have the same two texts; the third prompt's answers are those of the first.
    assert_eq!(scene.judge.asked(), 2 * 16);
}

#[tokio::test]
async fn an_instruction_that_the_judge_prefers_is_found_and_measured() {
    let scene = Scene::new(80, Taste::Longer, instruct()).await;
    scene.finished().await;
    let summary = scene.instruct().await;
    let (start, chosen) = (summary.start.unwrap(), summary.chosen.unwrap());
    assert_ne!(start.candidate, chosen.candidate);
    assert_eq!(start.test.unwrap().mean, 0.5);
    assert_eq!(chosen.test.unwrap().mean, 1.0, "{:?}", chosen.doc);
    assert_eq!(summary.gain.unwrap().mean, 0.5);
    assert_eq!((summary.noise_floor, summary.unmeasured), (Some(0.0), 0));
    assert!(
        summary
            .marks
            .iter()
            .any(|m| m.contains("first start prompt"))
    );
    // Whatever a prompt was tried on, the start prompt was too, and both within the calls of the search.
    let alone = "SELECT count(*) FROM v_items i WHERE step = 'answer' AND NOT EXISTS (
                 SELECT 1 FROM v_items o JOIN candidates c ON c.id = o.candidate_id AND c.arm = 'original'
                  WHERE o.step = 'answer' AND o.example_id = i.example_id AND o.repeat = i.repeat)";
    assert_eq!(scene.count(alone).await, 0);
    let searched = "SELECT count(*) FROM v_items WHERE step = 'answer' AND kind <> 'confirm'";
    let searched = scene.count(searched).await;
    assert!((CALLS * 8 / 10..=CALLS).contains(&searched), "{searched}");
    assert!(scene.judge.no_pair_came_twice());
}

#[tokio::test]
async fn no_instruction_is_better_to_a_judge_that_prefers_a_place() {
    let scene = Scene::new(80, Taste::First, instruct()).await;
    scene.finished().await;
    let summary = scene.instruct().await;
    let gain = summary.gain.map_or(0.0, |g| g.mean);
    assert_eq!((gain, summary.unmeasured), (0.0, 0));
    let told = |m: &String| m.contains("contradicted itself on");
    assert!(summary.marks.iter().any(told), "{:?}", summary.marks);
}

/// Where a run has no such model, it says so.
#[tokio::test]
async fn a_judge_that_nobody_knows_is_named() {
    let mut settings = rewrite();
    settings.datasets[0].grader = Grader::Judge {
        model: "nobody".into(),
        rubric: None,
        identity: String::new(),
    };
    let scene = Scene::new(6, Taste::Longer, settings).await;
    let worker = scene.world.worker();
    let (config, deps) = scene.world.parts();
    let ended = coordinator::run(scene.world.run, config, deps, Shutdown::new(), true).await;
    worker.abort();
    let told = match ended {
        Err(error) => error.to_string(),
        Ok(outcome) => format!("{outcome:?}"),
    };
    assert!(told.contains("nobody"), "{told}");
}
