//! An evaluation of rewriters with a scripted model, in a whole run with real store, queue, worker, coordinator.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use coordinator::{
    Outcome,
    settings::{EvalPlan, PROPOSER, Proposes, Settings},
    summary::{self, RewriterSummary},
};
use domain::{
    call::{Answer, Call, Reply},
    candidate::{Arm, Candidate, Verdict},
    run::{Limits, RunKind},
};
use llm::{Identity, ModelError, Request, scripted::ScriptedModel};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};
use store::{Results, Runs};
use support::{REWRITER, World};

/// What the trained rewriter was asked.
type Heard = Arc<Mutex<Vec<String>>>;

/// The rewriter says "clearly" for every question but each fourth (nothing), and each fourth after it (an apology);
/// the proposer writes what the tests' script writes. A question that says "clearly" is answered rightly, a vague one
/// wrongly.
fn script(heard: Heard) -> impl Fn(&Request) -> Result<Answer, ModelError> {
    move |request| {
        let Call::Generate { messages, .. } = &request.call else {
            return support::script(request);
        };
        let asked = &messages.last().unwrap().content;
        if asked.contains("<question>") || asked.contains("alpha") {
            return support::script(request);
        }
        assert_eq!(messages.len(), 1, "a rewriter reads nothing but the prompt");
        heard.lock().unwrap().push(asked.clone());
        let number: usize = asked
            .split("item ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next()?.parse().ok())
            .unwrap();
        let text = match number % 4 {
            0 => String::new(),
            1 => "I'm sorry, but I can't help with that.".to_owned(),
            _ => format!("Say clearly for item {number} of the long list: which letter?"),
        };
        let answer = support::script(request)?;
        Ok(Answer {
            reply: Reply::Text { text },
            ..answer
        })
    }
}

async fn world(n: usize, limits: Limits) -> (World, Heard) {
    let heard = Heard::default();
    let identity = Identity {
        key: "scripted".into(),
        name: "scripted".into(),
        scores: true,
    };
    let model = ScriptedModel::new(identity, script(heard.clone()));
    let mut world = World::with(n, model, limits).await;
    world.settings = Settings {
        kind: RunKind::Evaluate,
        repeats: 4,
        eval: EvalPlan {
            rewriters: vec![REWRITER.into(), PROPOSER.into()],
            ..EvalPlan::default()
        },
        ..world.settings
    };
    (world, heard)
}

async fn summary(world: &World) -> RewriterSummary {
    let run = world.store.run(world.run).await.unwrap().unwrap();
    summary::rewriters(world.store.as_ref(), &run, &world.settings, 2)
        .await
        .unwrap()
}

#[tokio::test]
async fn rewriters_are_compared_on_the_same_draws_and_a_fallback_is_a_tie() {
    let (world, heard) = world(32, Limits::default()).await;
    let worker = world.worker();
    assert_eq!(world.drive(true).await, Outcome::Finished);
    worker.abort();
    assert_eq!(heard.lock().unwrap().len(), 32);
    let of = summary(&world).await;
    let trained = &of.rewriters[0];
    assert_eq!((trained.rewriter.as_str(), trained.prompts), (REWRITER, 32));
    // Of each four questions: an empty reply, an apology, a vague question made clear, and one that was clear before.
    let reasons: Vec<(&str, u64)> = trained
        .fallbacks
        .iter()
        .map(|(r, n)| (r.as_str(), *n))
        .collect();
    assert_eq!(reasons, [("declined", 8), ("empty", 8)]);
    assert_eq!((trained.wins, trained.ties, trained.losses), (8, 24, 0));
    let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
    assert!(near(trained.gain.unwrap().mean, 0.25), "{trained:?}");
    assert!(near(trained.human_level.unwrap().mean, (8.0 + 12.0) / 32.0));
    assert!(near(trained.as_good.unwrap().mean, 1.0));
    assert!(trained.claimed);
    // The hard half are the vague questions, of which the rewriter makes half clear.
    assert!(near(trained.hard.unwrap().mean, 0.5), "{trained:?}");
    let controls = &of.controls[0];
    assert!(near(controls.original.unwrap().mean, 0.5));
    assert!(near(controls.unchanged.unwrap().mean, 1.0));
    let resampled = controls.resampled.unwrap();
    assert!(
        resampled.mean < 1.0,
        "another question's words do as well: {resampled:?}"
    );
    let difference = &of.differences[0];
    assert_eq!(
        (difference.rewriter.as_str(), difference.than.as_str()),
        (REWRITER, PROPOSER)
    );
    let proposer = &of.rewriters[1];
    let less = trained.gain.unwrap().mean - proposer.gain.unwrap().mean;
    assert!(near(difference.gain.mean, less));
    assert!(difference.gain.ci95.0 <= less && less <= difference.gain.ci95.1);
}

#[tokio::test]
async fn too_few_draws_claim_nothing() {
    let (mut world, _) = world(16, Limits::default()).await;
    world.settings.repeats = 3;
    let worker = world.worker();
    assert_eq!(world.drive(true).await, Outcome::Finished);
    worker.abort();
    let of = summary(&world).await;
    assert!(of.rewriters[0].human_level.unwrap().ci95.0 >= 0.5 && !of.rewriters[0].claimed);
    assert!(
        of.marks.iter().any(|m| m.contains("fewer than the 4")),
        "{:?}",
        of.marks
    );
}

/// It stops at its budget, goes on, and ends as if nothing had happened.
#[tokio::test]
async fn a_stopped_evaluation_goes_on_to_the_same_numbers() {
    let (whole, _) = world(16, Limits::default()).await;
    let worker = whole.worker();
    whole.drive(true).await;
    worker.abort();
    let few = Limits {
        calls: Some(60),
        ..Limits::default()
    };
    let (hurt, _) = world(16, few).await;
    let worker = hurt.worker();
    let Outcome::Paused(reason) = hurt.drive(true).await else {
        panic!("not paused");
    };
    assert!(reason.contains("calls"), "{reason}");
    hurt.store
        .add_limits(hurt.run, &Limits::default(), 4)
        .await
        .unwrap();
    hurt.resume().await;
    assert_eq!(hurt.drive(true).await, Outcome::Finished);
    worker.abort();
    let (a, b) = (summary(&whole).await, summary(&hurt).await);
    assert_eq!(
        (a.rewriters, a.controls, a.differences),
        (b.rewriters, b.controls, b.differences)
    );
    let projection = async |w: &World| w.store.projection(w.run).await.unwrap();
    assert_eq!(projection(&whole).await, projection(&hurt).await);
}

/// An outage is no loss: its prompts are left out.
#[tokio::test]
async fn what_could_not_be_answered_is_left_out() {
    let heard = Heard::default();
    let plain = script(heard);
    let failed = Arc::new(AtomicUsize::new(0));
    let counted = failed.clone();
    let identity = Identity {
        key: "scripted".into(),
        name: "scripted".into(),
        scores: true,
    };
    let model = ScriptedModel::new(identity, move |request: &Request| {
        let asked = serde_json::to_string(&request.call).unwrap();
        if asked.contains("item 6 ") && asked.contains("clearly") {
            counted.fetch_add(1, Ordering::Relaxed);
            return Err(ModelError::new(llm::ErrorKind::Call, "refused"));
        }
        plain(request)
    });
    let (other, _) = world(16, Limits::default()).await;
    let mut world = World::with(16, model, Limits::default()).await;
    world.settings = other.settings;
    let worker = world.worker();
    assert_eq!(world.drive(true).await, Outcome::Finished);
    worker.abort();
    assert!(failed.load(Ordering::Relaxed) > 0);
    let of = summary(&world).await;
    assert_eq!(of.rewriters[0].prompts, 15);
    assert!(of.unmeasured > 0);
    assert_eq!(of.rewriters[0].losses, 0);
}

/// What was trained on proves nothing, and nothing is asked.
#[tokio::test]
async fn prompts_that_were_trained_on_are_refused() {
    let (mut world, heard) = world(16, Limits::default()).await;
    let known = "ITEM 3 of the long list: which letter?";
    world
        .settings
        .know_seen([domain::proposal::fingerprint(known)]);
    let worker = world.worker();
    let (config, deps) = world.parts();
    let driven = coordinator::run(
        world.run,
        config,
        deps,
        runtime::shutdown::Shutdown::new(),
        true,
    );
    let said = match driven.await {
        Ok(Outcome::Failed(why)) => why,
        Ok(other) => panic!("{other:?}"),
        Err(error) => error.to_string(),
    };
    worker.abort();
    assert!(
        said.contains("1 of 16 prompts") && said.contains("item 3"),
        "{said}"
    );
    assert!(heard.lock().unwrap().is_empty());
}

/// The loop closes: a trained rewriter proposes in a search, in turn with the proposer.
#[tokio::test]
async fn a_rewriter_proposes_in_a_search() {
    let heard = Heard::default();
    let identity = Identity {
        key: "scripted".into(),
        name: "scripted".into(),
        scores: true,
    };
    let model = ScriptedModel::new(identity, script(heard.clone()));
    let mut world = World::with(24, model, Limits::default()).await;
    world.settings.operators = vec![Proposes::Proposer, Proposes::Rewriter];
    let worker = world.worker();
    assert_eq!(world.drive(true).await, Outcome::Finished);
    worker.abort();
    // Once in each of two rounds for each of six targets, as other draws of one question.
    assert_eq!(heard.lock().unwrap().len(), 12);
    let written = world.store.candidates(world.run).await.unwrap();
    let of = |author: &str, arm: Arm| {
        let found = written
            .iter()
            .filter(|c| c.author == author && c.arm == arm);
        found.cloned().collect::<Vec<_>>()
    };
    let (told, bare) = (of(PROPOSER, Arm::Search), of(REWRITER, Arm::Search));
    assert_eq!((told.len(), of(REWRITER, Arm::Placebo).len()), (12, 0));
    assert!(!bare.is_empty() && bare.iter().all(|c| c.operator == "rewriter@1"));
    assert!(told.iter().all(|c| c.operator != "rewriter@1"));
    let tried = |c: &&Candidate| c.verdict == Verdict::Accepted;
    assert!(bare.iter().filter(tried).count() >= 2, "{bare:?}");
}
