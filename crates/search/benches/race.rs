//! Simulated searches under several policies, block sizes and numbers of newcomers: the mean true accuracy of the choice
//! at 200, 600 and 1,500 calls, and the standard error of the last. `RUNS` is how many searches each row is of.

#[path = "../tests/sim/mod.rs"]
mod sim;

use search::race::Rules;
use sim::{Asking, Breeding, Choosing, Policy, Search, Setting};

const RACE: Policy = (Asking::Race, Choosing::Shrunk, Breeding::Fronts);

fn main() {
    let runs = std::env::var("RUNS").ok().and_then(|v| v.parse().ok());
    let runs = runs.unwrap_or(80);
    let usual = Setting::default();
    for asking in [Asking::Race, Asking::Uniform, Asking::Halving, Asking::Capo] {
        for choosing in [Choosing::Shrunk, Choosing::Highest, Choosing::MostTried] {
            let policy = (asking, choosing, Breeding::Fronts);
            row(&format!("{policy:?}"), &usual, policy, runs);
        }
    }
    for breeding in [Breeding::Best, Breeding::Any] {
        let policy = (Asking::Race, Choosing::Shrunk, breeding);
        row(&format!("{policy:?}"), &usual, policy, runs);
    }
    for block in [5, 10, 15, 20] {
        for newcomers in [2, 4, 6, 8] {
            let rules = Rules {
                block,
                ..Rules::default()
            };
            let setting = Setting {
                newcomers,
                rules,
                ..usual.clone()
            };
            let name = format!("block {block}, newcomers {newcomers}");
            row(&name, &setting, RACE, runs);
        }
    }
}

#[expect(clippy::print_stdout, reason = "the table is what a bench is for")]
fn row(name: &str, setting: &Setting, policy: Policy, runs: u64) {
    let all: Vec<Vec<f64>> = (0..runs)
        .map(|s| Search::new(setting, 1_000 + s).run(policy))
        .collect();
    let n = runs as f64;
    let mean = |k: usize| all.iter().map(|r| r[k]).sum::<f64>() / n;
    let means: Vec<f64> = (0..setting.budgets.len()).map(mean).collect();
    let last = setting.budgets.len() - 1;
    let squares = all.iter().map(|r| (r[last] - means[last]).powi(2));
    let error = squares.sum::<f64>().sqrt() / n;
    println!("{name:32} {means:.3?} se {error:.3}");
}
