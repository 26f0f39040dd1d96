//! Questions rewritten by operators that a spec names, with a scripted model, in whole runs with real store, queue, worker,
//! coordinator.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use coordinator::{
    Outcome,
    settings::{DrawPlan, PROPOSER, REWRITER, Settings},
    summary::{self, OperatorResult, Summary},
};
use domain::{
    call::{Answer, Call, Message, Reply, Role, Sampling, Usage},
    candidate::{Arm, Candidate, Verdict},
    hash::Hash,
    run::Limits,
};
use llm::{Identity, ModelError, Request, scripted::ScriptedModel};
use search::operator::Operator;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};
use store::{Results, Runs};
use support::World;

/// What all proposers were asked, each request in one text.
type Asked = Arc<Mutex<Vec<String>>>;

/// Openings that share no more than a word, so that no two rewrites are near-copies.
const WAYS: [&str; 12] = [
    "Tell me, please:",
    "From the catalogue:",
    "Look it up now.",
    "Somebody asked about this.",
    "Our shelf holds it.",
    "Think of the register.",
    "A small riddle:",
    "Take your time here.",
    "The librarian wonders.",
    "Straight to the point:",
    "Between us:",
    "Once more, slowly:",
];

fn is_proposal(messages: &[Message]) -> bool {
    let told = messages.iter().any(|m| m.content.contains("<prompt>"));
    // A rewriter that was trained is told nothing; the target is shown choices.
    told || !messages.iter().any(|m| m.content.contains("A. "))
}

/// Which kind of request it is, by words that only one operator says.
fn reflects(asked: &str) -> bool {
    asked.contains("Find what in the words led to this")
}

/// A rewrite that keeps the item's number; `clearly` is what the target needs.
fn rewrite(asked: &str, key: Hash, clearly: bool) -> String {
    let number: String = asked
        .rsplit("item ")
        .next()
        .unwrap()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let seed = key.seed();
    let (way, other) = (WAYS[(seed % 12) as usize], WAYS[(seed / 12 % 12) as usize]);
    let manner = if clearly {
        "clearly meant"
    } else {
        "roughly there"
    };
    format!("{way} {other} Which letter has item {number} of that long list, {manner}?")
}

/// A model for which a reflection, and nothing else, always finds the words that help.
fn reply(messages: &[Message], key: Hash, asked: &Asked) -> String {
    let last = &messages.last().unwrap().content;
    if !is_proposal(messages) {
        return support::text(last, key);
    }
    let whole: Vec<&str> = messages.iter().map(|m| m.content.as_str()).collect();
    let whole = whole.join("\n");
    let clearly = reflects(&whole);
    let text = rewrite(last, key, clearly);
    let bare = messages.len() == 1 && messages[0].role == Role::User;
    asked.lock().unwrap().push(whole);
    match bare {
        true => text,
        false => {
            let way = "<mutation>Ask for it in a friendlier manner.</mutation>";
            format!("{way}\n1. Joined.\n2. <prompt>{text}</prompt>")
        }
    }
}

fn model(asked: Asked) -> ScriptedModel {
    let identity = Identity {
        key: "scripted".into(),
        name: "scripted".into(),
        scores: true,
    };
    ScriptedModel::new(
        identity,
        move |request: &Request| -> Result<Answer, ModelError> {
            let Call::Generate { messages, .. } = &request.call else {
                return support::script(request);
            };
            Ok(Answer {
                reply: Reply::Text {
                    text: reply(messages, request.key, &asked),
                },
                usage: Usage {
                    prompt_tokens: 10,
                    completion_tokens: 5,
                },
                cost_micros: 3,
            })
        },
    )
}

struct Scene {
    world: World,
    asked: Asked,
}

impl Scene {
    async fn new(operators: &[Operator], change: impl FnOnce(&mut Settings)) -> Self {
        let asked = Asked::default();
        let mut world = World::with(24, model(asked.clone()), Limits::default()).await;
        let settings = &mut world.settings;
        settings.rounds = 4;
        settings.rewrites = 4;
        settings.drawn = Some(DrawPlan {
            operators: operators.to_vec(),
            weights: Vec::new(),
        });
        settings
            .sampling
            .insert(REWRITER.into(), Sampling::default());
        change(settings);
        Self { world, asked }
    }

    async fn finished(&self) -> Summary {
        let worker = self.world.worker();
        assert_eq!(self.world.drive(true).await, Outcome::Finished);
        worker.abort();
        self.summary().await
    }

    async fn summary(&self) -> Summary {
        let run = self.world.store.run(self.world.run).await.unwrap().unwrap();
        summary::search(self.world.store.as_ref(), &run, &self.world.settings, 2)
            .await
            .unwrap()
    }

    async fn candidates(&self) -> Vec<Candidate> {
        self.world.store.candidates(self.world.run).await.unwrap()
    }

    async fn projection(&self) -> Vec<String> {
        self.world.store.projection(self.world.run).await.unwrap()
    }
}

