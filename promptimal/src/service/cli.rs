//! The arguments of `coordinator`, and the help that teaches them.

use crate::{
    bus::{HOLD_BROKER, RESCUE, RETRY},
    cli::Age,
    token,
};
use anyhow::bail;
use clap::Parser;
use coordinator::{
    Config, Lease, Retain,
    api::{DataRoot, Token, Trust},
};
use runtime::service::{ArtefactArgs, BrokerArgs, ServiceArgs};
use secrecy::ExposeSecret;
use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};
use store::{RescuePolicy, Waits};

/// Where it listens unless told.
pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7700);

/// How long leadership holds without being renewed.
const LEASE: Duration = Duration::from_secs(10);

/// A coordinator of Promptimal: plans rounds, sends tasks to workers over the broker, applies their reports.
///
/// Everything that matters is in the database: start two or more for safety, stop any of them at any moment.
#[derive(Debug, Parser)]
#[command(name = "coordinator", version)]
pub struct Cli {
    /// The database: postgres://user:password@host:port/database. Its tables are made and brought up to date.
    #[arg(
        long,
        value_name = "URL",
        env = "PROMPTIMAL_DATABASE_URL",
        hide_env_values = true,
        required_unless_present = "healthcheck"
    )]
    database_url: Option<String>,
    /// The broker.
    #[command(flatten)]
    pub broker: BrokerArgs,
    /// What is too large for it.
    #[command(flatten)]
    pub artefacts: ArtefactArgs,
    /// Tasks with the broker and the workers at once, over all runs: a few for each block that the workers have in
    /// hand together.
    #[arg(
        long,
        value_name = "N",
        env = "PROMPTIMAL_WINDOW",
        default_value = "256"
    )]
    window: NonZeroUsize,
    /// A task whose worker is silent for so long is given to another.
    #[arg(long, value_name = "SECONDS", default_value_t = seconds(RESCUE.silent), value_parser = clap::value_parser!(u32).range(10..))]
    silent_seconds: u32,
    /// A task that no worker began for so long is sent again; as long as tasks wait in the queue, the deadline counts.
    #[arg(long, value_name = "SECONDS", default_value_t = seconds(RESCUE.unstarted), value_parser = clap::value_parser!(u32).range(10..))]
    unstarted_seconds: u32,
    /// A task that takes so long is given to another, whatever its worker says.
    #[arg(long, value_name = "SECONDS", default_value_t = seconds(RESCUE.deadline), value_parser = clap::value_parser!(u32).range(10..))]
    deadline_seconds: u32,
    /// The same for a training, which takes hours, and may wait as long for another one.
    #[arg(long, value_name = "SECONDS", default_value_t = seconds(RESCUE.training.deadline), value_parser = clap::value_parser!(u32).range(10..))]
    training_deadline_seconds: u32,
    /// Files that specs name are found below this folder, and nowhere else; without it, specs that come over HTTP name
    /// no files. All coordinators of a database have the same.
    #[arg(long, value_name = "DIR", env = "PROMPTIMAL_DATA_ROOT")]
    data_root: Option<PathBuf>,
    /// The file that holds the token which callers of the API must show; else PROMPTIMAL_TOKEN. Without a token, only
    /// this machine is answered.
    #[arg(long, value_name = "FILE", env = "PROMPTIMAL_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Also take specs whose graders are programs or addresses of their own: whoever may submit then runs what they
    /// like on the workers.
    #[arg(long)]
    trust_graders: bool,
    /// Prune runs that ended so long ago (30d, 12h, 8w), as `promptimal prune` does: results and what they cost stay,
    /// and so do answers. Without it, nothing is pruned unless somebody does.
    #[arg(long, value_name = "AGE", env = "PROMPTIMAL_PRUNE_OLDER_THAN")]
    prune_older_than: Option<Age>,
    /// Prune everything of runs that ended so long ago, also their results and the record of what they cost.
    #[arg(
        long,
        value_name = "AGE",
        env = "PROMPTIMAL_PRUNE_EVERYTHING_OLDER_THAN"
    )]
    prune_everything_older_than: Option<Age>,
    /// How it tells of itself. It listens on 127.0.0.1:7700 unless told.
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// Of microseconds.
fn seconds(micros: i64) -> u32 {
    u32::try_from(micros / 1_000_000).unwrap_or(u32::MAX)
}

