//! A search for one instruction with a scripted model, in a whole run with real store, queue, worker, coordinator.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use coordinator::{
    Outcome,
    board::Pages,
    ingest::{Division, clusters, ingest},
    settings::{DatasetPlan, InstructPlan, Settings},
    summary::{self, InstructSummary},
};
use dataset::{Format, Ratios, Source};
use domain::{
    call::{Answer, Call, Message, Reply, Role, Usage},
    candidate::Verdict,
    example::Split,
    grade::Grader,
    hash::Hash,
    prompt::PromptDoc,
    run::{Limits, RoundKind, Step},
};
use llm::{Identity, ModelError, Request, scripted::ScriptedModel};
use queue::memory::MemoryQueue;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};
use store::{Examples, MemberPage, Results, Runs};
use store_sqlite::SqliteStore;
use support::World;

const CALLS: u64 = 400;
const ROUNDS: u32 = 8;
const WORDS: [&str; 24] = [
    "amber", "basket", "candle", "doctor", "engine", "forest", "garden", "hammer", "island",
    "jacket", "kettle", "ladder", "mirror", "needle", "orange", "pepper", "quarry", "ribbon",
    "saddle", "tunnel", "umbrella", "velvet", "walnut", "yellow",
];

/// What all proposers were asked, in the order of asking.
type Asked = Arc<Mutex<Vec<String>>>;

/// A sentence that looks like no other, and its label.
fn sentence(i: usize) -> (String, &'static str) {
    let seed = Hash::of([i.to_le_bytes()]).seed();
    let word = |k: u64| WORDS[((seed >> (5 * k)) % WORDS.len() as u64) as usize];
    let text: Vec<&str> = (0..8).map(word).collect();
    (
        format!("{} {i}", text.join(" ")),
        ["bad", "good"][(seed % 2) as usize],
    )
}

fn number(text: &str) -> usize {
    text.rsplit(' ').next().unwrap().parse().unwrap()
}

fn is_proposal(messages: &[Message]) -> bool {
    messages.iter().any(|m| m.content.contains("<prompt>"))
}

/// How often the target is right: half of the time, more where it is told to be careful, more with demonstrations.
fn skill(messages: &[Message]) -> u64 {
    let told = messages.iter().any(|m| m.content.contains("carefully"));
    let shown = messages.iter().any(|m| m.role == Role::Assistant);
    50 + if told { 25 } else { 0 } + if shown { 10 } else { 0 }
}

fn reply(messages: &[Message], key: Hash, asked: &Asked) -> String {
    if is_proposal(messages) {
        let whole: Vec<&str> = messages.iter().map(|m| m.content.as_str()).collect();
        asked.lock().unwrap().push(whole.join("\n"));
        let manner = ["carefully", "quickly", "slowly", "roughly"][(key.seed() % 4) as usize];
        return format!(
            "<prompt>Read the words {manner} and say whether they are good or bad, as reader {} would.</prompt>",
            key.seed() % 1000
        );
    }
    let last = &messages.last().unwrap().content;
    let i = number(last);
    let right = Hash::of(["right".as_bytes(), &i.to_le_bytes()]).seed() % 100 < skill(messages);
    let (_, label) = sentence(i);
    match (right, label) {
        (true, label) => label.to_owned(),
        (false, "good") => "bad".to_owned(),
        (false, _) => "good".to_owned(),
    }
}

struct Scene {
    world: World,
    asked: Asked,
}

impl Scene {
    async fn new(n: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("notes.tsv");
        let row = |i: usize| {
            let (text, label) = sentence(i);
            format!("{text}\t{label}\n")
        };
        std::fs::write(&file, (0..n).map(row).collect::<String>()).unwrap();
        let store = SqliteStore::open(&dir.path().join("test.db"))
            .await
            .unwrap();
        let store = Arc::new(store);
        let run = support::create(store.as_ref(), &Limits::default()).await;
        let source = Source::new("notes", Format::Classification, &file);
        let division = Division::Split {
            seed: 7,
            ratios: Ratios::new(0.5, 0.2, 0.3).unwrap(),
            clusters: clusters(std::slice::from_ref(&source)).unwrap(),
        };
        ingest(store.as_ref(), run, &source, &division)
            .await
            .unwrap();
        let asked: Asked = Arc::default();
        let world = World {
            _dir: dir,
            store,
            queue: Arc::new(MemoryQueue::new()),
            model: Arc::new(model(asked.clone(), true)),
            settings: settings(),
            quota: None,
            run,
        };
        Self { world, asked }
    }

