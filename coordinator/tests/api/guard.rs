//! Who may ask, and what is served at all.

use crate::scene::{Scene, Start, TOKEN, answer, sentence, spec};
use reqwest::{Method, header::HOST};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Every route.
const ROUTES: &[(&str, &str)] = &[
    ("get", "/v1/runs"),
    ("post", "/v1/runs"),
    ("get", "/v1/runs/{run}"),
    ("get", "/v1/runs/{run}/result"),
    ("get", "/v1/runs/{run}/events"),
    ("post", "/v1/runs/{run}/cancel"),
    ("post", "/v1/runs/{run}/pause"),
    ("post", "/v1/runs/{run}/resume"),
    ("post", "/v1/runs/{run}/retry"),
    ("post", "/v1/runs/{run}/priority"),
    ("get", "/v1/runs/{run}/export/{what}"),
];

fn filled(path: &str) -> String {
    path.replace("{run}", "none").replace("{what}", "pairs")
}

fn method(word: &str) -> Method {
    Method::from_bytes(word.to_uppercase().as_bytes()).unwrap()
}

#[tokio::test]
async fn with_a_token_nothing_is_said_without_it() {
    let scene = Scene::start(Start {
        token: Some(TOKEN),
        ..Start::default()
    })
    .await;
    let more = [("get", "/metrics"), ("get", "/nothing"), ("get", "/")];
    for (word, path) in ROUTES.iter().chain(&more) {
        let url = scene.url(&filled(path));
        let ask = || scene.http.request(method(word), &url).json(&json!({}));
        for request in [
            ask(),
            ask().bearer_auth("wrong"),
            ask().bearer_auth(&TOKEN[1..]),
            ask().header("authorization", TOKEN),
            ask().basic_auth("user", Some(TOKEN)),
        ] {
            let response = request.send().await.unwrap();
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
            let (status, answer) = answer(response).await;
            assert_eq!(
                (status.as_u16(), &answer["error"]["code"]),
                (401, &json!("unauthorized"))
            );
            assert!(!answer.to_string().contains(TOKEN));
        }
    }
    let (status, _) = scene.get("/v1/runs").await;
    assert_eq!(status, 200);
    let open = scene.http.get(scene.url("/openapi.json")).send().await;
    assert_eq!(open.unwrap().status(), 200);
    // Whoever shows it may come by any name.
    let named = scene.request(Method::GET, "/v1/runs");
    let named = named.header(HOST, "coordinator.example");
    assert_eq!(named.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn without_a_token_strange_sites_reach_nothing() {
    let scene = Scene::new().await;
    for host in [
        "evil.example",
        "127.0.0.1.evil.example:80",
        "",
        "localhost.evil",
    ] {
        let request = scene.request(Method::GET, "/v1/runs").header(HOST, host);
        let response = request.send().await.unwrap();
        // An empty name is refused by the server before us.
        assert!([400, 403].contains(&response.status().as_u16()), "{host}");
    }
    for host in ["localhost:1", "LOCALHOST", "127.0.0.1", "[::1]:9"] {
        let request = scene.request(Method::GET, "/v1/runs").header(HOST, host);
        assert_eq!(request.send().await.unwrap().status(), 200, "{host}");
    }
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let request = scene.request(Method::POST, "/v1/runs");
        let body = json!({ "spec": spec("") }).to_string();
        let request = request.header("content-type", kind).body(body);
        let (status, answer) = answer(request.send().await.unwrap()).await;
        assert_eq!(
            (status.as_u16(), &answer["error"]["code"]),
            (415, &json!("not_json"))
        );
        assert!(sentence(&answer).contains(kind), "{answer}");
    }
    let none = scene.request(Method::POST, "/v1/runs/last/cancel");
    assert_eq!(none.send().await.unwrap().status(), 415);
}

#[tokio::test]
async fn the_document_lists_what_is_served_and_nothing_else() {
    let scene = Scene::new().await;
    let (status, document) = scene.get("/openapi.json").await;
    assert_eq!(status, 200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let mut listed = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for word in item.as_object().unwrap().keys() {
            listed.insert((word.as_str(), path.as_str()));
        }
    }
    assert_eq!(listed, ROUTES.iter().copied().collect());
    for (word, path) in ROUTES {
        let request = scene.request(method(word), &filled(path)).json(&json!({}));
        let (_, answer) = answer(request.send().await.unwrap()).await;
        let code = &answer["error"]["code"];
        let missing = ["no_such_path", "no_such_method"].map(Value::from);
        assert!(!missing.contains(code), "{word} {path}: {answer}");
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in [
        "Submit",
        "Submitted",
        "RunState",
        "Steered",
        "Failure",
        "Told",
    ] {
        assert!(schemas.contains_key(name), "{name} in {:?}", schemas.keys());
    }
    assert_references(&document, &document);
}

/// Every reference leads somewhere.
fn assert_references(value: &Value, document: &Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(to)) = map.get("$ref") {
                let pointer = to.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{to}");
            }
            map.values().for_each(|v| assert_references(v, document));
        }
        Value::Array(all) => all.iter().for_each(|v| assert_references(v, document)),
        _ => {}
    }
}

#[tokio::test]
async fn what_is_not_served_says_so() {
    let scene = Scene::new().await;
    for (word, path, status, code) in [
        ("get", "/v2/runs", 404, "no_such_path"),
        ("delete", "/v1/runs/last", 405, "no_such_method"),
        ("get", "/v1/runs/last/cancel", 405, "no_such_method"),
    ] {
        let request = scene.request(method(word), path).json(&json!({}));
        let (found, answer) = answer(request.send().await.unwrap()).await;
        assert_eq!(
            (found.as_u16(), &answer["error"]["code"]),
            (status, &json!(code))
        );
        assert!(sentence(&answer).contains("/openapi.json"), "{answer}");
    }
}
