//! What every [`LanguageModel`] does, as a test that adapters run against themselves.
//!
//! It panics with a sentence where an adapter does not conform; it is meant to be called from tests.

use crate::{ErrorKind, LanguageModel, ModelError, Request};
use domain::{
    call::{Answer, Call, Reply},
    hash::Hash,
};

/// What the suite may ask of a model.
#[derive(Clone, Debug)]
pub struct Suite {
    /// At least two calls that the model answers, all with other keys and, where `deterministic`, with
    /// other replies: order is told by them.
    pub good: Vec<Request>,
    /// A call that fails by itself ([`ErrorKind::Call`]).
    pub bad: Option<Request>,
    /// Whether the same key gets the same reply.
    pub deterministic: bool,
}

/// Runs the whole suite.
///
/// # Panics
/// Where the model does not conform.
pub async fn check(model: &dyn LanguageModel, suite: &Suite) {
    assert!(
        suite.good.len() >= 2,
        "the suite needs at least two good calls"
    );
    identity_is_stable(model);
    assert!(
        model.call(Vec::new()).await.is_empty(),
        "an empty block has no answers"
    );
    let alone = answers_alone(model, suite).await;
    order_is_kept(model, suite, &alone).await;
    errors_stay_alone(model, suite, &alone).await;
    scores_are_as_announced(model, suite).await;
}

fn identity_is_stable(model: &dyn LanguageModel) {
    let identity = model.identity();
    assert!(
        !identity.key.is_empty() && !identity.name.is_empty(),
        "{identity:?} has an empty part"
    );
    assert_eq!(identity, model.identity(), "the identity changed");
}

/// Asks each good call by itself; checks its reply and its price.
async fn answers_alone(model: &dyn LanguageModel, suite: &Suite) -> Vec<Answer> {
    let mut alone: Vec<Answer> = Vec::new();
    for request in &suite.good {
        let answer = one(model, request)
            .await
            .unwrap_or_else(|e| panic!("a good call failed: {e}"));
        reply_fits(&request.call, &answer.reply);
        let worst = model.worst_case(&request.call);
        let total = answer.usage.total();
        assert!(
            worst.tokens >= total,
            "{total} tokens used, at most {} announced",
            worst.tokens
        );
        let (cost, most) = (answer.cost_micros, worst.cost_micros);
        assert!(
            most >= cost,
            "{cost} micro-dollars paid, at most {most} announced"
        );
        if suite.deterministic {
            let again = one(model, request)
                .await
                .expect("a good call failed the second time");
            assert_eq!(again.reply, answer.reply, "the same key got another reply");
            let seen = alone.iter().any(|a| a.reply == answer.reply);
            assert!(
                !seen,
                "two good calls have the same reply, so order cannot be told"
            );
        }
        alone.push(answer);
    }
    alone
}

async fn one(model: &dyn LanguageModel, request: &Request) -> Result<Answer, ModelError> {
    let mut answers = model.call(vec![request.clone()]).await;
    assert_eq!(answers.len(), 1, "one call, {} answers", answers.len());
    answers.remove(0)
}

fn reply_fits(call: &Call, reply: &Reply) {
    match (call, reply) {
        (Call::Generate { .. }, Reply::Text { text }) => {
            assert!(!text.trim().is_empty(), "an empty text is no answer");
        }
        (Call::Loglik { continuations, .. }, Reply::Scores { scores }) => {
            assert_eq!(
                scores.len(),
                continuations.len(),
                "one score per continuation"
            );
            let sane = scores
                .iter()
                .all(|s| s.logprob.is_finite() && s.logprob <= 1e-6);
            assert!(sane, "a score is no log-probability: {scores:?}");
        }
        (call, reply) => panic!("{reply:?} is no reply to {call:?}"),
    }
}

/// Asks all good calls as one block, forwards and backwards.
async fn order_is_kept(model: &dyn LanguageModel, suite: &Suite, alone: &[Answer]) {
    let forwards = model.call(suite.good.clone()).await;
    let mut backwards = model.call(suite.good.iter().rev().cloned().collect()).await;
    backwards.reverse();
    for block in [forwards, backwards] {
        assert_eq!(block.len(), alone.len(), "one answer per call");
        for ((got, expected), request) in block.iter().zip(alone).zip(&suite.good) {
            let got = got.as_ref().expect("a good call failed in a block");
            reply_fits(&request.call, &got.reply);
            if suite.deterministic {
                assert_eq!(
                    got.reply, expected.reply,
                    "answers are not in the order of their calls"
                );
            }
        }
    }
}

/// Puts the bad call between good ones.
async fn errors_stay_alone(model: &dyn LanguageModel, suite: &Suite, alone: &[Answer]) {
    let Some(bad) = &suite.bad else { return };
    let block = vec![suite.good[0].clone(), bad.clone(), suite.good[1].clone()];
    let answers = model.call(block).await;
    assert_eq!(answers.len(), 3, "one answer per call");
    let error = answers[1].as_ref().expect_err("the bad call was answered");
    assert_eq!(
        error.kind,
        ErrorKind::Call,
        "the bad call failed as another kind: {error}"
    );
    assert!(!error.message.is_empty(), "an error says something");
    for (place, expected) in [(0, &alone[0]), (2, &alone[1])] {
        let got = answers[place]
            .as_ref()
            .expect("a bad call failed its neighbour");
        if suite.deterministic {
            assert_eq!(
                got.reply, expected.reply,
                "a bad call changed its neighbour"
            );
        }
    }
}

/// A model that does not score says so and answers no [`Call::Loglik`]; one that does answers it.
async fn scores_are_as_announced(model: &dyn LanguageModel, suite: &Suite) {
    let scored = suite
        .good
        .iter()
        .any(|r| matches!(r.call, Call::Loglik { .. }));
    if model.identity().scores {
        assert!(scored, "the model scores, but the suite has no such call");
        return;
    }
    let call = Call::Loglik {
        messages: Vec::new(),
        prefix: "one two".into(),
        continuations: vec![" three".into()],
    };
    let request = Request {
        key: Hash::of(["conformance"]),
        call,
    };
    let error = one(model, &request)
        .await
        .expect_err("a model that scores nothing gave a score");
    assert!(
        !matches!(error.kind, ErrorKind::Retry { .. }),
        "scoring will not work later either"
    );
}
