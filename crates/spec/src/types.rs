//! The spec as types: one struct a section.

use crate::{
    data::Dataset,
    instruct::{Instruct, fixed},
    model::Model,
};
use domain::{grade::Grader, hash::Hash, run::Limits, tuning::Tuning};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A whole spec. A loaded one is complete: defaults are filled in, the proposer and every grader too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// What the run is called and how it starts.
    pub run: Run,
    /// What is asked.
    pub datasets: Vec<Dataset>,
    /// How examples are divided.
    #[serde(default)]
    pub splits: Splits,
    /// Who answers and who proposes, by name.
    pub models: BTreeMap<String, Model>,
    /// The self-play loop.
    #[serde(default)]
    pub search: Search,
    /// The search for one instruction, in `instruct` mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruct: Option<Instruct>,
    /// The leak guard.
    #[serde(default)]
    pub leak: Leak,
    /// The confirmation of winners.
    #[serde(default)]
    pub confirm: Confirm,
    /// What the run may use.
    #[serde(default)]
    pub budget: Budget,
    /// Training a rewriter on the pairs; nothing is trained without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<Tuning>,
    /// Just evaluating.
    #[serde(default)]
    pub eval: Eval,
}

/// The name of the model whose answers are graded.
pub const TARGET: &str = "target";
/// The name of the model that writes rewrites.
pub const PROPOSER: &str = "proposer";
/// The name of the model that was trained to rewrite, where a run lets it propose.
pub const REWRITER: &str = "rewriter";

impl Spec {
    /// The whole spec as JSON with its fields in the order of the types: equal specs give equal text.
    /// It holds no secret (only the name of a variable or file that does) and no path of this machine
    /// beyond those that the spec itself writes.
    pub fn canonical_json(&self) -> String {
        // Serialising these types cannot fail: no map has keys other than text.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What makes two specs the same piece of work: a hash of everything that can change an answer, a
    /// grade or a choice. Left out, so that they can be changed on an unfinished run: the budget, tags,
    /// thresholds, and how a model is reached (keys, time limits, retries, rates).
    pub fn hash(&self) -> Hash {
        let mut work = self.clone();
        work.budget = Budget::default();
        work.run.tags.clear();
        work.eval.thresholds.clear();
        work.models.values_mut().for_each(plain_access);
        Hash::of([work.canonical_json()])
    }

    /// How many of the hardest examples each data set gives, by name, in the order of the spec: its own
    /// quota, or an equal share of what the quotas leave of `search.hardest` (the first get the rest).
    pub fn quotas(&self) -> Vec<(String, usize)> {
        let taken: usize = self.datasets.iter().filter_map(|d| d.hardest).sum();
        let sharers = self.datasets.iter().filter(|d| d.hardest.is_none()).count();
        let left = self.search.hardest.saturating_sub(taken);
        let mut nth = 0;
        let mut share = || {
            let one_more = usize::from(nth < left % sharers.max(1));
            nth += 1;
            left / sharers.max(1) + one_more
        };
        let quota = |d: &Dataset| (d.name.clone(), d.hardest.unwrap_or_else(&mut share));
        self.datasets.iter().map(quota).collect()
    }

    /// The target model. `None` only in a spec of evaluations without one.
    pub fn target(&self) -> Option<&Model> {
        self.models.get(TARGET)
    }

    /// The proposer.
    pub fn proposer(&self) -> Option<&Model> {
        self.models.get(PROPOSER)
    }

    /// The names of the reward models that grade, each once.
    pub fn rewards(&self) -> Vec<&str> {
        self.grading(|grader| match grader {
            Grader::Reward { model, .. } => Some(model),
            _ => None,
        })
    }

    /// The names of the models that judge, each once.
    pub fn judges(&self) -> Vec<&str> {
        self.grading(|grader| match grader {
            Grader::Judge { model, .. } => Some(model),
            _ => None,
        })
    }

    /// The names that graders give, each once.
    fn grading<'s>(&'s self, named: impl Fn(&'s Grader) -> Option<&'s String>) -> Vec<&'s str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self
            .datasets
            .iter()
            .filter_map(Dataset::grader)
            .filter_map(named)
        {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// The names of the models that were trained to rewrite.
    pub fn trained(&self) -> impl Iterator<Item = &str> {
        let trained = |m: &Model| matches!(m, Model::Local(local) if local.adapter.is_some());
        let named = self.models.iter().filter(move |(_, m)| trained(m));
        named.map(|(name, _)| name.as_str())
    }

    /// The names of the models that an evaluation calls.
    pub fn evaluated(&self) -> Vec<&str> {
        if self.eval.rewriters.is_empty() {
            return self.eval.models.iter().map(String::as_str).collect();
        }
        let rewriters = self.eval.rewriters.iter().map(String::as_str);
        let mut names: Vec<&str> = std::iter::once(TARGET).chain(rewriters).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The data set of this name.
    pub fn dataset(&self, name: &str) -> Option<&Dataset> {
        self.datasets.iter().find(|d| d.name == name)
    }
}

/// Resets what changes how a model is reached, and nothing of what it says.
fn plain_access(model: &mut Model) {
    match model {
        Model::Http(http) => {
            http.api_key_env = None;
            http.api_key_file = None;
            http.connect_timeout_seconds = 0.0;
            http.call_timeout_seconds = 0.0;
            http.retries = 0;
            http.concurrency = 0;
            http.requests_per_minute = None;
            http.tokens_per_minute = None;
        }
        Model::Local(_) | Model::Reward(_) => {}
    }
}

/// `[run]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// What people call it.
    pub name: String,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Every random choice derives from it.
    #[serde(default)]
    pub seed: u64,
    /// What is optimised.
    #[serde(default)]
    pub mode: Mode,
}

/// What is optimised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Every selected hard example is its own target.
    #[default]
    Rewrite,
    /// The whole data set is one target with one instruction.
    Instruct,
}

/// `[splits]`: shares of the near-duplicate clusters; they sum to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Splits {
    /// Mining, baseline and search read it.
    pub train: f64,
    /// Kept from every choice: `instruct` mode estimates the chosen prompt on it.
    pub validation: f64,
    /// Sealed until the one last evaluation.
    pub test: f64,
}