impl Cli {
    /// The database.
    pub fn database(&self) -> &str {
        self.database_url.as_deref().unwrap_or_default()
    }

    /// Where its API listens.
    pub fn listen(&self) -> SocketAddr {
        self.service.listen.unwrap_or(LISTEN)
    }

    /// The token of its API.
    ///
    /// # Errors
    /// When it cannot be read, can be guessed, or is needed and not there.
    pub fn token(&self) -> anyhow::Result<Option<Token>> {
        let Some(secret) = token::read(self.token_file.as_deref())? else {
            let at = self.listen();
            if !at.ip().is_loopback() {
                bail!(
                    "--listen {at} lets other machines in, and there is no token: give --token-file FILE, set {}, or \
                     listen on 127.0.0.1",
                    token::VARIABLE
                );
            }
            return Ok(None);
        };
        token::check(&secret)?;
        Ok(Some(Token::new(secret.expose_secret())))
    }

    /// Where files of specs are.
    ///
    /// # Errors
    /// When that is no folder.
    pub fn data_root(&self) -> anyhow::Result<Option<DataRoot>> {
        let root = self.data_root.as_deref().map(DataRoot::new);
        root.transpose().map_err(anyhow::Error::msg)
    }

    /// What specs may ask of workers.
    pub fn trust(&self) -> Trust {
        match self.trust_graders {
            true => Trust::Graders,
            false => Trust::Calls,
        }
    }

    /// When a task is lost.
    pub fn rescue(&self) -> RescuePolicy {
        let micros = |seconds: u32| i64::from(seconds) * 1_000_000;
        RescuePolicy {
            silent: micros(self.silent_seconds),
            unstarted: micros(self.unstarted_seconds),
            deadline: micros(self.deadline_seconds),
            training: Waits {
                unstarted: micros(self.unstarted_seconds),
                deadline: micros(self.training_deadline_seconds),
            },
            ..RESCUE
        }
    }

    /// How it works.
    pub fn config(&self, holder: String) -> Config {
        Config {
            window: self.window.get(),
            retry: RETRY,
            hold: HOLD_BROKER,
            rescue: Some(self.rescue()),
            lease: Some(Lease { holder, ttl: LEASE }),
            retain: Retain {
                rows: self.prune_older_than.map(|age| age.0),
                everything: self.prune_everything_older_than.map(|age| age.0),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_make_sense() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_health_check_needs_no_database() {
        let cli = Cli::try_parse_from(["coordinator", "--healthcheck"]).unwrap();
        assert!(cli.service.healthcheck);
        let error = Cli::try_parse_from(["coordinator"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("--database-url"), "{error}");
    }

    #[test]
    fn other_machines_are_let_in_with_a_token_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let token = |listen: &str, secret: Option<&str>| {
            let mut args = vec!["coordinator", "--healthcheck", "--listen", listen];
            if let Some(secret) = secret {
                std::fs::write(&file, secret).unwrap();
                args.extend(["--token-file", file.to_str().unwrap()]);
            }
            let cli = Cli::try_parse_from(args).unwrap();
            cli.token().map_err(|e| e.to_string())
        };
        let long = Some("0123456789abcdef0123456789abcdef");
        assert!(token("127.0.0.1:1", None).unwrap().is_none());
        assert!(token("[::1]:1", None).unwrap().is_none());
        assert!(token("0.0.0.0:1", long).unwrap().is_some());
        let error = token("0.0.0.0:1", None).unwrap_err();
        assert!(
            error.contains("0.0.0.0:1") && error.contains("--token-file"),
            "{error}"
        );
        let error = token("0.0.0.0:1", Some("hunter2")).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
