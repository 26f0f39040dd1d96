//! POST /v1/runs.

use crate::{
    scene::{self, Scene, Start, sentence, spec, spec_on},
    support,
};
use ::spec::{Machine, Purpose, load_text};
use coordinator::{
    Config, Lease,
    intake::{self, Ask, StoredSpec},
};
use domain::run::RunKind;
use runtime::clock::{Clock, SystemClock};
use serde_json::json;
use std::time::Duration;
use store::Runs;

#[tokio::test]
async fn a_spec_becomes_a_run_once() {
    let scene = Scene::new().await;
    let asked = json!({ "spec": spec(""), "set": ["search.hardest=3"], "priority": 2 });
    let response = scene
        .request(reqwest::Method::POST, "/v1/runs")
        .json(&asked);
    let response = response.send().await.unwrap();
    assert_eq!(response.status(), 201);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let first: serde_json::Value = response.json().await.unwrap();
    let id = first["run"].as_str().unwrap();
    assert_eq!(location, format!("/v1/runs/{id}"));
    assert_eq!(first["created"], true);
    let state = scene.wait(id, "running").await;
    assert_eq!(
        (&state["priority"], &state["tags"][0]),
        (&json!(2), &json!("test"))
    );

    let (status, again) = scene.post("/v1/runs", asked.clone()).await;
    assert_eq!((status.as_u16(), &again["created"]), (200, &json!(false)));
    assert_eq!(again["run"], id);
    let mut new = asked.clone();
    new["new"] = json!(true);
    let (status, other) = scene.post("/v1/runs", new).await;
    assert_eq!(status, 201);
    assert_ne!(other["run"], id);
    let evaluation = json!({ "spec": spec("[eval]\nmodels = [\"target\"]\n[[eval.prompts]]\nname = \"plain\"\nuser = \"{input}\\n{choices}\"\n"), "kind": "evaluate" });
    let (status, answer) = scene.post("/v1/runs", evaluation).await;
    assert_eq!(status, 201, "{answer}");
}