impl Default for Splits {
    fn default() -> Self {
        Self {
            train: 0.8,
            validation: 0.1,
            test: 0.1,
        }
    }
}

/// `[search]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Search {
    /// How many of the hardest examples become targets.
    pub hardest: usize,
    /// How many rewrites each round asks for, per target.
    pub rewrites: u32,
    /// Who writes them in turn (`proposer`, `rewriter`), or the operators that are drawn.
    pub operators: Vec<String>,
    /// `name=weight`: fixes how often operators are drawn; learnt where nothing is said. (Left out where empty: specs
    /// without it have the hash that they always had.)
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<String>,
    /// Rounds in all: the first and those that read the scores of the earlier ones.
    pub rounds: u32,
    /// How often each question is asked during the search.
    pub repeats: u32,
    /// How many items one task holds.
    pub block: usize,
    /// The longest rewrite, in characters; a long original may grow by half all the same.
    pub max_chars: usize,
    /// What a proposer is told of earlier answers.
    pub feedback: Feedback,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            hardest: 24,
            rewrites: 2,
            operators: vec![PROPOSER.to_owned()],
            weights: Vec::new(),
            rounds: 4,
            repeats: 1,
            block: 8,
            max_chars: 1200,
            feedback: Feedback::Outcome,
        }
    }
}

impl Search {
    /// Whether operators are drawn by weight: some are named beyond those that write in turn.
    pub fn draws(&self) -> bool {
        let in_turn = |name: &String| name == PROPOSER || name == REWRITER;
        !self.operators.iter().all(in_turn)
    }

    /// The fixed weights, by name. `Err` holds the entry that is none.
    pub fn fixed(&self) -> Result<Vec<(String, f64)>, String> {
        fixed(&self.weights)
    }

    /// Whether a model that was trained to rewrite proposes.
    pub fn by_rewriter(&self) -> bool {
        self.operators.iter().any(|name| name == REWRITER)
    }
}

/// What a proposer is told of earlier answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feedback {
    /// How they were graded.
    #[default]
    Outcome,
    /// The reference too: marks the run.
    Reference,
}

/// `[leak]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Leak {
    /// Whether the added words are tested for raising the probability of the reference.
    pub probe: bool,
}

