//! What the planner needs to know of a spec, with defaults resolved.

use crate::{ModelFacts, plan::order::Shape};
use domain::{
    call::Sampling, example::Split, grade::Grader, hash::Hash, judge, prompt::PromptDoc,
    run::RunKind, tuning::Tuning,
};
use search::operator::Operator;
use spec::{EvalSplit, Feedback, Mode, Spec};
use std::collections::{BTreeSet, HashMap, HashSet};

/// The name of the model that answers, in a spec's `[models]`.
pub const TARGET: &str = "target";
/// The name of the model that writes rewrites.
pub const PROPOSER: &str = "proposer";

/// The name of the model that was trained to rewrite, where a run lets it propose.
pub const REWRITER: &str = spec::REWRITER;

/// Fresh draws start at this repeat: no search repeat is ever one of them.
pub const FRESH: u32 = 1_000;

/// How many references of a dataset serve as controls for the others.
pub const POOL: usize = 512;

/// A dataset as the planner sees it.
#[derive(Clone, Debug)]
pub struct DatasetPlan {
    /// Its name.
    pub name: String,
    /// How its answers are graded.
    pub grader: Grader,
    /// How many of its hardest examples become targets.
    pub hardest: usize,
}

/// Who writes a rewrite in the search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proposes {
    /// The proposer, which is told what to do and how earlier rewrites fared.
    #[default]
    Proposer,
    /// The model that was trained to rewrite.
    Rewriter,
}

impl Proposes {
    fn named(name: &str) -> Self {
        match name {
            spec::REWRITER => Self::Rewriter,
            _ => Self::Proposer,
        }
    }
}

/// Operators that write rewrites, drawn by weight.
#[derive(Clone, Debug)]
pub struct DrawPlan {
    /// Those in use.
    pub operators: Vec<Operator>,
    /// Fixed weights; learnt where empty.
    pub weights: Vec<(String, f64)>,
}

/// How a rewriter is trained at the end.
#[derive(Clone, Debug)]
pub struct TrainPlan {
    /// What the spec says.
    pub tuning: Tuning,
    /// What the base is; empty until somebody has looked at it.
    pub identity: String,
}

/// A prompt of an evaluation.
#[derive(Clone, Debug)]
pub struct NamedPrompt {
    /// Its name.
    pub name: String,
    /// The prompt.
    pub doc: PromptDoc,
}

/// What an evaluation tries.
#[derive(Clone, Debug, Default)]
pub struct EvalPlan {
    /// Names of models.
    pub models: Vec<String>,
    /// Prompts.
    pub prompts: Vec<NamedPrompt>,
    /// Only this part of the data; all of it when `None`.
    pub split: Option<Split>,
    /// Names of models that rewrite; where there are some, they are what is compared.
    pub rewriters: Vec<String>,
    /// Fingerprints of prompts that some of them were trained on: they are compared on no such prompt.
    pub seen: BTreeSet<Hash>,
}

/// A search for one instruction.
#[derive(Clone, Debug)]
pub struct InstructPlan {
    /// What the task is, as the spec says it; may be empty.
    pub description: String,
    /// The prompts to start from.
    pub starts: Vec<PromptDoc>,
    /// Calls of the target in all search rounds together.
    pub calls: u64,
    /// Rounds after the baseline.
    pub rounds: u32,
    /// How many of them, the first ones, make new prompts.
    pub bearing: u32,
    /// New prompts in each of those.
    pub candidates: u32,
    /// The most prompts that are alive while there are new ones, where losers of tournaments make room.
    pub population: Option<usize>,
    /// The most demonstrations in one prompt.
    pub shots: usize,
    /// Examples in a block of the race.
    pub block: usize,
    /// How probable it may be that the best prompt is dropped.
    pub alpha: f64,
    /// Names of the operators in use; all that pay where empty.
    pub operators: Vec<String>,
    /// Fixed weights of operators; learnt where empty.
    pub weights: Vec<(String, f64)>,
    /// Texts that every instruction has.
    pub must_keep: Vec<String>,
    /// Texts that none has.
    pub must_not_contain: Vec<String>,
    /// Points of accuracy that a hundred tokens of prompt must bring.
    pub length_price: f64,
    /// Draws of each test question at the end.
    pub test_repeats: u32,
}

