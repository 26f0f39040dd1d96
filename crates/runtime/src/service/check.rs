//! `--healthcheck`: one small request to a service on this machine.

use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How long the service may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Whether the service at this address is ready.
///
/// # Errors
/// A sentence that says what it lacks, or that nobody answers.
pub async fn healthy(mut at: SocketAddr) -> Result<(), String> {
    // A service that listens everywhere is asked here.
    if at.ip().is_unspecified() {
        at.set_ip(match at.is_ipv4() {
            true => [127, 0, 0, 1].into(),
            false => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let answer = tokio::time::timeout(LIMIT, ask(at)).await;
    let answer = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(e)) => return Err(format!("no service answers at {at}: {e}")),
        Err(_) => return Err(format!("no answer from {at} within {} s", LIMIT.as_secs())),
    };
    let status = answer.split_whitespace().nth(1).unwrap_or_default();
    match status {
        "200" => Ok(()),
        _ => {
            let said = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            Err(format!("not ready: {}", said.trim()))
        }
    }
}

async fn ask(at: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(at).await?;
    let request = format!("GET /readyz HTTP/1.0\r\nHost: {at}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(65_536).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
