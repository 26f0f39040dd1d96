//! Losses on their way to whoever watches. They may be lost: the report holds them all.

use domain::{hash::Hash, ids::RunId};
use queue::{Headers, Lane, Message, TaskQueue};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};
use train::Progress;
use wire::{Loss, Losses, VERSION};

/// News wait no longer than this for a broker that is away.
const LIMIT: Duration = Duration::from_secs(5);
/// Losses in one message.
const MOST: usize = 1_000;

/// Where a training tells how far it is: it never waits.
#[derive(Clone)]
pub struct Teller(UnboundedSender<(Loss, u32)>);

impl Teller {
    /// Tells.
    pub fn tell(&self, at: Progress) {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let loss = Loss {
            step: number(at.step),
            loss: at.loss,
            validation: at.validation,
        };
        // Whoever was to hear it may be gone.
        let _ = self.0.send((loss, number(at.steps)));
    }
}

/// What a training told and nobody has sent on yet.
pub struct News {
    queue: Arc<dyn TaskQueue>,
    training: Hash,
    run: RunId,
    told: UnboundedReceiver<(Loss, u32)>,
}

impl News {
    /// Of a training.
    pub fn new(queue: Arc<dyn TaskQueue>, training: Hash, run: RunId) -> (Teller, Self) {
        let (teller, told) = unbounded_channel();
        let news = Self {
            queue,
            training,
            run,
            told,
        };
        (Teller(teller), news)
    }

    /// Sends on what was told since.
    pub async fn send(&mut self) {
        let (mut losses, mut of) = (Vec::new(), 0);
        while losses.len() < MOST
            && let Ok((loss, steps)) = self.told.try_recv()
        {
            // Where training goes on from a checkpoint, it first says only where that is.
            if loss.loss.is_some() || loss.validation.is_some() {
                losses.push(loss);
            }
            of = steps;
        }
        if losses.is_empty() {
            return;
        }
        let body = Losses {
            v: VERSION,
            training: self.training,
            run: self.run,
            steps: of,
            losses,
        };
        let message = Message {
            id: "losses".to_owned(),
            headers: Headers::new(),
            body: body.encode().into(),
        };
        let sent = timeout(LIMIT, self.queue.publish(Lane::Events, vec![message])).await;
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "losses not told"),
            Err(_) => tracing::warn!("losses not told: the broker is away"),
        }
    }
}
