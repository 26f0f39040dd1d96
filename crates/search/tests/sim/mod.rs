//! A simulated search: prompts whose true accuracy is known, so that policies can be compared.
//!
//! The chance that a member answers an example right is logistic in the member's skill less the example's difficulty; a
//! skill is set so that the mean chance is the member's true accuracy. A child's accuracy is its parent's plus
//! N(-0.02, 0.07), a start prompt's is N(0.6, 0.08). Whoever was tried on an example once has the same answer for good.

#![allow(dead_code)] // the bench and the test each use a part

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
    choose::choose,
    pareto,
    pool::{Known, Member, Pool, Trial},
    race::{Rules, allocate, dropped},
};

/// What a search is like.
#[derive(Clone, Debug)]
pub struct Setting {
    /// How far the difficulty of examples is spread, in logits.
    pub difficulty: f64,
    /// Mean and standard deviation of a child's accuracy less its parent's.
    pub child: (f64, f64),
    /// Start prompts.
    pub starts: usize,
    /// Train examples.
    pub examples: usize,
    /// Calls in each round.
    pub round: usize,
    /// Children in each round.
    pub newcomers: usize,
    /// Calls at which a choice is made; the last is the budget.
    pub budgets: Vec<usize>,
    /// Of the race.
    pub rules: Rules,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            difficulty: 2.0,
            child: (-0.02, 0.07),
            starts: 6,
            examples: 500,
            round: 100,
            newcomers: 4,
            budgets: vec![200, 600, 1_500],
            rules: Rules::default(),
        }
    }
}

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
    /// `pareto::parent`.
    Fronts,
    /// Who is chosen.
    Best,
    /// One of those that have not been dropped.
    Any,
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
            difficulties,
            curve: curve.collect(),
            rng,
            seed,
        };
        for _ in 0..setting.starts {
            let accuracy = 0.6 + 0.08 * normal(&mut search.rng);
            search.add(accuracy, None);
        }
        search
    }

    /// A new member. Every third shows two examples.
    pub fn add(&mut self, accuracy: f64, parent: Option<usize>) {
        let accuracy = accuracy.clamp(0.02, 0.98);
        let below = self.curve.iter().take_while(|a| **a < accuracy).count();
        self.skills.push(-10.0 + 0.05 * below as f64);
        self.accuracy.push(accuracy);
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
            // The same whenever it is asked.
            let parts = [self.seed, member as u64, example as u64];
            let value = f64::from(Hash::of(parts.map(u64::to_le_bytes)).unit() < chance);
            self.pool.members[member].trials.push(Trial {
                example,
                value,
                said: None,
                feedback: String::new(),
            });
        }
    }

    /// Runs to the last budget; the true accuracy of the choice at each.
    pub fn run(&mut self, policy: Policy) -> Vec<f64> {
        let budgets = self.setting.budgets.clone();
        let (mut spent, mut chosen, mut round) = (0, Vec::new(), 0);
        for budget in budgets {
            while spent < budget {
                let calls = self.setting.round.min(budget - spent);
                let alive = self.alive(policy.0);
                if round > 0 {
                    self.breed(&alive, policy, round);
                }
                let asked = self.plan(policy.0, &alive, calls, round);
                let sum = asked.iter().map(Vec::len).sum::<usize>();
                assert!(sum <= calls);
                (0..asked.len()).for_each(|m| self.ask(m, &asked[m]));
                (spent, round) = (spent + calls, round + 1);
            }
            chosen.push(self.accuracy[self.choice(policy.1)]);
        }
        chosen
    }

    fn breed(&mut self, alive: &[bool], policy: Policy, round: u64) {
        for k in 0..self.setting.newcomers as u64 {
            let seed = round * 1_000 + k;
            let open: Vec<usize> = (0..alive.len()).filter(|m| alive[*m]).collect();
            let parent = match policy.2 {
                Breeding::Fronts => pareto::parent(&self.pool, alive, seed),
                Breeding::Best => self.choice(policy.1),
                Breeding::Any => open[(self.rng.next_u64() % open.len() as u64) as usize],
            };
            let (mean, sd) = self.setting.child;
            let accuracy = self.accuracy[parent] + mean + sd * normal(&mut self.rng);
            self.add(accuracy, Some(parent));
        }
    }

    fn alive(&self, asking: Asking) -> Vec<bool> {
        match asking {
            Asking::Race | Asking::Uniform => (dropped(&self.pool, &self.setting.rules).iter())
                .map(Option::is_none)
                .collect(),
            Asking::Halving => vec![true; self.pool.members.len()],
            Asking::Capo => self.capo(),
        }
    }

    fn plan(&self, asking: Asking, alive: &[bool], calls: usize, round: u64) -> Vec<Vec<usize>> {
        // Those born since are alive.
        let born = self.pool.members.len() - alive.len();
        let alive = [alive, &vec![true; born]].concat();
        match asking {
            Asking::Race => allocate(&self.pool, &alive, calls, &self.setting.rules, round),
            Asking::Uniform | Asking::Capo => self.in_turn(&alive, calls),
            Asking::Halving => self.halving(calls),
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

/// Standard normal (Box and Muller).
pub fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let mut unit = || ((rng.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    (-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos()
}
