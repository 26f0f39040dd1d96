//! The worker on a queue: what it takes together, what it finishes, what it lets go and gives back.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use domain::{call::Reply, hash::Hash, ids::RunId};
use queue::{Headers, Lane, Message, TaskQueue, memory::MemoryQueue};
use runtime::{heart::Heart, shutdown::Shutdown};
use std::{
    sync::{
        Arc, Mutex,
        mpsc::{Sender, channel},
    },
    time::Duration,
};
use wire::{Order, Report, ScoreBody, ScoreItem, Task, VERSION, Word, Work};
use worker_score::scripted::Scripted;

/// A task with one answer.
fn task(run: RunId, name: &str) -> Message {
    let body = ScoreBody {
        work: Work::Score,
        run,
        model: "reward".into(),
        identity: "scripted".into(),
        items: vec![ScoreItem {
            key: Hash::of([name]),
            question: "Why?".into(),
        }],
    };
    let said = Reply::Text { text: name.into() };
    let task = Task {
        v: VERSION,
        task: run.task(name),
        epoch: 1,
        open: vec![0],
        known: [(0, said)].into(),
        terms: None,
        body: serde_json::value::to_raw_value(&body).unwrap(),
    };
    Message {
        id: format!("{}:1", run.task(name)),
        headers: Headers::new(),
        body: task.encode().into(),
    }
}

/// A worker whose model waits for a word before each batch.
struct Scene {
    queue: Arc<MemoryQueue>,
    shutdown: Shutdown,
    heart: Heart,
    /// The sizes of batches that were begun.
    begun: Arc<Mutex<Vec<usize>>>,
    go: Sender<()>,
    working: tokio::task::JoinHandle<Result<(), queue::QueueError>>,
}

impl Scene {
    async fn new(tasks: Vec<Message>) -> Self {
        let (queue, shutdown) = (Arc::new(MemoryQueue::new()), Shutdown::new());
        queue.publish(Lane::Score, tasks).await.unwrap();
        let begun: Arc<Mutex<Vec<usize>>> = Arc::default();
        let (go, wait) = channel();
        let note = begun.clone();
        let model = Scripted::new("scripted", |_, answer| answer.len() as f32);
        let model = model.watched(move |size| {
            note.lock().unwrap().push(size);
            let _ = wait.recv();
        });
        let heart = Heart::default();
        let deps = worker_score::Deps {
            queue: queue.clone(),
            scorers: vec![model.start()],
            heart: heart.clone(),
        };
        let config = worker_score::Config {
            concurrency: 3,
            worker: "test".into(),
        };
        let working = tokio::spawn(worker_score::run(config, deps, shutdown.clone()));
        Self {
            queue,
            shutdown,
            heart,
            begun,
            go,
            working,
        }
    }

    async fn until(&self, met: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !met(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting)
            .await
            .expect("it never happens");
    }

    fn batches(&self) -> usize {
        self.begun.lock().unwrap().len()
    }

    /// The next reports.
    async fn reports(&self, n: usize) -> Vec<Report> {
        let mut consumer = self.queue.consume(Lane::Results, n).await.unwrap();
        let mut out = Vec::new();
        for _ in 0..n {
            let delivery = consumer.next().await.unwrap();
            out.push(Report::decode(&delivery.message.body).unwrap());
            delivery.receipt.ack().await.unwrap();
        }
        out
    }
}

/// No more than the prefetch is in hand, and signs of life speak of it.
#[tokio::test]
async fn no_more_is_in_hand_than_told_and_a_drain_finishes_that() {
    let run = RunId::new();
    let names: Vec<String> = (1..=9).map(|n| "x".repeat(n)).collect();
    let scene = Scene::new(names.iter().map(|n| task(run, n)).collect()).await;
    scene
        .until(|s| s.heart.in_hand().len() == 3 && s.batches() > 0)
        .await;
    scene.shutdown.request_drain();
    // However many batches the three take.
    (0..9).for_each(|_| scene.go.send(()).unwrap());
    for report in scene.reports(3).await {
        let name = names.iter().find(|n| run.task(n) == report.task).unwrap();
        let item = &report.items[0];
        assert_eq!(item.grade.as_ref().unwrap().raw, Some(name.len() as f64));
        assert_eq!(item.answer, None);
    }
    let Scene {
        working,
        queue,
        heart,
        ..
    } = scene;
    working.await.unwrap().unwrap();
    assert_eq!(heart.in_hand(), []);
    // The rest was not touched.
    let mut left = queue.consume(Lane::Score, 10).await.unwrap();
    for _ in 0..6 {
        assert!(!left.next().await.unwrap().redelivered);
    }
}

#[tokio::test]
async fn a_stop_gives_back_what_is_in_hand() {
    let run = RunId::new();
    let scene = Scene::new(vec![task(run, "one"), task(run, "two")]).await;
    scene
        .until(|s| s.heart.in_hand().len() == 2 && s.batches() > 0)
        .await;
    scene.shutdown.request_stop();
    let Scene {
        working, queue, go, ..
    } = scene;
    working.await.unwrap().unwrap();
    drop(go);
    let mut left = queue.consume(Lane::Score, 10).await.unwrap();
    for _ in 0..2 {
        assert!(left.next().await.unwrap().redelivered);
    }
}

/// What nobody wants is not computed: the model is free for others.
#[tokio::test]
async fn what_was_given_up_is_let_go_and_not_computed() {
    let (gone, other) = (RunId::new(), RunId::new());
    let scene = Scene::new(vec![task(gone, "first")]).await;
    scene.until(|s| s.batches() == 1).await;
    let more = vec![task(gone, "second"), task(other, "third")];
    scene.queue.publish(Lane::Score, more).await.unwrap();
    scene.until(|s| s.heart.in_hand().len() == 3).await;
    let word = Word {
        v: VERSION,
        word: Order::Cancel,
        run: gone,
    };
    // Who speaks before the worker listens is not heard.
    for _ in 0..500 {
        scene.queue.broadcast(word.encode().into()).await.unwrap();
        if scene.heart.in_hand().len() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (0..3).for_each(|_| scene.go.send(()).unwrap());
    let report = scene.reports(1).await.remove(0);
    assert_eq!(report.task, other.task("third"));
    // The first was begun before the word came; the second never was.
    assert_eq!(*scene.begun.lock().unwrap(), [1, 1]);
    scene.shutdown.request_stop();
}
