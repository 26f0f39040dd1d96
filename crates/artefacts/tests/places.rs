//! The same suite on a folder and on a bucket.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

use artefacts::{ArtefactError, Artefacts, Listed, Place, Variables, hash};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use std::{collections::BTreeMap, io};

fn skip(why: &str) {
    use std::io::Write;
    println!("skipped: {why}");
    if let Some(log) = std::env::var_os("PROMPTIMAL_SKIP_LOG") {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log);
        writeln!(log.unwrap(), "skipped: {why}").unwrap();
    }
}

/// The variables of a server that speaks S3, and a new bucket in it.
async fn bucket(name: &str) -> Option<(Place, Variables)> {
    let Ok(endpoint) = std::env::var("PROMPTIMAL_TEST_S3_ENDPOINT") else {
        skip("artefacts: PROMPTIMAL_TEST_S3_ENDPOINT is not set (scripts/test starts a server)");
        return None;
    };
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_REGION", "us-east-1"),
        ("PATH", "is none of ours"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let bucket = format!("{name}-{}", uuid::Uuid::now_v7());
    // Also switches on TLS, which the client wants even where it is not used.
    let place: Place = format!("s3://{bucket}/some/prefix").parse().unwrap();
    Artefacts::open_with(&place, variables.to_vec()).unwrap();
    let made = reqwest::Client::new().put(format!("{endpoint}/{bucket}"));
    assert!(made.send().await.unwrap().status().is_success());
    Some((place, variables.to_vec()))
}

async fn names(of: &Artefacts, folder: &str) -> BTreeMap<String, u64> {
    let listed: Vec<Listed> = of.list(folder).unwrap().try_collect().await.unwrap();
    listed.into_iter().map(|l| (l.name, l.bytes)).collect()
}

async fn suite(of: &Artefacts) {
    of.check().await.unwrap();
    assert_eq!(names(of, "").await.len(), 0, "the check left something");
    whole(of).await;
    piece_by_piece(of).await;
    swept(of).await;
}

async fn whole(of: &Artefacts) {
    let (name, content) = ("bodies/one-1", Bytes::from_static(b"what it says"));
    let error = of.get(name, 100).await.unwrap_err();
    assert!(matches!(error, ArtefactError::Missing { .. }), "{error}");
    assert!(error.to_string().contains(name), "{error}");
    assert!(!error.is_passing());
    of.delete(name).await.unwrap();

    let stored = of.put(name, content.clone()).await.unwrap();
    assert_eq!((stored.bytes, stored.hash), (12, hash(&content)));
    assert_eq!(of.get(name, 12).await.unwrap(), content);
    let error = of.get(name, 11).await.unwrap_err().to_string();
    assert!(
        error.contains("has 12 bytes, over the limit of 11"),
        "{error}"
    );
    // Over it.
    let other = of.put(name, Bytes::from_static(b"else")).await.unwrap();
    assert_ne!(other.hash, stored.hash);
    assert_eq!(of.get(name, 100).await.unwrap(), "else");
    let empty = of.put("empty", Bytes::new()).await.unwrap();
    assert_eq!((empty.bytes, empty.hash), (0, hash(b"")));
    assert_eq!(of.get("empty", 0).await.unwrap(), "");

    let listed = names(of, "").await;
    assert_eq!(
        listed,
        [("bodies/one-1".into(), 4), ("empty".into(), 0)].into()
    );
    assert_eq!(
        names(of, "bodies").await,
        [("bodies/one-1".into(), 4)].into()
    );
    // A folder is no beginning of a word.
    assert_eq!(names(of, "bod").await, [].into());
    of.delete(name).await.unwrap();
    of.delete("empty").await.unwrap();
    assert_eq!(names(of, "").await, [].into());
    for bad in ["", "../x", "a b"] {
        let error = of.put(bad, Bytes::new()).await.unwrap_err();
        assert!(matches!(error, ArtefactError::Name(_)), "{error}");
    }
}

async fn piece_by_piece(of: &Artefacts) {
    // More than two parts, in pieces that end nowhere in particular.
    let content = Bytes::from(
        (0..20_000_003u32)
            .map(|n| (n * 7) as u8)
            .collect::<Vec<_>>(),
    );
    let pieces = |content: &Bytes| -> Vec<io::Result<Bytes>> {
        let piece = |at: usize| content.slice(at..content.len().min(at + 333_333));
        (0..content.len())
            .step_by(333_333)
            .map(|at| Ok(piece(at)))
            .collect()
    };
    let written = of.put_stream("adapters/a/weights", stream::iter(pieces(&content)));
    let written = written.await.unwrap();
    assert_eq!(written.hash, hash(&content));
    assert_eq!(written.bytes, content.len() as u64);
    let read = of.get_stream("adapters/a/weights").await.unwrap();
    let read: Vec<Bytes> = read.try_collect().await.unwrap();
    assert!(
        read.concat() == content,
        "what is read is not what was written"
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weights");
    of.get_to("adapters/a/weights", &file).await.unwrap();
    assert!(std::fs::read(&file).unwrap() == content);
    let missing = of.get_to("adapters/none", &file).await;
    assert!(matches!(missing, Err(ArtefactError::Missing { .. })));
    let nowhere = dir.path().join("no/such/folder");
    let unwritten = of.get_to("adapters/a/weights", &nowhere).await;
    let why = unwritten.unwrap_err().to_string();
    assert!(why.contains("no/such/folder"), "{why}");
    let empty = of.put_stream("adapters/empty", stream::empty());
    assert_eq!(empty.await.unwrap().bytes, 0);
    assert_eq!(of.get("adapters/empty", 9).await.unwrap(), "");

    // One that breaks off leaves nothing.
    for length in [1, content.len()] {
        let mut broken = pieces(&content.slice(..length));
        broken.push(Err(io::Error::other("the cable was pulled")));
        let error = of.put_stream("adapters/broken", stream::iter(broken));
        let error = error.await.unwrap_err().to_string();
        assert!(error.contains("the cable was pulled"), "{error}");
        assert!(of.get("adapters/broken", 9).await.is_err());
    }
    assert_eq!(names(of, "adapters").await.len(), 2);
    let missing = of.get_stream("adapters/none").await.map(|s| s.boxed());
    assert!(matches!(missing, Err(ArtefactError::Missing { .. })));
    for name in ["adapters/a/weights", "adapters/empty"] {
        of.delete(name).await.unwrap();
    }
}

async fn swept(of: &Artefacts) {
    for name in ["old/a", "old/b", "kept/c"] {
        of.put(name, Bytes::from_static(b"x")).await.unwrap();
    }
    let listed: Vec<Listed> = of.list("old").unwrap().try_collect().await.unwrap();
    let oldest = listed.iter().map(|l| l.modified).min().unwrap();
    assert_eq!(of.sweep("old", oldest).await.unwrap(), 0);
    assert_eq!(of.sweep("old", i64::MAX).await.unwrap(), 2);
    assert_eq!(names(of, "").await, [("kept/c".into(), 1)].into());
    of.delete("kept/c").await.unwrap();
}

#[tokio::test]
async fn a_folder_keeps_artefacts() {
    let dir = tempfile::tempdir().unwrap();
    // It is made.
    let place = Place::Folder(dir.path().join("not/there yet"));
    let of = Artefacts::open(&place).unwrap();
    suite(&of).await;
}

#[tokio::test]
async fn a_bucket_keeps_artefacts() {
    let Some((place, variables)) = bucket("suite").await else {
        return;
    };
    suite(&Artefacts::open_with(&place, variables).unwrap()).await;
}

#[tokio::test]
async fn a_place_that_cannot_be_used_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = Artefacts::open(&Place::Folder(file.clone())).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(file.to_str().unwrap()), "{text}");
    assert!(error.is_passing());

    // Somebody who does not answer.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let place: Place = "s3://bucket".parse().unwrap();
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let of = Artefacts::open_with(&place, variables.to_vec()).unwrap();
    let error = of.check().await.unwrap_err();
    let text = error.to_string();
    assert!(error.is_passing(), "{text}");
    assert!(text.starts_with("artefacts in s3://bucket: "), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named() {
    let Some((_, variables)) = bucket("none").await else {
        return;
    };
    let place: Place = "s3://no-such-bucket-anywhere".parse().unwrap();
    let of = Artefacts::open_with(&place, variables).unwrap();
    let text = of.check().await.unwrap_err().to_string();
    assert!(text.contains("s3://no-such-bucket-anywhere"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}
