//! `[instruct]`: one instruction for a whole data set.

use domain::prompt::PromptDoc;
use serde::{Deserialize, Serialize};

/// `[instruct]`: what is searched in `instruct` mode, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Instruct {
    /// What the task is, for those who write prompts; the first start prompt's words where nothing is said.
    pub description: String,
    /// Standing instructions; may hold `{instruction}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What the user says: slots `{instruction}`, `{input}`, `{context}`, `{choices}`.
    pub user: String,
    /// Calls of the target in the search. The last evaluation comes on top.
    pub calls: u64,
    /// Rounds: calls are shared out evenly; see [`Instruct::rounds()`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounds: Option<u32>,
    /// New prompts in each round; see [`Instruct::newcomers`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidates: Option<u32>,
    /// The most prompts that are alive while there are new ones; nobody makes room where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub population: Option<usize>,
    /// The most demonstrations in one prompt.
    pub shots: usize,
    /// Examples in one block of the race.
    pub block: usize,
    /// How probable it may be that the race drops the best prompt.
    pub alpha: f64,
    /// Operators that make prompts; all where nothing is said.
    pub operators: Vec<String>,
    /// `name=weight`: fixes how often operators are drawn; learnt where nothing is said.
    pub weights: Vec<String>,
    /// Texts that every instruction has to contain.
    pub must_keep: Vec<String>,
    /// Texts that no instruction may contain.
    pub must_not_contain: Vec<String>,
    /// What a hundred tokens of prompt are worth, in points of accuracy: 0 is nothing.
    pub length_price: f64,
    /// How often each test question is asked at the end: repeats show the noise floor.
    pub test_repeats: u32,
    /// Prompts to start from; the first is the one that gains are measured against.
    pub start: Vec<Start>,
}

/// A prompt to start from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The words that the search changes.
    pub instruction: String,
}

impl Default for Instruct {
    fn default() -> Self {
        Self {
            description: String::new(),
            system: None,
            user: "{instruction}\n\n{input}".to_owned(),
            calls: 600,
            rounds: None,
            candidates: None,
            population: None,
            shots: 4,
            block: 6,
            alpha: 0.05,
            operators: Vec::new(),
            weights: Vec::new(),
            must_keep: Vec::new(),
            must_not_contain: Vec::new(),
            length_price: 0.0,
            test_repeats: 2,
            start: Vec::new(),
        }
    }
}

/// New prompts for each hundred calls, where nothing is said: decision 0021 says what more and fewer are worth.
const NEWCOMERS: u64 = 10;
/// Calls in a round, and the fewest and the most rounds, where nothing is said: the more often a search looks at what it has,
/// the better it spends what is left (decision 0021); a round is waited for until its last answer is there.
const ROUND: u64 = 50;
const ROUNDS: (u64, u64) = (4, 40);

impl Instruct {
    /// Rounds that make new prompts: all but the last fifth, which tries those that are there. What is born at the very end
    /// could only be chosen for luck.
    pub fn bearing(&self) -> u32 {
        self.rounds() - self.rounds() / 5
    }

    /// Rounds: as the spec says, or so many that each has 50 calls, from 4 to 40.
    pub fn rounds(&self) -> u32 {
        let fit = (self.calls / ROUND).clamp(ROUNDS.0, ROUNDS.1);
        self.rounds
            .unwrap_or_else(|| u32::try_from(fit).unwrap_or(1))
    }

    /// New prompts in each such round: as the spec says, or so many that each hundred calls see ten.
    pub fn newcomers(&self) -> u32 {
        let rounds = u64::from(self.rounds().max(1));
        let fit = (self.calls.saturating_mul(NEWCOMERS) / 100).div_ceil(rounds);
        self.candidates
            .unwrap_or_else(|| u32::try_from(fit.clamp(1, 64)).unwrap_or(1))
    }

    /// An instruction as the document that it is a part of.
    pub fn document(&self, instruction: &str) -> PromptDoc {
        PromptDoc {
            system: self.system.clone(),
            user: self.user.clone(),
            instruction: Some(instruction.to_owned()),
            ..PromptDoc::default()
        }
    }

    /// The fixed weights, by name. `Err` holds the entry that is none.
    pub fn fixed(&self) -> Result<Vec<(String, f64)>, String> {
        fixed(&self.weights)
    }
}

/// Weights of operators, by name, from entries like `name=2`. `Err` holds the entry that is none.
pub(crate) fn fixed(weights: &[String]) -> Result<Vec<(String, f64)>, String> {
    let one = |entry: &String| {
        let (name, weight) = entry.split_once('=').ok_or_else(|| entry.clone())?;
        let weight: f64 = weight.trim().parse().map_err(|_| entry.clone())?;
        let usable = weight.is_finite() && weight >= 0.0;
        match usable {
            true => Ok((name.trim().to_owned(), weight)),
            false => Err(entry.clone()),
        }
    };
    weights.iter().map(one).collect()
}
