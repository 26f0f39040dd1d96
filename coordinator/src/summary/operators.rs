//! What operators did, in either mode.

use crate::plan::instruct::field::plain_name;
use domain::candidate::{Arm, Candidate, Verdict};
use search::bandit::Arms;
use serde::{Deserialize, Serialize};

/// What an operator did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatorResult {
    /// Its name.
    pub operator: String,
    /// How often it is drawn, as a share.
    pub weight: f64,
    /// Prompts of its that were accepted.
    pub accepted: u64,
    /// Prompts of its that were rejected.
    pub rejected: u64,
    /// Prompts of its that were compared: with their parents, or, where single questions are rewritten, with the best that
    /// was known of the question. Those that were rejected are among them.
    pub compared: u64,
    /// The share of those that are believed better.
    pub success: f64,
}

/// What each of these operators did, by what is known of them and the candidates of the run.
pub fn results<'c>(
    arms: &Arms,
    candidates: impl IntoIterator<Item = &'c Candidate> + Clone,
) -> Vec<OperatorResult> {
    let made = |name: &str, accepted: bool| {
        let all = candidates.clone().into_iter();
        let by = all.filter(|c| c.arm == Arm::Search && plain_name(&c.operator) == name);
        by.filter(|c| (c.verdict == Verdict::Accepted) == accepted)
            .count() as u64
    };
    let one = |(operator, weight, compared, success): (String, f64, u32, f64)| OperatorResult {
        accepted: made(&operator, true),
        rejected: made(&operator, false),
        operator,
        weight,
        compared: u64::from(compared),
        success,
    };
    arms.weights().into_iter().map(one).collect()
}
