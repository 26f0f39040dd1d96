//! A coordinator somewhere else, as the command line talks to it.

mod events;

pub use events::Events;

use crate::token;
use anyhow::{Context, anyhow};
use clap::Args;
use coordinator::api::shapes::{Failure, Wrong};
use reqwest::{RequestBuilder, Response, StatusCode, Url, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use std::{path::PathBuf, time::Duration};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long nothing may come: streams have a sign of life every 15 seconds.
const SILENT: Duration = Duration::from_secs(60);

/// The coordinator to ask, if any.
#[derive(Clone, Debug, Args)]
pub struct Remote {
    /// The coordinator of a cluster: http://host:port. Its token is taken from PROMPTIMAL_TOKEN or --token-file.
    #[arg(
        long = "coordinator",
        value_name = "URL",
        env = "PROMPTIMAL_COORDINATOR"
    )]
    pub url: Option<String>,
    /// The file that holds the coordinator's token.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

impl Remote {
    /// The coordinator, where one is named.
    ///
    /// # Errors
    /// When its URL is none, or the token cannot be read.
    pub fn client(&self) -> anyhow::Result<Option<Client>> {
        let Some(url) = self.url.as_deref().filter(|url| !url.is_empty()) else {
            return Ok(None);
        };
        let base: Url = url.parse().ok().filter(is_http).with_context(|| {
            format!("--coordinator {url:?} is no URL: it is written http://host:port")
        })?;
        llm::use_ring();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENT)
            // A token is for this coordinator alone.
            .redirect(Policy::none())
            .build()?;
        let token = token::read(self.token_file.as_deref())?;
        Ok(Some(Client { http, base, token }))
    }

    /// The coordinator of a command that is nothing without one.
    ///
    /// # Errors
    /// As [`Remote::client`], and when none is named.
    pub fn required(&self) -> anyhow::Result<Client> {
        self.client()?.context(
            "no coordinator is named: give --coordinator URL, or set PROMPTIMAL_COORDINATOR",
        )
    }
}

fn is_http(url: &Url) -> bool {
    ["http", "https"].contains(&url.scheme()) && url.has_host()
}

/// Why a coordinator did not do it.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It does not answer, or cannot now: the same may work later.
    #[error("{0}")]
    Away(String),
    /// It refuses.
    #[error("{}", .0.message)]
    Refused(Wrong),
}

/// A coordinator.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<SecretString>,
}

impl Client {
    /// How a person names it in a command.
    pub fn arguments(&self) -> String {
        format!("--coordinator {}", self.base.as_str().trim_end_matches('/'))
    }

    /// Reads something.
    ///
    /// # Errors
    /// When it is not answered.
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, AskError> {
        self.get_where(path, &[]).await
    }

    /// Reads what a query asks for.
    ///
    /// # Errors
    /// When it is not answered.
    pub async fn get_where<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, AskError> {
        self.read(self.open(path, query).await?).await
    }

    /// Does something.
    ///
    /// # Errors
    /// When it is not done, or that is not known.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, AskError> {
        let request = self.authorised(self.http.post(self.url(path)));
        self.read(self.sent(request.json(body)).await?).await
    }

    /// Begins to read something long.
    ///
    /// # Errors
    /// When it is not answered.
    pub async fn open(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Response, AskError> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.sent(self.authorised(self.http.get(url))).await
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        url
    }

    fn authorised(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    async fn sent(&self, request: RequestBuilder) -> Result<Response, AskError> {
        let response = request.send().await.map_err(|e| self.away(&e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        let wrong = match serde_json::from_str::<Failure>(&text) {
            Ok(failure) => failure.error,
            Err(_) => return Err(self.strange(status)),
        };
        match status.is_server_error() {
            true => Err(AskError::Away(wrong.message)),
            false => Err(AskError::Refused(wrong)),
        }
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, AskError> {
        let text = response.text().await.map_err(|e| self.away(&e))?;
        serde_json::from_str(&text).map_err(|e| {
            let base = &self.base;
            AskError::Away(format!(
                "{base} answers otherwise than a coordinator of this version: {e}"
            ))
        })
    }

    fn away(&self, error: &reqwest::Error) -> AskError {
        // The innermost cause says what happened; those around it say that something did.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let base = &self.base;
        AskError::Away(format!("no answer from the coordinator at {base}: {cause}"))
    }

    /// Something else listens there, or stands between.
    fn strange(&self, status: StatusCode) -> AskError {
        let base = &self.base;
        let message =
            format!("{base} answers {status}, and not as a coordinator: check --coordinator");
        match status.is_server_error() {
            true => AskError::Away(message),
            false => AskError::Refused(Wrong {
                code: "strange".to_owned(),
                message,
                problems: Vec::new(),
            }),
        }
    }
}

impl AskError {
    /// For people, with the places of a spec's problems named by its file.
    pub fn of_spec(self, file: &std::path::Path) -> anyhow::Error {
        let wrong = match self {
            Self::Refused(wrong) if !wrong.problems.is_empty() => wrong,
            other => return other.into(),
        };
        let file = file.display().to_string();
        let line = |p: &coordinator::api::shapes::Problem| {
            let place = match p.place.strip_prefix("spec.toml") {
                Some(rest) => format!("{file}{rest}"),
                None => p.place.clone(),
            };
            match (&p.key, &p.value) {
                (Some(key), Some(value)) => format!("{place}: {key} = {value}: {}", p.message),
                (Some(key), None) => format!("{place}: {key}: {}", p.message),
                _ => format!("{place}: {}", p.message),
            }
        };
        let lines: Vec<String> = wrong.problems.iter().map(line).collect();
        anyhow!("{}", lines.join("\n"))
    }
}
