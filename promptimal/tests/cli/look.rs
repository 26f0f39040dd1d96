//! Looking at what was found: `runs`, `show`, `compare`, `best`, `export`, `sql`.

use crate::support::{Scene, done, promptimal};
use coordinator::api::{self, Api, Trust};
use domain::{
    hash::Hash,
    ids::RunId,
    run::{Limits, RunKind, RunStatus},
};
use queue::memory::MemoryQueue;
use runtime::{clock::SystemClock, service, shutdown::Shutdown};
use serde_json::Value;
use std::{fs, sync::Arc};
use store::{Run, Runs};
use store_sqlite::SqliteStore;

/// A scene with a finished run.
fn finished() -> (Scene, Value) {
    let scene = Scene::new(16);
    scene.spec();
    let result = scene.run(&["run", "spec.toml", "--json"]).exits(0).json();
    assert!(result["pairs"].as_u64().unwrap() > 0, "{result}");
    (scene, result)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn runs_are_listed_and_found_by_id_by_its_beginning_by_name_and_as_the_last() {
    let (scene, result) = finished();
    let id = text(&result["run"]);
    let list = scene.run(&["runs", "--json"]).exits(0).json();
    assert_eq!(list.as_array().unwrap().len(), 1);
    for (key, value) in [
        ("run", id),
        ("name", "letters"),
        ("status", "finished"),
        ("kind", "optimise"),
    ] {
        assert_eq!(list[0][key], value);
    }
    assert_eq!(list[0]["tags"][0], "test");
    let table = scene.run(&["runs"]).exits(0).stdout;
    assert!(table.contains(id) && table.contains("finished"), "{table}");
    for name in [id, &id[..13], "letters", "last"] {
        assert_eq!(scene.run(&["show", name, "--json"]).exits(0).json(), result);
    }
    for command in ["show", "resume", "best"] {
        let unknown = scene.run(&[command, "nonesuch"]).exits(2);
        unknown.complains(&["error: no run \"nonesuch\"", "promptimal runs"]);
    }
}

fn stored(at: i64) -> Run {
    Run {
        id: RunId::new(),
        name: format!("run {at}"),
        tags: Vec::new(),
        kind: RunKind::Optimise,
        status: RunStatus::Paused,
        reason: None,
        spec: "{}".to_owned(),
        spec_hash: Hash::of(["{}"]),
        summary: None,
        created_at: at,
        finished_at: None,
    }
}

/// More runs than a coordinator tells of at once.
#[test]
fn runs_of_a_coordinator_are_listed_page_after_page() {
    const RUNS: i64 = 1_005;
    let dir = tempfile::tempdir().unwrap();
    // Beside this thread, which waits for the commands.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let shutdown = Shutdown::new();
    let at = runtime.block_on(async {
        let file = dir.path().join("promptimal.db");
        let store = Arc::new(SqliteStore::open(&file).await.unwrap());
        for at in 0..RUNS {
            let created = store.create_run(&stored(at), &Limits::default()).await;
            created.unwrap();
        }
        let api = api::router(Api {
            store,
            queue: Arc::new(MemoryQueue::new()),
            clock: Arc::new(SystemClock),
            data_root: None,
            trust: Trust::Calls,
            shutdown: shutdown.clone(),
            poll: api::POLL,
        });
        let listen = "127.0.0.1:0".parse().unwrap();
        let served = service::serve(listen, api, shutdown.clone()).await;
        served.unwrap().at
    });
    let (url, data) = (format!("http://{at}"), dir.path().to_str().unwrap());
    let ask = |of: [&str; 2], limit: &[&str]| {
        let mut command = promptimal();
        done(command.args(of).args(["runs", "--json"]).args(limit))
    };
    let there = |limit: &[&str]| {
        let mut command = promptimal();
        let command = command.args(["runs", "--json", "--coordinator", &url]);
        done(command.args(limit)).exits(0).json()
    };
    let names = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|run| run["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let newest =
        |n: i64| -> Vec<String> { (RUNS - n..RUNS).rev().map(|at| stored(at).name).collect() };
    assert_eq!(names(&there(&[])), newest(RUNS));
    for limit in [1, 500, 501, 1_000] {
        let limited = ["--limit", &limit.to_string()];
        assert_eq!(names(&there(&limited)), newest(limit), "{limit}");
        let here = ask(["--data-dir", data], &limited).exits(0).json();
        assert_eq!(names(&here), newest(limit), "{limit} here");
    }
    ask(["--data-dir", data], &["--limit", "0"]).exits(2);
    shutdown.request_stop();
}

#[test]
fn without_runs_people_are_told_how_to_start() {
    let scene = Scene::new(4);
    for command in [
        &["runs"][..],
        &["show"],
        &["best"],
        &["sql", "SELECT 1"],
        &["resume", "last"],
    ] {
        let done = scene.run(command).exits(2);
        done.complains(&["no runs in data", "promptimal run", "--data-dir"]);
    }
    assert!(!scene.path("data").exists(), "looking makes nothing");
}

#[test]
fn two_runs_side_by_side() {
    let (scene, result) = finished();
    let other = scene.run(&["run", "spec.toml", "--json", "--set", "search.rounds=1"]);
    let other = other.exits(0).json();
    let (left, right) = (text(&result["run"]), text(&other["run"]));
    let table = scene.run(&["compare", left, right]).exits(0).stdout;
    for words in [
        "left", "right", "baseline", "gain", "round 2", "+0.000", "–",
    ] {
        assert!(table.contains(words), "{words:?} in {table}");
    }
    let json = scene
        .run(&["compare", left, right, "--json"])
        .exits(0)
        .json();
    let lines = json["lines"].as_array().unwrap();
    let line = |what: &str| lines.iter().find(|l| l["what"] == what).unwrap();
    assert_eq!(line("baseline")["difference"], 0.0);
    assert_eq!(line("round 2")["right"], Value::Null);
    assert_eq!(line("gain")["left"]["mean"], result["gain"]["mean"]);
}

#[test]
fn the_best_prompts_come_first() {
    let (scene, result) = finished();
    let pairs = scene.run(&["best", "--json"]).exits(0).json();
    let pairs = pairs.as_array().unwrap();
    assert_eq!(
        pairs.len() as u64,
        result["pairs"].as_u64().unwrap().min(10)
    );
    let gain =
        |p: &Value| p["improved_grade"].as_f64().unwrap() - p["original_grade"].as_f64().unwrap();
    assert!(pairs.windows(2).all(|w| gain(&w[0]) >= gain(&w[1])));
    assert!(pairs.iter().all(|p| gain(p) > 0.0), "a pair is a gain");
    let shown = scene.run(&["best", "--limit", "1"]).exits(0).stdout;
    assert_eq!(
        shown.matches("before: something about item").count(),
        1,
        "{shown}"
    );
    assert_eq!(shown.matches("after:  Say clearly").count(), 1, "{shown}");
}

/// An export in both formats, as rows of text.
fn exported(scene: &Scene, what: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let csv = scene.run(&[
        "export", "last", what, "--format", "csv", "--output", "out.csv",
    ]);
    let told = csv.exits(0);
    let mut reader = csv::Reader::from_path(scene.path("out.csv")).unwrap();
    let header: Vec<String> = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    let rows: Vec<Vec<String>> = reader
        .records()
        .map(|r| r.unwrap().iter().map(str::to_owned).collect())
        .collect();
    told.says(&[&format!("{} rows written to out.csv", rows.len())]);
    let lines = scene.run(&["export", "last", what]).exits(0).stdout;
    let from_json = |line: &str| -> Vec<String> {
        let object: Value = serde_json::from_str(line).unwrap();
        assert_eq!(object.as_object().unwrap().len(), header.len());
        let field = |name: &String| match &object[name] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        header.iter().map(field).collect()
    };
    let same: Vec<Vec<String>> = lines.lines().map(from_json).collect();
    assert_eq!(same, rows, "both formats say the same");
    assert!(!scene.path("out.csv.part").exists());
    (header, rows)
}

fn has(header: &[String], columns: &[&str]) {
    for column in columns {
        assert!(header.iter().any(|h| h == column), "{column} in {header:?}");
    }
}

#[test]
fn pairs_are_exported() {
    let (scene, result) = finished();
    let (header, rows) = exported(&scene, "pairs");
    has(
        &header,
        &[
            "original",
            "improved",
            "original_grade",
            "improved_grade",
            "grader",
            "operator",
            "round",
        ],
    );
    assert_eq!(rows.len() as u64, result["pairs"].as_u64().unwrap());
    assert!(
        rows[0][0].starts_with("something about item") && rows[0][1].starts_with("Say clearly")
    );
    let file = scene.path("pairs.jsonl");
    let to = file.to_str().unwrap();
    scene
        .run(&["export", "last", "pairs", "--output", to])
        .exits(0);
    assert_eq!(
        fs::read_to_string(&file).unwrap().lines().count(),
        rows.len()
    );
}

#[test]
fn candidates_and_answers_are_exported() {
    let (scene, _) = finished();
    let (header, rows) = exported(&scene, "candidates");
    has(
        &header,
        &[
            "candidate",
            "round",
            "operator",
            "verdict",
            "reason",
            "prompt",
            "parents",
        ],
    );
    let verdict = header.iter().position(|h| h == "verdict").unwrap();
    // 4 targets: the original, 2 x 2 of the search, as many of the placebo; and the baseline's one.
    assert_eq!(rows.len(), 4 * (1 + 4 + 4) + 1);
    assert!(rows.iter().any(|r| r[verdict] == "rejected"));
    let (header, rows) = exported(&scene, "answers");
    has(
        &header,
        &[
            "round",
            "step",
            "candidate",
            "example",
            "repeat",
            "reply",
            "value",
            "feedback",
        ],
    );
    let reply = header.iter().position(|h| h == "reply").unwrap();
    assert!(rows.len() > 16 && rows.iter().all(|r| !r[reply].is_empty()));
}

#[test]
fn an_export_that_cannot_be_written_says_where() {
    let (scene, _) = finished();
    let done = scene.run(&[
        "export",
        "last",
        "pairs",
        "--output",
        "no/such/folder.jsonl",
    ]);
    done.exits(2)
        .complains(&["cannot write", "no/such/folder.jsonl"]);
}

#[test]
fn sql_reads() {
    let (scene, result) = finished();
    let query = "SELECT name, status FROM runs";
    let rows = scene.run(&["sql", query, "--json"]).exits(0).json();
    assert_eq!(
        rows,
        serde_json::json!([{"name": "letters", "status": "finished"}])
    );
    let table = scene.run(&["sql", query]).exits(0).stdout;
    assert!(
        table.contains("name") && table.contains("letters"),
        "{table}"
    );
    let count = "SELECT count(*) AS n FROM pairs";
    let rows = scene.run(&["sql", count, "--json"]).exits(0).json();
    assert_eq!(rows[0]["n"], result["pairs"]);
    let wrong = scene.run(&["sql", "SELECT * FROM nowhere"]).exits(2);
    wrong.complains(&["nowhere"]);
}

#[test]
fn sql_does_not_write() {
    let (scene, _) = finished();
    for query in [
        "INSERT INTO runs (id) VALUES ('x')",
        "DELETE FROM answers",
        "UPDATE grades SET value = 1",
        "DROP TABLE pairs",
        "WITH gone AS (SELECT 1) DELETE FROM answers",
        "SELECT 1; DELETE FROM answers",
        "VACUUM INTO 'copy.db'",
    ] {
        let refused = scene.run(&["sql", query]).exits(2);
        assert_eq!(refused.stdout, "");
        let plain = ["read", "one statement"]
            .iter()
            .any(|w| refused.stderr.contains(w));
        assert!(plain, "{query}: {}", refused.stderr);
    }
    let left = scene.run(&["sql", "SELECT count(*) AS n FROM answers", "--json"]);
    assert!(left.exits(0).json()[0]["n"].as_u64().unwrap() > 0);
    assert!(!scene.path("copy.db").exists());
}
