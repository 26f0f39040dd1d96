//! Sends one call until it is answered or given up.

use super::{
    HttpModel,
    limits::Pass,
    price::sum,
    reply::{self, Terms},
    retry::{Class, Failure, Tally},
    wire::Endpoint,
};
use crate::{ErrorKind, ModelError, Paid};
use bytes::Bytes;
use domain::call::Usage;
use std::time::{Duration, Instant};

/// One call, ready to be sent as often as it takes.
pub(super) struct Job<'a> {
    pub to: &'a Endpoint,
    pub body: Bytes,
    /// Where back-offs are drawn from.
    pub seed: u64,
    /// The most one sending can use.
    pub most: Usage,
    /// What one sending is expected to use, for tokens per minute.
    pub guess: u64,
}

impl HttpModel {
    /// Sends a job until it is answered or given up. The usage is that of all sendings.
    pub(super) async fn until_answered<T>(
        &self,
        job: &Job<'_>,
        read: impl Fn(&[u8], Terms<'_>) -> Result<(T, Usage), Failure>,
    ) -> Result<(T, Usage), ModelError> {
        let mut tally = Tally::default();
        loop {
            let left = self.patience.total.saturating_sub(tally.spent);
            let pass = match self.limits.admit(job.guess, left).await {
                Ok(pass) => pass,
                Err(wait) => return Err(self.paused(job, wait, &tally)),
            };
            let sent = Instant::now();
            let outcome = self.send(job, &read).await;
            self.adapt(&pass, job, outcome.as_ref().map(|(_, usage)| *usage));
            drop(pass);
            tally.spent += sent.elapsed();
            let failure = match outcome {
                Ok((value, usage)) => {
                    return Ok((value, sum(usage, tally.paid.unwrap_or_default())));
                }
                Err(failure) => failure,
            };
            let Some(wait) = tally.book(&failure, job.seed, &self.patience) else {
                return Err(self.given_up(job, &failure, &tally));
            };
            let why = self.secrets.scrub(&failure.message);
            tracing::debug!(
                model = self.identity.name,
                failed = tally.failed,
                ?wait,
                why,
                "sending again"
            );
            tokio::time::sleep(wait).await;
        }
    }

    async fn send<T>(
        &self,
        job: &Job<'_>,
        read: impl Fn(&[u8], Terms<'_>) -> Result<(T, Usage), Failure>,
    ) -> Result<(T, Usage), Failure> {
        let got = self.wire.post(job.to, job.body.clone(), job.most).await?;
        if !got.status.is_success() {
            return Err(reply::refused(
                got.status,
                got.after,
                &got.body,
                &self.secrets,
            ));
        }
        read(
            &got.body,
            Terms {
                most: job.most,
                secrets: &self.secrets,
            },
        )
    }

    /// Learns from an outcome how much the server bears.
    fn adapt(&self, pass: &Pass<'_>, job: &Job<'_>, outcome: Result<Usage, &Failure>) {
        match outcome.map_err(|failure| failure.class) {
            Ok(usage) => {
                self.limits.settle(job.guess, usage.total());
                pass.succeeded();
            }
            Err(Class::Busy { after, throttled }) => {
                if let Some(wait) = after {
                    self.limits.pause(wait);
                }
                if throttled {
                    pass.throttled();
                }
            }
            Err(Class::Malformed | Class::Call) => pass.succeeded(),
            Err(Class::Lost | Class::Model) => {}
        }
    }

    fn given_up(&self, job: &Job<'_>, failure: &Failure, tally: &Tally) -> ModelError {
        let kind = match failure.class {
            Class::Busy { after, .. } => ErrorKind::Retry { after },
            Class::Lost => ErrorKind::Retry { after: None },
            Class::Malformed | Class::Call => ErrorKind::Call,
            Class::Model => ErrorKind::Model,
        };
        let tried = match tally.failed {
            1 => String::new(),
            n => format!(" (sent {n} times)"),
        };
        self.error(kind, job, &format!("{}{tried}", failure.message), tally)
    }

    fn paused(&self, job: &Job<'_>, wait: Duration, tally: &Tally) -> ModelError {
        let text = format!(
            "the server asked to be left alone for another {} s",
            wait.as_secs()
        );
        self.error(ErrorKind::Retry { after: Some(wait) }, job, &text, tally)
    }

    fn error(&self, kind: ErrorKind, job: &Job<'_>, what: &str, tally: &Tally) -> ModelError {
        let message = format!("model {:?} at {}: {what}", self.identity.name, job.to.shown);
        let paid = tally.paid.map(|usage| Paid {
            usage,
            cost_micros: self.price.cost(usage),
        });
        ModelError {
            kind,
            message: self.secrets.scrub(&message),
            paid,
        }
    }
}
