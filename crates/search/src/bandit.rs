//! Which operator makes the next child: those of whose children more is to be gained over the best are used more.

use crate::{
    draws::Draws,
    operator::Operator,
    pool::Pool,
    race::{belief::Belief, table::Table},
};

/// How often an operator is drawn at random, whatever it has done: what helps late is not what helps early.
const EXPLORE: f64 = 0.1;
/// How often one that begins anew is drawn, where there is one, whatever is expected of it: what can be gained over the best by
/// going on from it is known, what has not been seen yet is not.
const ANEW: f64 = 0.2;
/// How often one that has made nothing yet is drawn, while there is one and nobody knows what operators are worth.
const UNTRIED: f64 = 0.5;
/// Draws by which weights are estimated.
const DRAWS: u32 = 2_000;

/// Draws by which an expected gain is estimated.
const GAINS: u32 = 500;

/// What became of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It beat what it was held against.
    Better,
    /// It did not, or came to nothing: a draft that no usable reply came to is as bad as a child that is no better.
    NoBetter,
    /// It could not be compared.
    Unknown,
}

/// What is known of each operator.
#[derive(Clone, Debug)]
pub struct Arms {
    arms: Vec<Arm>,
    /// Whether weights were given.
    fixed: bool,
}

#[derive(Clone, Debug)]
struct Arm {
    name: String,
    /// Weight where weights were given.
    given: f64,
    /// Children, compared or not.
    born: u32,
    /// Children that share an example with their parent.
    tried: u32,
    /// Those that beat it.
    won: u32,
    /// What its next child is expected to gain over the best member: less than nothing is nothing.
    worth: Option<f64>,
    /// Successes and failures believed before the first child.
    prior: (f64, f64),
    /// Whether its children owe next to nothing to their parents.
    anew: bool,
}

impl Arms {
    /// Operators with fixed weights; one whose weight is not above 0, or not given, is never picked.
    pub fn fixed(names: &[String], weights: &[(String, f64)]) -> Self {
        let given = |name: &String| weights.iter().find(|(n, _)| n == name).map_or(0.0, |w| w.1);
        let arms = names.iter().map(|name| Arm::new(name, given(name)));
        Self {
            arms: arms.collect(),
            fixed: true,
        }
    }

    /// Operators of which nothing is known; [`Arms::born`] says what they made.
    pub fn untried(names: &[String]) -> Self {
        let arms = names.iter().map(|name| Arm::new(name, 1.0)).collect();
        Self { arms, fixed: false }
    }

    /// Notes a child; those of operators that are not among these are passed over.
    pub fn born(&mut self, operator: &str, fate: Fate) {
        if let Some(arm) = self.arms.iter_mut().find(|a| a.name == operator) {
            arm.count(fate);
        }
    }

    /// Weights learned from what each operator's children did: one is a success if its sum is above that of its first
    /// parent on the examples that both were tried on (GEPA's rule of acceptance; a tie is none). Children without such
    /// an example count as not tried yet; drafts that came to nothing are failures.
    pub fn learned(names: &[String], pool: &Pool) -> Self {
        let mut arms = Self::untried(names);
        let table = Table::of(pool);
        for (m, member) in pool.members.iter().enumerate() {
            if let Some(operator) = &member.operator {
                let parent = member.parents.first().filter(|p| **p < m);
                let gain = parent.and_then(|p| gain(&table, m, *p));
                arms.born(operator, fate(gain));
            }
        }
        for name in &pool.refused {
            arms.born(name, Fate::NoBetter);
        }
        arms.weigh(pool, &table);
        arms
    }

    /// Sets what each operator is worth: by how much its next child is expected to be better than the best member, were it
    /// the best one's ("expected improvement"), times the share of its drafts that came to something. An operator whose
    /// children differ much is worth more than one whose children are all a little poorer than the best; of one that has no
    /// child yet, what is guessed of its kind is believed.
    fn weigh(&mut self, pool: &Pool, table: &Table) {
        let belief = Belief::of(pool, table);
        let tried = (0..table.members()).filter(|m| table.count(*m) > 0);
        let best = tried.reduce(|a, b| {
            if belief.mean(b) > belief.mean(a) {
                b
            } else {
                a
            }
        });
        let Some(best) = best else {
            return;
        };
        for arm in &mut self.arms {
            let (mean, deviation) = belief.gain(best, &arm.name);
            let gain = expected_gain(mean, deviation);
            let refused = pool.refused.iter().filter(|name| **name == arm.name);
            let failed = refused.count() as f64 / (f64::from(arm.born) + 1.0);
            arm.worth = Some(gain * (1.0 - failed));
        }
    }

    /// For each operator, in the order given: the probability that it is picked next, how many of its children were
    /// compared with their parent, and the share of those that won, drawn to what was believed before
    /// ([`Operator::prior`]).
    pub fn weights(&self) -> Vec<(String, f64, u32, f64)> {
        let mut picked = vec![0u32; self.arms.len()];
        let mut draws = Draws::of("bandit weights", 0);
        for _ in 0..DRAWS {
            if let Some(a) = self.draw(&mut draws) {
                picked[a] += 1;
            }
        }
        let row = |(arm, n): (&Arm, &u32)| {
            let weight = f64::from(*n) / f64::from(DRAWS);
            (arm.name.clone(), weight, arm.tried, arm.success())
        };
        self.arms.iter().zip(&picked).map(row).collect()
    }

