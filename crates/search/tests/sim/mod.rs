//! A simulated search: prompts whose true accuracy is known, so that policies can be compared.
//!
//! The chance that a member answers an example right is logistic in the member's skill less the example's difficulty; a
//! skill is set so that the mean chance is the member's true accuracy. A start prompt's accuracy is N(0.6, 0.08), a child's
//! lies around its parent's ([`worlds::climbs`]) or between that and 0.6 ([`worlds::settles`]). Whoever was tried on an example
//! once has the same answer for good, and a child answers much as its parent did.

#![allow(dead_code)] // the bench and the test each use a part

pub mod orders;
pub mod worlds;

use domain::{
    example::{Example, Reference},
    hash::Hash,
    prompt::{PromptDoc, Shot},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use search::{
    bandit::Arms,
    choose::choose,
    pareto,
    pool::{Known, Member, Pool, Trial},
    race::{Span, allocate, dropped},
    tournament::tournaments,
};
use worlds::Setting;

/// Operators: whose children have little to do with their parents, and whose are like them.
const JUMP: &str = "shots";
const STEP: &str = "reflect";

/// Who is asked next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Asking {
    /// `race::allocate`.
    Race,
    /// Everybody alive in turn, a block each, whoever was asked least first.
    Uniform,
    /// Newcomers a block; what is left in three equal parts to the best 8, 4 and 2 by mean, as in successive halving.
    Halving,
    /// Whoever is left after the paired t-test of CAPO's racing, a block each in turn: out is who is beaten by three others.
    Capo,
}

/// Who is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choosing {
    /// `choose`.
    Shrunk,
    /// The highest mean.
    Highest,
    /// The highest mean among those with the most trials.
    MostTried,
}

/// Who has children.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Breeding {
    /// `pareto::Parents`.
    Fronts,
    /// Who is chosen.
    Best,
    /// One of those that have not been dropped.
    Any,
    /// The winner of a tournament, whose loser leaves, where so many are alive; else `pareto::Parents`.
    Population(usize),
}

/// A policy.
pub type Policy = (Asking, Choosing, Breeding);

/// A search that runs.
pub struct Search {
    /// What is known.
    pub pool: Pool,
    /// What is not.
    pub accuracy: Vec<f64>,
    setting: Setting,
    skills: Vec<f64>,
    /// Whose answers a member's are like.
    like: Vec<Option<usize>>,
    /// Who says one label whatever the input is, and which.
    constant: Vec<Option<u64>>,
    /// Who lost a tournament.
    left: Vec<usize>,
    difficulties: Vec<f64>,
    /// Accuracy by skill, from -10 in steps of 0.05.
    curve: Vec<f64>,
    rng: ChaCha8Rng,
    seed: u64,
}

impl Search {
    /// With start prompts and no trials.
    pub fn new(setting: &Setting, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let sd = setting.difficulty;
        let difficulties = (0..setting.examples)
            .map(|_| sd * normal(&mut rng))
            .collect();
        let curve = (0..=400).map(|k| accuracy(-10.0 + 0.05 * f64::from(k), sd));
        let mut search = Self {
            pool: Pool {
                examples: (0..setting.examples).map(known).collect(),
                ..Pool::default()
            },
            accuracy: Vec::new(),
            setting: setting.clone(),
            skills: Vec::new(),
            like: Vec::new(),
            constant: Vec::new(),
            left: Vec::new(),
            difficulties,
            curve: curve.collect(),
            rng,
            seed,
        };
        for _ in 0..setting.starts {
            let accuracy = 0.6 + 0.08 * normal(&mut search.rng);
            search.add(accuracy, None, None);
        }
        search
    }

