//! The local model behind the seam: a tiny random one always, the real one where it has been fetched.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]
#![cfg(feature = "local")]

use domain::{
    call::{Call, Message, Reply, Sampling},
    hash::answer_key,
};
use llm::{
    ErrorKind, LanguageModel, Request,
    conformance::{self, Suite},
    local::{LocalModel, LocalOptions, catalogue},
};
use std::path::PathBuf;

fn tiny() -> LocalOptions {
    let dir = "../model/tests/fixtures/tiny-plain";
    LocalOptions {
        truncation_ok: true,
        ..LocalOptions::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(dir))
    }
}

fn write(text: &str, max_tokens: u32) -> Request {
    let sampling = Sampling {
        max_tokens,
        temperature: 1.0,
        ..Sampling::default()
    };
    request(Call::Generate {
        messages: vec![Message::user(text)],
        sampling,
    })
}

fn weigh(prefix: &str) -> Request {
    request(Call::Loglik {
        messages: Vec::new(),
        prefix: prefix.into(),
        continuations: vec![" a".into(), " bc".into()],
    })
}

fn request(call: Call) -> Request {
    Request {
        key: answer_key("test", &call, 0),
        call,
    }
}

#[tokio::test]
async fn the_tiny_model_conforms() {
    let model = LocalModel::load(tiny()).await.unwrap();
    assert!(model.identity().scores);
    assert!(
        model.identity().key.contains(":f32:"),
        "{:?}",
        model.identity()
    );
    let good = vec![
        write("one", 8),
        weigh("two"),
        write("three, and more", 5),
        weigh("four"),
    ];
    let bad = Some(write(&"long ".repeat(100), 8));
    conformance::check(
        &model,
        &Suite {
            good,
            bad,
            deterministic: true,
        },
    )
    .await;
}

#[tokio::test]
async fn a_cut_reply_is_an_error_that_was_paid_for() {
    let model = LocalModel::load(LocalOptions {
        truncation_ok: false,
        ..tiny()
    })
    .await
    .unwrap();
    let error = model
        .call(vec![write("one", 3)])
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Call);
    assert!(error.message.contains("max_tokens = 3"), "{error}");
    assert_eq!(error.paid.unwrap().usage.completion_tokens, 3);
}

#[tokio::test]
async fn what_is_no_model_is_an_error_of_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let error = LocalModel::load(LocalOptions::new(dir.path()))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Model);
    assert!(error.message.contains("config.json"), "{error}");
}

#[tokio::test]
async fn blocks_from_many_callers_are_all_answered() {
    let model = std::sync::Arc::new(LocalModel::load(tiny()).await.unwrap());
    let ask = |i: usize| {
        let model = std::sync::Arc::clone(&model);
        tokio::spawn(async move { model.call(vec![weigh(&format!("text {i}"))]).await })
    };
    let tasks: Vec<_> = (0..20).map(ask).collect();
    for task in tasks {
        assert!(task.await.unwrap()[0].is_ok());
    }
}

#[tokio::test]
async fn dropping_the_model_ends_a_long_block() {
    let Some(path) = catalogue::locate("smollm2-135m-instruct").ok().flatten() else {
        skip("the model smollm2-135m-instruct is not in the cache");
        return;
    };
    let options = LocalOptions {
        truncation_ok: true,
        ..LocalOptions::new(path)
    };
    let model = LocalModel::load(options).await.unwrap();
    let endless = request(Call::Generate {
        messages: vec![Message::user(
            "Count to a million, one number after the other.",
        )],
        sampling: Sampling {
            max_tokens: 8000,
            ..Sampling::default()
        },
    });
    let model = std::sync::Arc::new(model);
    let caller = std::sync::Arc::clone(&model);
    let block = tokio::spawn(async move { caller.call(vec![endless]).await });
    tokio::task::yield_now().await;
    // The caller goes away in the middle; the handle's drop must not wait for 8000 tokens.
    block.abort();
    assert!(block.await.is_err_and(|e| e.is_cancelled()));
    tokio::task::spawn_blocking(move || drop(model))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_real_model_answers() {
    let Some(path) = catalogue::locate("smollm2-135m-instruct").ok().flatten() else {
        skip("the model smollm2-135m-instruct is not in the cache");
        return;
    };
    let model = LocalModel::load(LocalOptions::new(path)).await.unwrap();
    let call = Call::Generate {
        messages: vec![Message::user("What is the capital of France?")],
        sampling: Sampling {
            max_tokens: 40,
            ..Sampling::default()
        },
    };
    let answer = model.call(vec![request(call)]).await.remove(0).unwrap();
    let Reply::Text { text } = answer.reply else {
        panic!("no text")
    };
    assert!(text.contains("Paris"), "{text}");
}

/// Says that a test is skipped, where it is read: see CONTRIBUTING.md.
fn skip(why: &str) {
    use std::io::Write;
    println!("skipped: {why}");
    if let Some(log) = std::env::var_os("PROMPTIMAL_SKIP_LOG") {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log);
        writeln!(log.unwrap(), "skipped: {why}").unwrap();
    }
}