    async fn with_population(n: usize, population: Option<usize>) -> Self {
        let mut scene = Self::new(n).await;
        if let Some(plan) = &mut scene.world.settings.instruct {
            plan.population = population;
        }
        scene
    }

    async fn summary(&self) -> InstructSummary {
        let run = self.world.store.run(self.world.run).await.unwrap().unwrap();
        summary::instruct(self.world.store.as_ref(), &run, &self.world.settings, 2)
            .await
            .unwrap()
    }

    async fn finished(&self) -> InstructSummary {
        let worker = self.world.worker();
        assert_eq!(self.world.drive(true).await, Outcome::Finished);
        worker.abort();
        self.summary().await
    }

    /// The split of every example, by id.
    async fn splits(&self) -> HashMap<Hash, (Split, String)> {
        let page = MemberPage {
            run: self.world.run,
            dataset: None,
            split: None,
            after: 0,
            limit: 10_000,
        };
        let members = self.world.store.members(&page).await.unwrap();
        let one = |(_, m, e): (i64, domain::run::Member, domain::example::Example)| {
            (m.example, (m.split, e.input))
        };
        members.into_iter().map(one).collect()
    }
}

/// Where it is not able, the target never says a label.
fn model(asked: Asked, able: bool) -> ScriptedModel {
    let identity = Identity {
        key: "scripted".into(),
        name: "scripted".into(),
        scores: false,
    };
    let script = move |request: &Request| -> Result<Answer, ModelError> {
        let Call::Generate { messages, .. } = &request.call else {
            panic!("no log-likelihood is asked");
        };
        Ok(Answer {
            reply: Reply::Text {
                text: match able || is_proposal(messages) {
                    true => reply(messages, request.key, &asked),
                    false => "I cannot tell.".to_owned(),
                },
            },
            usage: Usage {
                prompt_tokens: 10,
                completion_tokens: 2,
            },
            cost_micros: 3,
        })
    };
    ScriptedModel::new(identity, script)
}

fn settings() -> Settings {
    let start = PromptDoc {
        user: "{instruction}\n\n{input}".into(),
        instruction: Some("Are these words good or bad?".into()),
        ..PromptDoc::default()
    };
    Settings {
        datasets: vec![DatasetPlan {
            name: "notes".into(),
            grader: Grader::Label {
                labels: vec!["good".into(), "bad".into()],
            },
            hardest: 0,
        }],
        instruct: Some(InstructPlan {
            bearing: ROUNDS - ROUNDS / 5,
            description: "Say whether a list of words is good or bad.".into(),
            starts: vec![start],
            calls: CALLS,
            rounds: ROUNDS,
            candidates: 3,
            population: None,
            shots: 3,
            block: 8,
            alpha: 0.05,
            operators: Vec::new(),
            weights: Vec::new(),
            must_keep: Vec::new(),
            must_not_contain: vec!["slowly".into()],
            length_price: 0.0,
            test_repeats: 2,
        }),
        ..support::settings()
    }
}

#[tokio::test]
async fn a_better_instruction_is_found_and_measured_on_what_was_sealed() {
    let scene = Scene::new(400).await;
    let summary = scene.finished().await;
    let (start, chosen) = (summary.start.unwrap(), summary.chosen.unwrap());
    assert_ne!(start.candidate, chosen.candidate);
    // The start prompt is right half of the time, the best ones at 85%.
    let (before, after) = (start.test.unwrap(), chosen.test.unwrap());
    assert!((0.38..0.62).contains(&before.mean), "{before:?}");
    assert!(after.mean > 0.70, "{chosen:?}");
    let gain = summary.gain.unwrap();
    assert!(gain.ci95.0 > 0.05, "{gain:?}");
    assert!((gain.mean - (after.mean - before.mean)).abs() < 1e-9);
    // A target that says the same each time has no noise.
    assert_eq!(summary.noise_floor, Some(0.0));
    assert_eq!(summary.unmeasured, 0);
    // What is believed of the choice is near what it is, though it was the best of many.
    assert!((chosen.estimate - 0.85).abs() < 0.08, "{chosen:?}");
    // It is listed whole, beside the start prompt, which is shorter.
    let listed: Vec<_> = summary.front.iter().map(|p| (p.chosen, &p.doc)).collect();
    assert!(listed.contains(&(true, &chosen.doc)) && listed.contains(&(false, &start.doc)));
    let made: u64 = summary.operators.iter().map(|o| o.accepted).sum();
    assert!(made >= u64::from(ROUNDS), "{:?}", summary.operators);
    let drawn: f64 = summary.operators.iter().map(|o| o.weight).sum();
    assert!((drawn - 1.0).abs() < 1e-6, "{:?}", summary.operators);
}