    /// A new member. Every third shows two examples.
    pub fn add(&mut self, accuracy: f64, parent: Option<usize>, like: Option<usize>) {
        let accuracy = accuracy.clamp(0.02, 0.98);
        let below = self.curve.iter().take_while(|a| **a < accuracy).count();
        self.skills.push(-10.0 + 0.05 * below as f64);
        self.accuracy.push(accuracy);
        self.like.push(like);
        self.constant.push(None);
        let m = self.pool.members.len();
        let shots = match m % 3 {
            2 => [m, 2 * m].iter().map(|i| self.shot(*i)).collect(),
            _ => Vec::new(),
        };
        self.pool.members.push(Member {
            doc: PromptDoc {
                instruction: Some(format!("Instruction {m}.")),
                shots,
                ..PromptDoc::default()
            },
            parents: parent.into_iter().collect(),
            ..Member::default()
        });
    }

    fn shot(&self, example: usize) -> Shot {
        self.pool.examples[example % self.pool.examples.len()].shot(String::new())
    }

    /// Asks a member some examples.
    pub fn ask(&mut self, member: usize, examples: &[usize]) {
        for &example in examples {
            let chance = logistic(self.skills[member] - self.difficulties[example]);
            let value = match self.constant[member] {
                Some(label) => f64::from(example as u64 % 2 == label),
                None => f64::from(phi(self.luck(member, example)) < chance),
            };
            self.pool.members[member].trials.push(Trial {
                example,
                value,
                said: None,
                feedback: String::new(),
            });
        }
    }

    /// What decides whether a member's answer is right, standard normal: the same whenever it is asked.
    fn luck(&self, member: usize, example: usize) -> f64 {
        let parts = [self.seed, member as u64, example as u64];
        let mut rng = ChaCha8Rng::seed_from_u64(Hash::of(parts.map(u64::to_le_bytes)).seed());
        let own = normal(&mut rng);
        let share = self.setting.inherit;
        match self.like[member] {
            Some(parent) => share * self.luck(parent, example) + (1.0 - share * share).sqrt() * own,
            None => own,
        }
    }

    /// Runs to the last budget: the true accuracy of the choice at each, and how far the last one's estimate is above it.
    pub fn run(&mut self, policy: Policy) -> (Vec<f64>, f64) {
        let budgets = self.setting.budgets.clone();
        let (mut spent, mut chosen, mut round) = (0, Vec::new(), 0);
        let all = budgets.last().copied().unwrap_or(0) as f64;
        let mut left = 0;
        for budget in budgets {
            while spent < budget {
                let mut calls = self.setting.round.min(budget - spent) + left;
                left = 0;
                if round == 0 {
                    let most = self.setting.first * self.setting.rules.block * self.setting.starts;
                    left = calls.saturating_sub(most);
                    calls -= left;
                }
                let alive = self.alive(policy.0);
                let last = spent as f64 >= all * (1.0 - self.setting.last);
                if round > 0 && !last {
                    self.breed(&alive, policy, round);
                }
                let asked = self.plan(policy.0, &alive, calls, (round, last));
                let sum = asked.iter().map(Vec::len).sum::<usize>();
                assert!(sum <= calls);
                (0..asked.len()).for_each(|m| self.ask(m, &asked[m]));
                (spent, round) = (spent + calls, round + 1);
            }
            let choice = self.choice(policy.1);
            chosen.push(self.accuracy[choice]);
        }
        let all = vec![true; self.pool.members.len()];
        let last = choose(&self.pool, &all);
        let flattered = last.map_or(0.0, |c| c.estimate - self.accuracy[c.member]);
        (chosen, flattered)
    }

