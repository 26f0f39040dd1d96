//! A run that was given up is let go, and one that is only paused is not; a model is left alone when somebody says so.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use async_trait::async_trait;
use domain::{
    call::{Answer, Call, Message as Chat, Reply, Sampling, Usage},
    hash::Hash,
    ids::RunId,
};
use llm::{Identity, LanguageModel, ModelError, Request, WorstCase, scripted::ScriptedModel};
use queue::{Headers, Lane, Message, TaskQueue, memory::MemoryQueue};
use runtime::{heart::Heart, shutdown::Shutdown};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;
use wire::{Body, BodyItem, Hold, Order, Report, Task, VERSION, Word};

/// A model whose every answer takes this long.
fn model(name: &str, latency: Duration) -> Arc<dyn LanguageModel> {
    let identity = Identity {
        key: name.into(),
        name: name.into(),
        scores: false,
    };
    let answer = |_: &Request| {
        Ok(Answer {
            reply: Reply::Text { text: "4".into() },
            usage: Usage::default(),
            cost_micros: 0,
        })
    };
    Arc::new(ScriptedModel::new(identity, answer).with_latency(latency))
}

/// A task of a run for a model.
fn task(run: RunId, model: &str) -> Message {
    let body = Body {
        run,
        model: "target".into(),
        identity: model.into(),
        grader: None,
        items: vec![BodyItem {
            key: Hash::of([run.to_string()]),
            call: Call::Generate {
                messages: vec![Chat::user("2+2?")],
                sampling: Sampling::default(),
            },
            grade: None,
            judged: None,
        }],
    };
    let task = Task {
        v: VERSION,
        task: run.task(model),
        epoch: 0,
        open: vec![0],
        known: Default::default(),
        terms: None,
        body: serde_json::value::to_raw_value(&body).unwrap(),
    };
    Message {
        id: format!("{}:0", run.task(model)),
        headers: Headers::new(),
        body: task.encode().into(),
    }
}

/// A worker with room for one task at a time, on these tasks.
async fn worker(tasks: Vec<Message>) -> (Arc<MemoryQueue>, Shutdown) {
    let (queue, shutdown) = (Arc::new(MemoryQueue::new()), Shutdown::new());
    queue.publish(Lane::Eval, tasks).await.unwrap();
    let models = [
        ("a".to_owned(), model("endless", Duration::from_secs(3_600))),
        ("b".to_owned(), model("slow", Duration::from_millis(300))),
        ("c".to_owned(), model("quick", Duration::ZERO)),
    ];
    let deps = worker_eval::Deps {
        queue: queue.clone(),
        models: models.into(),
        heart: Heart::default(),
    };
    let config = worker_eval::Config {
        concurrency: 1,
        worker: "test".into(),
    };
    tokio::spawn(worker_eval::run(config, deps, shutdown.clone()));
    (queue, shutdown)
}

/// Says it again and again, as who speaks before the worker listens is not heard, until a report comes.
async fn first_report(queue: &MemoryQueue, word: &Word) -> Report {
    let mut reports = queue.consume(Lane::Results, 10).await.unwrap();
    let saying = async {
        loop {
            queue.broadcast("what is this?".into()).await.unwrap();
            queue.broadcast(word.encode().into()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let report = tokio::select! {
        report = reports.next() => report.unwrap(),
        () = saying => unreachable!("it says so for ever"),
    };
    let report_body = Report::decode(&report.message.body).unwrap();
    report.receipt.ack().await.unwrap();
    report_body
}

fn word(word: Order, run: RunId) -> Word {
    Word {
        v: VERSION,
        word,
        run,
    }
}

#[tokio::test]
async fn what_was_given_up_is_let_go_in_hand_and_in_the_queue() {
    let (gone, other) = (RunId::new(), RunId::new());
    let tasks = vec![
        task(gone, "endless"),
        task(gone, "quick"),
        task(other, "quick"),
    ];
    let (queue, shutdown) = worker(tasks).await;
    // There is room for one: that the others had their turn shows that the endless one was let go.
    let report = first_report(&queue, &word(Order::Cancel, gone)).await;
    assert_eq!(report.task, other.task("quick"));
    assert!(report.items[0].answer.is_some());
    // Nothing of it comes again.
    shutdown.request_stop();
    let mut left = queue.consume(Lane::Eval, 10).await.unwrap();
    let again = tokio::time::timeout(Duration::from_millis(100), left.next()).await;
    assert!(again.is_err(), "a task was given back");
}

#[tokio::test]
async fn what_is_only_paused_is_finished_and_reported() {
    let paused = RunId::new();
    let (queue, shutdown) = worker(vec![task(paused, "slow")]).await;
    let report = first_report(&queue, &word(Order::Pause, paused)).await;
    assert_eq!(report.task, paused.task("slow"));
    assert!(report.items[0].answer.is_some());
    shutdown.request_stop();
}

/// A model that only remembers for how long it was to be left alone.
struct Left(Identity, mpsc::UnboundedSender<Duration>);

#[async_trait]
impl LanguageModel for Left {
    fn identity(&self) -> &Identity {
        &self.0
    }

    async fn call(&self, _block: Vec<Request>) -> Vec<Result<Answer, ModelError>> {
        Vec::new()
    }

    fn worst_case(&self, _call: &Call) -> WorstCase {
        WorstCase::default()
    }

    fn hold(&self, for_: Duration) {
        let _ = self.1.send(for_);
    }
}

#[tokio::test]
async fn a_word_about_a_model_reaches_it_and_no_other() {
    let queue = Arc::new(MemoryQueue::new());
    let (said, mut heard) = mpsc::unbounded_channel();
    let (other_said, mut other_heard) = mpsc::unbounded_channel();
    let model = |key: &str, said| -> Arc<dyn LanguageModel> {
        let (key, name) = (key.to_owned(), key.to_owned());
        let scores = false;
        Arc::new(Left(Identity { key, name, scores }, said))
    };
    let deps = worker_eval::Deps {
        queue: queue.clone(),
        models: [
            ("a".to_owned(), model("busy", said)),
            ("b".to_owned(), model("idle", other_said)),
        ]
        .into(),
        heart: Heart::default(),
    };
    let config = worker_eval::Config {
        concurrency: 1,
        worker: "test".into(),
    };
    tokio::spawn(worker_eval::run(config, deps, Shutdown::new()));
    let hold = Hold {
        v: VERSION,
        hold: "busy".into(),
        for_ms: 9_000,
    };
    let saying = async {
        loop {
            queue.broadcast(hold.encode().into()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let heard = tokio::select! {
        heard = heard.recv() => heard,
        () = saying => unreachable!("it says so for ever"),
    };
    assert_eq!(heard, Some(Duration::from_secs(9)));
    assert!(other_heard.try_recv().is_err());
}
