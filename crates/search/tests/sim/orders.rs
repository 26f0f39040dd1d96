//! A simulated model that leans: searches with the real operators, in a world like what was seen of sets of demonstrations.
//!
//! Examples are positive and negative in turn. The model says "positive" where
//!
//! ```text
//! lean + answer * skill + what the example looks like + noise > 0
//! ```
//!
//! The lean is a sum of what the order of the shown answers does, the same for all sets with that order; what the set itself does;
//! and what the instruction does. The skill, how far a right answer moves the model, is the set's. All is normal and hangs on
//! hashes of seed and text alone, so that a prompt asked again answers the same. A prompt's true accuracy is the mean over all examples there could be.

use super::{known, normal, phi};
use domain::{hash::Hash, prompt::PromptDoc};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use search::{
    bandit::Arms,
    choose::choose,
    operator::{Operator, Write, draft},
    pareto::Parents,
    pool::{Member, Pool, Task, Trial},
    race::{Rules, Span, allocate, dropped},
    tournament::tournaments,
};

/// Mean and standard deviation of the skill of a set of four.
const SKILL: (f64, f64) = (0.5, 0.18);
/// By how much it is less for each demonstration less: more do better as a rule.
const MISSED: f64 = 0.1;
/// Standard deviation of noise that is a prompt's own on an example; that of what examples look like is 1.
const NOISE: f64 = 0.5;
/// Calls and newcomers of a round.
const ROUND: (usize, usize) = (50, 5);

/// What moves the model: standard deviations.
#[derive(Clone, Debug)]
pub struct Leaning {
    /// Of the lean of an order of answers.
    pub order: f64,
    /// Of the lean of a set within its order.
    pub set: f64,
    /// Of the lean of an instruction.
    pub words: f64,
    /// What may be drawn.
    pub operators: Vec<Operator>,
    /// Whether the search is told what the model said.
    pub told: bool,
    /// How many prompts may be alive, where losers of tournaments make room.
    pub population: Option<usize>,
}

/// Like sst2: of random sets of four half make the model say one label.
pub fn half_lean() -> Leaning {
    Leaning {
        order: 2.4,
        set: 0.8,
        words: 0.4,
        operators: Operator::DEFAULT.to_vec(),
        told: true,
        population: None,
    }
}

/// Like subj: three in four do.
pub fn most_lean() -> Leaning {
    Leaning {
        order: 5.0,
        set: 1.0,
        ..half_lean()
    }
}

/// A search in that world.
pub struct Run<'a> {
    world: &'a Leaning,
    pool: Pool,
    seed: u64,
    looks: Vec<f64>,
    /// Who lost a tournament.
    left: Vec<usize>,
}

impl<'a> Run<'a> {
    /// With one start prompt.
    pub fn new(world: &'a Leaning, seed: u64) -> Self {
        let examples = (0..300).map(|i| {
            let answer = Some(["positive", "negative"][i % 2].to_owned());
            search::pool::Known { answer, ..known(i) }
        });
        let doc = PromptDoc {
            instruction: Some("Positive or negative?".to_owned()),
            ..PromptDoc::default()
        };
        let member = Member {
            doc,
            ..Member::default()
        };
        let mut run = Self {
            world,
            pool: Pool {
                task: Task {
                    description: "Positive or negative?".to_owned(),
                    labels: vec!["positive".to_owned(), "negative".to_owned()],
                    max_chars: 4_000,
                    max_shots: 4,
                    show_references: true,
                    ..Task::default()
                },
                examples: examples.collect(),
                members: vec![member],
                refused: Vec::new(),
            },
            seed,
            looks: Vec::new(),
            left: Vec::new(),
        };
        run.looks = (0..300)
            .map(|i| run.normal(&format!("example {i}")))
            .collect();
        run
    }

    fn normal(&self, of: &str) -> f64 {
        normal(&mut ChaCha8Rng::seed_from_u64(
            Hash::of([&self.seed.to_le_bytes()[..], of.as_bytes()]).seed(),
        ))
    }

    /// Lean and skill of a prompt.
    fn traits(&self, doc: &PromptDoc) -> (f64, f64) {
        let order: String = doc.shots.iter().map(|s| &s.output[..1]).collect();
        let set: String = doc.shots.iter().map(|s| s.input.as_str()).collect();
        let words = doc.instruction.as_deref().unwrap_or_default();
        let w = self.world;
        let lean = w.order * self.normal(&format!("order {order}"))
            + w.set * self.normal(&format!("set {set}"))
            + w.words * self.normal(&format!("words {words}"));
        let missed = 4.0 - doc.shots.len() as f64;
        let skill = SKILL.0 + SKILL.1 * self.normal(&format!("skill {set}")) - MISSED * missed;
        (lean, skill)
    }

