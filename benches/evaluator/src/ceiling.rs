//! How many requests a second the mock can take: a client that does nothing but copy bytes. One request at a time
//! on each connection, no HTTP library, replies are counted by their length.

use crate::{measure, question};
use anyhow::Context;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Sends `n` requests on `c` connections and prints what it took.
pub fn main(url: &str, n: usize, c: usize) -> anyhow::Result<()> {
    let address = url.trim_start_matches("http://").split('/').next();
    let address = address.context("the URL names no server")?.to_owned();
    let begun = Instant::now();
    crate::runtime()?.block_on(all(address, n, c))?;
    let report = serde_json::json!({ "took": { "wall_s": begun.elapsed().as_secs_f64() }, "used": measure::used() });
    println!("{report}");
    Ok(())
}

async fn all(address: String, n: usize, c: usize) -> anyhow::Result<()> {
    let left = Arc::new(AtomicUsize::new(n));
    let request: Arc<[u8]> = request(&address).into_bytes().into();
    let clients: Vec<_> = (0..c)
        .map(|_| tokio::spawn(one(address.clone(), request.clone(), left.clone())))
        .collect();
    for client in clients {
        client.await??;
    }
    Ok(())
}

fn request(address: &str) -> String {
    let messages = serde_json::json!([{"role": "user", "content": question(0)}]);
    let body =
        serde_json::json!({"model": "mock", "messages": messages, "max_tokens": 256}).to_string();
    let length = body.len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

async fn one(address: String, request: Arc<[u8]>, left: Arc<AtomicUsize>) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 8_192];
    let less = |n: usize| n.checked_sub(1);
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        .is_ok()
    {
        stream.write_all(&request).await?;
        let mut got = 0;
        loop {
            let read = stream.read(&mut buffer[got..]).await?;
            anyhow::ensure!(read > 0, "the mock closed a connection");
            got += read;
            if whole(&buffer[..got]).context("a reply that cannot be read")? {
                break;
            }
        }
    }
    Ok(())
}

/// Whether a reply is there to its last byte; `None` when it is no reply of the mock.
fn whole(bytes: &[u8]) -> Option<bool> {
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        return Some(false);
    };
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("content-length: "))?;
    Some(bytes.len() >= end + 4 + length.parse::<usize>().ok()?)
}
