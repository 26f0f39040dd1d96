//! What is too large for the queue travels by reference, and comes whole or as a dead letter with a reason.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use artefacts::{Artefacts, Place};
use bytes::Bytes;
use domain::{
    call::{Call, Message as Chat, Sampling},
    hash::Hash,
    ids::RunId,
};
use futures::TryStreamExt;
use queue::{
    Consumer, DeadLetter, Headers, Lane, Message, TaskQueue, conformance, memory::MemoryQueue,
};
use runtime::{
    bodies::{ByReference, MAX_KEPT},
    clock::ManualClock,
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use wire::{Action, Body, BodyItem, Reference, Report, ScoreBody, ScoreItem, Task, VERSION, Work};

/// What the queue of these tests takes as it is, bytes.
const LIMIT: usize = 2_000;

struct Scene {
    dir: tempfile::TempDir,
    artefacts: Artefacts,
    queue: ByReference,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Folder(dir.path().join("artefacts"));
        let artefacts = Artefacts::open(&place).unwrap();
        let queue = Arc::new(MemoryQueue::new().with_body_limit(LIMIT));
        let queue = ByReference::new(queue, artefacts.clone());
        Self {
            dir,
            artefacts,
            queue,
        }
    }

    async fn files(&self) -> Vec<String> {
        let listed: Vec<_> = self
            .artefacts
            .list("")
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        listed.into_iter().map(|l| l.name).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("artefacts").join(name)
    }

    /// Fits and publishes; the reference, if there is one.
    async fn send(&self, lane: Lane, message: Message) -> Option<Reference> {
        let fitted = self.queue.fit(lane, message).await.unwrap();
        assert!(fitted.body.len() <= LIMIT);
        let reference = Reference::decode(&fitted.body).ok();
        self.queue.publish(lane, vec![fitted]).await.unwrap();
        reference
    }

    async fn consumer(&self, lane: Lane) -> Box<dyn Consumer> {
        self.queue.consume(lane, 10).await.unwrap()
    }

    /// Deleting goes on behind an acknowledgement.
    async fn until_no_files(&self) {
        for _ in 0..1_000 {
            if self.files().await.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("left behind: {:?}", self.files().await);
    }
}

/// A task that asks something of this length.
fn task(length: usize) -> Message {
    let run = RunId::new();
    let item = |name: &str| BodyItem {
        key: Hash::of([name]),
        call: Call::Generate {
            messages: vec![Chat::user("?".repeat(length))],
            sampling: Sampling::default(),
        },
        grade: None,
        judged: None,
    };
    let body = Body {
        run,
        model: "target".into(),
        identity: "s".into(),
        grader: None,
        items: vec![item("a"), item("b"), item("c")],
    };
    letter(run, serde_json::value::to_raw_value(&body).unwrap())
}

/// A task that has answers to questions of this length scored.
fn score(length: usize) -> Message {
    let run = RunId::new();
    let item = |name: &str| ScoreItem {
        key: Hash::of([name]),
        question: "?".repeat(length),
    };
    let body = ScoreBody {
        work: Work::Score,
        run,
        model: "reward".into(),
        identity: "r".into(),
        items: vec![item("a"), item("b"), item("c")],
    };
    letter(run, serde_json::value::to_raw_value(&body).unwrap())
}

fn letter(run: RunId, body: Box<serde_json::value::RawValue>) -> Message {
    let task = Task {
        v: VERSION,
        task: run.task("t"),
        epoch: 3,
        open: vec![0, 2],
        known: Default::default(),
        terms: None,
        body,
    };
    Message {
        id: format!("{}:3", task.task),
        headers: [("traceparent".to_owned(), "of its own".to_owned())].into(),
        body: task.encode().into(),
    }
}

fn report(length: usize) -> Message {
    let (task, keys) = Task::decode_keys(&task(1).body).unwrap();
    let message = "!".repeat(length);
    let report = Report::failed(&task, &keys, "w", Action::GiveUp, &message);
    Message {
        id: format!("{}:3", task.task),
        headers: Headers::new(),
        body: report.encode().into(),
    }
}

/// It is a queue like any other.
#[tokio::test(start_paused = true)]
async fn passes_the_suite_of_queues() {
    let scene = Scene::new();
    let make = async || -> Arc<dyn TaskQueue> {
        let queue = Arc::new(MemoryQueue::new().with_body_limit(LIMIT));
        let queue: Arc<dyn TaskQueue> = Arc::new(ByReference::new(queue, scene.artefacts.clone()));
        queue
    };
    conformance::all(make).await;
}

#[tokio::test]
async fn a_large_body_comes_whole_and_its_file_goes_with_the_acknowledgement() {
    let scene = Scene::new();
    for (lane, sent) in [
        (Lane::Eval, task(5_000)),
        (Lane::Score, score(5_000)),
        (Lane::Results, report(5_000)),
    ] {
        let reference = scene.send(lane, sent.clone()).await.unwrap();
        assert_eq!(scene.files().await, [reference.name]);
        assert_eq!((reference.epoch, reference.items.len()), (3, 2));
        let mut consumer = scene.consumer(lane).await;
        let first = consumer.next().await.unwrap();
        assert!(first.message == sent, "another message");
        first.receipt.give_back().await.unwrap();
        assert_eq!(scene.files().await.len(), 1, "it comes again");
        let again = consumer.next().await.unwrap();
        assert!(again.message == sent && again.redelivered);
        again.receipt.ack().await.unwrap();
        scene.until_no_files().await;
    }
}

#[tokio::test]
async fn a_small_body_needs_no_file() {
    let scene = Scene::new();
    let sent = task(10);
    assert_eq!(scene.send(Lane::Eval, sent.clone()).await, None);
    assert!(scene.files().await.is_empty());
    let delivery = scene.consumer(Lane::Eval).await.next().await.unwrap();
    assert!(delivery.message == sent);
}

/// Why the only dead letter died; its file, if it has one, goes with it.
async fn dead(scene: &Scene, reference: &Reference) -> String {
    let mut letters = scene.consumer(Lane::Dead).await;
    let delivery = letters.next().await.unwrap();
    let letter = DeadLetter::of(&delivery.message);
    assert_eq!(
        &Reference::decode(&delivery.message.body).unwrap(),
        reference
    );
    delivery.receipt.ack().await.unwrap();
    scene.until_no_files().await;
    letter.reason
}

#[tokio::test]
async fn a_body_that_is_gone_or_damaged_is_a_dead_letter_and_holds_up_nobody() {
    let scene = Scene::new();
    for lane in [Lane::Eval, Lane::Results] {
        let sent = || match lane {
            Lane::Eval => task(5_000),
            _ => report(5_000),
        };
        let gone = scene.send(lane, sent()).await.unwrap();
        scene.artefacts.delete(&gone.name).await.unwrap();
        let healthy = sent();
        scene.send(lane, healthy.clone()).await.unwrap();
        let mut consumer = scene.consumer(lane).await;
        let delivery = consumer.next().await.unwrap();
        assert!(delivery.message == healthy);
        delivery.receipt.ack().await.unwrap();
        let waiting = async { while consumer.next().await.is_some() {} };
        let reason = tokio::select! {
            reason = dead(&scene, &gone) => reason,
            () = waiting => unreachable!("the queue is open"),
        };
        assert!(reason.contains(&gone.name), "{reason}");
        assert!(
            reason.contains("is not in") && reason.contains("--artefacts"),
            "{reason}"
        );

        for damage in ["x", &"x".repeat(gone.bytes as usize), &"x".repeat(20_000)] {
            let damaged = scene.send(lane, sent()).await.unwrap();
            std::fs::write(scene.path(&damaged.name), damage).unwrap();
            let mut consumer = scene.consumer(lane).await;
            let waiting = async { while consumer.next().await.is_some() {} };
            let reason = tokio::select! {
                reason = dead(&scene, &damaged) => reason,
                () = waiting => unreachable!("the queue is open"),
            };
            let said = reason.contains("is damaged") || reason.contains("over the limit");
            assert!(said && reason.contains(&damaged.name), "{reason}");
        }
    }
}

#[tokio::test]
async fn a_reference_to_more_than_is_kept_is_not_followed() {
    let scene = Scene::new();
    let mut reference = scene.send(Lane::Eval, task(5_000)).await.unwrap();
    let mut consumer = scene.consumer(Lane::Eval).await;
    consumer.next().await.unwrap().receipt.ack().await.unwrap();
    scene.until_no_files().await;
    reference.bytes = MAX_KEPT as u64 + 1;
    let message = Message {
        body: reference.encode().into(),
        ..Message::default()
    };
    scene
        .queue
        .publish(Lane::Eval, vec![message])
        .await
        .unwrap();
    let waiting = async { while consumer.next().await.is_some() {} };
    let reason = tokio::select! {
        reason = dead(&scene, &reference) => reason,
        () = waiting => unreachable!("the queue is open"),
    };
    assert!(reason.contains("over the limit of 67108864"), "{reason}");
}

/// A file elsewhere among the artefacts is none of the queue's, and a reference of another version says nothing.
#[tokio::test]
async fn what_is_no_reference_of_ours_is_left_to_the_reader() {
    let scene = Scene::new();
    let reference = scene.send(Lane::Eval, task(5_000)).await.unwrap();
    let mut consumer = scene.consumer(Lane::Eval).await;
    consumer.next().await.unwrap().receipt.ack().await.unwrap();
    let foreign = Reference {
        name: "adapters/a".into(),
        ..reference.clone()
    };
    let later = Reference {
        reference: VERSION + 1,
        ..reference
    };
    for odd in [foreign, later] {
        let body: Bytes = odd.encode().into();
        let message = Message {
            body: body.clone(),
            ..Message::default()
        };
        scene
            .queue
            .publish(Lane::Eval, vec![message])
            .await
            .unwrap();
        let delivery = consumer.next().await.unwrap();
        assert_eq!(delivery.message.body, body);
        assert!(Task::decode(&body).is_err());
        delivery.receipt.ack().await.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_kept_says_why() {
    let scene = Scene::new();
    let message = Message {
        body: vec![0; MAX_KEPT + 1].into(),
        ..Message::default()
    };
    let why = scene.queue.fit(Lane::Eval, message).await.unwrap_err();
    assert_eq!(
        why.to_string(),
        "67108865 bytes, and the queue takes 67108864"
    );
    let large = task(5_000);
    std::fs::remove_dir_all(scene.path("")).unwrap();
    std::fs::write(scene.dir.path().join("artefacts"), "in the way").unwrap();
    let why = scene.queue.fit(Lane::Eval, large).await.unwrap_err();
    let text = why.to_string();
    assert!(
        why.unkept.is_some() && text.contains("the queue takes 2000"),
        "{text}"
    );
    assert!(text.contains("artefacts in file://"), "{text}");
    let small = scene.queue.fit(Lane::Eval, task(10)).await;
    assert!(small.is_ok(), "a neighbour");
}

/// A coordinator's collector stops waiting now and then: that loses nothing that is being fetched.
#[tokio::test]
async fn waiting_may_be_given_up_at_any_moment() {
    let scene = Scene::new();
    for n in 0..20 {
        scene.send(Lane::Results, report(5_000 * (n % 2))).await;
    }
    let mut consumer = scene.consumer(Lane::Results).await;
    let mut got = 0;
    while got < 20 {
        let next = tokio::time::timeout(Duration::from_micros(50), consumer.next());
        if let Ok(delivery) = next.await {
            delivery.unwrap().receipt.ack().await.unwrap();
            got += 1;
        }
    }
    scene.until_no_files().await;
}

#[tokio::test]
async fn what_is_left_behind_is_swept_by_its_age() {
    let scene = Scene::new();
    let reference = scene.send(Lane::Eval, task(5_000)).await.unwrap();
    scene
        .artefacts
        .put("adapters/a", Bytes::new())
        .await
        .unwrap();
    let listed: Vec<_> = scene
        .artefacts
        .list("bodies")
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let clock = ManualClock::at(listed[0].modified);
    let age = Duration::from_secs(3_600);
    let mut swept = Box::pin(scene.queue.sweep(&clock, age));
    let young = tokio::time::timeout(Duration::from_millis(200), &mut swept);
    assert!(young.await.is_err(), "it goes on for ever");
    assert!(scene.files().await.contains(&reference.name));
    clock.advance(age + Duration::from_secs(1));
    tokio::select! {
        () = scene.queue.sweep(&clock, age) => unreachable!("it goes on for ever"),
        () = async { while scene.files().await != ["adapters/a"] { tokio::task::yield_now().await } } => {}
    }
}
