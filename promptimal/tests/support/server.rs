//! A chat server for tests: HTTP/1.1 with keep-alive on a free port, a thread for each connection.
//!
//! What it says is a function of the request alone. A vague question gets a wrong letter; a rewrite that says
//! "clearly" a right one. Every request is in its log, so that a test can tell what was bought.

use serde_json::{Value, json};
use std::{
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub enum Asked {
    /// A chat with its seed: the low 31 bits of the answer key.
    Chat { seed: u64 },
    /// Texts to be scored.
    Echo { texts: Vec<String> },
}

/// A running server. It ends with the test's process.
pub struct Server {
    /// What `base_url` of a spec is to be.
    pub url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    log: Mutex<Vec<Asked>>,
    latency_ms: AtomicU64,
    /// 0 is well; anything else is the status of every reply.
    status: AtomicU16,
    /// Anything else is refused.
    authorization: Mutex<Option<String>>,
}

impl Server {
    /// Starts one.
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
    pub fn set_latency(&self, ms: u64) {
        self.state.latency_ms.store(ms, SeqCst);
    }

    /// Every reply has this status from now on; 0 makes it well again.
    pub fn fail_with(&self, status: u16) {
        self.state.status.store(status, SeqCst);
    }

    /// Requests without this authorization are refused from now on.
    pub fn only_with(&self, authorization: &str) {
        *self.state.authorization.lock().unwrap() = Some(authorization.to_owned());
    }

    /// How many requests came so far.
    pub fn requests(&self) -> usize {
        self.state.log.lock().unwrap().len()
    }

    /// The requests, in the order they came.
    pub fn log(&self) -> Vec<Asked> {
        self.state.log.lock().unwrap().clone()
    }
}

/// An address that refuses connections: nobody listens there any more.
pub fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/v1", listener.local_addr().unwrap())
}

fn serve(stream: TcpStream, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(request) = read(&mut reader)? {
        let body: Value = serde_json::from_slice(&request.body)?;
        let scoring = !request.path.ends_with("/chat/completions");
        state.log.lock().unwrap().push(asked(&body, scoring));
        thread::sleep(Duration::from_millis(state.latency_ms.load(SeqCst)));
        let wanted = state.authorization.lock().unwrap().clone();
        let refused = wanted.is_some_and(|w| w != request.authorization);
        let (status, reply) = match state.status.load(SeqCst) {
            0 if refused => (401, json!({"error": {"message": "wrong key"}})),
            0 if scoring => (200, scores(&body)),
            0 => (200, chat(&body)),
            // Some servers repeat the key they refuse.
            bad => (
                bad,
                json!({"error": {"message": format!("no: {}", request.authorization)}}),
            ),
        };
        let reply = reply.to_string();
        write!(
            writer,
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{reply}",
            reply.len()
        )?;
    }
    Ok(())
}

struct Received {
    path: String,
    authorization: String,
    body: Vec<u8>,
}

fn read(reader: &mut impl BufRead) -> io::Result<Option<Received>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut length, mut authorization) = (0, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().map_err(io::Error::other)?,
            "authorization" => authorization = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Received {
        path,
        authorization,
        body,
    }))
}

fn asked(body: &Value, scoring: bool) -> Asked {
    if !scoring {
        let seed = body["seed"].as_u64().unwrap_or(u64::MAX);
        return Asked::Chat { seed };
    }
    let texts = body["prompt"].as_array().into_iter().flatten();
    let texts = texts.filter_map(Value::as_str).map(str::to_owned);
    Asked::Echo {
        texts: texts.collect(),
    }
}

fn chat(body: &Value) -> Value {
    let messages = body["messages"].as_array().into_iter().flatten();
    let all: Vec<&str> = messages.filter_map(|m| m["content"].as_str()).collect();
    let asked = all.join("\n");
    let seed = body["seed"].as_u64().unwrap_or(0);
    let text = match asked.contains("<prompt>") {
        _ if asked.starts_with("You compare two answers") => verdict(&asked),
        true => rewrite(&asked, seed),
        // What stands before the last message may show other questions.
        false => answer(&asked, all.last().copied().unwrap_or_default(), seed),
    };
    json!({
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    })
}

