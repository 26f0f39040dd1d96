//! Files of a spec that came over HTTP.

use crate::scene::{Scene, Start, sentence, spec, spec_on};
use serde_json::json;
use std::os::unix::fs::symlink;

#[tokio::test]
async fn files_are_found_below_the_data_root_alone() {
    let scene = Scene::new().await;
    let secret = scene.path("secret.csv");
    std::fs::copy(scene.path("data/letters.csv"), &secret).unwrap();
    symlink(&secret, scene.path("data/link.csv")).unwrap();
    std::fs::create_dir(scene.path("data/folder")).unwrap();
    symlink(&secret, scene.path("data/folder/letters_test.csv")).unwrap();
    let absolute = secret.display().to_string();
    let root = scene.path("data").canonicalize().unwrap();
    for path in [
        "../secret.csv",
        "./../secret.csv",
        "folder/../../secret.csv",
        "none.csv",
        "link.csv",
        "folder",
        "/etc/passwd",
        absolute.as_str(),
    ] {
        let asked = json!({ "spec": spec_on(path, "") });
        let (status, answer) = scene.post("/v1/runs", asked).await;
        assert_eq!(status, 422, "{path}: {answer}");
        let text = sentence(&answer);
        for words in ["no such file or folder", path, root.to_str().unwrap()] {
            assert!(text.contains(words), "{words} in {text}");
        }
    }
    let inside = root.join("letters.csv").display().to_string();
    let set = format!("datasets.letters.path={inside}");
    let asked = json!({ "spec": spec_on("none.csv", ""), "set": [set] });
    let (status, answer) = scene.post("/v1/runs", asked).await;
    assert_eq!(status, 201, "{answer}");
}

#[tokio::test]
async fn model_files_are_no_way_out_either() {
    let scene = Scene::new().await;
    let local = "[models.target]\nkind = \"local\"\nmodel = \"../model.gguf\"\n";
    let text = spec("");
    let (before, after) = text.split_once("[models.target]").unwrap();
    let (_, after) = after.split_once("[search]").unwrap();
    std::fs::write(scene.path("model.gguf"), "x").unwrap();
    let asked = json!({ "spec": format!("{before}{local}[search]{after}") });
    let (status, answer) = scene.post("/v1/runs", asked).await;
    assert_eq!(status, 422, "{answer}");
    assert!(
        sentence(&answer).contains("models.target.model"),
        "{answer}"
    );
}

#[tokio::test]
async fn without_a_data_root_no_file_is_found() {
    let scene = Scene::start(Start {
        no_root: true,
        ..Start::default()
    })
    .await;
    let there = scene.path("data/letters.csv").display().to_string();
    let (status, answer) = scene
        .post("/v1/runs", json!({ "spec": spec_on(&there, "") }))
        .await;
    assert_eq!(status, 422);
    assert!(sentence(&answer).contains("--data-root"), "{answer}");
}