fn rewriting() -> Vec<Operator> {
    Operator::ALL
        .into_iter()
        .filter(Operator::rewrites)
        .collect()
}

fn name(candidate: &Candidate) -> &str {
    candidate.operator.split('@').next().unwrap()
}

#[tokio::test]
async fn every_operator_that_is_named_writes_and_is_noted_with_its_parents() {
    let scene = Scene::new(&rewriting(), |settings| settings.rounds = 6).await;
    let summary = scene.finished().await;
    let candidates = scene.candidates().await;
    let by_id: BTreeMap<_, &Candidate> = candidates.iter().map(|c| (c.id, c)).collect();
    let mut written: BTreeMap<&str, usize> = BTreeMap::new();
    for child in candidates.iter().filter(|c| c.arm == Arm::Search) {
        *written.entry(name(child)).or_default() += 1;
        let version = Operator::from_name(name(child)).unwrap().version();
        assert_eq!(child.operator, format!("{}@{version}", name(child)));
        let author = if name(child) == "rewriter" {
            REWRITER
        } else {
            PROPOSER
        };
        assert_eq!(child.author, author);
        let parents: Vec<&Candidate> = child.parents.iter().map(|p| by_id[p]).collect();
        assert!(
            parents
                .iter()
                .all(|p| p.target == child.target && p.round < child.round)
        );
        assert!(
            parents
                .iter()
                .all(|p| p.verdict == Verdict::Accepted && p.arm != Arm::Placebo)
        );
        let from_original = ["improve", "zero_order", "rewriter"].contains(&name(child));
        let expected = match name(child) {
            "improve" | "zero_order" | "rewriter" | "first_order" | "hyper_zero"
            | "hyper_first" | "reflect" | "paraphrase" | "shorten" => parents.len() == 1,
            "crossover" | "ga" => parents.len() == 2,
            "de" => (3..=4).contains(&parents.len()),
            "eda" | "eda_rank" | "lineage" => parents.len() >= 2,
            "trajectory" => !parents.is_empty(),
            other => panic!("{other} cannot write here"),
        };
        assert!(expected, "{}: {} parents", name(child), parents.len());
        assert!(!from_original || parents[0].arm == Arm::Original);
    }
    let named: BTreeSet<&str> = rewriting().iter().map(Operator::name).collect();
    let mut wrote: BTreeSet<&str> = written.keys().copied().collect();
    // With letters to choose from a right answer is the reference: nothing is guessed from it.
    assert!(wrote.insert("lamarckian"), "{written:?}");
    assert_eq!(wrote, named);
    let weight: f64 = summary.operators.iter().map(|o| o.weight).sum();
    assert!((weight - 1.0).abs() < 1e-6, "{:?}", summary.operators);
    let made: u64 = summary
        .operators
        .iter()
        .map(|o| o.accepted + o.rejected)
        .sum();
    assert_eq!(made as usize, written.values().sum::<usize>());
    // Ways to change are handed on and invented.
    let ways = |wanted: &str| {
        let of = candidates.iter().filter(|c| name(c) == wanted);
        of.filter_map(|c| c.doc.mutation.clone())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        ways("hyper_first"),
        BTreeSet::from(["Ask for it in a friendlier manner.".to_owned()])
    );
    assert!(ways("crossover").len() > 1);
}

fn of<'s>(summary: &'s Summary, name: &str) -> &'s OperatorResult {
    summary
        .operators
        .iter()
        .find(|o| o.operator == name)
        .unwrap()
}

#[tokio::test]
async fn weights_move_to_the_operator_whose_rewrites_help() {
    let operators = [
        Operator::Paraphrase,
        Operator::Reflect,
        Operator::FirstOrder,
    ];
    let scene = Scene::new(&operators, |_| {}).await;
    let summary = scene.finished().await;
    let reflect = of(&summary, "reflect");
    for other in ["paraphrase", "first_order"] {
        let other = of(&summary, other);
        assert!(
            reflect.weight > 2.0 * other.weight,
            "{:?}",
            summary.operators
        );
        assert!(reflect.success > other.success, "{:?}", summary.operators);
    }
    // What it found is what was kept.
    let candidates = scene.candidates().await;
    let is_clear = |c: &&Candidate| {
        c.doc
            .question
            .as_deref()
            .is_some_and(|q| q.contains("clearly"))
    };
    assert!(
        candidates
            .iter()
            .filter(is_clear)
            .all(|c| name(c) == "reflect")
    );
    assert!(summary.gain.unwrap().winners.mean > 0.9);
}

#[tokio::test]
async fn fixed_weights_are_kept_to() {
    let operators = [Operator::Paraphrase, Operator::Reflect];
    let scene = Scene::new(&operators, |settings| {
        let weights = vec![("paraphrase".to_owned(), 1.0), ("reflect".to_owned(), 0.0)];
        settings.drawn.as_mut().unwrap().weights = weights;
    })
    .await;
    let summary = scene.finished().await;
    let weights: Vec<f64> = summary.operators.iter().map(|o| o.weight).collect();
    assert_eq!(weights, [1.0, 0.0]);
    assert!(of(&summary, "paraphrase").compared > 0);
    let candidates = scene.candidates().await;
    let mut made = candidates.iter().filter(|c| c.arm == Arm::Search);
    assert!(made.all(|c| name(c) == "paraphrase"));
}

