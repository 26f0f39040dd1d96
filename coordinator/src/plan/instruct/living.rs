//! Who is alive, and who has the next children.

use super::{
    field::{Field, History, Until},
    tries::dropped,
};
use crate::settings::InstructPlan;
use domain::{
    candidate::{Candidate, Verdict},
    hash::Hash,
    ids::CandidateId,
};
use search::{
    pareto::Parents,
    tournament::{Tournament, tournaments},
};

/// Whom the race has not dropped, and whose place no newcomer has taken.
pub fn alive(plan: &InstructPlan, field: &Field) -> Vec<bool> {
    let dropped = dropped(plan, &field.pool);
    let stays = |(drop, left): (&Option<_>, &bool)| drop.is_none() && !left;
    dropped.iter().zip(&field.left).map(stays).collect()
}

/// The parents of a round's newcomers.
pub(super) struct Bearing {
    parents: Parents,
    /// For each newcomer the tournament that decides; none where nothing limits the population.
    met: Vec<Option<Tournament>>,
}

impl Bearing {
    pub(super) fn of(plan: &InstructPlan, field: &Field, (run, round): (u64, u32)) -> Self {
        let alive = alive(plan, field);
        Self {
            met: met(plan, field, &alive, (run, round)),
            parents: Parents::of(&field.pool, &alive),
        }
    }

    /// The parent of one of them.
    pub(super) fn parent(&self, nth: u32, seed: u64) -> usize {
        let met = self.met.get(nth as usize).copied().flatten();
        met.map_or_else(|| self.parents.pick(seed), |of| of.winner)
    }
}

fn met(
    plan: &InstructPlan,
    field: &Field,
    alive: &[bool],
    (run, round): (u64, u32),
) -> Vec<Option<Tournament>> {
    let Some(population) = plan.population else {
        return Vec::new();
    };
    let (newcomers, seed) = (plan.candidates as usize, round_seed(run, round));
    tournaments(&field.pool, alive, population, newcomers, seed)
}

/// What all chance of a round is drawn by, each purpose in its own way.
pub(super) fn round_seed(run: u64, round: u32) -> u64 {
    Hash::of([run, u64::from(round)].map(u64::to_le_bytes)).seed()
}

/// Whose place was taken in a round: they lost a tournament, and the draft that it was for became an accepted prompt. All of it
/// follows from what was stored before the round.
pub(super) fn left(
    history: &History,
    plan: &InstructPlan,
    (run, round): (u64, u32),
) -> Vec<CandidateId> {
    let field = history.until(Until::before(round));
    let met = met(plan, &field, &alive(plan, &field), (run, round));
    let accepted = |c: &&Candidate| c.round == round && c.verdict == Verdict::Accepted;
    let lost = |c: &Candidate| {
        let of = met.get(c.ordinal as usize).copied().flatten()?;
        Some(field.candidates.get(of.loser)?.id)
    };
    let born = history.candidates.iter().filter(accepted);
    born.filter_map(lost).collect()
}