impl Default for Leak {
    fn default() -> Self {
        Self { probe: true }
    }
}

/// `[confirm]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Confirm {
    /// Fresh draws of original and winner each.
    pub repeats: u32,
    /// Whether as many unscored paraphrases compete, chosen the same way.
    pub placebo: bool,
    /// The share of false discoveries allowed among the pairs.
    pub fdr: f64,
    /// Used where the target is greedy and there are no choices to permute.
    pub temperature: f64,
    /// Mismatched references, the controls of `reference_loglik`.
    pub controls: usize,
}

/// Fewer fresh draws than this support no claim of a gain.
pub const CLAIM_REPEATS: u32 = 8;

impl Confirm {
    /// Whether there are enough fresh draws for a claim; otherwise the run is marked.
    pub fn supports_claim(&self) -> bool {
        self.repeats >= CLAIM_REPEATS && self.placebo
    }
}

impl Default for Confirm {
    fn default() -> Self {
        Self {
            repeats: CLAIM_REPEATS,
            placebo: true,
            fdr: 0.10,
            temperature: 0.7,
            controls: 15,
        }
    }
}

/// `[budget]`: what the run may use; what is left out has no limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Model calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Tokens read and written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
}

impl Budget {
    /// The same as the ledger counts it: money in whole micro-dollars, rounded down.
    pub fn limits(&self) -> Limits {
        Limits {
            calls: self.calls,
            tokens: self.tokens,
            // The small addend undoes binary rounding: 0.29 dollars are 290,000, not 289,999.
            cost_micros: self.usd.map(|usd| (usd * 1e6 + 1e-3).floor() as u64),
        }
    }
}

/// `[eval]`: the user's own prompts x models x data sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Eval {
    /// Names of the models that answer.
    pub models: Vec<String>,
    /// Names of models that rewrite prompts. Where there are some, they are compared, on the target.
    pub rewriters: Vec<String>,
    /// Which part of the data sets is asked.
    pub split: EvalSplit,
    /// How often each question is asked.
    pub repeats: u32,
    /// The prompts compared.
    pub prompts: Vec<Prompt>,
    /// What must hold for exit code 0.
    pub thresholds: Vec<Threshold>,
}

impl Default for Eval {
    fn default() -> Self {
        Self {
            models: vec![TARGET.to_owned()],
            rewriters: Vec::new(),
            split: EvalSplit::All,
            repeats: 1,
            prompts: vec![Prompt::unchanged()],
            thresholds: Vec::new(),
        }
    }
}

/// Which part of the data sets is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvalSplit {
    /// Every example.
    #[default]
    All,
    /// Train only.
    Train,
    /// Validation only.
    Validation,
    /// Test only.
    Test,
}

/// A prompt of an evaluation. Slots of `user`: `{input}`, `{context}`, `{choices}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// Its name in the table.
    pub name: String,
    /// Standing instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What the user says.
    #[serde(default = "input_only")]
    pub user: String,
}

impl Prompt {
    /// The example as it is.
    pub fn unchanged() -> Self {
        Self {
            name: "unchanged".to_owned(),
            system: None,
            user: input_only(),
        }
    }

    /// The candidate document that it is.
    pub fn document(&self) -> domain::prompt::PromptDoc {
        domain::prompt::PromptDoc {
            system: self.system.clone(),
            user: self.user.clone(),
            ..Default::default()
        }
    }
}

fn input_only() -> String {
    "{input}".to_owned()
}

/// What must hold in every cell (prompt, model, data set) that it names; a name left out means all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Threshold {
    /// Only this prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Only this model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Only this data set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// The mean grade is at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_mean: Option<f64>,
    /// The lower end of the mean's 95% interval is at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ci_low: Option<f64>,
    /// At most this share of the questions got no grade (outages, refusals).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failed: Option<f64>,
}

impl Threshold {
    /// Whether it speaks of this cell.
    pub fn covers(&self, prompt: &str, model: &str, dataset: &str) -> bool {
        let all = |name: &Option<String>, of: &str| name.as_deref().is_none_or(|n| n == of);
        all(&self.prompt, prompt) && all(&self.model, model) && all(&self.dataset, dataset)
    }
}
