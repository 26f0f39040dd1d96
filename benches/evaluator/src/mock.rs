//! A chat server that answers everything alike after a fixed delay, on one thread.
//!
//! `POST …/chat/completions` answers; `GET /stats` tells the counters; `POST /reset?text=TEXT&delay=MS` sets them
//! to zero and says what is answered from now on (`text`: `plain` or `dspy`).

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{cell::RefCell, convert::Infallible, rc::Rc, time::Duration};
use tokio::{net::TcpListener, time::Instant};

struct State {
    delay: Duration,
    answer: Bytes,
    requests: u64,
    flying: u64,
    peak: u64,
    connections: u64,
    received: u64,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl State {
    fn new(delay_ms: u64, text: &str) -> Self {
        Self {
            delay: Duration::from_millis(delay_ms),
            answer: answer(text),
            requests: 0,
            flying: 0,
            peak: 0,
            connections: 0,
            received: 0,
            first: None,
            last: None,
        }
    }

    /// From the first request to the last reply, in seconds.
    fn window(&self) -> f64 {
        let both = self.first.zip(self.last);
        both.map_or(0.0, |(first, last)| (last - first).as_secs_f64())
    }

    fn stats(&self) -> String {
        serde_json::json!({
            "requests": self.requests,
            "peak_in_flight": self.peak,
            "connections": self.connections,
            "bytes_received": self.received,
            "window_s": self.window(),
        })
        .to_string()
    }
}

/// What dspy's adapters find their fields in, or one letter.
fn answer(text: &str) -> Bytes {
    let content = match text {
        "dspy" => "[[ ## answer ## ]]\nA\n\n[[ ## completed ## ]]",
        _ => "A",
    };
    let reply = serde_json::json!({
        "id": "mock", "object": "chat.completion", "created": 1, "model": "mock",
        "choices": [{
            "index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": content},
        }],
        "usage": {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21},
    });
    reply.to_string().into()
}

/// Serves until killed.
pub fn main(port: usize, delay_ms: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, serve(port as u16, delay_ms as u64))
}

async fn serve(port: u16, delay_ms: u64) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("{}", listener.local_addr()?.port());
    let state = Rc::new(RefCell::new(State::new(delay_ms, "plain")));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        state.borrow_mut().connections += 1;
        let state = state.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| respond(request, &state));
            // A client that goes away in the middle is its own affair: the counts are asserted.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn respond(
    request: Request<Incoming>,
    state: &RefCell<State>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = match request.uri().path() {
        "/stats" => state.borrow().stats().into(),
        "/reset" => reset(request.uri().query().unwrap_or_default(), state),
        _ => chat(request, state).await,
    };
    let mut response = Response::new(Full::new(body));
    let json = hyper::header::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, json);
    Ok(response)
}

fn reset(query: &str, state: &RefCell<State>) -> Bytes {
    let of = |name: &str| {
        query
            .split('&')
            .find_map(|p| p.strip_prefix(name)?.strip_prefix('='))
    };
    let mut state = state.borrow_mut();
    let kept = state.delay.as_millis() as u64;
    let delay = of("delay").and_then(|d| d.parse().ok()).unwrap_or(kept);
    *state = State::new(delay, of("text").unwrap_or("plain"));
    Bytes::from_static(b"{}")
}

async fn chat(request: Request<Incoming>, state: &RefCell<State>) -> Bytes {
    let delay = {
        let mut state = state.borrow_mut();
        state.first.get_or_insert_with(Instant::now);
        state.requests += 1;
        state.flying += 1;
        state.peak = state.peak.max(state.flying);
        state.delay
    };
    // From the head of the request on, whatever the time that reading the body takes.
    let until = Instant::now() + delay;
    let read = request.into_body().collect().await;
    if !delay.is_zero() {
        tokio::time::sleep_until(until).await;
    }
    let mut state = state.borrow_mut();
    state.received += read.map_or(0, |b| b.to_bytes().len() as u64);
    state.flying -= 1;
    state.last = Some(Instant::now());
    state.answer.clone()
}