#[tokio::test]
async fn every_problem_of_a_spec_is_told_with_its_place() {
    let scene = Scene::new().await;
    let bad = spec("[budgets]\nmax_calls = 1\n").replace("hardest = 4", "hardest = \"four\"");
    let (status, answer) = scene.post("/v1/runs", json!({ "spec": bad })).await;
    assert_eq!(
        (status.as_u16(), &answer["error"]["code"]),
        (422, &json!("bad_spec"))
    );
    let problems = answer["error"]["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 2, "{answer}");
    assert_eq!(problems[0]["key"], "search.hardest");
    assert_eq!(problems[0]["value"], "\"four\"");
    assert!(
        problems[0]["place"]
            .as_str()
            .unwrap()
            .starts_with("spec.toml:")
    );
    let text = sentence(&answer);
    assert!(
        text.contains("search.hardest = \"four\"") && text.contains("budget"),
        "{text}"
    );

    let (status, answer) = scene.post("/v1/runs", json!({ "spec": "[run" })).await;
    assert_eq!(status, 422);
    assert!(sentence(&answer).contains("not TOML"), "{answer}");
    assert!(scene.store.runs().await.unwrap().is_empty());
}

#[tokio::test]
async fn bodies_are_strict_and_bounded() {
    let scene = Scene::new().await;
    for (body, status, word) in [
        (json!({ "spec": spec(""), "sets": [] }), 422, "sets"),
        (json!({}), 422, "spec"),
        (json!({ "spec": spec(""), "kind": "train" }), 422, "train"),
        (
            json!({ "spec": spec(""), "priority": 31 }),
            422,
            "-30 to 30",
        ),
        (json!({ "spec": "x".repeat(1 << 20) }), 413, "1048576"),
    ] {
        let (found, answer) = scene.post("/v1/runs", body).await;
        assert_eq!(found, status, "{answer}");
        assert!(sentence(&answer).contains(word), "{answer}");
    }
    let broken = scene.request(reqwest::Method::POST, "/v1/runs");
    let broken = broken.header("content-type", "application/json").body("{");
    let (status, answer) = scene::answer(broken.send().await.unwrap()).await;
    assert_eq!(
        (status.as_u16(), &answer["error"]["code"]),
        (400, &json!("bad_json"))
    );
}

#[tokio::test]
async fn no_program_of_a_strangers_choice_runs_on_the_workers() {
    let graders = [
        r#"{ kind = "program", command = ["rm", "-rf", "/"] }"#,
        r#"{ kind = "http", url = "http://127.0.0.1:1/", token_env = "OPENAI_API_KEY" }"#,
    ];
    let usual = r#"{ kind = "choice_letter" }"#;
    let (wary, trusting) = (
        Scene::new().await,
        Scene::start(Start {
            trust: true,
            ..Start::default()
        })
        .await,
    );
    for grader in graders {
        let asked = json!({ "spec": spec("").replace(usual, grader) });
        let (status, answer) = wary.post("/v1/runs", asked.clone()).await;
        assert_eq!(
            (status.as_u16(), &answer["error"]["code"]),
            (422, &json!("untrusted_grader"))
        );
        assert!(sentence(&answer).contains("--trust-graders"), "{answer}");
        let (status, answer) = trusting.post("/v1/runs", asked).await;
        assert_eq!(status, 201, "{answer}");
    }
}

#[tokio::test]
async fn a_key_in_a_spec_is_not_stored() {
    let scene = Scene::new().await;
    let with_key = spec("").replace(
        "model = \"mock\"",
        "model = \"mock\"\napi_key_env = \"sk-verysecret\"",
    );
    let (status, answer) = scene.post("/v1/runs", json!({ "spec": with_key })).await;
    assert_eq!(status, 422);
    assert!(!answer.to_string().contains("verysecret"), "{answer}");
    let with_variable = with_key.replace("sk-verysecret", "NO_SUCH_VARIABLE_HERE");
    let (status, answer) = scene
        .post("/v1/runs", json!({ "spec": with_variable }))
        .await;
    assert_eq!(status, 201, "{answer}");
}

#[tokio::test]
async fn data_that_cannot_be_read_fail_the_run_until_they_can() {
    let scene = Scene::new().await;
    std::fs::write(scene.path("data/bad.csv"), "one,two\n").unwrap();
    let asked = json!({ "spec": spec_on("bad.csv", "") });
    let (_, answer) = scene.post("/v1/runs", asked).await;
    let id = answer["run"].as_str().unwrap();
    let state = scene.wait(id, "failed").await;
    let reason = state["reason"].as_str().unwrap();
    assert!(reason.contains("bad.csv"), "{reason}");
    let good = std::fs::read(scene.path("data/letters.csv")).unwrap();
    std::fs::write(scene.path("data/bad.csv"), good).unwrap();
    let (status, answer) = scene
        .post(&format!("/v1/runs/{id}/resume"), json!({}))
        .await;
    assert_eq!(status, 200, "{answer}");
    scene.wait(id, "running").await;
}

/// A leader that dies in the middle of reading leaves a run that waits, and some of its examples. The next leader reads
/// from the beginning, and says what a reading without a death would have said.
#[tokio::test]
async fn the_next_leader_reads_what_a_dead_one_was_reading() {
    let scene = Scene::new().await;
    scene.reading.abort();
    let file = scene.path("data/spec.toml");
    let loaded = load_text(&spec(""), &file, &[], Purpose::Run, &Machine).unwrap();
    let ask = Ask {
        kind: RunKind::Optimise,
        new: false,
        reason: intake::READING,
        now: 1,
    };
    let made = intake::find_or_create(scene.store.as_ref(), &loaded, ask);
    let (run, _) = made.await.unwrap();
    let lease = |holder: &str| Lease {
        holder: holder.to_owned(),
        ttl: Duration::from_millis(600),
    };
    let now = SystemClock.now_micros();
    let dead = lease("dead").ask("leader", scene.store.as_ref(), now).await;
    assert_eq!(dead.unwrap(), Some(1));
    let (questions, path) = (support::questions(16), scene.path("data/letters.csv"));
    let half = questions.lines().take(8).map(|line| format!("{line}\n"));
    std::fs::write(&path, half.collect::<String>()).unwrap();
    let stored = StoredSpec::new(&loaded);
    let read = intake::read_data(scene.store.as_ref(), &run, &stored);
    assert_eq!(read.await.unwrap()[0].examples, 8);
    std::fs::write(&path, questions).unwrap();

    let living = Config {
        lease: Some(lease("living")),
        ..scene::config()
    };
    let deps = scene.deps(scene::model());
    tokio::spawn(coordinator::serve(living, deps, scene.shutdown.clone()));
    scene.wait(&run.id.to_string(), "running").await;
    let run = scene.store.run(run.id).await.unwrap().unwrap();
    let noted: serde_json::Value = serde_json::from_str(&run.summary.unwrap()).unwrap();
    let noted = &noted["datasets_read"][0];
    assert_eq!(
        (&noted["examples"], &noted["duplicates"]),
        (&json!(16), &json!(0))
    );
}

/// Whoever asks for it again while it waits changes nothing; a run that was stopped meanwhile waits no more.
#[tokio::test]
async fn a_run_waits_for_its_data_until_it_is_told_otherwise() {
    let scene = Scene::new().await;
    scene.reading.abort();
    let id = scene.submitted_now().await;
    for _ in 0..2 {
        let (status, again) = scene.post("/v1/runs", json!({ "spec": spec("") })).await;
        assert_eq!((status.as_u16(), &again["run"]), (200, &json!(id)));
    }
    let at = |what: &str| format!("/v1/runs/{id}/{what}");
    let (status, _) = scene.post(&at("resume"), json!({})).await;
    assert_eq!(status, 200);
    let waiting = async || scene.store.paused_because(intake::READING).await.unwrap();
    assert_eq!(waiting().await.len(), 1);
    scene.post(&at("pause"), json!({})).await;
    assert!(waiting().await.is_empty());
    scene.post(&at("resume"), json!({})).await;
    scene.work();
    scene.wait(&id, "finished").await;
}
