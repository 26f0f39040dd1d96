//! The HTTP grader against a server of ours on this machine.

#![allow(clippy::unwrap_used, reason = "a test helper may panic")]

use domain::{
    call::{Call, Reply, Sampling},
    example::Reference,
    grade::{Grade, GradeInput, Grader},
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};
use worker_eval::grade::{GradeError, GraderRuntime};

/// One request as the server saw it.
#[derive(Clone, Debug)]
struct Seen {
    head: String,
    body: serde_json::Value,
}

/// Serves the scripted replies in turn, one connection each (`None`: hang up), and keeps what was asked.
fn server(script: Vec<Option<(u16, String)>>) -> (String, Arc<Mutex<Vec<Seen>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/grade", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    std::thread::spawn(move || {
        for reply in script {
            let (stream, _) = listener.accept().unwrap();
            let asked = read(&stream);
            kept.lock().unwrap().push(asked);
            if let Some((status, body)) = reply {
                write(stream, status, &body);
            }
        }
    });
    (url, seen)
}

fn read(stream: &TcpStream) -> Seen {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
            length = n.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Seen {
        head,
        body: serde_json::from_slice(&body).unwrap(),
    }
}

fn write(mut stream: TcpStream, status: u16, body: &str) {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
    .unwrap();
}

fn ok(body: &str) -> Option<(u16, String)> {
    Some((200, body.to_owned()))
}

fn status(code: u16) -> Option<(u16, String)> {
    Some((code, "{}".to_owned()))
}

fn runtime(url: &str, token_env: Option<&str>) -> Result<GraderRuntime, GradeError> {
    GraderRuntime::new(&Grader::Http {
        url: url.into(),
        timeout_seconds: 60,
        token_env: token_env.map(String::from),
    })
}

async fn grade(runtime: &GraderRuntime) -> Result<Grade, GradeError> {
    let input = GradeInput {
        input: "2+2?".into(),
        choices: vec![],
        reference: Reference::Text { text: "4".into() },
    };
    let call = Call::Generate {
        messages: vec![],
        sampling: Sampling::default(),
    };
    runtime
        .grade(&input, &call, &Reply::Text { text: "5".into() })
        .await
}

#[tokio::test]
async fn an_answer_is_posted_with_the_token_and_its_score_read() {
    let (url, seen) = server(vec![ok(r#"{"score": 0.5, "feedback": "wanted 4, not 5"}"#)]);
    // A variable that every test has, since setting one is not safe while others run.
    let runtime = runtime(&url, Some("CARGO_PKG_NAME")).unwrap();
    let grade = grade(&runtime).await.unwrap();
    assert_eq!(
        (grade.value, grade.feedback.as_str()),
        (0.5, "wanted [reference], not 5")
    );
    let seen = seen.lock().unwrap();
    assert!(seen[0].head.starts_with("POST /grade "));
    assert!(
        seen[0]
            .head
            .to_lowercase()
            .contains("authorization: bearer worker-eval")
    );
    assert_eq!(
        (&seen[0].body["answer"], &seen[0].body["reference"]),
        (&"5".into(), &"4".into())
    );
}

#[test]
fn the_token_is_never_shown() {
    let secret = std::env::var("CARGO_PKG_NAME").unwrap();
    let runtime = runtime(
        "http://user:hunter2@127.0.0.1:9/x?key=abc",
        Some("CARGO_PKG_NAME"),
    )
    .unwrap();
    let shown = format!("{runtime:?}");
    assert!(shown.contains("127.0.0.1:9/x"), "{shown}");
    for secret in [&format!("Bearer {secret}"), "hunter2", "abc"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn outages_are_tried_again_twice() {
    let (url, seen) = server(vec![status(503), None, ok(r#"{"score": 1}"#)]);
    assert_eq!(
        grade(&runtime(&url, None).unwrap()).await.unwrap().value,
        1.0
    );
    assert_eq!(seen.lock().unwrap().len(), 3);
    let (url, seen) = server(vec![status(500), status(429), status(502)]);
    let error = grade(&runtime(&url, None).unwrap()).await.unwrap_err();
    assert!(error.retryable && error.message.contains("502"), "{error}");
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn what_cannot_work_is_not_tried_again() {
    for code in [400, 401, 404, 302] {
        let (url, seen) = server(vec![status(code)]);
        let error = grade(&runtime(&url, None).unwrap()).await.unwrap_err();
        assert!(
            !error.retryable && error.message.contains(&code.to_string()),
            "{error}"
        );
        assert_eq!(seen.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn garbage_is_an_error_and_no_grade() {
    let long = format!(r#"{{"score": 1, "feedback": "{}"}}"#, "x".repeat(2 << 20));
    for body in [
        "",
        "ok",
        r#"{"score": 2}"#,
        r#"{"feedback": "good"}"#,
        &long,
    ] {
        let (url, _) = server(vec![ok(body)]);
        assert!(
            !grade(&runtime(&url, None).unwrap())
                .await
                .unwrap_err()
                .retryable
        );
    }
}

#[tokio::test]
async fn an_endpoint_that_never_answers_runs_into_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "http://user:hunter2@{}/grade?key=abc",
        listener.local_addr().unwrap()
    );
    let grader = Grader::Http {
        url,
        timeout_seconds: 1,
        token_env: None,
    };
    let error = grade(&GraderRuntime::new(&grader).unwrap())
        .await
        .unwrap_err();
    assert!(
        error.retryable && error.message.contains("within 1 s"),
        "{error}"
    );
    assert!(
        !error.message.contains("hunter2") && !error.message.contains("abc"),
        "{error}"
    );
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_an_outage() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/grade", listener.local_addr().unwrap());
    drop(listener);
    let error = grade(&runtime(&url, None).unwrap()).await.unwrap_err();
    assert!(
        error.retryable && error.message.contains("was not reached"),
        "{error}"
    );
}

#[test]
fn what_is_misconfigured_is_named_before_anything_is_sent() {
    let error = runtime("http://127.0.0.1:1/", Some("NO_SUCH_TOKEN_VARIABLE")).unwrap_err();
    assert!(
        error.message.contains("NO_SUCH_TOKEN_VARIABLE") && !error.retryable,
        "{error}"
    );
    for url in ["", "grader.local", "ftp://127.0.0.1/"] {
        assert!(runtime(url, None).unwrap_err().message.contains("http://"));
    }
}
