//! Pruning by policy: what is over and old enough goes, its result stays, and nobody else's rows are touched.

use crate::scene::{Scene, config, model, spec};
use coordinator::{
    Config, Deps, Retain,
    retain::once,
    summary::{self, Shown},
};
use domain::{ids::RunId, run::RunStatus};
use runtime::{
    clock::{Clock, ManualClock, SystemClock},
    shutdown::Shutdown,
};
use serde_json::json;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use store::{Retention, Run, Runs, StatusChange, retention::Part};

const DAY: i64 = 86_400_000_000;

/// What a coordinator is given, so many days from now.
fn later(scene: &Scene, days: i64) -> Deps {
    let now = SystemClock.now_micros() + days * DAY;
    Deps {
        clock: Arc::new(ManualClock::at(now)),
        ..scene.deps(model())
    }
}

async fn rows(scene: &Scene, run: RunId) -> Vec<(Part, u64)> {
    let rows = scene.store.count_rows(run).await.unwrap();
    rows.into_iter().filter(|(_, n)| *n > 0).collect()
}

async fn stored(scene: &Scene, run: RunId) -> Option<Run> {
    scene.store.run(run).await.unwrap()
}

/// The gain and the pairs of a run.
async fn result(scene: &Scene, run: RunId) -> (String, u64) {
    let run = stored(scene, run).await.unwrap();
    match summary::shown(scene.store.as_ref(), &run, 1).await.unwrap() {
        Shown::Search(found) => (format!("{:?}", found.gain), found.pairs),
        other => panic!("{other:?}"),
    }
}

/// A run that stopped in the middle, because its model is down.
async fn stuck(scene: &Scene, tokens: u32) -> RunId {
    scene.down.store(true, Ordering::Relaxed);
    let set = format!("models.target.sampling.max_tokens={tokens}");
    let asked = json!({ "spec": spec(""), "set": [set] });
    let (status, answer) = scene.post("/v1/runs", asked).await;
    assert_eq!(status, 201, "{answer}");
    let id = answer["run"].as_str().unwrap();
    // While its data are read it is paused, too.
    scene.wait(id, "running").await;
    scene.wait(id, "paused").await;
    id.parse().unwrap()
}

/// One run of each kind, and nobody who works on them any more.
async fn runs(scene: &Scene) -> [RunId; 3] {
    let finished = scene.finished().await.parse().unwrap();
    let (paused, running) = (stuck(scene, 30).await, stuck(scene, 31).await);
    scene.shutdown.request_drain();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let change = StatusChange {
        run: running,
        from: RunStatus::Paused,
        to: RunStatus::Running,
        reason: None,
        now: SystemClock.now_micros(),
    };
    assert!(scene.store.set_status(&change).await.unwrap());
    [finished, paused, running]
}

#[tokio::test]
async fn old_rows_go_and_their_results_stay() {
    let scene = Scene::new().await;
    let [finished, paused, running] = runs(&scene).await;
    let before = result(&scene, finished).await;
    assert!(before.1 > 0, "{before:?}");
    let others = [rows(&scene, paused).await, rows(&scene, running).await];
    let (spend, all) = (
        store::Tasks::spend(scene.store.as_ref(), finished)
            .await
            .unwrap(),
        rows(&scene, finished).await,
    );
    let policy = Retain {
        rows: Some(30 * DAY),
        everything: Some(300 * DAY),
    };

    once(policy, &later(&scene, 29)).await.unwrap();
    assert_eq!(rows(&scene, finished).await, all, "it is too young");
    let nothing = Retain::default();
    once(nothing, &later(&scene, 9_999)).await.unwrap();
    assert_eq!(rows(&scene, finished).await, all, "nobody asked");

    once(policy, &later(&scene, 31)).await.unwrap();
    let left = rows(&scene, finished).await;
    assert!(
        left.iter().all(|(part, _)| Part::ACCOUNTS.contains(part)),
        "{left:?}"
    );
    assert_eq!(result(&scene, finished).await, before);
    let spent = store::Tasks::spend(scene.store.as_ref(), finished)
        .await
        .unwrap();
    assert_eq!(spent, spend);
    // Again, and later: there is nothing left to do, and the result is not written over.
    once(policy, &later(&scene, 32)).await.unwrap();
    assert_eq!(result(&scene, finished).await, before);

    once(policy, &later(&scene, 301)).await.unwrap();
    assert_eq!(stored(&scene, finished).await, None);
    assert_eq!(
        [rows(&scene, paused).await, rows(&scene, running).await],
        others
    );
}

/// Where a result cannot be computed, the rows from which it might be stay.
#[tokio::test]
async fn rows_stay_while_their_result_cannot_be_kept() {
    let scene = Scene::new().await;
    let [finished, ..] = runs(&scene).await;
    let mut run = stored(&scene, finished).await.unwrap();
    run.id = RunId::new();
    run.spec = "{}".to_owned();
    run.tags = vec!["of another version".to_owned()];
    let limits = domain::run::Limits::default();
    scene.store.create_run(&run, &limits).await.unwrap();
    let all = rows(&scene, run.id).await;
    let policy = Retain {
        rows: Some(DAY),
        everything: None,
    };
    once(policy, &later(&scene, 100)).await.unwrap();
    assert_eq!(rows(&scene, run.id).await, all);
    assert_eq!(scene.store.pruned_at(run.id).await.unwrap(), None);
    assert!(
        scene.store.pruned_at(finished).await.unwrap().is_some(),
        "its neighbour"
    );
}

#[tokio::test]
async fn the_leader_does_it() {
    let scene = Scene::new().await;
    let [finished, paused, _] = runs(&scene).await;
    let kept = rows(&scene, paused).await;
    let shutdown = Shutdown::new();
    let config = Config {
        retain: Retain {
            rows: None,
            everything: Some(DAY),
        },
        ..config()
    };
    let deps = later(&scene, 2);
    let serving = tokio::spawn(coordinator::serve(config, deps, shutdown.clone()));
    let gone = async {
        while stored(&scene, finished).await.is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(60), gone).await;
    gone.expect("nothing is pruned");
    shutdown.request_drain();
    serving.await.unwrap();
    assert_eq!(rows(&scene, paused).await, kept);
}
