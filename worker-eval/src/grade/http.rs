//! A user's own HTTP endpoint: JSON posted, a verdict returned.

use super::{
    GradeError,
    external::{MAX_REPLY_BYTES, Question, verdict},
};
use domain::grade::{Grade, GradeInput};
use reqwest::{Client, StatusCode, Url, header::HeaderValue};
use std::{env, fmt, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

/// After a first failure an answer is posted so many times more.
const RETRIES: u32 = 2;
/// So many answers are with the endpoint at once.
const AT_ONCE: usize = 16;

/// The endpoint.
pub struct Http {
    client: Client,
    url: Url,
    token: Option<HeaderValue>,
    limit: Duration,
    turns: Semaphore,
}

/// Without token and query, which are or may be secret.
impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.who())
    }
}

impl Http {
    /// Reads the URL and the token; connects to nothing.
    pub fn new(
        url: &str,
        timeout_seconds: u64,
        token_env: Option<&str>,
    ) -> Result<Self, GradeError> {
        llm::use_ring();
        let url = read_url(url)?;
        let limit = Duration::from_secs(timeout_seconds.max(1));
        llm::use_ring();
        let mut client = Client::builder().redirect(reqwest::redirect::Policy::none());
        if is_loopback(&url) {
            client = client.no_proxy(); // a proxy cannot reach this machine's own addresses
        }
        let client = client
            .build()
            .map_err(|e| GradeError::lasting(format!("no HTTP client can be made: {e}")))?;
        Ok(Self {
            client,
            url,
            token: token_env.map(bearer).transpose()?,
            limit,
            turns: Semaphore::new(AT_ONCE),
        })
    }

    /// Grades one reply; the time limit spans all attempts.
    pub async fn grade(&self, input: &GradeInput, reply: &str) -> Result<Grade, GradeError> {
        let question = Question::new(input, reply);
        let _turn = self.turns.acquire().await;
        let said = timeout(self.limit, self.patiently(&question)).await;
        let said = said.unwrap_or_else(|_| {
            Err(GradeError::outage(format!(
                "{} gave no answer within {} s: raise timeout_seconds, or mend the endpoint",
                self.who(),
                self.limit.as_secs()
            )))
        })?;
        verdict(&self.who(), &said, &question, false)
    }

    /// The endpoint without what may be secret in a URL.
    fn who(&self) -> String {
        let port = self.url.port().map_or(String::new(), |p| format!(":{p}"));
        let host = self.url.host_str().unwrap_or_default();
        format!(
            "grader {}://{host}{port}{}",
            self.url.scheme(),
            self.url.path()
        )
    }

    async fn patiently(&self, question: &Question<'_>) -> Result<Vec<u8>, GradeError> {
        let mut attempt = 0;
        loop {
            match self.post(question).await {
                Err(e) if e.retryable && attempt < RETRIES => {
                    sleep(Duration::from_millis(200 << attempt)).await;
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    async fn post(&self, question: &Question<'_>) -> Result<Vec<u8>, GradeError> {
        let mut request = self.client.post(self.url.clone()).json(question);
        if let Some(token) = &self.token {
            request = request.header(reqwest::header::AUTHORIZATION, token.clone());
        }
        let lost = |e: reqwest::Error| {
            GradeError::outage(format!("{} was not reached: {}", self.who(), cause(e)))
        };
        let mut response = request.send().await.map_err(lost)?;
        let status = response.status();
        if !status.is_success() {
            return Err(self.refused(status));
        }
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(lost)? {
            body.extend_from_slice(&part);
            if body.len() as u64 > MAX_REPLY_BYTES {
                let message = format!("{} answered with over {MAX_REPLY_BYTES} bytes", self.who());
                return Err(GradeError::lasting(message));
            }
        }
        Ok(body)
    }

    fn refused(&self, status: StatusCode) -> GradeError {
        let message = format!("{} answered with status {status}", self.who());
        let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        if status.is_server_error() || passing.contains(&status) {
            GradeError::outage(message)
        } else {
            GradeError::lasting(format!(
                "{message}: mend the URL, the token or the endpoint"
            ))
        }
    }
}

/// The innermost reason, without the URL, which may hold a secret.
fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut inner: &dyn std::error::Error = &error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

fn read_url(url: &str) -> Result<Url, GradeError> {
    let parsed = Url::parse(url)
        .ok()
        .filter(|u| ["http", "https"].contains(&u.scheme()));
    parsed.ok_or_else(|| {
        GradeError::lasting("the grader's url is none: it must begin with http:// or https://")
    })
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|a| a.is_loopback())
}

fn bearer(variable: &str) -> Result<HeaderValue, GradeError> {
    let token = env::var(variable).ok().filter(|t| !t.trim().is_empty());
    let header = token.and_then(|t| HeaderValue::from_str(&format!("Bearer {}", t.trim())).ok());
    let mut header = header.ok_or_else(|| {
        GradeError::lasting(format!(
            "environment variable {variable} (the grader's token_env) holds no token: set it"
        ))
    })?;
    header.set_sensitive(true);
    Ok(header)
}