    /// The true accuracy of a prompt.
    fn accuracy(&self, doc: &PromptDoc) -> f64 {
        let (lean, skill) = self.traits(doc);
        let right = |sign: f64| phi((skill + sign * lean) / (1.0 + NOISE * NOISE).sqrt());
        (right(1.0) + right(-1.0)) / 2.0
    }

    fn ask(&mut self, member: usize, examples: &[usize]) {
        let doc = self.pool.members[member].doc.clone();
        let (lean, skill) = self.traits(&doc);
        let own = serde_json::to_string(&doc).unwrap_or_default();
        for &i in examples {
            let answer = if i % 2 == 0 { 1.0 } else { -1.0 };
            let noise = NOISE * self.normal(&format!("{own} {i}"));
            let says = lean + answer * skill + self.looks[i] + noise > 0.0;
            let said = if says { "positive" } else { "negative" };
            self.pool.members[member].trials.push(Trial {
                example: i,
                value: f64::from(u8::from(says == (answer > 0.0))),
                said: self.world.told.then(|| said.to_owned()),
                feedback: format!("The answer is {said}."),
            });
        }
    }

    /// The true accuracy of the choice after so many calls each, and how far the last estimate is above it.
    pub fn run(&mut self, budgets: &[usize]) -> (Vec<f64>, f64) {
        let rules = Rules {
            block: 6,
            ..Rules::default()
        };
        let all = budgets.last().copied().unwrap_or(0);
        let (mut spent, mut round, mut found) = (0, 0, Vec::new());
        let mut flattered = 0.0;
        for &budget in budgets {
            while spent < budget {
                let alive = self.alive(&rules);
                let bears = spent * 5 < all * 4;
                if round > 0 && bears {
                    self.breed(&alive, round);
                }
                let calls = if round == 0 {
                    18
                } else {
                    ROUND.0.min(budget - spent)
                };
                let span = Span::of(
                    self.pool.examples.len(),
                    bears.then_some(round as usize),
                    &rules,
                );
                let alive: Vec<bool> = (0..self.pool.members.len())
                    .map(|m| alive.get(m).copied().unwrap_or(true) && !self.left.contains(&m))
                    .collect();
                let asked = allocate(&self.pool, &alive, (calls, span), &rules, self.seed ^ round);
                (0..asked.len()).for_each(|m| self.ask(m, &asked[m]));
                (spent, round) = (spent + calls, round + 1);
            }
            let chosen = choose(&self.pool, &vec![true; self.pool.members.len()]);
            let (member, estimate) = chosen.map_or((0, 0.0), |c| (c.member, c.estimate));
            found.push(self.accuracy(&self.pool.members[member].doc));
            flattered = estimate - found.last().copied().unwrap_or(0.0);
        }
        (found, flattered)
    }

    fn alive(&self, rules: &Rules) -> Vec<bool> {
        let dropped = dropped(&self.pool, rules);
        let stays = |(m, drop): (usize, &Option<_>)| drop.is_none() && !self.left.contains(&m);
        dropped.iter().enumerate().map(stays).collect()
    }

    fn breed(&mut self, alive: &[bool], round: u64) {
        let met = match self.world.population {
            Some(size) => tournaments(&self.pool, alive, size, ROUND.1, self.seed ^ round),
            None => vec![None; ROUND.1],
        };
        let names: Vec<String> = self
            .world
            .operators
            .iter()
            .map(|o| o.name().to_owned())
            .collect();
        let (arms, parents) = (
            Arms::learned(&names, &self.pool),
            Parents::of(&self.pool, alive),
        );
        let mut born = Vec::new();
        for (k, met) in (0..).zip(&met) {
            // An operator that lacks what it needs is passed over.
            let made = (0..10).find_map(|again| {
                let seed = self.seed.wrapping_mul(7_919) + round * 1_000 + 10 * k + again;
                let operator = Operator::from_name(arms.pick(seed))?;
                let parent = met.map_or_else(|| parents.pick(seed), |of| of.winner);
                let drafted = draft(operator, &self.pool, parent, seed)?;
                let parent = &self.pool.members[*drafted.parents.first()?];
                let doc = match drafted.write {
                    Write::Made(doc) => doc,
                    // A proposer's words are like no others.
                    Write::Ask(_) => PromptDoc {
                        instruction: Some(format!("Words {round} {k}.")),
                        ..parent.doc.clone()
                    },
                };
                Some((operator, drafted.parents, doc, *met))
            });
            born.extend(made);
        }
        for (operator, parents, doc, met) in born {
            if self.pool.members.iter().all(|m| m.doc != doc) {
                self.pool.members.push(Member {
                    doc,
                    parents,
                    operator: Some(operator.name().to_owned()),
                    round: round as u32,
                    trials: Vec::new(),
                });
                self.left.extend(met.map(|of| of.loser));
            }
        }
    }
}
