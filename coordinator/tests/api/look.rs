//! Lists, states, results, exports.

use crate::scene::{Scene, sentence, spec};
use coordinator::{
    export::{Export, Format, What},
    find::find,
    summary,
};
use runtime::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use store::Results;

#[tokio::test]
async fn runs_are_listed_and_found() {
    let scene = Scene::new().await;
    let (status, answer) = scene.get("/v1/runs/last").await;
    assert_eq!(
        (status.as_u16(), &answer["error"]["code"]),
        (404, &json!("no_such_run"))
    );
    let first = scene.submitted().await;
    let (_, second) = scene
        .post("/v1/runs", json!({ "spec": spec(""), "new": true }))
        .await;
    let second = second["run"].as_str().unwrap();
    scene.wait(second, "running").await;
    scene
        .post(&format!("/v1/runs/{first}/pause"), json!({}))
        .await;

    let (_, list) = scene.get("/v1/runs").await;
    let ids: Vec<&Value> = list["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["run"])
        .collect();
    assert_eq!(ids, [second, first.as_str()]);
    for (query, expected) in [
        ("status=running", vec![second]),
        ("status=paused", vec![first.as_str()]),
        ("limit=1", vec![second]),
        ("status=finished", vec![]),
    ] {
        let (_, list) = scene.get(&format!("/v1/runs?{query}")).await;
        let runs = list["runs"].as_array().unwrap();
        let ids: Vec<&str> = runs.iter().map(|r| r["run"].as_str().unwrap()).collect();
        assert_eq!(ids, expected, "{query}");
    }
    let (_, whole) = scene.get("/v1/runs?limit=2").await;
    assert_eq!(whole["next"], Value::Null);
    let (_, page) = scene.get("/v1/runs?limit=1").await;
    let next = page["next"].as_str().unwrap();
    let (_, rest) = scene.get(&format!("/v1/runs?after={next}")).await;
    assert_eq!(
        (&rest["runs"][0]["run"], &rest["runs"][1], &rest["next"]),
        (&json!(first), &Value::Null, &Value::Null)
    );
    for query in [
        "status=gone",
        "limit=0",
        "limit=1001",
        "limit=x",
        "page=2",
        "after=last",
        "after=1.2",
    ] {
        let (status, answer) = scene.get(&format!("/v1/runs?{query}")).await;
        assert!([400, 422].contains(&status.as_u16()), "{query}");
        assert!(
            sentence(&answer).contains(query.split('=').next().unwrap())
                || sentence(&answer).contains("gone"),
            "{query}: {answer}"
        );
    }
    for name in [second, "letters", "last"] {
        let (_, state) = scene.get(&format!("/v1/runs/{name}")).await;
        assert_eq!(state["run"], second, "{name}");
    }
    let unlike = first
        .bytes()
        .zip(second.bytes())
        .position(|(a, b)| a != b)
        .unwrap();
    let (_, state) = scene.get(&format!("/v1/runs/{}", &first[..=unlike])).await;
    assert_eq!(state["run"], first.as_str());
    if unlike > 0 {
        let (status, answer) = scene.get(&format!("/v1/runs/{}", &first[..unlike])).await;
        assert_eq!(
            (status.as_u16(), &answer["error"]["code"]),
            (409, &json!("ambiguous_run"))
        );
    }
    for path in ["", "/result", "/events", "/export/pairs"] {
        let (status, answer) = scene.get(&format!("/v1/runs/nonesuch{path}")).await;
        assert_eq!(status, 404);
        assert!(sentence(&answer).contains("\"nonesuch\""), "{answer}");
    }
}

#[tokio::test]
async fn a_finished_run_tells_all_of_itself() {
    let scene = Scene::new().await;
    let id = scene.finished().await;
    let run = find(scene.store.as_ref(), &id).await.unwrap();

    let (_, state) = scene.get(&format!("/v1/runs/{id}")).await;
    let steps = state["steps"].as_array().unwrap();
    assert_eq!(steps.len(), scene.store.steps(run.id).await.unwrap().len());
    assert_eq!(steps[0]["kind"], "baseline");
    assert!(
        steps
            .iter()
            .all(|s| s["items"] == s["done"] && s["open"] == 0 && s["dead"] == 0)
    );
    assert!(state["spend"]["calls"].as_u64().unwrap() > 0);
    assert_eq!(
        (&state["limits"]["calls"], &state["priority"]),
        (&Value::Null, &Value::Null)
    );
    assert!(state["finished_at"].as_i64() > state["created_at"].as_i64());

    let (_, result) = scene.get(&format!("/v1/runs/{id}/result")).await;
    let shown = summary::shown(scene.store.as_ref(), &run, SystemClock.now_micros()).await;
    let mut expected = serde_json::to_value(shown.unwrap()).unwrap();
    expected["seconds"] = result["seconds"].clone();
    assert_eq!(result, expected);
    let read: summary::Shown = serde_json::from_value(result).unwrap();
    assert!(matches!(read, summary::Shown::Search(_)));

    for what in [What::Pairs, What::Candidates, What::Answers] {
        for (format, word) in [(Format::Jsonl, "jsonl"), (Format::Csv, "csv")] {
            let mut export = Export::new(run.id, what, format);
            let mut expected = Vec::new();
            while let Some(piece) = export.next(scene.store.as_ref()).await.unwrap() {
                expected.extend(piece);
            }
            let path = format!("/v1/runs/{id}/export/{}?format={word}", what.as_str());
            let response = scene
                .request(reqwest::Method::GET, &path)
                .send()
                .await
                .unwrap();
            assert!(
                response.headers()["content-type"]
                    .to_str()
                    .unwrap()
                    .contains(word)
            );
            assert_eq!(response.bytes().await.unwrap(), expected, "{path}");
            let lines = expected.iter().filter(|b| **b == b'\n').count() as u64;
            match format {
                Format::Jsonl => assert_eq!(lines, export.rows()),
                Format::Csv => assert!(lines > export.rows()),
            }
            assert!(what == What::Pairs || export.rows() > 0, "{path}");
        }
    }
    let (status, answer) = scene.get(&format!("/v1/runs/{id}/export/everything")).await;
    assert_eq!(
        (status.as_u16(), &answer["error"]["code"]),
        (404, &json!("no_such_export"))
    );
    let (status, answer) = scene
        .get(&format!("/v1/runs/{id}/export/pairs?format=xml"))
        .await;
    assert_eq!(status, 422);
    assert!(sentence(&answer).contains("\"xml\""), "{answer}");
}
