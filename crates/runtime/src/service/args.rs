//! The arguments that every service has.

use crate::telemetry::{Format, TelemetryOptions};
use clap::{Args, ValueEnum};
use std::net::SocketAddr;

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

/// What the arguments ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To work.
    Serve,
    /// To ask the one that works.
    Check(SocketAddr),
}

/// What a service logs when nobody chooses: it has no other output.
const SERVICE_FILTER: &str = "info,lapin=error,sqlx=warn";

impl ServiceArgs {
    /// What is asked for. Of a service that listens nowhere nobody can ask whether it is ready.
    ///
    /// # Errors
    /// A sentence, where `--healthcheck` has nowhere to ask.
    pub fn asked(&self, default: Option<SocketAddr>) -> Result<Asked, String> {
        match (self.healthcheck, self.listen.or(default)) {
            (false, _) => Ok(Asked::Serve),
            (true, Some(at)) => Ok(Asked::Check(at)),
            (true, None) => Err(
                "--healthcheck needs to know where the service listens: give --listen HOST:PORT, or set \
                 PROMPTIMAL_LISTEN"
                    .to_owned(),
            ),
        }
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
