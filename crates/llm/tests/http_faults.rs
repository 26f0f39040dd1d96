//! The HTTP adapter against a real server process that misbehaves on demand: what is sent again, what
//! it ends in, what it is charged, and that no bad reply ever becomes an answer.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod support;

use llm::{
    ErrorKind, LanguageModel, ModelError, Request,
    http::{HttpModel, HttpOptions},
};
use std::time::Duration;
use support::{KEY, Server, request, score, text};

const RETRY: ErrorKind = ErrorKind::Retry { after: None };

/// What faults end in when they do not go away, with two sendings at most:
/// directive, kind, how often it was sent, whether it is charged, a word of the message.
const FAULTS: [(&str, ErrorKind, usize, bool, &str); 22] = [
    ("429", RETRY, 2, false, "answered 429"),
    ("500", RETRY, 2, false, "answered 500"),
    ("503", RETRY, 2, false, "answered 503"),
    ("408", RETRY, 2, false, "answered 408"),
    ("409", RETRY, 2, false, "answered 409"),
    ("425", RETRY, 2, false, "answered 425"),
    ("hang", RETRY, 2, true, "call_timeout"),
    ("cut", RETRY, 2, true, "connection broke"),
    ("drop", RETRY, 2, true, "connection broke"),
    ("corrupt", ErrorKind::Call, 2, true, "not the JSON"),
    ("html", ErrorKind::Call, 2, true, "not the JSON"),
    (
        "echo_key",
        ErrorKind::Call,
        2,
        true,
        "no choices: bad key Bearer [secret]",
    ),
    ("no_choices", ErrorKind::Call, 2, true, "no choices"),
    ("empty", ErrorKind::Call, 2, true, "empty"),
    ("length", ErrorKind::Call, 1, true, "max_tokens"),
    (
        "refusal",
        ErrorKind::Call,
        1,
        true,
        "refused: I cannot help",
    ),
    ("content_filter", ErrorKind::Call, 1, true, "content filter"),
    ("huge", ErrorKind::Call, 1, true, "larger than"),
    (
        "400",
        ErrorKind::Call,
        1,
        false,
        "answered 400: told to fail, Bearer [secret]",
    ),
    ("422", ErrorKind::Call, 1, false, "answered 422"),
    ("401", ErrorKind::Model, 1, false, "check the API key"),
    ("404", ErrorKind::Model, 1, false, "model's name"),
];

fn impatient(server: &Server) -> HttpModel {
    let mut options = server.options();
    options.call_timeout = Duration::from_secs(3);
    options.retries = 1;
    options.max_body_bytes = 100_000;
    HttpModel::new(options).expect("these options are good")
}

fn faulty(fault: &str) -> String {
    format!("fault={fault}")
}

#[tokio::test]
async fn a_bad_reply_is_never_an_answer_and_never_hurts_its_neighbours() {
    let server = Server::start();
    let model = impatient(&server);
    // Good and bad alternate in one block.
    let block: Vec<Request> = FAULTS
        .iter()
        .flat_map(|(fault, ..)| [request(&format!("beside {fault}")), request(&faulty(fault))])
        .collect();
    let worst: Vec<_> = block.iter().map(|r| model.worst_case(&r.call)).collect();
    let answers = model.call(block).await;
    assert_eq!(answers.len(), 2 * FAULTS.len());
    let seen = server.stats().await.seen;
    for (i, (fault, kind, sent, charged, word)) in FAULTS.iter().enumerate() {
        assert!(
            text(&answers[2 * i]).starts_with("reply "),
            "{fault} hurt its neighbour"
        );
        let error = answers[2 * i + 1].as_ref().expect_err(fault);
        assert_eq!(error.kind, *kind, "{fault}: {error}");
        assert_eq!(seen[&faulty(fault)], *sent, "{fault}: {error}");
        assert!(error.message.contains(word), "{fault}: {error}");
        assert!(
            error.message.contains(&server.base_url()),
            "{fault}: {error}"
        );
        assert_eq!(error.paid.is_some(), *charged, "{fault}: {:?}", error.paid);
        let total = error.paid.map_or(0, |p| p.usage.total());
        assert!(
            total <= worst[2 * i + 1].tokens,
            "{fault}: {total} tokens charged"
        );
        no_secret(error);
    }
}

fn no_secret(error: &ModelError) {
    let shown = format!("{error} {error:?}");
    assert!(
        !shown.contains(KEY) && !shown.contains("0123456789"),
        "{shown}"
    );
}

#[tokio::test]
async fn what_passes_is_sent_again_until_it_is_answered() {
    let server = Server::start();
    let mut options = server.options();
    options.call_timeout = Duration::from_secs(3);
    options.broken_retries = 2;
    let model = HttpModel::new(options).unwrap();
    let faults = [
        "429 after=0",
        "500",
        "503",
        "cut",
        "drop",
        "corrupt",
        "empty",
        "no_choices",
        "hang",
    ];
    let texts: Vec<_> = faults
        .iter()
        .map(|f| format!("times=2 fault={f}"))
        .collect();
    let block: Vec<_> = texts.iter().map(|t| request(t)).collect();
    let answers = model.call(block.clone()).await;
    let seen = server.stats().await.seen;
    // By now the faults are over: asked again, every text gets the reply it should have got.
    let clean = model.call(block).await;
    for ((t, answer), clean) in texts.iter().zip(&answers).zip(&clean) {
        assert_eq!(seen[t], 3, "{t}: {answer:?}");
        assert_eq!(text(answer), text(clean), "{t}");
    }
}

