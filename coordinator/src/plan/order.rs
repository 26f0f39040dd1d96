//! Which step comes next: a pure function of the last one.

use domain::run::{RoundKind, RunKind, Step};

/// The shape of a run: everything that decides the order of its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What the run does.
    pub kind: RunKind,
    /// Search rounds.
    pub rounds: u32,
    /// Whether a placebo arm is tried.
    pub placebo: bool,
    /// Whether a judge grades some of the answers: each step of answers is then followed by one of its verdicts.
    pub judged: bool,
    /// Whether some of the answers get their grades afterwards: a step of scores follows, after the verdicts if there are
    /// any.
    pub scored: bool,
    /// Whether a rewriter is trained at the end.
    pub trains: bool,
    /// Whether an evaluation compares rewriters: one round, that ends with its answers.
    pub rewriters: bool,
}

/// A round and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// 0 is the baseline.
    pub round: u32,
    /// What the round is for.
    pub kind: RoundKind,
    /// The step.
    pub step: Step,
}

impl Shape {
    /// The round of the placebo arm.
    pub fn placebo_round(&self) -> u32 {
        self.rounds + 1
    }

    /// The round that confirms winners. Its number does not depend on whether there is a placebo.
    pub fn confirm_round(&self) -> u32 {
        self.rounds + 2
    }

    /// The step after `last`; `None` when the run is done.
    pub fn next(&self, last: Option<Place>) -> Option<Place> {
        let Some(last) = last else {
            return Some(self.first());
        };
        if last.step == Step::Answer && self.judged {
            return Some(Place {
                step: Step::Judge,
                ..last
            });
        }
        if matches!(last.step, Step::Answer | Step::Judge) && self.scored {
            return Some(Place {
                step: Step::Score,
                ..last
            });
        }
        let graded = matches!(last.step, Step::Answer | Step::Score);
        if self.kind == RunKind::Evaluate && graded || last.step == Step::Train {
            return None;
        }
        if last.kind == RoundKind::Confirm {
            return self.trains.then_some(Place {
                step: Step::Train,
                ..last
            });
        }
        Some(match last.step {
            Step::Propose => Place {
                step: Step::Guard,
                ..last
            },
            Step::Guard => Place {
                step: Step::Answer,
                ..last
            },
            Step::Answer | Step::Judge | Step::Score | Step::Train => self.after(last.round),
        })
    }

    fn first(&self) -> Place {
        match self.rewriters {
            true => Place {
                round: 1,
                kind: RoundKind::Search,
                step: Step::Propose,
            },
            false => Place {
                round: 0,
                kind: RoundKind::Baseline,
                step: Step::Answer,
            },
        }
    }

    fn after(&self, round: u32) -> Place {
        if round < self.rounds {
            Place {
                round: round + 1,
                kind: RoundKind::Search,
                step: Step::Propose,
            }
        } else if round == self.rounds && self.placebo {
            Place {
                round: round + 1,
                kind: RoundKind::Placebo,
                step: Step::Propose,
            }
        } else {
            Place {
                round: self.confirm_round(),
                kind: RoundKind::Confirm,
                step: Step::Answer,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(shape: Shape) -> Vec<String> {
        let mut out = Vec::new();
        let mut last = None;
        while let Some(place) = shape.next(last) {
            out.push(format!("{} {} {}", place.round, place.kind, place.step));
            last = Some(place);
        }
        out
    }

    #[test]
    fn the_whole_walk() {
        let shape = Shape {
            kind: RunKind::Optimise,
            rounds: 2,
            placebo: true,
            judged: false,
            scored: false,
            trains: false,
            rewriters: false,
        };
        insta::assert_snapshot!(walk(shape).join("\n"), @r"
        0 baseline answer
        1 search propose
        1 search guard
        1 search answer
        2 search propose
        2 search guard
        2 search answer
        3 placebo propose
        3 placebo guard
        3 placebo answer
        4 confirm answer
        ");
    }

    #[test]
    fn without_placebo_and_evaluations() {
        let shape = Shape {
            kind: RunKind::Optimise,
            rounds: 1,
            placebo: false,
            judged: false,
            scored: false,
            trains: false,
            rewriters: false,
        };
        assert_eq!(
            walk(shape).last().map(String::as_str),
            Some("3 confirm answer")
        );
        let shape = Shape {
            kind: RunKind::Evaluate,
            ..shape
        };
        assert_eq!(walk(shape), ["0 baseline answer"]);
    }

    #[test]
    fn scores_follow_answers() {
        let shape = Shape {
            kind: RunKind::Optimise,
            rounds: 1,
            placebo: true,
            judged: false,
            scored: true,
            trains: false,
            rewriters: false,
        };
        insta::assert_snapshot!(walk(shape).join("\n"), @r"
        0 baseline answer
        0 baseline score
        1 search propose
        1 search guard
        1 search answer
        1 search score
        2 placebo propose
        2 placebo guard
        2 placebo answer
        2 placebo score
        3 confirm answer
        3 confirm score
        ");
        let shape = Shape {
            kind: RunKind::Evaluate,
            ..shape
        };
        assert_eq!(walk(shape), ["0 baseline answer", "0 baseline score"]);
    }

    #[test]
    fn verdicts_come_between_answers_and_scores() {
        let shape = Shape {
            kind: RunKind::Optimise,
            rounds: 1,
            placebo: false,
            judged: true,
            scored: true,
            trains: false,
            rewriters: false,
        };
        insta::assert_snapshot!(walk(shape).join("\n"), @r"
        0 baseline answer
        0 baseline judge
        0 baseline score
        1 search propose
        1 search guard
        1 search answer
        1 search judge
        1 search score
        3 confirm answer
        3 confirm judge
        3 confirm score
        ");
        let shape = Shape {
            kind: RunKind::Evaluate,
            ..shape
        };
        let steps = ["0 baseline answer", "0 baseline judge", "0 baseline score"];
        assert_eq!(walk(shape), steps);
    }

    #[test]
    fn a_training_is_last() {
        let shape = Shape {
            kind: RunKind::Optimise,
            rounds: 1,
            placebo: false,
            judged: false,
            scored: true,
            trains: true,
            rewriters: false,
        };
        let steps = walk(shape);
        assert_eq!(
            steps[steps.len() - 3..],
            ["3 confirm answer", "3 confirm score", "3 confirm train"]
        );
        let unscored = Shape {
            judged: false,
            scored: false,
            ..shape
        };
        let steps = walk(unscored);
        assert_eq!(
            steps[steps.len() - 2..],
            ["3 confirm answer", "3 confirm train"]
        );
        let shape = Shape {
            kind: RunKind::Evaluate,
            ..unscored
        };
        assert_eq!(walk(shape), ["0 baseline answer"]);
    }

    #[test]
    fn an_evaluation_of_rewriters_is_one_round() {
        let shape = Shape {
            kind: RunKind::Evaluate,
            rounds: 4,
            placebo: true,
            judged: false,
            scored: false,
            trains: false,
            rewriters: true,
        };
        let steps = ["1 search propose", "1 search guard", "1 search answer"];
        assert_eq!(walk(shape), steps);
        let scored = Shape {
            scored: true,
            ..shape
        };
        assert_eq!(walk(scored)[3..], ["1 search score"]);
    }
}
