//! How tasks are worked at: claims, reports, failures and losses.

use super::{
    cast::{self, SECOND, number},
    fates::{self, Fate},
    stage::{Done, Stage},
};
use crate::{Beat, Claimed, RetryPolicy};
use domain::{call::Usage, hash::Hash, run::Item};
use wire::{Action, Counted, ItemError, Paid, Report, ReportItem, VERSION};

const HOLD: i64 = 60 * SECOND;
const POLICY: RetryPolicy = RetryPolicy {
    max_attempts: 3,
    backoff: 2 * SECOND,
    max_backoff: 4 * SECOND,
};

impl Stage<'_> {
    /// Until nothing is due any more.
    pub async fn work(&mut self) -> Done {
        while self.turn().await? {}
        Ok(())
    }

    /// Claims a few tasks and reports them; whether there is more to do.
    pub async fn turn(&mut self) -> Done<bool> {
        let claim = self.store.claim(self.run.id, 4, self.now, HOLD).await?;
        if claim.tasks.is_empty() {
            self.now = claim.next_at.unwrap_or(self.now);
            return Ok(claim.next_at.is_some());
        }
        let begun = self.now + SECOND / 4;
        let attempts: Vec<_> = claim.tasks.iter().map(|c| (c.task, c.epoch)).collect();
        self.store.dispatched(&attempts, begun).await?;
        let mut tasks = claim.tasks;
        // What gets lost comes last: it is given back with everything that is under way.
        tasks.sort_by_key(|c| (self.gets_lost(c), duration(c)));
        for task in &tasks {
            self.attempt(task, begun).await?;
        }
        Ok(true)
    }

    fn fate(&self, claimed: &Claimed) -> Fate {
        let attempt = self.attempts.get(&claimed.task).copied();
        let place = &self.asked[&claimed.task].place;
        fates::of(self.fates, place, attempt.unwrap_or_default())
    }

    fn gets_lost(&self, claimed: &Claimed) -> bool {
        matches!(self.fate(claimed), Fate::Lost | Fate::Late)
    }

    async fn attempt(&mut self, claimed: &Claimed, begun: i64) -> Done {
        let fate = self.fate(claimed);
        *self.attempts.entry(claimed.task).or_default() += 1;
        let report = self.report(claimed, fate);
        self.now = self.now.max(begun + duration(claimed));
        if claimed.epoch % 2 == 1 {
            let beat = Beat {
                task: claimed.task,
                epoch: claimed.epoch,
                worker: report.worker.clone(),
            };
            self.store.beat(&[beat], begun + SECOND / 10).await?;
        }
        if matches!(fate, Fate::Lost | Fate::Late) {
            // Its worker is not heard of again, or too late.
            return self
                .lose(claimed, (fate == Fate::Late).then_some(report))
                .await;
        }
        self.store
            .apply(std::slice::from_ref(&report), POLICY, self.now)
            .await?;
        if fate == Fate::Twice {
            let worker = format!("{}2", report.worker);
            let second = Report { worker, ..report };
            self.now += SECOND;
            self.store.apply(&[second], POLICY, self.now).await?;
        }
        Ok(())
    }

    /// The task is given back; others that are under way are lost with it.
    async fn lose(&mut self, claimed: &Claimed, late: Option<Report>) -> Done {
        let before = self.now + 1;
        self.store.rescue(self.run.id, before, self.now).await?;
        if let Some(report) = late {
            let report = Report {
                epoch: claimed.epoch,
                ..report
            };
            self.now += SECOND;
            self.store.apply(&[report], POLICY, self.now).await?;
        }
        Ok(())
    }

    fn report(&self, claimed: &Claimed, fate: Fate) -> Report {
        let asked = &self.asked[&claimed.task];
        let places = claimed.open.iter().enumerate();
        let items = places.map(|(n, place)| {
            let item = &asked.items[*place as usize];
            let fails = match fate {
                Fate::AllFail => Some(Action::Retry { after_ms: 0 }),
                Fate::OneFails if n == 0 => Some(Action::Retry { after_ms: 0 }),
                Fate::OneGivesUp if n == 0 => Some(Action::GiveUp),
                _ => None,
            };
            match fails {
                Some(action) => failure(*place, item.key, action, fate),
                None => self.success(*place, item, claimed, &asked.model),
            }
        });
        let who = number(format!("{} {}", claimed.task, claimed.epoch)) % 3;
        Report {
            v: VERSION,
            task: claimed.task,
            epoch: claimed.epoch,
            worker: ["ada", "bob", "cyd"][who as usize].to_owned(),
            items: items.collect(),
            counted: Counted::default(),
        }
    }

    fn success(&self, place: u32, item: &Item, claimed: &Claimed, model: &str) -> ReportItem {
        let known = claimed.known.iter().any(|(at, _)| *at == place);
        let example = item.example.and_then(|id| {
            let found = self.members.iter().find(|m| m.0.example == id);
            found.map(|m| &m.1)
        });
        let candidate = item.candidate.and_then(|id| self.candidates.get(&id));
        let grade = candidate.zip(example).map(|(candidate, example)| {
            cast::grade(cast::quality(candidate, example), example, item.key)
        });
        ReportItem {
            place,
            key: item.key,
            answer: (!known).then(|| cast::answer(model, item.key)),
            grade,
            error: None,
            paid: None,
        }
    }
}

/// How long an attempt takes: no two the same.
fn duration(claimed: &Claimed) -> i64 {
    let n = number(format!("how long {} {}", claimed.task, claimed.epoch));
    SECOND / 5 + (n % 9_000_000) as i64
}

fn failure(place: u32, key: Hash, action: Action, fate: Fate) -> ReportItem {
    let paid = Paid {
        usage: Usage {
            prompt_tokens: 9,
            completion_tokens: 0,
        },
        cost_micros: 2,
    };
    ReportItem {
        place,
        key,
        answer: None,
        grade: None,
        error: Some(ItemError {
            action,
            message: match action {
                Action::GiveUp => "the model refuses".to_owned(),
                _ => "the model is out".to_owned(),
            },
        }),
        paid: (fate == Fate::OneFails).then_some(paid),
    }
}