    fn breed(&mut self, alive: &[bool], policy: Policy, round: u64) {
        let newcomers = self.setting.newcomers;
        let met = match policy.2 {
            Breeding::Population(size) => tournaments(&self.pool, alive, size, newcomers, round),
            _ => vec![None; newcomers],
        };
        for (k, met) in (0..).zip(met) {
            let seed = round * 1_000 + k;
            self.left.extend(met.map(|of| of.loser));
            let open: Vec<usize> = (0..alive.len()).filter(|m| alive[*m]).collect();
            let parent = match policy.2 {
                Breeding::Fronts | Breeding::Population(_) => met.map_or_else(
                    || pareto::Parents::of(&self.pool, alive).pick(seed),
                    |of| of.winner,
                ),
                Breeding::Best => self.choice(policy.1),
                Breeding::Any => open[(self.rng.next_u64() % open.len() as u64) as usize],
            };
            let jumps = match self.setting.learns {
                true => self.arms().pick(seed) == JUMP,
                false => self.rng.next_u64() % 10 < self.setting.jumps.0,
            };
            let (mean, sd) = match jumps {
                true => (0.0, self.setting.jumps.1),
                false => self.setting.child,
            };
            let kept = 0.6 + self.setting.keep * (self.accuracy[parent] - 0.6);
            let accuracy = kept + mean + sd * normal(&mut self.rng);
            // Other words do not move a model that leans.
            let (leans, label) = (
                self.rng.next_u64() % 10 < self.setting.constant,
                self.rng.next_u64() % 2,
            );
            let constant = match jumps {
                true => leans.then_some(label),
                false => self.constant[parent],
            };
            let accuracy = constant.map_or(accuracy, |_| 0.5);
            self.add(accuracy, Some(parent), Some(parent).filter(|_| !jumps));
            if let (Some(says), Some(member)) =
                (self.constant.last_mut(), self.pool.members.last_mut())
            {
                *says = constant;
                member.operator = Some(if jumps { JUMP } else { STEP }.to_owned());
            }
        }
    }

    fn arms(&self) -> Arms {
        Arms::learned(&[JUMP.to_owned(), STEP.to_owned()], &self.pool)
    }

    fn alive(&self, asking: Asking) -> Vec<bool> {
        let mut alive: Vec<bool> = match asking {
            Asking::Race | Asking::Uniform => (dropped(&self.pool, &self.setting.rules).iter())
                .map(Option::is_none)
                .collect(),
            Asking::Halving => vec![true; self.pool.members.len()],
            Asking::Capo => self.capo(),
        };
        self.left.iter().for_each(|m| alive[*m] = false);
        alive
    }

    fn plan(
        &self,
        asking: Asking,
        alive: &[bool],
        calls: usize,
        (round, last): (u64, bool),
    ) -> Vec<Vec<usize>> {
        // Those born since are alive, and those whose places they took are not.
        let born = self.pool.members.len() - alive.len();
        let mut alive = [alive, &vec![true; born]].concat();
        self.left.iter().for_each(|m| alive[*m] = false);
        match asking {
            Asking::Race => {
                let span = self.span((!last).then_some(round as usize));
                allocate(
                    &self.pool,
                    &alive,
                    (calls, span),
                    &self.setting.rules,
                    round,
                )
            }
            Asking::Uniform | Asking::Capo => self.in_turn(&alive, calls),
            Asking::Halving => self.halving(calls),
        }
    }

    fn span(&self, bears: Option<usize>) -> Span {
        let (examples, rules) = (self.setting.examples, &self.setting.rules);
        match self.setting.keeps_back {
            true => Span::of(examples, bears, rules),
            false => Span {
                from: bears.unwrap_or(0) * rules.block % examples,
                ..Span::ALL
            },
        }
    }