/// The longer of two answers is the better one.
fn verdict(asked: &str) -> String {
    let length = |name: &str| {
        let after = asked
            .rsplit_once(&format!("<{name}-"))
            .map_or("", |(_, rest)| rest);
        after.split("</").next().unwrap_or_default().len()
    };
    let better = match length("answer-a").cmp(&length("answer-b")) {
        std::cmp::Ordering::Greater => "A",
        std::cmp::Ordering::Less => "B",
        std::cmp::Ordering::Equal => "tie",
    };
    format!("By its length.\nVerdict: {better}")
}

/// The number of the item that a text speaks of.
fn item(text: &str) -> usize {
    let after = text.split("item ").nth(1).unwrap_or_default();
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

const WORDS: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

/// Half of the rewrites help, a quarter does not, a quarter gives the answer away. No paraphrase helps.
fn rewrite(asked: &str, seed: u64) -> String {
    let (n, variant) = (item(asked), seed % 1000);
    let placebo = asked.contains("in other words");
    let text = match seed % 4 {
        3 => format!(
            "Say for item {n} that {} {n} is right, variant {variant}",
            WORDS[n % 4]
        ),
        0 | 1 if !placebo => format!("Say clearly for item {n} of the list, variant {variant}"),
        _ => format!("Say roughly for item {n} of the list, variant {variant}"),
    };
    format!("<prompt>{text}</prompt>")
}

/// The letter of a choice; where there are none, an essay.
fn answer(asked: &str, last: &str, seed: u64) -> String {
    if asked.contains("def plus(") {
        return program(asked);
    }
    if !asked.lines().any(|l| l.chars().nth(1) == Some('.')) {
        return essay(asked, seed);
    }
    // The question stands last: an instruction before it may speak of an item too.
    let question = last.rfind("item ").map_or(last, |at| &last[at..]);
    let wanted = WORDS[item(question) % 4];
    let vague = asked.contains("something about") || asked.contains("roughly");
    let right = asked.contains("clearly") || !vague;
    let choice = last
        .lines()
        .find(|l| l.chars().nth(1) == Some('.') && l.contains(wanted) == right);
    let letter = choice.and_then(|l| l.chars().next()).unwrap_or('A');
    format!("The answer is {letter}.")
}

/// A program in a reply: right for a clear question or an even item, else a cheat, an endless loop or a wrong sum.
fn program(asked: &str) -> String {
    let n = item(asked);
    let body = match (n.is_multiple_of(2) || asked.contains("clearly"), n % 6) {
        (true, _) => format!("    return x + {n}"),
        (_, 1) => "    import os\n    print('all passed')\n    os._exit(0)".to_owned(),
        (_, 3) => "    while True:\n        pass".to_owned(),
        _ => format!("    return x - {n}"),
    };
    format!("Here it is:\n```python\ndef plus(x):\n{body}\n```\nIt adds.")
}

/// Some words about an item: as the seed has it, more of them for a clear question.
fn essay(asked: &str, seed: u64) -> String {
    let length = 2 + seed as usize % 5 + if asked.contains("clearly") { 3 } else { 0 };
    let words = (0..length).map(|i| WORDS[(seed as usize >> i) % 4]);
    let words: Vec<&str> = words.collect();
    format!("Item {} is {}.", item(asked), words.join(" and "))
}

/// Each text again, a token for each word, and how probable the token is: a function of the text up to it.
fn scores(body: &Value) -> Value {
    let texts = body["prompt"].as_array().cloned().unwrap_or_default();
    let choice = |(index, text): (usize, &Value)| {
        let text = text.as_str().unwrap_or_default();
        let (mut tokens, mut logprobs, mut hash) = (vec![], vec![], 7u64);
        for token in text
            .split_inclusive(' ')
            .flat_map(|word| match word.strip_suffix(' ') {
                Some(word) => vec![word, " "],
                None => vec![word],
            })
        {
            hash = token.bytes().fold(hash, |h, b| {
                (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
            });
            tokens.push(token);
            logprobs.push((tokens.len() > 1).then_some(-1.0 - (hash >> 40) as f64 / 1e8));
        }
        json!({"index": index, "logprobs": {"tokens": tokens, "token_logprobs": logprobs}})
    };
    let choices: Vec<Value> = texts.iter().enumerate().map(choice).collect();
    json!({"choices": choices, "usage": {"prompt_tokens": 10, "completion_tokens": 0}})
}
