//! Planning: from what is stored to candidates and tasks.
//!
//! A step is planned once, when the step before it is closed, and committed in one transaction. What is planned is
//! a function of the stored rows and the seed: the same rows give the same plan on any machine.

pub mod block;
mod confirm;
pub mod drawn;
mod guard;
pub mod instruct;
mod judge;
mod mine;
pub mod order;
pub mod probe;
mod propose;
pub mod rewriters;
mod score;
mod scores;
mod seen;
mod train;
mod tries;

pub use mine::hardness;
pub use score::{Effect, Rewards, against_itself, effect, selected, value};
pub use train::too_few;

use crate::{
    CoordinatorError, ModelFacts,
    board::{Board, step_key},
    settings::Settings,
};
use block::{Blocks, Question};
use domain::{
    candidate::{Candidate, Target, Verdict},
    ids::{CandidateId, RunId},
    run::{RoundKind, Step},
};
use order::Place;
use std::collections::HashMap;
use store::Store;

/// What a step adds.
#[derive(Default)]
struct Additions {
    targets: Vec<Target>,
    candidates: Vec<Candidate>,
    verdicts: Vec<(CandidateId, Verdict)>,
    questions: Vec<Question>,
}

/// Plans the steps of one run.
pub struct Planner<'a> {
    /// Where everything is stored.
    pub store: &'a dyn Store,
    /// The run.
    pub run: RunId,
    /// What its spec says.
    pub settings: &'a Settings,
    /// Its models.
    pub facts: &'a HashMap<String, ModelFacts>,
}

impl Planner<'_> {
    /// Plans a step; does nothing when it was planned before.
    ///
    /// # Errors
    /// When the store fails, or the run's data make no sense (no example to search on).
    pub async fn plan(&self, place: Place, now: i64) -> Result<(), CoordinatorError> {
        match place.step {
            Step::Judge => return judge::plan(self, place, now).await,
            Step::Score => return scores::plan(self, place, now).await,
            Step::Train => return train::plan(self, place, now).await,
            Step::Propose | Step::Guard | Step::Answer => {}
        }
        let instruct = self.settings.instruct.is_some();
        if place.kind == RoundKind::Baseline && !instruct {
            return self.baseline(place, now).await;
        }
        let additions = match self.settings.compares_rewriters() {
            _ if instruct => instruct::additions(self, place).await?,
            true => self.comparison(place).await?,
            false => self.additions(place).await?,
        };
        let key = step_key(self.run, place);
        let Some(mut writer) = self.store.begin_step(key, place.kind, now).await? else {
            return Ok(());
        };
        writer.targets(&additions.targets).await?;
        writer.candidates(&additions.candidates).await?;
        writer.verdicts(&additions.verdicts).await?;
        let mut blocks = Blocks::new(key, self.settings.block, self.facts);
        blocks
            .add(additions.questions, self.store, writer.as_mut())
            .await?;
        blocks.finish(writer.as_mut()).await?;
        Ok(writer.commit().await?)
    }

    async fn additions(&self, place: Place) -> Result<Additions, CoordinatorError> {
        if place.round == 1 && place.step == Step::Propose {
            return mine::first_round(self).await;
        }
        let board = Board::load(self.store, self.run, self.settings).await?;
        match (place.kind, place.step) {
            (RoundKind::Confirm, _) => Ok(confirm::questions(self, &board)),
            (kind, Step::Propose) => Ok(match drawn::plan(self.settings, kind) {
                Some(plan) => drawn::questions(self, plan, &board, place),
                None => propose::questions(self, &board, place),
            }),
            (_, Step::Guard) => guard::additions(self, &board, place).await,
            (_, Step::Answer) => tries::additions(self, &board, place).await,
            // They are planned by themselves.
            (_, Step::Judge | Step::Score | Step::Train) => Ok(Additions::default()),
        }
    }

    /// What a step of an evaluation of rewriters adds.
    async fn comparison(&self, place: Place) -> Result<Additions, CoordinatorError> {
        if place.step == Step::Propose {
            return rewriters::first_round(self).await;
        }
        let board = Board::load(self.store, self.run, self.settings).await?;
        match place.step {
            Step::Guard => rewriters::candidates(self, &board, place).await,
            _ => Ok(rewriters::questions(self, &board)),
        }
    }

    /// The baseline is the one step that can be as large as the data: it is planned page by page.
    async fn baseline(&self, place: Place, now: i64) -> Result<(), CoordinatorError> {
        let key = step_key(self.run, place);
        let Some(mut writer) = self.store.begin_step(key, place.kind, now).await? else {
            return Ok(());
        };
        let plan = mine::Baseline::new(self).await?;
        writer.targets(&plan.targets()).await?;
        writer.candidates(&plan.candidates()).await?;
        let mut blocks = Blocks::new(key, self.settings.block, self.facts);
        let mut page = plan.page(0).await?;
        while let Some((after, questions)) = page {
            // The next page is read while this one is written.
            let write = blocks.add(questions, self.store, writer.as_mut());
            (page, ()) = tokio::try_join!(plan.page(after), write)?;
        }
        blocks.finish(writer.as_mut()).await?;
        Ok(writer.commit().await?)
    }
}