#[tokio::test]
async fn calls_are_kept_to_and_test_examples_are_sealed_until_the_end() {
    let scene = Scene::new(400).await;
    let summary = scene.finished().await;
    let splits = scene.splits().await;
    let mut asked: BTreeMap<&str, u64> = BTreeMap::new();
    for status in scene.world.store.steps(scene.world.run).await.unwrap() {
        let mut pages = Pages::new(status.key);
        while let Some(page) = pages.next(scene.world.store.as_ref()).await.unwrap() {
            for outcome in page {
                if status.key.step != Step::Answer {
                    continue;
                }
                let (split, _) = &splits[&outcome.item.example.unwrap()];
                let last = status.kind == RoundKind::Confirm;
                assert_eq!(
                    *split == Split::Train,
                    !last,
                    "{:?} in {:?}",
                    split,
                    status.key
                );
                *asked
                    .entry(if last { "last" } else { "search" })
                    .or_default() += 1;
            }
        }
    }
    assert!(
        asked["search"] <= CALLS && asked["search"] > CALLS * 9 / 10,
        "{asked:?}"
    );
    let of = |wanted: Split| splits.values().filter(|(s, _)| *s == wanted).count() as u64;
    // Start and chosen prompt, validation once and test twice.
    assert_eq!(
        asked["last"],
        2 * (of(Split::Validation) + 2 * of(Split::Test))
    );
    // No proposer reads a word of them, and calls grow from round to round as the plan says.
    let told = scene.asked.lock().unwrap().join("\n");
    assert!(told.contains("<prompt>"));
    for (split, input) in splits.values() {
        assert!(
            *split == Split::Train || !told.contains(input),
            "{split:?}: {input}"
        );
    }
    let calls: Vec<u64> = summary.trajectory.iter().map(|r| r.calls).collect();
    let most = |round: u64| CALLS * (round + 1) / (u64::from(ROUNDS) + 1);
    for round in &summary.trajectory {
        assert!(round.calls <= most(u64::from(round.round)), "{calls:?}");
    }
}

#[tokio::test]
async fn a_prompt_is_never_tried_on_what_it_shows_and_keeps_to_what_is_forbidden() {
    let scene = Scene::new(300).await;
    scene.finished().await;
    let store = &scene.world.store;
    let candidates = store.candidates(scene.world.run).await.unwrap();
    let accepted = candidates.iter().filter(|c| c.verdict == Verdict::Accepted);
    let docs: HashMap<_, &PromptDoc> = accepted.map(|c| (c.id, &c.doc)).collect();
    assert!(docs.values().any(|doc| !doc.shots.is_empty()));
    for doc in docs.values() {
        assert!(
            !doc.instruction.as_deref().unwrap().contains("slowly"),
            "{doc:?}"
        );
    }
    let why = |v: &Verdict| matches!(v, Verdict::Rejected { reason, .. } if reason == "forbidden");
    assert!(candidates.iter().any(|c| why(&c.verdict)));
    for status in store.steps(scene.world.run).await.unwrap() {
        let mut pages = Pages::new(status.key);
        while let Some(page) = pages.next(store.as_ref()).await.unwrap() {
            for outcome in page {
                let (Some(c), Some(e)) = (outcome.item.candidate, outcome.item.example) else {
                    continue;
                };
                assert!(!docs[&c].shows(e));
            }
        }
    }
}

#[tokio::test]
async fn the_same_seed_makes_the_same_search_and_another_seed_another() {
    let (a, b) = (Scene::new(200).await, Scene::new(200).await);
    let mut c = Scene::new(200).await;
    c.world.settings.seed = 8;
    let mut found = Vec::new();
    for scene in [&a, &b, &c] {
        scene.finished().await;
        found.push(scene.world.store.projection(scene.world.run).await.unwrap());
    }
    assert!(found[0].len() > 200);
    assert_eq!(found[0], found[1]);
    assert_ne!(found[0], found[2]);
}

