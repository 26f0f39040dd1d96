//! A chat server that gives every question the same answer, and remembers when it was asked.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

const REPLY: &str = r#"{"choices":[{"message":{"role":"assistant","content":"The answer is A."},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5}}"#;

/// A running server. It ends with the test's process.
pub struct Server {
    /// What `base_url` of a model is to be.
    pub url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    came: Mutex<Vec<Instant>>,
    latency_ms: AtomicU64,
    cut_every: AtomicU64,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                // A client that was killed ends its connection in the middle: nothing to be done.
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { url, state }
    }

    /// How long each reply takes.
    pub fn set_latency(&self, latency: Duration) {
        self.state
            .latency_ms
            .store(latency.as_millis() as u64, SeqCst);
    }

    /// Every so many requests, the connection is closed instead of a reply.
    pub fn cut_every(&self, n: u64) {
        self.state.cut_every.store(n, SeqCst);
    }

    /// How many requests came so far.
    pub fn requests(&self) -> u64 {
        self.state.came.lock().unwrap().len() as u64
    }

    /// The most requests in any window of this length.
    pub fn busiest(&self, window: Duration) -> u64 {
        let mut came = self.state.came.lock().unwrap().clone();
        came.sort_unstable();
        let within = |from: &Instant| {
            let of = |at: &&Instant| *at >= from && at.duration_since(*from) < window;
            came.iter().filter(of).count() as u64
        };
        came.iter().map(within).max().unwrap_or(0)
    }
}

fn serve(stream: TcpStream, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut length = 0;
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        while line.trim_end() != "" {
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            line.clear();
            reader.read_line(&mut line)?;
        }
        io::copy(&mut (&mut reader).take(length), &mut io::sink())?;
        let nth = {
            let mut came = state.came.lock().unwrap();
            came.push(Instant::now());
            came.len() as u64
        };
        thread::sleep(Duration::from_millis(state.latency_ms.load(SeqCst)));
        let cut_every = state.cut_every.load(SeqCst);
        if cut_every > 0 && nth.is_multiple_of(cut_every) {
            return Ok(());
        }
        let length = REPLY.len();
        write!(
            writer,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{REPLY}"
        )?;
    }
}