/// Examples beside those that are raced on, to choose demonstrations from.
const FOR_SHOTS: usize = 1_000;

impl InstructPlan {
    /// Answers that may have been asked for when a round's are planned; the baseline is round 0.
    pub fn calls_until(&self, round: u32) -> u64 {
        let share = u128::from(self.calls) * (u128::from(round) + 1);
        let calls = share / (u128::from(self.rounds) + 1);
        u64::try_from(calls).unwrap_or(self.calls).min(self.calls)
    }

    /// How many train examples a search looks at: no prompt is tried on more.
    pub fn most_examples(&self) -> usize {
        usize::try_from(self.calls)
            .unwrap_or(usize::MAX)
            .saturating_add(FOR_SHOTS)
    }
}

/// Everything the planner needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the run does.
    pub kind: RunKind,
    /// The run's seed.
    pub seed: u64,
    /// The datasets.
    pub datasets: Vec<DatasetPlan>,
    /// Search rounds (the first one and those that see scores).
    pub rounds: u32,
    /// Rewrites for each target and round.
    pub rewrites: u32,
    /// Who writes them, in turn.
    pub operators: Vec<Proposes>,
    /// The operators that write them, where some are named: drawn by weight, not in turn.
    pub drawn: Option<DrawPlan>,
    /// Repeats of each trial in the search.
    pub repeats: u32,
    /// Items in a block.
    pub block: usize,
    /// The longest rewrite, characters.
    pub max_chars: usize,
    /// Whether the leak guard asks the target for probabilities (where it can).
    pub probe: bool,
    /// Fresh draws of each arm at the end.
    pub confirm_repeats: u32,
    /// Whether a placebo arm is tried.
    pub placebo: bool,
    /// The false discovery rate at which pairs are kept.
    pub fdr: f64,
    /// Temperature of fresh draws when the target is greedy and there are no choices to permute.
    pub confirm_temperature: f64,
    /// Mismatched references in the confirmation of `reference_loglik`.
    pub controls: usize,
    /// Whether operators may see references (the run is marked).
    pub show_reference: bool,
    /// Models that were trained to rewrite: they are asked with the prompt's words alone.
    pub trained: HashSet<String>,
    /// How each model's replies are sampled, by its name.
    pub sampling: HashMap<String, Sampling>,
    /// What an evaluation tries.
    pub eval: EvalPlan,
    /// How a rewriter is trained at the end; `None` where none is.
    pub train: Option<TrainPlan>,
    /// The search for one instruction; `None` where every hard example is a target.
    pub instruct: Option<InstructPlan>,
}

impl Settings {
    /// The settings of a loaded spec. Datasets whose grader is not available yet are left out: the caller has refused
    /// to run such a spec before.
    pub fn new(spec: &Spec, kind: RunKind) -> Self {
        let quotas = spec.quotas();
        let hardest = |name: &str| {
            quotas
                .iter()
                .find(|(n, _)| n == name)
                .map_or(0, |(_, n)| *n)
        };
        let dataset = |d: &spec::Dataset| {
            let (name, grader) = (d.name.clone(), d.grader()?.clone());
            Some(DatasetPlan {
                hardest: hardest(&name),
                name,
                grader,
            })
        };
        let sampled =
            |(name, m): (&String, &spec::Model)| Some((name.clone(), m.sampling()?.clone()));
        Self {
            kind,
            seed: spec.run.seed,
            datasets: spec.datasets.iter().filter_map(dataset).collect(),
            rounds: spec.search.rounds,
            rewrites: spec.search.rewrites,
            operators: spec
                .search
                .operators
                .iter()
                .map(|name| Proposes::named(name))
                .collect(),
            drawn: draw_plan(spec, kind),
            repeats: match kind {
                RunKind::Optimise => spec.search.repeats,
                RunKind::Evaluate => spec.eval.repeats,
            },
            block: spec.search.block,
            max_chars: spec.search.max_chars,
            probe: spec.leak.probe,
            confirm_repeats: spec.confirm.repeats,
            placebo: spec.confirm.placebo,
            fdr: spec.confirm.fdr,
            confirm_temperature: spec.confirm.temperature,
            controls: spec.confirm.controls,
            show_reference: spec.search.feedback == Feedback::Reference,
            trained: spec.trained().map(str::to_owned).collect(),
            sampling: spec.models.iter().filter_map(sampled).collect(),
            eval: eval_plan(spec),
            train: train_plan(spec, kind),
            instruct: instruct_plan(spec, kind),
        }
    }

