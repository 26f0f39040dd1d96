//! What a judge adds to a summary: how far its verdicts can be trusted.

use crate::board::Board;
use domain::{
    grade::Grade,
    judge::{contradicts, was_asked, was_unread},
};

/// How a judge judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdicts {
    /// Answers that it was asked about, in both orders.
    asked: u64,
    /// Those of which it named the same place twice.
    contradicted: u64,
    /// Those of which a verdict could not be read.
    unread: u64,
}

impl Verdicts {
    /// All that was tried.
    pub(super) fn of(board: &Board) -> Self {
        let judged = board.spots.iter().filter(|s| s.grader.is_judge());
        let candidates = judged.flat_map(|s| &s.candidates);
        let trials = candidates.filter_map(|c| board.trials.get(&c.id));
        let mut verdicts = Self::default();
        trials.flatten().for_each(|t| verdicts.add(&t.grade));
        verdicts
    }

    /// Counts a grade.
    pub(super) fn add(&mut self, grade: &Grade) {
        self.asked += u64::from(was_asked(grade));
        self.contradicted += u64::from(contradicts(grade));
        self.unread += u64::from(was_unread(grade));
    }

    /// What a reader must know of them; answers were compared with those of `whose` prompt.
    pub(super) fn marks(&self, whose: &str) -> Vec<String> {
        let mut out = vec![format!(
            "where a judge grades, values say how an answer compares with {whose}: 1 is better, 0.5 as good, 0 worse; \
             a gain is what the judge likes"
        )];
        let Self {
            asked,
            contradicted,
            unread,
        } = self;
        if *contradicted > 0 {
            out.push(format!(
                "of {asked} answers the judge contradicted itself on {contradicted}: it named the same place in both \
                 orders, which counts as a tie"
            ));
        }
        if *unread > 0 {
            out.push(format!(
                "of {asked} answers the judge gave no verdict that can be read on {unread}, which counts as a tie: a \
                 longer sampling.max_tokens or another model may help"
            ));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::judge::{Judgement, Verdict};

    #[test]
    fn a_judge_that_cannot_be_trusted_is_told() {
        let said = |verdicts| Judgement::Said { verdicts }.grade();
        let mut verdicts = Verdicts::default();
        verdicts.add(&Judgement::Same.grade());
        verdicts.add(&said([Some(Verdict::A), Some(Verdict::B)]));
        assert_eq!(verdicts.marks("another").len(), 1);
        verdicts.add(&said([Some(Verdict::A), Some(Verdict::A)]));
        verdicts.add(&said([None, Some(Verdict::A)]));
        let marks = verdicts.marks("another");
        assert!(
            marks[1].starts_with("of 3 answers the judge contradicted itself on 1"),
            "{marks:?}"
        );
        assert!(marks[2].contains("that can be read on 1"), "{marks:?}");
    }
}
