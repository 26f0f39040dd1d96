//! Ways to make a candidate: an instruction for a whole data set, or other words for one question.
//!
//! [`draft`] is the first half: what a proposer is asked, or the prompt itself where no proposer is needed.
//! [`read`] is the second: the prompt that the proposer's reply holds. [`crate::guard::judge`] says of either kind
//! whether it may be tried.
//!
//! Instructions, inputs, answers and feedback are untrusted. They stand between tags and are defused, as in rewrite mode
//! ([`domain::operator`]). Every request has worked turns of ours before it and the thing to change last, so that a
//! proposer of 135 million parameters can follow. `docs/operators.md` lists what each operator sees.
//!
//! [`crate::pool::Subject`] says which of the two is searched. Most operators do the same with either, in words that suit it. A
//! question's pool has no examples and no reference: an operator sees outcomes and nothing else.

mod breed;
mod crossover;
mod evolve;
mod form;
mod hyper;
mod lists;
mod outcomes;
mod read;
mod reflect;
pub(crate) mod say;
mod scene;
mod shots;
mod subject;
pub(crate) mod tags;
mod trajectory;
mod wording;

pub use read::read;
pub(crate) use scene::RIGHT;

use crate::pool::Pool;
use domain::{call::Message, prompt::PromptDoc};
use scene::Scene;
use serde::{Deserialize, Serialize};

/// A way to make a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// Improves a question, given what a model made of it.
    Improve,
    /// Goes on from all earlier instructions, given their scores (OPRO; Yang et al. 2023).
    Trajectory,
    /// Writes an instruction from the description alone (this and the next eight: Promptbreeder; Fernando et al. 2023).
    ZeroOrder,
    /// Changes an instruction as its mutation prompt says.
    FirstOrder,
    /// Continues a list of instructions in random order.
    Eda,
    /// Continues a list of instructions from worse to better.
    EdaRank,
    /// Continues the line of an instruction's ancestors.
    Lineage,
    /// Makes a new mutation prompt from the description and a thinking style, and changes an instruction with it.
    HyperZero,
    /// Makes a better mutation prompt, and changes an instruction with it.
    HyperFirst,
    /// Guesses the instruction from answers that are right.
    Lamarckian,
    /// Shows another member's demonstrations under an instruction, in another order; changes a question as another
    /// version's mutation prompt says.
    Crossover,
    /// Crosses two instructions and changes the result (EvoPrompt GA; Guo et al. 2023).
    Ga,
    /// Differential evolution: what differs in two, changed, put into the best, crossed with the parent (EvoPrompt DE).
    De,
    /// Learns from failures (GEPA; Agrawal et al. 2025).
    Reflect,
    /// Says the same in other words.
    Paraphrase,
    /// Says the same in fewer words.
    Shorten,
    /// Shows train examples with their right answers.
    Shots,
    /// Shows train examples with what the model itself said, where that was right.
    Bootstrapped,
    /// Shows an example that the prompt got wrong, with its right answer, as the last demonstration.
    Corrected,
    /// Sets a closing sentence about the form of the answer.
    AnswerForm,
    /// States the task in a plain frame.
    Frame,
    /// Asks a rewriter that was trained for it.
    Rewriter,
}

impl Operator {
    /// All of them.
    pub const ALL: [Operator; 22] = [
        Operator::Improve,
        Operator::Trajectory,
        Operator::ZeroOrder,
        Operator::FirstOrder,
        Operator::Eda,
        Operator::EdaRank,
        Operator::Lineage,
        Operator::HyperZero,
        Operator::HyperFirst,
        Operator::Lamarckian,
        Operator::Crossover,
        Operator::Ga,
        Operator::De,
        Operator::Reflect,
        Operator::Paraphrase,
        Operator::Shorten,
        Operator::Shots,
        Operator::Bootstrapped,
        Operator::Corrected,
        Operator::AnswerForm,
        Operator::Frame,
        Operator::Rewriter,
    ];

    /// Those that are drawn where a spec of `instruct` mode names none: at least one of each family. Every further one costs a first child
    /// before it is known to be no better, and a search of some hundred calls has some twenty.
    pub const DEFAULT: [Operator; 11] = [
        Operator::Shots,
        Operator::Bootstrapped,
        Operator::Corrected,
        Operator::Crossover,
        Operator::AnswerForm,
        Operator::Frame,
        Operator::Reflect,
        Operator::Trajectory,
        Operator::Ga,
        Operator::FirstOrder,
        Operator::Shorten,
    ];

