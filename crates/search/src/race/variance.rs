//! How far answers vary, and why: because examples differ, or for no reason that is known.

use super::table::Table;

/// Passes over the table; the sums settle after a few.
const SWEEPS: usize = 12;
/// As many answers, and as many examples, the guesses below count for.
const WEIGHT: f64 = 20.0;
/// What is guessed of grades of 0 and 1 before there are any.
const GUESS: Variance = Variance {
    noise: 0.12,
    difficulty: 0.10,
};

/// Variances of the additive model `value = member + example + noise`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Variance {
    /// Of what neither member nor example explains.
    pub(super) noise: f64,
    /// Of examples.
    pub(super) difficulty: f64,
}

impl Variance {
    /// By moments of a least-squares fit of members and examples, drawn to guesses where there is little.
    pub(super) fn of(table: &Table) -> Self {
        let fit = Fit::of(table);
        let tried = (0..table.members()).filter(|m| table.count(*m) > 0).count();
        let seen = fit.answers.iter().filter(|n| **n > 0.0).count() as f64;
        let (mut all, mut rest, mut apart) = (0.0, 0.0, 0.0);
        for m in 0..table.members() {
            for &(i, value) in table.row(m) {
                let from_member = value - fit.members[m];
                all += 1.0;
                apart += from_member * from_member;
                rest += (from_member - fit.examples[i]).powi(2);
            }
        }
        let free = (all + 1.0 - seen - tried as f64).max(0.0);
        let noise = (rest + WEIGHT * GUESS.noise) / (free + WEIGHT);
        let difficulty = if all > 0.0 { apart / all - noise } else { 0.0 };
        let difficulty = (seen * difficulty.max(0.0) + WEIGHT * GUESS.difficulty) / (seen + WEIGHT);
        Self {
            noise: noise.max(1e-4),
            difficulty: difficulty.max(1e-4),
        }
    }
}

/// Effects of members and examples, each fitted in turn to what the other leaves (backfitting).
struct Fit {
    members: Vec<f64>,
    examples: Vec<f64>,
    /// Answers of each example.
    answers: Vec<f64>,
}

impl Fit {
    fn of(table: &Table) -> Self {
        let mut fit = Self {
            members: vec![0.0; table.members()],
            examples: vec![0.0; table.examples()],
            answers: vec![0.0; table.examples()],
        };
        for m in 0..table.members() {
            table.row(m).iter().for_each(|t| fit.answers[t.0] += 1.0);
        }
        for _ in 0..SWEEPS {
            fit.sweep(table);
        }
        fit
    }

    fn sweep(&mut self, table: &Table) {
        let mut sums = vec![0.0; self.examples.len()];
        for m in 0..table.members() {
            let n = table.count(m).max(1) as f64;
            let left = table.row(m).iter().map(|(i, v)| v - self.examples[*i]);
            self.members[m] = left.sum::<f64>() / n;
            for &(i, value) in table.row(m) {
                sums[i] += value - self.members[m];
            }
        }
        for ((effect, sum), n) in self.examples.iter_mut().zip(&sums).zip(&self.answers) {
            *effect = sum / n.max(1.0);
        }
        self.centre();
    }

    /// A constant can be moved between members and examples: examples get none.
    fn centre(&mut self) {
        let seen = self.answers.iter().sum::<f64>().max(1.0);
        let weighted = self.examples.iter().zip(&self.answers).map(|(e, n)| e * n);
        let mean = weighted.sum::<f64>() / seen;
        self.examples.iter_mut().for_each(|e| *e -= mean);
        self.members.iter_mut().for_each(|m| *m += mean);
    }
}
