//! The whole loop with a scripted model: what it finds, that it is the same twice, and that no death loses anything.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod support;

use artefacts::{Artefacts, Place};
use coordinator::{Config, Deps, Outcome, board::Board, summary};
use domain::{call::Reply, run::Limits};
use futures::TryStreamExt;
use llm::{ErrorKind, Identity, LanguageModel, ModelError, Request, scripted::ScriptedModel};
use queue::{TaskQueue, memory::MemoryQueue};
use runtime::{
    bodies::ByReference,
    clock::{Clock, SystemClock},
    shutdown::Shutdown,
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use store::{Plans, Quota, Results, Runs, Tasks};
use support::World;

#[tokio::test]
async fn hard_questions_are_found_rewritten_and_confirmed() {
    let world = World::new(20).await;
    let worker = world.worker();
    assert_eq!(world.drive(true).await, Outcome::Finished);
    let board = Board::load(world.store.as_ref(), world.run, &world.settings)
        .await
        .unwrap();
    assert_eq!(board.spots.len(), 6);
    for spot in &board.spots {
        assert!(
            spot.example.input.starts_with("something about"),
            "an easy one was mined"
        );
    }
    let run = world.store.run(world.run).await.unwrap().unwrap();
    let summary = summary::search(world.store.as_ref(), &run, &world.settings, 2)
        .await
        .unwrap();
    insta::assert_snapshot!(
        format!("{:?} {:?}", summary.rounds.iter().map(|r| r.best.mean).collect::<Vec<_>>(), summary.gain.map(|g| (g.winners.mean, g.placebo.map(|p| p.mean)))),
        @"[0.3333333333333333, 0.6666666666666666] Some((0.6666666666666666, Some(0.5)))"
    );
    assert_eq!(summary.unmeasured, 0);
    worker.abort();
}

/// The questions speak of items by number: rewrites without it ask something else.
#[tokio::test]
async fn rewrites_that_lose_the_material_are_rejected_and_counted() {
    let identity = Identity {
        key: "scripted".into(),
        name: "scripted".into(),
        scores: true,
    };
    let forgetful = |request: &Request| {
        let mut answer = support::script(request)?;
        if let Reply::Text { text } = &mut answer.reply {
            *text = text
                .chars()
                .filter(|c| !text.contains("<prompt>") || !c.is_ascii_digit())
                .collect();
        }
        Ok(answer)
    };
    let model = ScriptedModel::new(identity, forgetful);
    let world = World::with(20, model, Limits::default()).await;
    let worker = world.worker();
    assert_eq!(world.drive(true).await, Outcome::Finished);
    let run = world.store.run(world.run).await.unwrap().unwrap();
    let summary = summary::search(world.store.as_ref(), &run, &world.settings, 2)
        .await
        .unwrap();
    // Two rounds of two rewrites and as many paraphrases, for six targets.
    let expected = [("lost_number".to_owned(), 48)];
    assert_eq!(summary.rejected, expected.into());
    assert_eq!((summary.pairs, summary.leaks_rejected), (0, 0));
    worker.abort();
}

/// Some proposals show more earlier prompts than the queue takes: they are given up one by one, and hold up nothing.
#[tokio::test]
async fn what_the_queue_does_not_take_is_given_up_with_the_reason() {
    let mut world = World::new(20).await;
    world.queue = Arc::new(MemoryQueue::new().with_body_limit(1_500));
    world.settings.block = 1;
    let worker = world.worker();
    assert_eq!(world.drive(true).await, Outcome::Finished);
    let asked = "SELECT step, i.state, count(*), max(i.reason) FROM items i JOIN rounds r ON r.id = i.round_id
                 WHERE step = 'propose' OR kind = 'baseline' GROUP BY step, i.state ORDER BY step, i.state";
    let found = world.store.query_read_only(asked).await.unwrap().rows;
    let [asked, written, given_up] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!((&asked[0], &asked[1]), (&"answer".into(), &"done".into()));
    // Some fit, and are not held up by those that do not.
    assert_eq!(written[1], "done");
    assert_eq!(given_up[1], "given_up");
    let reason = given_up[3].as_str().unwrap();
    assert!(reason.contains("the queue takes 1500"), "{reason}");
    worker.abort();
}

/// With a place for large bodies nothing is given up, the result is that of a queue without a limit, and no file is left.
#[tokio::test]
async fn what_the_queue_does_not_take_travels_by_reference() {
    let plain = World::new(20).await;
    let mut world = World::new(20).await;
    let dir = tempfile::tempdir().unwrap();
    let artefacts = Artefacts::open(&Place::Folder(dir.path().to_owned())).unwrap();
    // Tasks and reports alike: the smallest of both are larger, a reference is not.
    let small = Arc::new(MemoryQueue::new().with_body_limit(600));
    world.queue = Arc::new(ByReference::new(small, artefacts.clone()));
    for world in [&world, &plain] {
        let worker = world.worker();
        assert_eq!(world.drive(true).await, Outcome::Finished);
        worker.abort();
    }
    let of = async |w: &World| w.store.projection(w.run).await.unwrap();
    assert_eq!(of(&world).await, of(&plain).await);
    let mut left = usize::MAX;
    for _ in 0..1_000 {
        let files: Vec<_> = artefacts.list("").unwrap().try_collect().await.unwrap();
        left = files.len();
        if left == 0 {
            break;
        }
        // Deleting goes on behind an acknowledgement.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(left, 0, "bodies are left behind");
}

/// Dead letters are read where tasks leave the process.
fn with_dead_letters(config: Config) -> Config {
    let rescue = store::RescuePolicy {
        silent: 60_000_000,
        unstarted: 60_000_000,
        deadline: 60_000_000,
        training: store::Waits {
            unstarted: 60_000_000,
            deadline: 60_000_000,
        },
        max_attempts: 3,
        limit: 100,
    };
    Config {
        rescue: Some(rescue),
        ..config
    }
}

/// Somebody forgot the flag on the workers: the run stops, and says which flag.
#[tokio::test]
async fn a_worker_that_reads_no_artefacts_stops_the_run_with_the_reason() {
    let mut world = World::new(20).await;
    let dir = tempfile::tempdir().unwrap();
    let artefacts = Artefacts::open(&Place::Folder(dir.path().to_owned())).unwrap();
    let small: Arc<dyn TaskQueue> = Arc::new(MemoryQueue::new().with_body_limit(600));
    world.queue = small.clone();
    let worker = world.worker();
    let (config, deps) = world.parts();
    let deps = Deps {
        queue: Arc::new(ByReference::new(small, artefacts)),
        ..deps
    };
    let config = with_dead_letters(config);
    let driven = coordinator::run(world.run, config, deps, Shutdown::new(), true);
    let driven = tokio::time::timeout(Duration::from_secs(60), driven);
    let outcome = driven.await.expect("something was lost").unwrap();
    let Outcome::Paused(reason) = outcome else {
        panic!("{outcome:?}");
    };
    let said = reason.contains("could not be measured") && reason.contains("--artefacts");
    assert!(said, "{reason}");
    worker.abort();
}

/// A body that is gone is one failed attempt: the next one writes it anew.
#[tokio::test]
async fn a_body_that_is_gone_costs_one_attempt() {
    let mut world = World::new(20).await;
    let dir = tempfile::tempdir().unwrap();
    let artefacts = Artefacts::open(&Place::Folder(dir.path().to_owned())).unwrap();
    let small = Arc::new(MemoryQueue::new().with_body_limit(600));
    let queue = Arc::new(ByReference::new(small, artefacts.clone()));
    world.queue = queue.clone();
    let (config, deps) = world.parts();
    let config = with_dead_letters(config);
    // The first bodies are deleted before any worker is there.
    let losing = async {
        let mut lost = 0;
        while lost == 0 {
            let files: Vec<_> = artefacts.list("").unwrap().try_collect().await.unwrap();
            for file in files {
                artefacts.delete(&file.name).await.unwrap();
                lost += 1;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let worker = world.worker();
        std::future::pending::<()>().await;
        drop(worker);
    };
    let driven = coordinator::run(world.run, config, deps, Shutdown::new(), true);
    let driven = tokio::time::timeout(Duration::from_secs(60), driven);
    let outcome = tokio::select! {
        outcome = driven => outcome.expect("something was lost").unwrap(),
        () = losing => unreachable!("it waits for ever"),
    };
    assert_eq!(outcome, Outcome::Finished);
    let asked = "SELECT count(*), max(attempts) FROM tasks WHERE attempts > 0";
    let found = world.store.query_read_only(asked).await.unwrap().rows;
    assert!(found[0][0].as_i64().unwrap() > 0, "{found:?}");
    assert_eq!(found[0][1], 1, "{found:?}");
    let given_up = "SELECT count(*) FROM items WHERE state = 'given_up'";
    assert_eq!(
        world.store.query_read_only(given_up).await.unwrap().rows[0][0],
        0
    );
}

#[tokio::test]
async fn the_same_twice() {
    let (a, b) = (World::new(20).await, World::new(20).await);
    for world in [&a, &b] {
        let worker = world.worker();
        world.drive(true).await;
        worker.abort();
    }
    let of = async |w: &World| w.store.projection(w.run).await.unwrap();
    let (left, right) = (of(&a).await, of(&b).await);
    assert!(
        left.len() > 100,
        "the projection holds next to nothing: {} lines",
        left.len()
    );
    assert_eq!(left, right);
}

/// The coordinator dies again and again while queue and worker live on. Nothing is rescued: every report must come
/// through by itself. With the acknowledgement before the store a report is lost here, and the run never ends.
#[tokio::test]
async fn a_coordinator_that_dies_anywhere_loses_no_report() {
    let calm = World::new(20).await;
    let worker = calm.worker();
    calm.drive(true).await;
    worker.abort();
    let expected = calm.store.projection(calm.run).await.unwrap();

    let world = World::new(20).await;
    let worker = world.worker();
    let polls = |life| (3 + 2 * life) % 97 + 5;
    let deaths = world.outlive(5_000, polls, |_| {}).await;
    assert!(deaths >= 20, "only {deaths} deaths: the test proves little");
    assert_eq!(world.store.projection(world.run).await.unwrap(), expected);
    worker.abort();
}

#[tokio::test]
async fn a_budget_stops_cleanly_and_a_raised_one_goes_on() {
    let identity = Identity {
        key: "scripted".into(),
        name: "scripted".into(),
        scores: true,
    };
    let limits = Limits {
        calls: Some(50),
        ..Limits::default()
    };
    let world = World::with(20, ScriptedModel::new(identity, support::script), limits).await;
    let worker = world.worker();
    let Outcome::Paused(reason) = world.drive(true).await else {
        panic!("not paused")
    };
    assert!(reason.contains("cap of 50 calls"), "{reason}");
    assert!(world.store.spend(world.run).await.unwrap().calls <= 50);
    assert!(world.model.calls().len() <= 50);
    world
        .store
        .add_limits(world.run, &Limits::default(), 3)
        .await
        .unwrap();
    world.resume().await;
    assert_eq!(world.drive(true).await, Outcome::Finished);
    worker.abort();
}

#[tokio::test]
async fn an_outage_pauses_the_run_and_is_never_a_wrong_answer() {
    let identity = Identity {
        key: "scripted".into(),
        name: "scripted".into(),
        scores: true,
    };
    let down = |_: &Request| {
        Err(ModelError::new(
            ErrorKind::Retry { after: None },
            "server is down",
        ))
    };
    let world = World::with(8, ScriptedModel::new(identity, down), Limits::default()).await;
    let worker = world.worker();
    let Outcome::Paused(reason) = world.drive(true).await else {
        panic!("not paused")
    };
    assert!(reason.contains("server is down"), "{reason}");
    let run = world.store.run(world.run).await.unwrap().unwrap();
    let summary = summary::search(world.store.as_ref(), &run, &world.settings, 2)
        .await
        .unwrap();
    assert_eq!((summary.baseline, summary.unmeasured), (None, 8));
    assert!(world.model.identity().scores);
    worker.abort();
}

/// One worker hears from the server to come back in an hour: nobody asks before, and no task is given up for it.
#[tokio::test]
async fn a_server_that_asks_for_it_is_left_alone() {
    let identity = Identity {
        key: "busy".into(),
        name: "busy".into(),
        scores: true,
    };
    let asked = AtomicUsize::new(0);
    let busy = move |request: &Request| match asked.fetch_add(1, Ordering::SeqCst) {
        0..9 => support::script(request),
        _ => {
            let after = Some(Duration::from_secs(3_600));
            Err(ModelError::new(ErrorKind::Retry { after }, "429"))
        }
    };
    let world = World::with(40, ScriptedModel::new(identity, busy), Limits::default()).await;
    let worker = world.worker();
    let (config, deps) = world.parts();
    let driven = coordinator::run(world.run, config, deps, Shutdown::new(), true);
    let driving = tokio::spawn(driven);
    // Until all that was under way has come back.
    let (mut calls, mut quiet) = (0, 0);
    while quiet < 5 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let running = store::Shared::running(world.store.as_ref()).await.unwrap();
        let now = world.model.calls().len();
        let still = now > 9 && now == calls && running[0].in_flight == 0;
        quiet = if still { quiet + 1 } else { 0 };
        calls = now;
    }
    let step = world.store.last_step(world.run).await.unwrap().unwrap();
    assert!(step.open > 0 && step.dead == 0, "{step:?}");
    assert!(!driving.is_finished(), "the run stopped");
    let claim = world
        .store
        .claim(world.run, 9, SystemClock.now_micros(), 1)
        .await
        .unwrap();
    assert!(claim.tasks.is_empty() && claim.next_at.is_some());
    driving.abort();
    worker.abort();
}

/// In one process and on SQLite, too, no window sees more calls than the model's quota.
#[tokio::test]
async fn a_quota_holds_in_one_process() {
    const PER: Duration = Duration::from_millis(400);
    const CALLS: u64 = 60;
    let identity = Identity {
        key: "limited".into(),
        name: "limited".into(),
        scores: true,
    };
    let times = Arc::new(Mutex::new(Vec::new()));
    let log = times.clone();
    let noted = move |request: &Request| {
        log.lock().unwrap().push(Instant::now());
        support::script(request)
    };
    let mut world = World::with(20, ScriptedModel::new(identity, noted), Limits::default()).await;
    world.quota = Some(Quota {
        requests: Some(CALLS),
        tokens: None,
        per: PER.as_micros() as i64,
    });
    let worker = world.worker();
    assert_eq!(world.drive(true).await, Outcome::Finished);
    worker.abort();
    let times = times.lock().unwrap().clone();
    assert!(times.len() > 2 * CALLS as usize, "{} calls", times.len());
    // Two clocks, which tick alike to a hundredth.
    let window = PER - Duration::from_millis(4);
    for from in &times {
        let within = times
            .iter()
            .filter(|at| *at >= from && at.duration_since(*from) < window);
        let calls = within.count() as u64;
        assert!(calls <= CALLS, "{calls} calls in {window:?}");
    }
}
