//! What a long-lived program of a cluster has in common with the others: who it is, what it tells of itself over HTTP,
//! and the arguments for both.
//!
//! | path | says |
//! | --- | --- |
//! | `/healthz` | 200: the process answers |
//! | `/readyz` | 200, or 503 with what it lacks (its broker, its database) |
//! | `/metrics` | counters and gauges in Prometheus' text format |

mod args;
mod check;
mod http;
mod start;
mod worker;

pub use args::{ArtefactArgs, BrokerArgs, ServiceArgs};
pub use http::{Metrics, Ready, Server, metrics, serve, vitals};
pub use start::start;
pub use worker::{Duty, Recruit, Terms, enlist};

/// A process by host and start: two processes never have the same, and a process that is started again is another.
pub fn process_id() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.or_else(|| std::env::var("HOSTNAME").ok());
    let host = host.unwrap_or_default();
    let host = match host.trim() {
        "" => "host",
        named => named,
    };
    // The random part of a UUID of this version stands at its end.
    let start = uuid::Uuid::now_v7().simple().to_string();
    format!("{host}-{}", &start[20..])
}

/// A service that cannot start, or ended otherwise than asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ServiceError(pub String);

#[cfg(test)]
mod tests {
    #[test]
    fn two_starts_are_two_processes() {
        let (one, two) = (super::process_id(), super::process_id());
        assert_ne!(one, two);
        assert!(
            one.rsplit_once('-')
                .is_some_and(|(host, _)| !host.is_empty())
        );
    }
}