    /// The word used in the spec, in SQL and in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Operator::Improve => "improve",
            Operator::Trajectory => "trajectory",
            Operator::ZeroOrder => "zero_order",
            Operator::FirstOrder => "first_order",
            Operator::Eda => "eda",
            Operator::EdaRank => "eda_rank",
            Operator::Lineage => "lineage",
            Operator::HyperZero => "hyper_zero",
            Operator::HyperFirst => "hyper_first",
            Operator::Lamarckian => "lamarckian",
            Operator::Crossover => "crossover",
            Operator::Ga => "ga",
            Operator::De => "de",
            Operator::Reflect => "reflect",
            Operator::Paraphrase => "paraphrase",
            Operator::Shorten => "shorten",
            Operator::Shots => "shots",
            Operator::Bootstrapped => "bootstrapped",
            Operator::Corrected => "corrected",
            Operator::AnswerForm => "answer_form",
            Operator::Frame => "frame",
            Operator::Rewriter => "rewriter",
        }
    }

    /// The operator of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.name() == name)
    }

    /// Whether it makes instructions.
    pub fn instructs(&self) -> bool {
        *self != Operator::Improve
    }

    /// Whether it rewrites questions. Demonstrations have no place beside a question that is asked once, and what an answer
    /// should look like stands outside the words that are rewritten.
    pub fn rewrites(&self) -> bool {
        !self.shows() && !matches!(self, Operator::AnswerForm | Operator::Frame)
    }

    /// Whether all that it changes is which train examples are shown.
    fn shows(&self) -> bool {
        matches!(
            self,
            Operator::Shots | Operator::Bootstrapped | Operator::Corrected
        )
    }

    /// Whether its children owe next to nothing to their parents: a new set of demonstrations decides more than the words above it.
    pub fn begins_anew(&self) -> bool {
        matches!(self, Operator::Shots | Operator::Bootstrapped)
    }

    /// Raised whenever the text of its messages, or what it makes of the same pool and seed, changes.
    pub fn version(&self) -> u32 {
        match self {
            Operator::Shots | Operator::Bootstrapped => 4,
            Operator::Crossover => 2,
            _ => 1,
        }
    }

    /// Successes and failures believed before its first child. Demonstrations are believed in a little more: they need
    /// no skill of a proposer's. Three children outweigh that.
    pub fn prior(&self) -> (f64, f64) {
        if self.shows() { (2.0, 1.0) } else { (1.0, 1.0) }
    }

    /// Whether an instruction of its needs a proposer's reply: a call. The others make a prompt from the pool. Every rewrite
    /// needs one.
    pub fn asks(&self) -> bool {
        let made = matches!(
            self,
            Operator::Crossover | Operator::AnswerForm | Operator::Frame
        );
        !made && !self.shows()
    }
}

/// A candidate on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// The operator.
    pub operator: Operator,
    /// Members that it is made from: what is not changed comes from the first.
    pub parents: Vec<usize>,
    /// The mutation prompt that the candidate inherits: its parent's, or one of ours where that has none.
    pub mutation: Option<String>,
    /// The question to the proposer, or the prompt.
    pub write: Write,
}

/// What there is to do for a candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// Ask the proposer this, and [`read`] the reply.
    Ask(Vec<Message>),
    /// Nothing: this is it.
    Made(PromptDoc),
}

/// What an operator makes of a scene: parents and what to write.
type Sketch = Option<(Vec<usize>, Write)>;

/// A candidate that `operator` makes from the member `parent`, and from others that it draws itself by seed and score.
/// `None` where the pool lacks what it needs: failures, a second member, right answers, a description…
pub fn draft(operator: Operator, pool: &Pool, parent: usize, seed: u64) -> Option<Draft> {
    let mut scene = Scene::of(operator, pool, parent, seed)?;
    let (parents, write) = sketch(operator, &mut scene)?;
    Some(Draft {
        operator,
        parents,
        mutation: Some(scene.mutation),
        write,
    })
}

fn sketch(operator: Operator, scene: &mut Scene<'_>) -> Sketch {
    match operator {
        _ if !scene.subject().suits(operator) => None,
        Operator::Improve => outcomes::improve(scene),
        Operator::Trajectory => trajectory::sketch(scene),
        Operator::ZeroOrder => breed::zero_order(scene),
        Operator::FirstOrder => breed::first_order(scene),
        Operator::Eda => lists::eda(scene),
        Operator::EdaRank => lists::eda_rank(scene),
        Operator::Lineage => lists::lineage(scene),
        Operator::HyperZero => hyper::zero(scene),
        Operator::HyperFirst => hyper::first(scene),
        Operator::Lamarckian => breed::lamarckian(scene),
        Operator::Crossover => crossover::sketch(scene),
        Operator::Ga => evolve::ga(scene),
        Operator::De => evolve::de(scene),
        Operator::Reflect => reflect::sketch(scene),
        Operator::Paraphrase => wording::paraphrase(scene),
        Operator::Shorten => wording::shorten(scene),
        Operator::Shots => shots::labelled(scene),
        Operator::Bootstrapped => shots::bootstrapped(scene),
        Operator::Corrected => shots::corrected(scene),
        Operator::AnswerForm => form::answer_form(scene),
        Operator::Frame => form::frame(scene),
        Operator::Rewriter => wording::rewriter(scene),
    }
}

#[cfg(test)]
mod questions;
#[cfg(test)]
mod snapshots;
#[cfg(test)]
pub(crate) mod tests;
