use super::*;
use crate::fetch::download;
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    thread::JoinHandle,
};

/// A hub that answers one request with these bytes, and hands back the request line.
fn hub(answer: Vec<u8>) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        lines
            .take_while(|line| line.as_ref().is_ok_and(|l| !l.is_empty()))
            .for_each(drop);
        stream.write_all(&answer).unwrap();
        first
    });
    (address, server)
}

fn ok(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// An entry whose file is the three bytes "abc".
fn abc() -> Entry {
    Entry {
        file: "abc.gguf",
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        bytes: 3,
        hub: "somebody/some-model",
        ..ENTRIES[0].clone()
    }
}

#[test]
fn the_hub_gives_the_file_and_progress() {
    let (cache, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (endpoint, server) = hub(ok("abc"));
    let mut seen = Vec::new();
    let file = download(&endpoint, &abc(), place.path(), &mut |p| seen.push(p)).unwrap();
    let kept = keep(&abc(), &file, cache.path()).unwrap();
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "abc");
    assert_eq!(
        server.join().unwrap(),
        "GET /somebody/some-model/resolve/main/abc.gguf HTTP/1.1"
    );
    assert_eq!(
        seen.last(),
        Some(&Progress {
            from: endpoint,
            done: 3,
            total: Some(3)
        })
    );
}

#[test]
fn another_file_is_refused_and_leaves_nothing() {
    let (cache, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (endpoint, _server) = hub(ok("abd"));
    let file = download(&endpoint, &abc(), place.path(), &mut |_| {}).unwrap();
    let error = keep(&abc(), &file, cache.path()).unwrap_err();
    assert!(error.contains("SHA-256"), "{error}");
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
}

#[test]
fn a_broken_long_or_absent_file_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    for (answer, say) in [
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab".to_vec(),
            "broke off",
        ),
        (ok("abcd"), "longer than"),
        (
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
            "404",
        ),
    ] {
        let (endpoint, _server) = hub(answer);
        let error = download(&endpoint, &abc(), place.path(), &mut |_| {}).unwrap_err();
        assert!(error.contains(say), "{error}");
    }
    // Nobody listens on a port that was just given back.
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = download(&format!("http://{free}"), &abc(), place.path(), &mut |_| {}).unwrap_err();
    assert!(error.contains("refused"), "{error}");
}

#[test]
fn unknown_names_and_paths() {
    let error = locate("no-such-model").unwrap_err().to_string();
    assert!(
        error.contains("smollm2-135m-instruct") && error.contains("no-such-model"),
        "{error}"
    );
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        locate(dir.path().to_str().unwrap()).unwrap(),
        Some(dir.path().to_owned())
    );
}
