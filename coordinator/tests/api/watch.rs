//! Streams of events.

use crate::scene::{Scene, spec};
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Debug)]
struct Seen {
    name: String,
    id: i64,
    data: Value,
}

/// All of a stream, which must end by itself.
async fn stream(scene: &Scene, run: &str) -> Vec<Seen> {
    let request = scene.request(reqwest::Method::GET, &format!("/v1/runs/{run}/events"));
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = tokio::time::timeout(Duration::from_secs(60), response.text());
    let text = text.await.expect("the stream does not end").unwrap();
    let field = |block: &str, name: &str| {
        let line = block.lines().find_map(|l| l.strip_prefix(name));
        line.map(|value| value.trim_start_matches(": ").trim().to_owned())
    };
    let blocks = text.split("\n\n").filter(|b| b.contains("event"));
    let seen = |block: &str| Seen {
        name: field(block, "event").unwrap(),
        id: field(block, "id").unwrap().parse().unwrap(),
        data: serde_json::from_str(&field(block, "data").unwrap()).unwrap(),
    };
    blocks.map(seen).collect()
}

#[tokio::test]
async fn a_run_is_watched_from_its_submission_to_its_end() {
    let scene = Scene::new().await;
    let (_, answer) = scene.post("/v1/runs", json!({ "spec": spec("") })).await;
    let id = answer["run"].as_str().unwrap().to_owned();
    scene.work();
    let seen = stream(&scene, &id).await;
    let names: Vec<&str> = seen.iter().map(|s| s.name.as_str()).collect();
    assert_eq!((names[0], *names.last().unwrap()), ("status", "ended"));
    assert_eq!(names.iter().filter(|n| **n == "ended").count(), 1);
    assert_eq!(seen.last().unwrap().data["status"], "finished");
    assert!(seen.windows(2).all(|w| w[0].id < w[1].id), "ids grow");
    // Steps come in their order, each is planned before it goes on, and no count goes back.
    let mut last = (0, 0, 0);
    let order = |s: &Value| match s.as_str().unwrap() {
        "propose" => 0,
        "guard" => 1,
        _ => 2,
    };
    for event in seen
        .iter()
        .filter(|s| ["planned", "progress"].contains(&s.name.as_str()))
    {
        let data = &event.data;
        let now = (
            data["round"].as_u64().unwrap(),
            order(&data["step"]),
            data["done"].as_u64().unwrap(),
        );
        assert!(now >= last, "{now:?} after {last:?}");
        last = now;
        assert!(data["spend"]["calls"].is_u64());
    }
    assert!(
        names.contains(&"planned") && names.contains(&"progress"),
        "{names:?}"
    );

    // Who comes late, or again, is told where things stand.
    let again = stream(&scene, "letters").await;
    let names: Vec<&str> = again.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["status", "planned", "progress", "ended"]);
}

#[tokio::test]
async fn a_stream_ends_when_the_run_is_stopped_and_when_the_process_is() {
    let scene = Scene::new().await;
    let id = scene.submitted().await;
    let pause = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        scene.post(&format!("/v1/runs/{id}/pause"), json!({})).await
    };
    let (seen, _) = tokio::join!(stream(&scene, &id), pause);
    let said: Vec<_> = seen
        .iter()
        .map(|s| (s.name.as_str(), &s.data["status"]))
        .collect();
    let (running, paused) = (json!("running"), json!("paused"));
    assert_eq!(
        said,
        [
            ("status", &running),
            ("status", &paused),
            ("ended", &paused)
        ]
    );
    assert_eq!(seen[2].data["reason"], "paused by request");

    scene
        .post(&format!("/v1/runs/{id}/resume"), json!({}))
        .await;
    scene.wait(&id, "running").await;
    let end = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        scene.shutdown.request_drain();
    };
    let (seen, ()) = tokio::join!(stream(&scene, &id), end);
    assert!(seen.iter().all(|s| s.name != "ended"), "{seen:?}");
}
