//! The answers once more, from the raw rows: one function for each question of the document.

mod data;
mod machinery;
mod money;
mod prompts;
mod runs;

use super::{
    Line,
    rows::{History, Row},
};

/// A question's heading, and what recomputes its answer.
pub type Check = (&'static str, fn(&History) -> Vec<Line>);

/// All checks.
pub fn all() -> impl Iterator<Item = Check> {
    let lists = [
        runs::CHECKS,
        prompts::CHECKS,
        data::CHECKS,
        money::CHECKS,
        machinery::CHECKS,
    ];
    lists.into_iter().flatten().copied()
}

/// The run that the document asks about.
const DEMO: &str = "demo";

/// A row of an answer.
macro_rules! line {
    ($($value:expr),+ $(,)?) => { vec![$(::serde_json::json!($value)),+] };
}
use line;

/// Larger first; there is no order among what is not a number.
fn down(a: f64, b: f64) -> std::cmp::Ordering {
    b.total_cmp(&a)
}

/// Rows with the keys by which they are sorted, smallest first.
fn sorted<K: Ord>(mut rows: Vec<(K, Line)>) -> Vec<Line> {
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows.into_iter().map(|(_, line)| line).collect()
}

fn percent(part: i64, all: i64) -> f64 {
    100.0 * part as f64 / all as f64
}

fn is_leak(candidate: &Row) -> bool {
    candidate.text("reason").starts_with("leak")
}

/// A number that sorts downwards: of finite ones, the larger is the smaller.
#[derive(Clone, Copy, PartialEq)]
struct Down(f64);

impl Eq for Down {}
impl PartialOrd for Down {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Down {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        down(self.0, other.0)
    }
}