    /// The order of steps.
    pub fn shape(&self) -> Shape {
        Shape {
            kind: self.kind,
            rounds: self
                .instruct
                .as_ref()
                .map_or(self.rounds, |plan| plan.rounds),
            // A sealed test set does what a placebo does, and more.
            placebo: self.placebo && self.instruct.is_none(),
            judged: self.judged(),
            scored: self.scored(),
            trains: self.train.is_some(),
            rewriters: self.compares_rewriters(),
        }
    }

    /// Whether this is an evaluation of rewriters.
    pub fn compares_rewriters(&self) -> bool {
        self.kind == RunKind::Evaluate && !self.eval.rewriters.is_empty()
    }

    /// Who writes the nth rewrite of a target in a round of the search.
    pub fn proposes(&self, nth: u32) -> Proposes {
        let turns = self.operators.len().max(1);
        let turn = self.operators.get(nth as usize % turns);
        turn.copied().unwrap_or_default()
    }

    /// Whether a model was trained to rewrite.
    pub fn is_trained(&self, model: &str) -> bool {
        self.trained.contains(model)
    }

    /// Whether a reward model grades some of the answers.
    pub fn rewarded(&self) -> bool {
        self.datasets.iter().any(|d| d.grader.is_reward())
    }

    /// Whether a judge does.
    pub fn judged(&self) -> bool {
        self.datasets.iter().any(|d| d.grader.is_judge())
    }

    /// Whether some of the answers get their grades in a step of their own.
    pub fn scored(&self) -> bool {
        self.rewarded() || self.judged()
    }

    /// The name of each judge's model, once.
    pub fn judges(&self) -> BTreeSet<&str> {
        let judges = self.datasets.iter().filter_map(|d| match &d.grader {
            Grader::Judge { model, .. } => Some(model.as_str()),
            _ => None,
        });
        judges.collect()
    }

    /// How a judge of this name is asked.
    pub fn verdict_sampling(&self, model: &str) -> Sampling {
        judge::sampling(self.sampling.get(model).cloned().unwrap_or_default())
    }

    /// Tells the graders what their judges are: grades are stored under that. An answer's grade depends on the answer that
    /// it is compared with too; that follows from the answer's own key, and from the prompt that is compared with.
    pub fn know_judges(&mut self, models: &HashMap<String, ModelFacts>) {
        let against = self.compared_with().fingerprint().to_string();
        let sampling: HashMap<String, Sampling> = self
            .judges()
            .into_iter()
            .map(|name| (name.to_owned(), self.verdict_sampling(name)))
            .collect();
        for dataset in &mut self.datasets {
            if let Grader::Judge {
                model, identity, ..
            } = &mut dataset.grader
                && let (Some(facts), Some(sampling)) = (models.get(model), sampling.get(model))
            {
                let sampling = serde_json::to_string(sampling).unwrap_or_default();
                let parts = [&facts.identity.key, &sampling, &against];
                *identity = Hash::of(parts).to_string();
            }
        }
    }