    /// The next operator; empty where there are none that may be picked.
    ///
    /// One in five picks goes to those that begin anew, where there are such, and one in ten of the others to any. The rest is
    /// shared out by what the operators' next children are expected to gain: one that would gain twice as much is picked four
    /// times as often.
    ///
    /// Where no member was tried yet, and in rewrite mode, half of all picks go to operators without a child while there are
    /// such, so that all get their turn and no round is made of beginners only; the others by Thompson sampling of their
    /// chances of success.
    pub fn pick(&self, seed: u64) -> &str {
        let drawn = self.draw(&mut Draws::of("bandit", seed));
        drawn.map_or("", |a| self.arms[a].name.as_str())
    }

    fn draw(&self, draws: &mut Draws) -> Option<usize> {
        let weights = |f: &dyn Fn(&Arm) -> f64| self.arms.iter().map(f).collect::<Vec<f64>>();
        if self.fixed {
            return draws.weighted(&weights(&|a| a.given));
        }
        let worth = weights(&|a| a.worth.unwrap_or(0.0).powi(2));
        let known = worth.iter().any(|w| *w > 0.0);
        // Of those without a child, the more promising more often.
        let new = weights(&|a| if a.born == 0 { a.success() } else { 0.0 });
        let (some_new, all_new) = (new.iter().any(|w| *w > 0.0), !new.contains(&0.0));
        if !known && (all_new || (some_new && draws.unit() < UNTRIED)) {
            return draws.weighted(&new);
        }
        let anew = weights(&|a| f64::from(u8::from(a.anew)));
        if anew.contains(&1.0) && draws.unit() < ANEW {
            return draws.weighted(&anew);
        }
        if draws.unit() < EXPLORE {
            return draws.weighted(&weights(&|_| 1.0));
        }
        if known {
            return draws.weighted(&worth);
        }
        let known = self.arms.iter().enumerate().filter(|(_, a)| a.born > 0);
        let chances = known.map(|(i, a)| (i, a.success() + a.deviation() * draws.normal()));
        let best = chances.reduce(|a, b| if b.1 > a.1 { b } else { a });
        best.map(|(i, _)| i)
    }
}

impl Arm {
    fn new(name: &str, given: f64) -> Self {
        Self {
            name: name.to_owned(),
            given,
            born: 0,
            tried: 0,
            won: 0,
            worth: None,
            prior: Operator::from_name(name).map_or((1.0, 1.0), |o| o.prior()),
            anew: Operator::from_name(name).is_some_and(|o| o.begins_anew()),
        }
    }

    fn count(&mut self, fate: Fate) {
        self.born += 1;
        self.tried += u32::from(fate != Fate::Unknown);
        self.won += u32::from(fate == Fate::Better);
    }

    /// The mean of Beta(prior successes + won, prior failures + lost).
    fn success(&self) -> f64 {
        let (good, bad) = self.prior;
        (f64::from(self.won) + good) / (f64::from(self.tried) + good + bad)
    }

    /// Its standard deviation.
    fn deviation(&self) -> f64 {
        let p = self.success();
        let (good, bad) = self.prior;
        (p * (1.0 - p) / (f64::from(self.tried) + good + bad + 1.0)).sqrt()
    }
}

/// The mean of what is above 0 of N(mean, deviation), by draws that are the same on any machine.
fn expected_gain(mean: f64, deviation: f64) -> f64 {
    let mut draws = Draws::of("gain", 0);
    let sum: f64 = (0..GAINS)
        .map(|_| (mean + deviation * draws.normal()).max(0.0))
        .sum();
    sum / f64::from(GAINS)
}

fn fate(gain: Option<f64>) -> Fate {
    match gain {
        Some(gain) if gain > 1e-9 => Fate::Better,
        Some(_) => Fate::NoBetter,
        None => Fate::Unknown,
    }
}

