//! The arguments that every service has.

use super::{ServiceError, check::healthy, start::tell};
use crate::{
    bodies::ByReference,
    telemetry::{Format, TelemetryOptions},
};
use artefacts::{ArtefactError, Artefacts};
use clap::{Args, ValueEnum};
use queue::{TaskQueue, amqp};
use secrecy::{ExposeSecret, SecretString};
use std::{net::SocketAddr, process::ExitCode, sync::Arc};

/// The broker of a service.
#[derive(Clone, Debug, Args)]
pub struct BrokerArgs {
    /// The broker: amqp://user:password@host:port/vhost, or amqps:// for TLS.
    #[arg(
        long,
        value_name = "URL",
        env = "PROMPTIMAL_AMQP_URL",
        hide_env_values = true,
        required_unless_present = "healthcheck"
    )]
    amqp_url: Option<SecretString>,
    /// The beginning of all names on the broker: one for each database, the same for its coordinators and workers.
    #[arg(long, value_name = "WORD", env = "PROMPTIMAL_QUEUE_PREFIX", default_value = amqp::DEFAULT_PREFIX)]
    queue_prefix: String,
}

impl BrokerArgs {
    /// How the broker is used by a program of this name.
    ///
    /// # Errors
    /// When the URL is none; the error does not repeat it.
    pub fn config(&self, program: &str) -> Result<amqp::Config, amqp::AmqpError> {
        let url = self.amqp_url.as_ref().map_or("", |url| url.expose_secret());
        let mut config = amqp::Config::new(url.parse()?);
        config.prefix.clone_from(&self.queue_prefix);
        config.name = program.to_owned();
        Ok(config)
    }
}

/// Where what is too large for the broker is kept.
#[derive(Clone, Debug, Args)]
pub struct ArtefactArgs {
    /// Questions and answers that are too large for the broker (over 256 KiB) travel by way of this place, the same for
    /// coordinators and workers: file:///folder, which all of them see, or s3://bucket/prefix, with AWS_ACCESS_KEY_ID,
    /// AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL in the environment. Without it they are given up.
    #[arg(
        long,
        value_name = "URL",
        env = "PROMPTIMAL_ARTEFACTS",
        hide_env_values = true
    )]
    artefacts: Option<SecretString>,
}

impl ArtefactArgs {
    /// The queue with a place for large bodies, if there is one; the place was tried out.
    ///
    /// # Errors
    /// When the URL is none, or the place cannot be used; the error repeats no password.
    pub async fn around(
        &self,
        queue: Arc<dyn TaskQueue>,
    ) -> Result<Option<ByReference>, ServiceError> {
        let Some(artefacts) = self.open().await? else {
            return Ok(None);
        };
        tracing::info!(place = %artefacts.place(), "large bodies travel by reference");
        Ok(Some(ByReference::new(queue, artefacts)))
    }

    /// The place, if there is one; it was tried out.
    ///
    /// # Errors
    /// As [`ArtefactArgs::around`].
    pub async fn open(&self) -> Result<Option<Artefacts>, ServiceError> {
        let url = self.artefacts.as_ref().map(|url| url.expose_secret());
        // A variable that is empty is one that is not set.
        let Some(url) = url.filter(|url| !url.trim().is_empty()) else {
            return Ok(None);
        };
        let artefacts = opened(url).await;
        let artefacts = artefacts.map_err(|e| ServiceError(format!("--artefacts: {e}")))?;
        Ok(Some(artefacts))
    }
}

async fn opened(url: &str) -> Result<Artefacts, ArtefactError> {
    let artefacts = Artefacts::open(&url.trim().parse()?)?;
    artefacts.check().await?;
    Ok(artefacts)
}

/// How a service tells of itself.
#[derive(Clone, Debug, Args)]
pub struct ServiceArgs {
    /// Answer /healthz, /readyz and /metrics here.
    #[arg(long, value_name = "ADDRESS", env = "PROMPTIMAL_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Ask the service that listens there whether it is ready, say so, and exit with 0 or 1: for containers.
    #[arg(long)]
    pub healthcheck: bool,
    /// Log lines for people, or one JSON object each.
    #[arg(
        long,
        value_enum,
        default_value = "text",
        env = "PROMPTIMAL_LOG_FORMAT"
    )]
    pub log_format: LogFormat,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// What a service logs when nobody chooses: it has no other output.
const SERVICE_FILTER: &str = "info,lapin=error,sqlx=warn";

impl ServiceArgs {
    /// Does what `--healthcheck` asks for, if it does: the exit code, once the service that listens there has answered.
    ///
    /// # Errors
    /// Where there is nobody to ask: of a service that listens nowhere nobody knows whether it is ready.
    pub async fn check(
        &self,
        default: Option<SocketAddr>,
    ) -> Result<Option<ExitCode>, ServiceError> {
        if !self.healthcheck {
            return Ok(None);
        }
        let at = self.listen.or(default).ok_or_else(|| {
            let way = "give --listen HOST:PORT, or set PROMPTIMAL_LISTEN";
            ServiceError(format!(
                "--healthcheck needs to know where the service listens: {way}"
            ))
        })?;
        Ok(Some(match healthy(at).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(lacks) => {
                tell(lacks);
                ExitCode::FAILURE
            }
        }))
    }

    /// How it logs.
    pub fn telemetry(&self) -> TelemetryOptions {
        TelemetryOptions {
            format: match self.log_format {
                LogFormat::Text => Format::Text,
                LogFormat::Json => Format::Json,
            },
            default_filter: Some(SERVICE_FILTER),
            ..TelemetryOptions::default()
        }
    }
}