/// Nothing but the original is there in round 1: what continues a list has nothing to continue.
#[tokio::test]
async fn where_no_operator_can_begin_the_question_is_improved() {
    let scene = Scene::new(&[Operator::EdaRank], |_| {}).await;
    scene.finished().await;
    let candidates = scene.candidates().await;
    let mut rounds: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    for c in candidates.iter().filter(|c| c.arm == Arm::Search) {
        rounds.entry(c.round).or_default().insert(name(c));
    }
    assert_eq!(rounds[&1], BTreeSet::from(["improve"]));
    assert!(
        (2..=4).all(|r| rounds[&r].contains("eda_rank")),
        "{rounds:?}"
    );
}

/// Rewrites of one question that differ in a word or two are tried once, in either arm.
#[tokio::test]
async fn near_copies_are_refused_before_they_are_tried() {
    // The scripted model of the other tests changes one word and a number that is nowhere in the question.
    let mut world = World::new(24).await;
    world.settings.rounds = 2;
    world.settings.rewrites = 3;
    world.settings.drawn = Some(DrawPlan {
        operators: vec![Operator::ZeroOrder, Operator::Improve],
        weights: Vec::new(),
    });
    let worker = world.worker();
    assert_eq!(world.drive(true).await, Outcome::Finished);
    worker.abort();
    let candidates = world.store.candidates(world.run).await.unwrap();
    let mut tried: BTreeMap<_, usize> = BTreeMap::new();
    for c in candidates.iter().filter(|c| c.verdict == Verdict::Accepted) {
        *tried.entry((c.target, c.arm)).or_default() += 1;
    }
    // Of three in each round, and of six: one that says "clearly" and one that says "roughly".
    assert!(tried.values().all(|n| *n <= 2), "{tried:?}");
    let near = |c: &&Candidate| matches!(&c.verdict, Verdict::Rejected { reason, .. } if reason == "near_copy");
    for arm in [Arm::Search, Arm::Placebo] {
        assert!(
            candidates
                .iter()
                .filter(near)
                .filter(|c| c.arm == arm)
                .count()
                > 6
        );
    }
}

/// References of the test are texts like `alpha 6`: the choices, which stand in no question and no answer.
fn has_reference(asked: &str) -> bool {
    let words: Vec<&str> = asked.split(|c: char| !c.is_alphanumeric()).collect();
    let greek = ["alpha", "beta", "gamma", "delta"];
    words.iter().any(|word| greek.contains(word))
}

#[tokio::test]
async fn no_proposer_reads_a_reference_unless_the_spec_says_so() {
    let hidden = Scene::new(&rewriting(), |settings| settings.rounds = 6).await;
    let summary = hidden.finished().await;
    let asked = hidden.asked.lock().unwrap().clone();
    assert!(asked.len() > 100, "{}", asked.len());
    let told = asked.iter().find(|asked| has_reference(asked));
    assert_eq!(told, None);
    let marked = |summary: &Summary| {
        summary
            .marks
            .iter()
            .any(|m| m.contains("saw the references"))
    };
    assert!(!marked(&summary));
    // The probe of this test: where they may be seen, it finds them.
    let shown = Scene::new(&[Operator::Reflect], |settings| {
        settings.show_reference = true
    })
    .await;
    let summary = shown.finished().await;
    let asked = shown.asked.lock().unwrap().clone();
    assert!(asked.iter().any(|asked| has_reference(asked)) && marked(&summary));
}

#[tokio::test]
async fn the_same_seed_makes_the_same_rewrites_and_another_seed_others() {
    let of = async |seed: u64| {
        let scene = Scene::new(&rewriting(), |settings| settings.seed = seed).await;
        scene.finished().await;
        scene.projection().await
    };
    let (a, b, c) = (of(7).await, of(7).await, of(8).await);
    assert!(a.len() > 300, "{}", a.len());
    assert_eq!(a, b);
    assert_ne!(a, c);
}

/// The coordinator dies again and again while queue and worker live on.
#[tokio::test]
async fn no_death_of_the_coordinator_changes_what_is_written() {
    let calm = Scene::new(&rewriting(), |_| {}).await;
    let expected = calm.finished().await;
    let hurt = Scene::new(&rewriting(), |_| {}).await;
    let worker = hurt.world.worker();
    let polls = |life| 20 + life % 97;
    let deaths = hurt.world.outlive(4_000, polls, |_| {}).await;
    assert!(deaths > 20, "only {deaths} deaths: the test proves little");
    worker.abort();
    assert_eq!(hurt.summary().await.operators, expected.operators);
    assert_eq!(hurt.projection().await, calm.projection().await);
}