    /// The prompt whose answers a judge compares with: the unchanged one, the first start prompt, the first of an
    /// evaluation.
    fn compared_with(&self) -> PromptDoc {
        let first = match (&self.instruct, self.kind) {
            (Some(plan), _) => plan.starts.first(),
            (None, RunKind::Evaluate) if !self.compares_rewriters() => {
                self.eval.prompts.first().map(|p| &p.doc)
            }
            _ => None,
        };
        first.cloned().unwrap_or_default()
    }

    /// Tells the graders what their reward models are, by the models' names: grades are stored under that.
    pub fn know(&mut self, rewards: &HashMap<String, String>) {
        for dataset in &mut self.datasets {
            if let Grader::Reward { model, identity } = &mut dataset.grader {
                *identity = rewards.get(model).cloned().unwrap_or_default();
            }
        }
    }

    /// Says what the base of the training is: the worker finds it by that.
    pub fn know_base(&mut self, identity: &str) {
        if let Some(train) = &mut self.train {
            identity.clone_into(&mut train.identity);
        }
    }

    /// Says which prompts rewriters were trained on.
    pub fn know_seen(&mut self, seen: impl IntoIterator<Item = Hash>) {
        self.eval.seen.extend(seen);
    }

    /// How a model's replies are sampled.
    pub fn sampling(&self, model: &str) -> Sampling {
        let mut sampling = self.sampling.get(model).cloned().unwrap_or_default();
        sampling.as_it_is |= self.instruct.is_some() && model == TARGET;
        sampling
    }

    /// A dataset by name.
    pub fn dataset(&self, name: &str) -> Option<&DatasetPlan> {
        self.datasets.iter().find(|d| d.name == name)
    }
}

/// An evaluation finds no pairs to learn from.
fn train_plan(spec: &Spec, kind: RunKind) -> Option<TrainPlan> {
    let tuning = spec.train.clone().filter(|_| kind == RunKind::Optimise)?;
    Some(TrainPlan {
        tuning,
        identity: String::new(),
    })
}

fn draw_plan(spec: &Spec, kind: RunKind) -> Option<DrawPlan> {
    let searched = kind == RunKind::Optimise && spec.run.mode == Mode::Rewrite;
    let named = spec.search.operators.iter();
    (searched && spec.search.draws()).then(|| DrawPlan {
        operators: named.filter_map(|name| Operator::from_name(name)).collect(),
        weights: spec.search.fixed().unwrap_or_default(),
    })
}

fn instruct_plan(spec: &Spec, kind: RunKind) -> Option<InstructPlan> {
    let searched = kind == RunKind::Optimise && spec.run.mode == Mode::Instruct;
    let of = spec.instruct.as_ref().filter(|_| searched)?;
    Some(InstructPlan {
        description: of.description.clone(),
        starts: of
            .start
            .iter()
            .map(|start| of.document(&start.instruction))
            .collect(),
        calls: of.calls,
        rounds: of.rounds(),
        bearing: of.bearing(),
        candidates: of.newcomers(),
        population: of.population,
        shots: of.shots,
        block: of.block,
        alpha: of.alpha,
        operators: of.operators.clone(),
        weights: of.fixed().unwrap_or_default(),
        must_keep: of.must_keep.clone(),
        must_not_contain: of.must_not_contain.clone(),
        length_price: of.length_price,
        test_repeats: of.test_repeats,
    })
}

fn eval_plan(spec: &Spec) -> EvalPlan {
    let prompt = |p: &spec::Prompt| NamedPrompt {
        name: p.name.clone(),
        doc: p.document(),
    };
    EvalPlan {
        models: spec.eval.models.clone(),
        prompts: spec.eval.prompts.iter().map(prompt).collect(),
        rewriters: spec.eval.rewriters.clone(),
        seen: BTreeSet::new(),
        split: match spec.eval.split {
            EvalSplit::All => None,
            EvalSplit::Train => Some(Split::Train),
            EvalSplit::Validation => Some(Split::Validation),
            EvalSplit::Test => Some(Split::Test),
        },
    }
}
