//! A run as it goes on, as server-sent events.
//!
//! The stream is made by looking at the store every so often, so that any coordinator can tell of any run. It begins
//! with where the run stands, so that whoever comes back need not know what was missed.

use super::{
    Site,
    fault::{ApiResult, Failure},
    runs::named,
    shapes::{StepRow, Told},
};
use crate::reading::is_reading;
use axum::{
    extract::{Path, State},
    response::{
        IntoResponse, Sse,
        sse::{Event, KeepAlive},
    },
};
use domain::{
    ids::RunId,
    run::{RunStatus, Spend},
};
use futures::{Stream, stream};
use std::{collections::VecDeque, convert::Infallible};
use store::StoreError;

/// Watch a run: `status`, `planned`, `progress` and `trouble` events, and `ended` when it is not running.
#[utoipa::path(get, path = "/v1/runs/{run}/events", responses(
    (status = 200, description = "Server-sent events", body = Told, content_type = "text/event-stream"),
    (status = "4XX", body = Failure),
), params(("run" = String, Path, description = "Its id, the beginning of it, its name, or `last`")))]
pub async fn events(
    State(site): State<Site>,
    Path(wanted): Path<String>,
) -> ApiResult<impl IntoResponse> {
    let run = named(&site, &wanted).await?;
    let watch = Watch::new(site, run.id);
    Ok(Sse::new(watch.stream()).keep_alive(KeepAlive::default()))
}

/// What was told, and what is to be told next.
struct Watch {
    site: Site,
    run: RunId,
    seen: Seen,
    ready: VecDeque<(&'static str, Told)>,
    looked: bool,
    over: bool,
    last_id: i64,
}

#[derive(Default)]
struct Seen {
    status: Option<Now>,
    step: Option<StepRow>,
}

impl Watch {
    fn new(site: Site, run: RunId) -> Self {
        Self {
            site,
            run,
            seen: Seen::default(),
            ready: VecDeque::new(),
            looked: false,
            over: false,
            last_id: 0,
        }
    }

    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut watch| async move {
            let (name, told) = watch.next().await?;
            let event = watch.event(name, &told);
            Some((Ok(event), watch))
        })
    }

    /// The next thing to tell; `None` when there is no more, or the process ends.
    async fn next(&mut self) -> Option<(&'static str, Told)> {
        while self.ready.is_empty() && !self.over {
            if self.looked {
                tokio::select! {
                    () = tokio::time::sleep(self.site.poll) => {}
                    () = self.site.shutdown.drain_requested() => return None,
                }
            }
            self.looked = true;
            if let Err(error) = self.look().await {
                tracing::warn!(run = %self.run, %error, "a watcher waits");
            }
        }
        self.ready.pop_front()
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        let store = self.site.store.clone();
        let Some(now) = store.status(self.run).await? else {
            self.over = true;
            return Ok(());
        };
        let last = store.last_step(self.run).await?;
        let spend = store.spend(self.run).await?;
        let over = now.0 != RunStatus::Running && !is_reading(now.0, now.1.as_deref());
        let ended = over.then(|| ("ended", status(&now)));
        let step = last.as_ref().map(Into::into);
        self.ready.extend(self.seen.changes(now, step, spend));
        self.ready.extend(ended);
        self.over = over;
        Ok(())
    }

    /// The id is the time, and never the same or less.
    fn event(&mut self, name: &str, told: &Told) -> Event {
        self.last_id = self.site.now().max(self.last_id + 1);
        let data = serde_json::to_string(told).unwrap_or_default();
        Event::default()
            .event(name)
            .id(self.last_id.to_string())
            .data(data)
    }
}

/// A status and its reason.
type Now = (RunStatus, Option<String>);

fn status(now: &Now) -> Told {
    Told::Status {
        status: now.0,
        reason: now.1.clone(),
    }
}

impl Seen {
    /// What is new since the last look.
    fn changes(
        &mut self,
        now: Now,
        step: Option<StepRow>,
        spend: Spend,
    ) -> Vec<(&'static str, Told)> {
        let mut told = Vec::new();
        if self.status.as_ref() != Some(&now) {
            told.push(("status", status(&now)));
            self.status = Some(now);
        }
        let Some(step) = step else {
            return told;
        };
        let before = self.step;
        let before = before.filter(|s| (s.round, s.step) == (step.round, step.step));
        if before.is_none() {
            told.push(("planned", Told::Step { step, spend }));
        }
        if before.is_none_or(|b| b.done != step.done) {
            told.push(("progress", Told::Step { step, spend }));
        }
        if step.dead > before.map_or(0, |b| b.dead) {
            let message = format!("{} blocks could not be measured so far", step.dead);
            told.push(("trouble", Told::Trouble { message }));
        }
        self.step = Some(step);
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::run::{RoundKind, Step};

    fn step(round: u32, done: u64, dead: u64) -> StepRow {
        StepRow {
            round,
            kind: RoundKind::Search,
            step: Step::Answer,
            items: 9,
            done,
            open: 1,
            dead,
        }
    }

    fn names(told: &[(&'static str, Told)]) -> Vec<&'static str> {
        told.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn only_what_changed_is_told() {
        let (mut seen, running) = (Seen::default(), RunStatus::Running);
        let mut look = |now, step| names(&seen.changes((now, None), step, Spend::default()));
        assert_eq!(look(running, None), ["status"]);
        assert_eq!(look(running, Some(step(1, 0, 0))), ["planned", "progress"]);
        assert_eq!(look(running, Some(step(1, 0, 0))), [""; 0]);
        assert_eq!(look(running, Some(step(1, 4, 0))), ["progress"]);
        assert_eq!(look(running, Some(step(1, 4, 1))), ["trouble"]);
        assert_eq!(look(running, Some(step(2, 0, 0))), ["planned", "progress"]);
        assert_eq!(look(RunStatus::Paused, Some(step(2, 0, 0))), ["status"]);
    }
}
