//! Every adapter passes the same suite.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod support;

use domain::call::{Reply, Score};
use llm::{
    ErrorKind, Identity, LanguageModel, ModelError,
    conformance::{Suite, check},
    http::{HttpModel, price::Price},
    scripted::{ScriptedModel, answer, text_answer},
};
use support::{Server, request, score};

fn suite(scores: bool) -> Suite {
    let mut good: Vec<_> = ["red", "green", "blue", "two words"].map(request).into();
    if scores {
        good.insert(1, score("the sky is", &[" blue", " really green", ""]));
        good.push(score("one", &[" more"]));
    }
    Suite {
        good,
        bad: Some(request("fault=400")),
        deterministic: true,
    }
}

#[tokio::test]
async fn http_conforms() {
    let server = Server::start();
    let mut options = server.options();
    (options.price_in, options.price_out) = (150_000, 600_000);
    check(&HttpModel::new(options.clone()).unwrap(), &suite(false)).await;
    options.score_endpoint = true;
    check(&HttpModel::new(options).unwrap(), &suite(true)).await;
}

#[tokio::test]
async fn http_scores_are_the_servers() {
    let server = Server::start();
    let mut options = server.options();
    options.score_endpoint = true;
    let model = HttpModel::new(options).unwrap();
    let request = score("the sky is", &[" blue", " really green", ""]);
    let answer = model.call(vec![request]).await.remove(0).unwrap();
    let of = |logprob, tokens| Score { logprob, tokens };
    let scores = vec![of(-5.0, 1), of(-13.0, 2), of(0.0, 0)];
    assert_eq!(answer.reply, Reply::Scores { scores });
    assert_eq!(answer.usage.total(), 4 + 5 + 3);
}

fn scripted(scores: bool) -> ScriptedModel {
    let identity = Identity {
        key: "scripted".into(),
        name: "scripted".into(),
        scores,
    };
    let model = ScriptedModel::new(identity, |r| match &r.call {
        domain::call::Call::Generate { messages, .. } => {
            let asked = &messages[1].content;
            if asked.contains("fault") {
                return Err(ModelError::new(ErrorKind::Call, "told to fail"));
            }
            Ok(text_answer(&r.call, format!("you said {asked}")))
        }
        domain::call::Call::Loglik { continuations, .. } => {
            let of = |c: &String| Score {
                logprob: -(c.len() as f64),
                tokens: 1,
            };
            Ok(answer(
                &r.call,
                Reply::Scores {
                    scores: continuations.iter().map(of).collect(),
                },
            ))
        }
    });
    model.with_price(Price {
        input: 150_000,
        output: 600_000,
    })
}

#[tokio::test]
async fn scripted_conforms() {
    check(&scripted(false), &suite(false)).await;
    check(&scripted(true), &suite(true)).await;
}

#[tokio::test]
#[should_panic(expected = "not in the order")]
async fn the_suite_sees_answers_in_the_wrong_order() {
    struct Backwards(ScriptedModel);
    #[async_trait::async_trait]
    impl LanguageModel for Backwards {
        fn identity(&self) -> &Identity {
            self.0.identity()
        }
        async fn call(
            &self,
            block: Vec<llm::Request>,
        ) -> Vec<Result<domain::call::Answer, ModelError>> {
            self.0.call(block.into_iter().rev().collect()).await
        }
        fn worst_case(&self, call: &domain::call::Call) -> llm::WorstCase {
            self.0.worst_case(call)
        }
    }
    check(&Backwards(scripted(false)), &suite(false)).await;
}
