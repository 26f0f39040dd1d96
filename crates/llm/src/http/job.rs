//! Sends one call until it is answered or given up.

use super::{
    HttpModel,
    limits::Pass,
    price::sum,
    reply,
    retry::{Class, Failure, Tally},
    wire::Endpoint,
};
use crate::{ErrorKind, ModelError, Paid, Terms};
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
    /// What may be sent.
    pub terms: &'a Terms,
}

impl HttpModel {
    /// Sends a job until it is answered or given up. The usage is that of all sendings.
    pub(super) async fn until_answered<T>(
        &self,
        job: &Job<'_>,
        read: impl Fn(&[u8], reply::Terms<'_>) -> Result<(T, Usage), Failure>,
    ) -> Result<(T, Usage), ModelError> {
        let mut tally = Tally::default();
        loop {
            let left = self.patience.total.saturating_sub(tally.spent);
            let left = left.min(job.terms.patience);
            let pass = match self.limits.admit(job.guess, left).await {
                Ok(pass) => pass,
                Err(wait) => return Err(self.paused(job, wait, &tally)),
            };
            // Last of all: what is taken here is on its way at once.
            if let Some(allowance) = &job.terms.allowance
                && let Err(why) = allowance.take()
            {
                return Err(self.not_sent(job, why, &tally));
            }
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
            let patience = self.patience.under(job.terms);
            let wait = tally.book(&failure, job.seed, &patience);
            let spent = job.terms.allowance.as_ref().is_some_and(|a| a.is_spent());
            let Some(wait) = wait.filter(|_| !spent) else {
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
        read: impl Fn(&[u8], reply::Terms<'_>) -> Result<(T, Usage), Failure>,
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
            reply::Terms {
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
        let after = Some(wait);
        let kind = match tally.failed {
            0 => ErrorKind::NotSent { after },
            _ => ErrorKind::Retry { after },
        };
        self.error(kind, job, &text, tally)
    }

    fn not_sent(&self, job: &Job<'_>, why: &str, tally: &Tally) -> ModelError {
        let kind = match tally.failed {
            0 => ErrorKind::NotSent { after: None },
            _ => ErrorKind::Retry { after: None },
        };
        self.error(kind, job, &format!("not sent: {why}"), tally)
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
