//! Simulated searches in six worlds: the mean true accuracy of the choice at 200, 600 and 1,500 calls, the standard error of
//! the last, and by how much the estimate of the choice flatters. `RUNS` is how many searches each row is of; an argument picks
//! the rows whose names contain it.

#[path = "../tests/sim/mod.rs"]
mod sim;

use search::operator::Operator;
use search::race::Rules;
use sim::{
    Asking, Breeding, Choosing, Policy, Search,
    orders::{self, Leaning},
    worlds,
    worlds::Setting,
};

const BUDGETS: [usize; 3] = [200, 600, 1_500];

const RACE: Policy = (Asking::Race, Choosing::Shrunk, Breeding::Fronts);

fn main() {
    let runs = std::env::var("RUNS").ok().and_then(|v| v.parse().ok());
    let runs = runs.unwrap_or(80);
    let worlds = [
        ("settles", worlds::settles()),
        ("climbs", worlds::climbs()),
        ("stays", worlds::stays()),
        ("leans", worlds::leans()),
    ];
    for (world, setting) in worlds {
        policies(world, &setting, runs);
        settings(world, &setting, runs);
    }
    orders("half lean", &orders::half_lean(), runs);
    orders("most lean", &orders::most_lean(), runs);
}

/// The real operators, in worlds where the order of the answers decides what a model leans to.
fn orders(world: &str, usual: &Leaning, runs: u64) {
    let with = |change: &dyn Fn(&mut Leaning)| {
        let mut world = usual.clone();
        change(&mut world);
        world
    };
    let without = |operator| with(&|w| w.operators.retain(|o| *o != operator));
    let rows = [
        ("all", usual.clone()),
        ("without corrected", without(Operator::Corrected)),
        ("without crossover", without(Operator::Crossover)),
        (
            "sets drawn at random alone",
            with(&|w| w.operators = vec![Operator::Shots]),
        ),
        ("grades alone are believed", with(&|w| w.told = false)),
        ("a population of 8", with(&|w| w.population = Some(8))),
        ("a population of 16", with(&|w| w.population = Some(16))),
        ("a population of 32", with(&|w| w.population = Some(32))),
    ];
    for (name, world_of_row) in rows {
        let one = |seed| orders::Run::new(&world_of_row, 1_000 + seed).run(&BUDGETS);
        told(&format!("{world}: {name}"), runs, &one);
    }
}

fn policies(world: &str, setting: &Setting, runs: u64) {
    for asking in [Asking::Race, Asking::Uniform, Asking::Halving, Asking::Capo] {
        for choosing in [Choosing::Shrunk, Choosing::Highest, Choosing::MostTried] {
            let policy = (asking, choosing, Breeding::Fronts);
            row(&format!("{world}: {policy:?}"), setting, policy, runs);
        }
    }
    let limited = [8, 16, 32].map(Breeding::Population);
    for breeding in [[Breeding::Best, Breeding::Any].as_slice(), &limited].concat() {
        let policy = (Asking::Race, Choosing::Shrunk, breeding);
        row(&format!("{world}: {policy:?}"), setting, policy, runs);
    }
}

/// The defaults, and one after the other changed.
fn settings(world: &str, usual: &Setting, runs: u64) {
    let with = |change: &dyn Fn(&mut Setting)| {
        let mut setting = usual.clone();
        change(&mut setting);
        setting
    };
    let mut rows = vec![
        (
            "operators in fixed shares".to_owned(),
            with(&|s| s.learns = false),
        ),
        (
            "nothing kept back".to_owned(),
            with(&|s| s.keeps_back = false),
        ),
        (
            "starts are asked a whole round".to_owned(),
            with(&|s| s.first = 100),
        ),
    ];
    for last in [0.0, 0.1, 0.3, 0.4] {
        rows.push((
            format!("none born in the last {last}"),
            with(&|s| s.last = last),
        ));
    }
    for newcomers in [2, 4, 6, 7] {
        rows.push((
            format!("{newcomers} newcomers"),
            with(&|s| s.newcomers = newcomers),
        ));
    }
    for block in [4, 8, 10] {
        let rules = Rules {
            block,
            ..Rules::default()
        };
        rows.push((
            format!("blocks of {block}"),
            with(&|s| s.rules = rules.clone()),
        ));
    }
    for (name, setting) in rows {
        row(&format!("{world}: {name}"), &setting, RACE, runs);
    }
}

fn row(name: &str, setting: &Setting, policy: Policy, runs: u64) {
    let one = |seed| Search::new(setting, 1_000 + seed).run(policy);
    told(name, runs, &one);
}

#[expect(clippy::print_stdout, reason = "the table is what a bench is for")]
fn told(name: &str, runs: u64, one: &dyn Fn(u64) -> (Vec<f64>, f64)) {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if wanted.is_some_and(|part| !name.contains(&part)) {
        return;
    }
    let all: Vec<(Vec<f64>, f64)> = (0..runs).map(one).collect();
    let n = runs as f64;
    let mean = |k: usize| all.iter().map(|r| r.0[k]).sum::<f64>() / n;
    let means: Vec<f64> = (0..BUDGETS.len()).map(mean).collect();
    let last = BUDGETS.len() - 1;
    let squares = all.iter().map(|r| (r.0[last] - means[last]).powi(2));
    let error = squares.sum::<f64>().sqrt() / n;
    let flattered = all.iter().map(|r| r.1).sum::<f64>() / n;
    println!("{name:48} {means:.3?} se {error:.3} flattered by {flattered:+.3}");
}
