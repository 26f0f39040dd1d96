//! The HTTP adapter's limits, seen from a real server process.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod support;

use futures::future::join_all;
use llm::{Allowance, ErrorKind, LanguageModel, Terms, http::HttpModel};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use support::{Server, request, text};

#[tokio::test]
async fn no_more_calls_are_in_flight_than_allowed_whoever_calls() {
    let server = Server::start();
    let mut options = server.options();
    options.concurrency = 4;
    let model = HttpModel::new(options).unwrap();
    let callers = (0..5).map(|c| {
        let block = (0..12)
            .map(|i| request(&format!("{c} {i} delay=0.02")))
            .collect();
        model.call(block)
    });
    let answers: Vec<_> = join_all(callers).await.into_iter().flatten().collect();
    assert_eq!(answers.len(), 60);
    assert!(answers.iter().all(Result::is_ok));
    let stats = server.stats().await;
    assert!((2..=4).contains(&stats.peak), "{} at once", stats.peak);
    assert!(
        stats.seen.values().all(|n| *n == 1),
        "sent twice: {:?}",
        stats.seen
    );
}

#[tokio::test]
async fn throttled_calls_are_all_answered_in_the_end() {
    let server = Server::start();
    let mut options = server.options();
    options.concurrency = 8;
    let model = HttpModel::new(options).unwrap();
    let texts: Vec<_> = (0..40)
        .map(|i| {
            if i % 3 == 0 {
                format!("{i} fault=429 times=1 after=0")
            } else {
                i.to_string()
            }
        })
        .collect();
    let answers = model.call(texts.iter().map(|t| request(t)).collect()).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let stats = server.stats().await;
    assert!(stats.peak <= 8, "{} at once", stats.peak);
    assert!(
        texts
            .iter()
            .enumerate()
            .all(|(i, t)| stats.seen[t] == 1 + usize::from(i % 3 == 0))
    );
}

#[tokio::test]
async fn a_429_narrows_what_is_in_flight() {
    let server = Server::start();
    let mut options = server.options();
    (options.concurrency, options.retries) = (64, 0);
    let model = HttpModel::new(options).unwrap();
    for i in 0..6 {
        assert!(model.call(vec![request(&format!("{i} fault=429"))]).await[0].is_err());
    }
    // Halved six times, one is left; six successes widen it to three at most.
    let block = (0..6)
        .map(|i| request(&format!("{i} delay=0.05")))
        .collect();
    assert!(model.call(block).await.iter().all(Result::is_ok));
    let peak = server.stats().await.peak;
    assert!(peak <= 3, "{peak} at once");
}

#[tokio::test]
async fn answers_come_in_the_order_of_their_calls_whatever_takes_longest() {
    let server = Server::start();
    let model = server.model();
    let texts: Vec<_> = (0..30)
        .map(|i| format!("{i} delay={}", (30 - i) as f64 / 300.0))
        .collect();
    let together = model.call(texts.iter().map(|t| request(t)).collect()).await;
    for (t, answer) in texts.iter().zip(&together) {
        let alone = model.call(vec![request(t)]).await.remove(0);
        assert_eq!(text(answer), text(&alone), "{t}");
    }
}

#[tokio::test]
async fn a_block_longer_than_the_room_for_it_is_answered_whole() {
    let server = Server::start();
    let mut options = server.options();
    options.concurrency = 2;
    let model = HttpModel::new(options).unwrap();
    // One hangs on to its place for a while; 99 others pass it by.
    let texts: Vec<_> = (0..100)
        .map(|i| format!("{i} delay={}", f64::from(i == 0) / 2.0))
        .collect();
    let answers = model.call(texts.iter().map(|t| request(t)).collect()).await;
    assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 100);
}