    fn left(&self, member: usize) -> impl Iterator<Item = usize> + '_ {
        let m = &self.pool.members[member];
        let tried: Vec<usize> = m.trials.iter().map(|t| t.example).collect();
        (0..self.pool.examples.len())
            .filter(move |i| !tried.contains(i) && !m.doc.shows(self.pool.examples[*i].id))
    }

    fn in_turn(&self, alive: &[bool], mut calls: usize) -> Vec<Vec<usize>> {
        let mut asked = vec![Vec::new(); alive.len()];
        let count =
            |m: usize, asked: &Vec<Vec<usize>>| self.pool.members[m].trials.len() + asked[m].len();
        while calls > 0 {
            let open = (0..alive.len()).filter(|m| alive[*m]);
            let Some(m) = open.min_by_key(|m| (count(*m, &asked), *m)) else {
                break;
            };
            let n = self.setting.rules.block.min(calls);
            let done = asked[m].len();
            let new: Vec<usize> = self.left(m).skip(done).take(n).collect();
            calls -= n;
            asked[m].extend(new);
        }
        asked
    }

    /// Newcomers a block; what is left in three equal parts to the best 8, 4 and 2 by mean.
    fn halving(&self, calls: usize) -> Vec<Vec<usize>> {
        let members = &self.pool.members;
        let fresh: Vec<bool> = members.iter().map(|m| m.trials.is_empty()).collect();
        let block = self.setting.rules.block * fresh.iter().filter(|f| **f).count();
        let mut asked = self.in_turn(&fresh, calls.min(block));
        let mut order: Vec<usize> = (0..members.len()).filter(|m| !fresh[*m]).collect();
        let mean = |m: &usize| members[*m].mean().unwrap_or_default();
        order.sort_by(|a, b| mean(b).total_cmp(&mean(a)).then(a.cmp(b)));
        let part = calls.saturating_sub(block) / 3;
        for best in [8, 4, 2] {
            let best = &order[..order.len().min(best)];
            for &m in best {
                let done = asked[m].len();
                let new: Vec<usize> = self.left(m).skip(done).take(part / best.len()).collect();
                asked[m].extend(new);
            }
        }
        asked
    }

    /// Whoever is beaten by fewer than three others by a paired t-test at 0.2 on the shared examples.
    fn capo(&self) -> Vec<bool> {
        let members = &self.pool.members;
        let all = members.len();
        let mut wins = vec![0; all];
        for a in 0..all {
            for b in 0..all {
                let pairs: Vec<f64> = (members[a].trials.iter())
                    .filter_map(|t| Some(t.value - members[b].on(t.example)?.value))
                    .collect();
                wins[b] += usize::from(a != b && t_value(&pairs) > 0.86);
            }
        }
        wins.iter().map(|w| *w < 3).collect()
    }

    /// The choice.
    pub fn choice(&self, choosing: Choosing) -> usize {
        let members = &self.pool.members;
        let most = members.iter().map(|m| m.trials.len()).max().unwrap_or(0);
        let mean = |m: usize| match choosing == Choosing::MostTried
            && members[m].trials.len() * 10 < most * 9
        {
            true => -1.0,
            false => members[m].mean().unwrap_or(-1.0),
        };
        match choosing {
            Choosing::Shrunk => choose(&self.pool, &vec![true; members.len()])
                .map(|c| c.member)
                .unwrap_or(0),
            _ => (0..members.len())
                .max_by(|a, b| mean(*a).total_cmp(&mean(*b)).then(b.cmp(a)))
                .unwrap_or(0),
        }
    }
}

/// Student's t of paired differences; 0 for fewer than five or where nothing differs.
fn t_value(d: &[f64]) -> f64 {
    let n = d.len() as f64;
    let mean = d.iter().sum::<f64>() / n;
    let variance = d.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    match d.len() < 5 || variance <= 0.0 {
        true => 0.0,
        false => mean / (variance / n).sqrt(),
    }
}

/// An example that is known by its number.
pub fn known(i: usize) -> Known {
    Known {
        id: Hash::of([format!("example {i}")]),
        example: Example {
            input: format!("Question {i}?"),
            context: None,
            choices: Vec::new(),
            reference: Reference::None,
            group: None,
        },
        answer: None,
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The mean chance at a skill, where difficulties are N(0, sd).
fn accuracy(skill: f64, sd: f64) -> f64 {
    let points: Vec<f64> = (-80..=80).map(|k| f64::from(k) / 20.0).collect();
    let weight = |z: f64| (-z * z / 2.0).exp();
    let sum: f64 = points
        .iter()
        .map(|z| weight(*z) * logistic(skill - sd * z))
        .sum();
    sum / points.iter().map(|z| weight(*z)).sum::<f64>()
}

/// The share of a standard normal below `x` (by the logistic curve that comes nearest, within 0.01).
fn phi(x: f64) -> f64 {
    logistic(1.702 * x)
}

/// Standard normal (Box and Muller).
pub fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let mut unit = || ((rng.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    (-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos()
}