/// The child's sum less the parent's on what both were tried on; `None` where that is nothing.
fn gain(table: &Table, child: usize, parent: usize) -> Option<f64> {
    table.differences(child, parent).reduce(|a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::tests::{Lot, pool};

    fn names() -> Vec<String> {
        ["good", "poor", "fresh"].map(str::to_owned).to_vec()
    }

    #[test]
    fn drafts_that_come_to_nothing_count_against_their_operator() {
        let names = ["reflect", "shots"].map(String::from);
        let mut pool = start();
        let share = |pool: &Pool| Arms::learned(&names, pool).weights()[0].1;
        let before = share(&pool);
        pool.refused = vec!["reflect".to_owned(); 6];
        pool.members.push(crate::pool::Member {
            operator: Some("shots".to_owned()),
            parents: vec![0],
            ..crate::pool::Member::default()
        });
        assert!(share(&pool) < 0.5 * before, "{before} {}", share(&pool));
    }

    /// A parent that is right on one of two examples.
    fn start() -> Pool {
        pool(2, &[&[(0, 1.0), (1, 0.0)]])
    }

    fn bear(pool: &mut Pool, operator: &str, values: &[(usize, f64)]) {
        let mut child = crate::race::tests::member(values);
        child.parents = vec![0];
        child.operator = Some(operator.to_owned());
        pool.members.push(child);
    }

    #[test]
    fn a_success_beats_its_parent_on_what_both_met() {
        let mut pool = start();
        bear(&mut pool, "good", &[(0, 1.0), (1, 1.0)]);
        bear(&mut pool, "good", &[(1, 0.0), (0, 1.0)]); // a tie
        bear(&mut pool, "good", &[]); // not compared
        bear(&mut pool, "poor", &[(0, 0.0)]);
        bear(&mut pool, "unlisted", &[(1, 1.0)]);
        let weights = Arms::learned(&names(), &pool).weights();
        let known: Vec<(u32, f64)> = weights.iter().map(|w| (w.2, w.3)).collect();
        assert_eq!(known, [(2, 0.5), (1, 1.0 / 3.0), (0, 0.5)]);
        assert!((weights.iter().map(|w| w.1).sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_untried_come_first_but_not_all_at_once() {
        let mut arms = Arms::untried(&names());
        let all: std::collections::BTreeSet<&str> = (0..50).map(|s| arms.pick(s)).collect();
        assert_eq!(all.len(), 3);
        arms.born("good", Fate::Better);
        arms.born("poor", Fate::Better);
        let fresh = (0..1_000).filter(|s| arms.pick(*s) == "fresh").count();
        assert!((450..600).contains(&fresh), "{fresh}");
    }

    #[test]
    fn before_there_are_children_what_changes_more_is_drawn_more() {
        let names = ["shorten", "shots", "first_order"].map(String::from);
        let weights = Arms::learned(&names, &start()).weights();
        let shares: Vec<f64> = weights.iter().map(|w| w.1).collect();
        assert!(shares[1] > 0.6, "{shares:?}");
        assert!(shares[0] > 0.05 && shares[2] > 0.05, "{shares:?}");
    }

    /// Sets of demonstrations that were all wrong, and shorter words that were all right or all wrong: nothing is expected of
    /// another set.
    #[test]
    fn what_begins_anew_is_drawn_whatever_is_expected() {
        let all = |value: f64| (0..40).map(|i| (i, value)).collect::<Vec<_>>();
        let mut pool = pool(40, &[&all(0.4)]);
        (0..12).for_each(|_| bear(&mut pool, "shots", &all(0.0)));
        (0..12).for_each(|k| bear(&mut pool, "shorten", &all(f64::from(k % 2))));
        let names = ["shorten", "shots"].map(String::from);
        let shots = Arms::learned(&names, &pool).weights()[1].1;
        assert!((0.2..0.3).contains(&shots), "{shots}");
    }

    #[test]
    fn given_weights_stay() {
        let given = [("b", 1.0), ("c", 0.0), ("a", 3.0)].map(|(n, w)| (n.to_owned(), w));
        let names = ["a", "b", "c", "d"].map(str::to_owned);
        let arms = Arms::fixed(&names, &given);
        let picked = |name| (0..4_000).filter(|s| arms.pick(*s) == name).count();
        assert!((2_850..3_150).contains(&picked("a")), "{}", picked("a"));
        assert_eq!(picked("c") + picked("d"), 0);
        assert_eq!(Arms::fixed(&[], &given).pick(1), "");
    }

    /// Children of one operator are all a little poorer than their parent, those of the other poorer on the whole, and very
    /// different: of 60 picks the second has well over half, in nearly all of 30 runs.
    #[test]
    fn where_children_differ_much_there_is_more_to_gain() {
        let (mut most, mut all) = (0, Vec::new());
        for run in 0..30 {
            let (mut pool, mut lot) = (pool(400, &[&[]]), Lot::new(run));
            let ask = |skill: f64, from: usize, lot: &mut Lot| -> Vec<(usize, f64)> {
                let value = |lot: &mut Lot| f64::from(u8::from(lot.unit() < skill));
                (from..from + 40).map(|i| (i % 400, value(lot))).collect()
            };
            let first = ask(0.6, 0, &mut lot);
            pool.members[0] = crate::race::tests::member(&first);
            let mut wild = 0;
            for k in 0..60 {
                let name = Arms::learned(&names()[..2], &pool)
                    .pick(1_000 * run + k)
                    .to_owned();
                wild += usize::from(name == "good");
                let skill = match name == "good" {
                    true => 0.2 + 0.6 * lot.unit(),
                    false => 0.5,
                };
                let values = ask(skill, 10 * k as usize, &mut lot);
                bear(&mut pool, &name, &values);
            }
            most += usize::from(wild >= 38);
            all.push(wild);
        }
        assert!(most >= 24, "{most} {all:?}");
    }
}