#[tokio::test]
async fn lost_and_empty_replies_are_charged_to_the_answer_that_came_at_last() {
    let server = Server::start();
    let mut options = server.options();
    (options.price_in, options.price_out) = (2_000_000, 10_000_000);
    let model = HttpModel::new(options).unwrap();
    let ask = async |t: &str| model.call(vec![request(t)]).await.remove(0).unwrap();
    let cut = "times=1 fault=cut";
    let (first, clean) = (ask(cut).await, ask(cut).await);
    let worst = model.worst_case(&request(cut).call);
    assert_eq!(first.reply, clean.reply);
    // The lost one is charged at the most it can have used: half of the worst case of two.
    assert_eq!(first.usage.total(), clean.usage.total() + worst.tokens / 2);
    assert!(first.cost_micros <= worst.cost_micros);
    let (p, c) = (first.usage.prompt_tokens, first.usage.completion_tokens);
    assert_eq!(first.cost_micros, 2 * p + 10 * c);
    // The empty one came with its usage.
    let empty = "times=1 fault=empty";
    let (first, clean) = (ask(empty).await, ask(empty).await);
    assert_eq!(first.usage.total(), 2 * clean.usage.total());
}

#[tokio::test]
async fn a_reply_without_usage_is_charged_at_its_most() {
    let server = Server::start();
    let mut options = server.options();
    options.broken_retries = 0;
    let model = HttpModel::new(options).unwrap();
    let request = request("fault=no_usage");
    let answer = model.call(vec![request.clone()]).await.remove(0).unwrap();
    assert_eq!(answer.usage.total(), model.worst_case(&request.call).tokens);
}

#[tokio::test]
async fn a_long_retry_after_is_reported_and_shared() {
    let server = Server::start();
    let mut options = server.options();
    options.total_timeout = Duration::from_secs(30);
    for (i, after) in ["100", "Sat,_06_Nov_2094_08:49:37_GMT"].iter().enumerate() {
        let model = HttpModel::new(options.clone()).unwrap();
        let limited = format!("{i} fault=429 after={after}");
        let error = model
            .call(vec![request(&limited)])
            .await
            .remove(0)
            .unwrap_err();
        let ErrorKind::Retry { after: Some(after) } = error.kind else {
            panic!("{error:?}")
        };
        assert!(after >= Duration::from_secs(100), "{after:?}");
        assert_eq!(server.seen(&limited).await, 1);
        // Nobody else bothers the server meanwhile.
        let other = format!("another {i}");
        let error = model
            .call(vec![request(&other)])
            .await
            .remove(0)
            .unwrap_err();
        assert!(
            matches!(error.kind, ErrorKind::NotSent { after: Some(_) }),
            "{error:?}"
        );
        assert!(error.message.contains("left alone"), "{error}");
        assert_eq!(server.seen(&other).await, 0);
        // Another model on the same server has its own limits.
        assert!(server.model().call(vec![request(&other)]).await[0].is_ok());
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_outage_with_its_address() {
    let server = Server::start();
    let mut options = server.options();
    options.retries = 1;
    options.base_url = format!("http://me:{KEY}@127.0.0.1:{}/v1?token={KEY}", server.port);
    let (model, url) = (HttpModel::new(options).unwrap(), server.base_url());
    assert!(model.call(vec![request("hello")]).await[0].is_ok());
    let stranger = server.model();
    drop(server);
    for answer in model.call(vec![request("a"), request("b")]).await {
        let error = answer.unwrap_err();
        assert_eq!(error.kind, RETRY, "{error}");
        assert!(error.message.contains(&url), "{error}");
        no_secret(&error);
    }
    // A call on a connection that was never made costs nothing.
    let error = stranger
        .call(vec![request("c")])
        .await
        .remove(0)
        .unwrap_err();
    assert!(error.message.contains("cannot connect"), "{error}");
    assert!(error.message.contains("is the server running"), "{error}");
    assert_eq!(
        (error.kind, error.paid.is_none()),
        (RETRY, true),
        "{error:?}"
    );
}

#[tokio::test]
async fn redirects_are_not_followed_with_the_key() {
    let server = Server::start();
    // Followed, it would come a second time and be answered.
    let moved = "fault=307 times=1";
    let error = server
        .model()
        .call(vec![request(moved)])
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Model);
    assert!(
        error.message.contains("307") && error.message.contains("base URL"),
        "{error}"
    );
    assert_eq!(server.seen(moved).await, 1);
}

#[tokio::test]
async fn a_scoring_server_that_fails_gives_no_scores() {
    let server = Server::start();
    let mut options: HttpOptions = server.options();
    (options.score_endpoint, options.retries) = (true, 1);
    let model = HttpModel::new(options).unwrap();
    let block = ["fault=500", "fault=corrupt", "fine"].map(|prefix| score(prefix, &[" a", " bc"]));
    let answers = model.call(block.into()).await;
    assert_eq!(answers[0].as_ref().unwrap_err().kind, RETRY);
    assert_eq!(answers[1].as_ref().unwrap_err().kind, ErrorKind::Call);
    assert!(answers[2].is_ok(), "{:?}", answers[2]);
}