/// The coordinator dies again and again while queue and worker live on.
#[tokio::test]
async fn no_death_of_the_coordinator_changes_what_is_found() {
    for population in [None, Some(4)] {
        let calm = Scene::with_population(200, population).await;
        let expected = calm.finished().await;
        let hurt = Scene::with_population(200, population).await;
        let worker = hurt.world.worker();
        hurt.world
            .outlive(2_000, |life| 20 + life % 97, |_| {})
            .await;
        worker.abort();
        let found = hurt.summary().await;
        assert_eq!(
            (found.start.map(|s| s.test), found.gain),
            (expected.start.map(|s| s.test), expected.gain)
        );
        let of = async |s: &Scene| s.world.store.projection(s.world.run).await.unwrap();
        assert_eq!(of(&hurt).await, of(&calm).await);
    }
}

#[tokio::test]
async fn fixed_weights_are_kept_to() {
    let mut scene = Scene::new(200).await;
    if let Some(plan) = &mut scene.world.settings.instruct {
        plan.operators = vec!["shots".into(), "paraphrase".into()];
        plan.weights = vec![("shots".into(), 1.0), ("paraphrase".into(), 0.0)];
    }
    let summary = scene.finished().await;
    let weights: Vec<(&str, f64)> = summary
        .operators
        .iter()
        .map(|o| (o.operator.as_str(), o.weight))
        .collect();
    assert_eq!(weights, [("shots", 1.0), ("paraphrase", 0.0)]);
    let candidates = scene.world.store.candidates(scene.world.run).await.unwrap();
    assert!(
        candidates
            .iter()
            .skip(1)
            .all(|c| c.operator.starts_with("shots@"))
    );
    // Nobody had to be asked.
    assert!(scene.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_search_that_found_nothing_says_so() {
    let says_so = |s: &InstructSummary| s.marks.iter().any(|m| m.contains("keep that one"));
    let able = Scene::new(200).await;
    assert!(!says_so(&able.finished().await));
    let mut unable = Scene::new(200).await;
    unable.world.model = Arc::new(model(unable.asked.clone(), false));
    let summary = unable.finished().await;
    assert!(says_so(&summary), "{:?}", summary.marks);
    assert_eq!(summary.chosen.unwrap().train_mean, 0.0);
}

/// For each round how many prompts were asked in it.
async fn asked_in_rounds(scene: &Scene) -> Vec<usize> {
    let mut out = Vec::new();
    for status in scene.world.store.steps(scene.world.run).await.unwrap() {
        if status.key.step != Step::Answer || status.kind == RoundKind::Confirm {
            continue;
        }
        let mut pages = Pages::new(status.key);
        let mut asked = BTreeSet::new();
        while let Some(page) = pages.next(scene.world.store.as_ref()).await.unwrap() {
            asked.extend(page.into_iter().filter_map(|o| o.item.candidate));
        }
        out.push(asked.len());
    }
    out
}

/// Promptbreeder's way: the loser of a tournament is replaced by a changed copy of the winner.
#[tokio::test]
async fn losers_of_tournaments_make_room_and_are_asked_no_more() {
    let free = Scene::new(200).await;
    let limited = Scene::with_population(200, Some(4)).await;
    let (without, with) = (free.finished().await, limited.finished().await);
    let alive = |s: &InstructSummary| s.trajectory.iter().map(|r| r.alive).collect::<Vec<_>>();
    assert!(alive(&without).iter().any(|n| *n > 8), "{without:?}");
    // One start prompt, three newcomers, and then each takes another's place.
    assert_eq!(alive(&with)[0], 1);
    assert!(alive(&with)[1..].iter().all(|n| *n == 4), "{with:?}");
    assert!(with.trajectory.iter().map(|r| r.accepted).sum::<u64>() > 12);
    assert!(asked_in_rounds(&free).await.iter().any(|n| *n > 4));
    assert!(asked_in_rounds(&limited).await.iter().all(|n| *n <= 4));
    // Who left may still be chosen: what was measured of it stays.
    assert!(with.chosen.unwrap().estimate > 0.6);
}