#[tokio::test]
async fn calls_of_several_callers_within_the_rates_are_all_answered() {
    let server = Server::start();
    let mut options = server.options();
    (options.requests_per_minute, options.tokens_per_minute) = (Some(6000), Some(600_000));
    let model = HttpModel::new(options).unwrap();
    let callers =
        (0..4).map(|c| model.call((0..10).map(|i| request(&format!("{c} {i}"))).collect()));
    let answers = join_all(callers).await;
    assert!(answers.iter().flatten().all(Result::is_ok));
}

#[tokio::test]
async fn the_seed_is_that_of_the_key_unless_none_is_sent() {
    let server = Server::start();
    let mut options = server.options();
    let seeded = HttpModel::new(options.clone()).unwrap();
    options.send_seed = false;
    let bare = HttpModel::new(options).unwrap();
    let one = request("same text");
    let mut other = one.clone();
    other.key = domain::hash::Hash::of(["another repeat"]);
    let block = vec![one.clone(), other.clone(), one];
    let answers = seeded.call(block.clone()).await;
    assert_eq!(text(&answers[0]), text(&answers[2]));
    assert_ne!(text(&answers[0]), text(&answers[1]));
    let answers = bare.call(block).await;
    assert_eq!(text(&answers[0]), text(&answers[1]));
    assert_ne!(seeded.identity(), bare.identity());
}

fn granted(requests: u64, before: SystemTime) -> Terms {
    Terms {
        billed_again: false,
        allowance: Some(Arc::new(Allowance::new(requests, before))),
        patience: Duration::from_secs(2),
    }
}

/// What is sent again counts too: the server never sees more than was granted.
#[tokio::test]
async fn no_more_is_sent_than_was_granted() {
    let server = Server::start();
    let model = server.model();
    let later = SystemTime::now() + Duration::from_secs(600);
    let texts = ["a fault=503", "b", "c", "d", "e"];
    let terms = granted(3, later);
    let block = texts.iter().map(|t| request(t)).collect();
    let answers = model.call_under(block, &terms).await;
    let seen: usize = server.stats().await.seen.values().sum();
    assert_eq!((seen, terms.allowance.unwrap().taken()), (3, 3));
    let not_sent = |a: &Result<_, llm::ModelError>| matches!(a, Err(e) if e.kind == ErrorKind::NotSent { after: None });
    let waiting = answers.iter().filter(|a| not_sent(a)).count();
    let answered = answers.iter().filter(|a| a.is_ok()).count();
    assert!(answered > 0 && waiting > 0, "{answers:?}");
    assert_eq!(waiting + answered + 1, texts.len(), "{answers:?}");

    let over = granted(3, SystemTime::now());
    let answers = model.call_under(vec![request("f")], &over).await;
    assert!(not_sent(&answers[0]), "{answers:?}");
    assert_eq!(server.seen("f").await, 0);
}

/// A call that may have been billed is one call: who counts calls asks again by himself.
#[tokio::test]
async fn what_may_have_been_billed_is_not_sent_again_where_calls_are_counted() {
    let server = Server::start();
    let model = server.model();
    for (text, times) in [("a fault=empty", 1), ("b fault=503 times=1 after=0", 2)] {
        let terms = granted(9, SystemTime::now() + Duration::from_secs(600));
        let answers = model.call_under(vec![request(text)], &terms).await;
        assert_eq!(server.seen(text).await, times, "{answers:?}");
    }
}

/// A held model sends nothing, and says so at once to who does not want to wait.
#[tokio::test]
async fn a_held_model_sends_nothing() {
    let server = Server::start();
    let model = server.model();
    model.hold(Duration::from_secs(600));
    let terms = granted(9, SystemTime::now() + Duration::from_secs(600));
    let answers = model.call_under(vec![request("a")], &terms).await;
    let error = answers[0].as_ref().unwrap_err();
    let ErrorKind::NotSent { after: Some(after) } = error.kind else {
        panic!("{error:?}");
    };
    assert!(after > Duration::from_secs(500), "{after:?}");
    assert_eq!(server.seen("a").await, 0);
}
