//! Cancel, pause, resume, retry, priority.

use crate::scene::{Scene, sentence, spec};
use queue::TaskQueue;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use wire::{Order, Word};

async fn act(scene: &Scene, run: &str, what: &str, body: Value) -> (u16, Value) {
    let (status, answer) = scene.post(&format!("/v1/runs/{run}/{what}"), body).await;
    (status.as_u16(), answer)
}

#[tokio::test]
async fn a_run_is_paused_resumed_and_given_up() {
    let scene = Scene::new().await;
    let id = scene.submitted().await;
    let mut words = scene.queue.control().await.unwrap();
    let (status, answer) = act(&scene, "letters", "pause", json!({})).await;
    assert_eq!((status, &answer["status"]), (200, &json!("paused")));
    assert_eq!(answer["reason"], "paused by request");
    let word = Word::decode(&words.next().await.unwrap()).unwrap();
    assert_eq!(
        (word.word, word.run.to_string()),
        (Order::Pause, id.clone())
    );

    let (status, answer) = act(&scene, &id, "pause", json!({})).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (409, &json!("wrong_state"))
    );
    assert!(
        sentence(&answer).contains(&format!("run {id} is paused")),
        "{answer}"
    );

    let caps = json!({ "max_calls": 5_000, "max_usd": 1.5 });
    let (status, answer) = act(&scene, &id, "resume", caps).await;
    assert_eq!(status, 200, "{answer}");
    let state = scene.wait(&id, "running").await;
    let limits = json!({ "calls": 5_000, "tokens": null, "cost_micros": 1_500_000 });
    assert_eq!(state["limits"], limits);
    let (status, _) = act(&scene, &id, "resume", json!({})).await;
    assert_eq!(status, 409);

    let (status, answer) = act(&scene, &id, "cancel", json!({})).await;
    assert_eq!((status, &answer["status"]), (200, &json!("cancelled")));
    let word = Word::decode(&words.next().await.unwrap()).unwrap();
    assert_eq!(word.word, Order::Cancel);
    for what in ["cancel", "pause", "resume", "retry"] {
        let (status, answer) = act(&scene, &id, what, json!({})).await;
        assert_eq!(status, 409, "{what}");
        assert!(sentence(&answer).contains("is cancelled"), "{answer}");
    }
    // What was given up is not found again: the same spec is a new run.
    let (status, answer) = scene.post("/v1/runs", json!({ "spec": spec("") })).await;
    assert_eq!(status, 201);
    assert_ne!(answer["run"], id.as_str());
}

#[tokio::test]
async fn values_that_make_no_sense_change_nothing() {
    let scene = Scene::new().await;
    let id = scene.submitted().await;
    act(&scene, &id, "pause", json!({})).await;
    for (what, body, words) in [
        ("resume", json!({ "max_usd": -1.0 }), "max_usd is -1"),
        ("resume", json!({ "max_calls": -1 }), "-1"),
        ("resume", json!({ "max_call": 1 }), "max_call"),
        ("cancel", json!({ "now": true }), "now"),
        ("priority", json!({}), "priority"),
        ("priority", json!({ "priority": 99 }), "-30 to 30"),
    ] {
        let (status, answer) = act(&scene, &id, what, body).await;
        assert_eq!(status, 422, "{answer}");
        assert!(sentence(&answer).contains(words), "{answer}");
    }
    scene.wait(&id, "paused").await;
    for what in ["cancel", "pause", "resume", "retry"] {
        let (status, _) = act(&scene, "nonesuch", what, json!({})).await;
        assert_eq!(status, 404);
    }
}

#[tokio::test]
async fn priorities_change() {
    let scene = Scene::new().await;
    let id = scene.submitted().await;
    let (status, _) = act(&scene, &id, "priority", json!({ "priority": -3 })).await;
    assert_eq!(status, 200);
    assert_eq!(scene.wait(&id, "running").await["priority"], -3);
}

#[tokio::test]
async fn what_was_given_up_is_tried_again_by_request() {
    let scene = Scene::new().await;
    scene.down.store(true, Ordering::Relaxed);
    scene.work();
    let id = scene.submitted().await;
    let state = scene.wait(&id, "paused").await;
    let reason = state["reason"].as_str().unwrap();
    assert!(reason.contains("could not be measured"), "{reason}");
    assert!(reason.contains("the server is down"), "{reason}");
    let dead = state["steps"][0]["dead"].as_u64().unwrap();
    assert!(dead > 0);
    scene.down.store(false, Ordering::Relaxed);
    let (status, answer) = act(&scene, &id, "retry", json!({})).await;
    assert_eq!((status, answer["revived"].as_u64()), (200, Some(dead)));
    scene.wait(&id, "finished").await;
    let (status, answer) = act(&scene, &id, "retry", json!({})).await;
    assert_eq!(status, 409, "{answer}");
}

#[tokio::test]
async fn nothing_to_try_again_says_so() {
    let scene = Scene::new().await;
    let id = scene.submitted().await;
    let (status, answer) = act(&scene, &id, "retry", json!({})).await;
    assert_eq!(status, 409);
    assert!(sentence(&answer).contains("no dead task"), "{answer}");
}
