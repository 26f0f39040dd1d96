//! History: a store with several runs in it, the questions that `docs/sql.md` asks of it, and their answers computed
//! a second time from the raw rows.
//!
//! An adapter's test fills a store with [`fill`], and hands it over as an [`Ask`] to [`cookbook`]: every statement of
//! the document is run as it stands there, and its rows must equal those of its check. A question without a check
//! fails, and so does a check without a question.

mod cast;
mod checks;
mod fates;
mod plan;
mod rows;
mod stage;
mod work;

pub use stage::fill;

use async_trait::async_trait;
use rows::History;
use serde_json::Value;
use std::collections::BTreeSet;

/// How far numbers may lie apart, in parts of themselves: two stores add up in different orders.
const TOLERANCE: f64 = 1e-9;

/// Later than all that [`fill`] does, UTC microseconds.
pub const END: i64 = cast::BEGIN + 24 * 3600 * cast::SECOND;

/// A row as SQL gave it.
pub type Line = Vec<Value>;

/// A store that is asked in SQL, as people do it.
#[async_trait]
pub trait Ask: Sync {
    /// The names of the columns, and the rows.
    async fn ask(&self, sql: &str) -> (Vec<String>, Vec<Line>);
    /// The expression that reads a column of a table as UTC microseconds.
    fn micros(&self, column: &str) -> String;
}

/// The document.
pub fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sql.md");
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Its questions: each heading with the statement below it.
pub fn questions(text: &str) -> Vec<(String, String)> {
    let mut out = vec![];
    for section in text.split("\n## ").skip(1) {
        let heading = section.lines().next().unwrap_or_default();
        for block in section.split("```sql\n").skip(1) {
            let sql = block.split("```").next().unwrap_or_default();
            out.push((heading.to_owned(), sql.to_owned()));
        }
    }
    out
}

/// The views that it promises, each with its columns.
fn promised(text: &str) -> Vec<(String, Vec<String>)> {
    let table = text.split("\n## The views\n").nth(1).unwrap_or_default();
    let table = table.split("\n## ").next().unwrap_or_default();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let names = |row: &str| {
        let mut quoted = row.split('`').skip(1).step_by(2).map(str::to_owned);
        quoted.next().map(|view| (view, quoted.collect()))
    };
    rows.filter_map(names).collect()
}

/// Asks every question of the document and checks its answer.
///
/// # Panics
/// Where an answer is empty or wrong, and where document and checks do not have the same questions.
pub async fn cookbook(store: &dyn Ask) {
    let asked = questions(&document());
    let headings: BTreeSet<&str> = asked.iter().map(|(heading, _)| heading.as_str()).collect();
    let checked: BTreeSet<&str> = checks::all().map(|(heading, _)| heading).collect();
    assert_eq!(headings, checked, "questions of docs/sql.md, and checks");
    assert_eq!(
        asked.len(),
        headings.len(),
        "one statement under each heading"
    );
    for (view, columns) in promised(&document()) {
        let (found, _) = store.ask(&format!("select * from {view}")).await;
        assert_eq!(found, columns, "{view}");
    }
    let history = History::read(store).await;
    for (heading, sql) in asked {
        let check = checks::all().find(|(of, _)| *of == heading);
        let expected = check.map(|(_, check)| check(&history)).unwrap_or_default();
        let (_, found) = store.ask(&sql).await;
        assert!(!found.is_empty(), "{heading}: no rows");
        compare(&heading, &expected, &found);
    }
}

/// The same rows in the same order.
fn compare(heading: &str, expected: &[Line], found: &[Line]) {
    let same =
        |(a, b): (&Line, &Line)| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b));
    let wrong = expected.iter().zip(found).position(|pair| !same(pair));
    let at = wrong.unwrap_or(expected.len().min(found.len()));
    assert!(
        wrong.is_none() && expected.len() == found.len(),
        "{heading}: row {at} of {}\nrecomputed {:?}\nfound      {:?}",
        found.len(),
        expected.get(at),
        found.get(at),
    );
}

fn alike(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= TOLERANCE * a.abs().max(1.0),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn statements_are_found_below_their_headings() {
        let text = "# A\n\n## One?\n\n```sql\nselect 1;\n```\n\nWhy.\n\n## Two?\n\n```\nno\n```\n";
        let one = ("One?".to_owned(), "select 1;\n".to_owned());
        assert_eq!(questions(text), [one]);
    }

    #[test]
    fn views_are_promised_with_their_columns() {
        let promised = promised(&document());
        assert_eq!(promised.len(), 10);
        assert!(promised.iter().all(|(_, columns)| columns.len() > 8));
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert!(alike(&json!(1), &json!(1.0)));
        assert!(alike(&json!(0.1 + 0.2), &json!(0.3)));
        assert!(!alike(&json!(0.3), &json!(0.300_001)));
        assert!(!alike(&json!(null), &json!(0)));
        assert!(alike(&json!("a"), &json!("a")));
    }
}
