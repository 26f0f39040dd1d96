//! The raw rows, read by plain statements, and what is joined from them here instead of in SQL.

use super::{Ask, Line};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Tables with the columns that checks read. Hashes are marked `#`, times `@`.
const TABLES: &[(&str, &str)] = &[
    (
        "runs",
        "id name kind status reason @created_at @finished_at",
    ),
    ("run_limits", "seq run_id calls tokens cost_micros"),
    ("run_spend", "run_id calls tokens cost_micros"),
    ("examples", "#id input group_name"),
    ("run_examples", "run_id position #example_id dataset"),
    ("targets", "id run_id dataset model #example_id"),
    (
        "rounds",
        "id run_id round step kind items items_done tasks_open tasks_dead @created_at",
    ),
    (
        "candidates",
        "id run_id target_id round ordinal arm operator author question system_text user_text verdict reason",
    ),
    ("candidate_parents", "candidate_id ordinal parent_id"),
    (
        "tasks",
        "seq id run_id round_id model state epoch attempts worker reason beat_epoch @not_before @dispatched_at \
         @started_at @closed_at",
    ),
    (
        "items",
        "round_id ordinal task_seq target_id candidate_id #example_id repeat #key grader grader_version state",
    ),
    (
        "answers",
        "seq #key model prompt_tokens completion_tokens cost_micros",
    ),
    ("training_losses", "#key step loss validation_loss"),
    (
        "grades",
        "answer_seq #example_id grader grader_version value raw margin",
    ),
    (
        "pairs",
        "run_id ordinal target_id candidate_id original improved original_grade improved_grade operator p_value",
    ),
    (
        "ledger",
        "seq run_id task_seq epoch kind worker calls tokens cost_micros @created_at",
    ),
];

/// A row of a table.
#[derive(Debug)]
pub struct Row(HashMap<&'static str, Value>);

impl Row {
    /// A column as it is.
    pub fn value(&self, column: &str) -> &Value {
        let value = self.0.get(column);
        value.unwrap_or_else(|| panic!("column {column} was not read"))
    }

    /// A text.
    pub fn text(&self, column: &str) -> &str {
        self.value(column).as_str().unwrap_or_default()
    }

    /// A whole number, where there is one.
    pub fn maybe(&self, column: &str) -> Option<i64> {
        self.value(column).as_i64()
    }

    /// A whole number.
    pub fn int(&self, column: &str) -> i64 {
        let number = self.maybe(column);
        number.unwrap_or_else(|| panic!("{column} is {}", self.value(column)))
    }

    /// A number.
    pub fn float(&self, column: &str) -> f64 {
        let number = self.value(column).as_f64();
        number.unwrap_or_else(|| panic!("{column} is {}", self.value(column)))
    }

    /// Whether there is something.
    pub fn has(&self, column: &str) -> bool {
        !self.value(column).is_null()
    }

    /// Whether the column is this text.
    pub fn is(&self, column: &str, text: &str) -> bool {
        self.text(column) == text
    }
}

/// An item with all that belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The run.
    pub run: &'a Row,
    /// The step of its round.
    pub round: &'a Row,
    /// The item.
    pub item: &'a Row,
    /// Its target.
    pub target: &'a Row,
    /// Its candidate.
    pub candidate: Option<&'a Row>,
    /// Its example.
    pub example: Option<&'a Row>,
    /// The answer under its key.
    pub answer: Option<&'a Row>,
    /// The grade under its grader.
    pub grade: Option<&'a Row>,
}

/// A candidate's grades in one kind of round, under one grader.
#[derive(Clone, Copy, Debug)]
pub struct Score<'a> {
    /// The run.
    pub run: &'a Row,
    /// The kind of round.
    pub kind: &'a str,
    /// The target.
    pub target: &'a Row,
    /// The candidate.
    pub candidate: &'a Row,
    /// The grader.
    pub grader: &'a str,
    /// How many grades.
    pub graded: usize,
    /// Their mean.
    pub mean: f64,
    /// Their mean margin.
    pub margin: f64,
}

/// Everything that is stored.
pub struct History {
    tables: HashMap<&'static str, Vec<Row>>,
}

impl History {
    /// Reads it.
    pub async fn read(store: &dyn Ask) -> Self {
        let mut tables = HashMap::new();
        for (table, columns) in TABLES {
            tables.insert(*table, read(store, table, columns).await);
        }
        Self { tables }
    }

    /// The rows of a table.
    pub fn table(&self, name: &str) -> &[Row] {
        self.tables.get(name).map_or(&[], Vec::as_slice)
    }

    /// The row that has this in a column.
    pub fn find(&self, table: &str, column: &str, value: &Value) -> Option<&Row> {
        let rows = self.table(table).iter();
        rows.into_iter()
            .find(|row| !value.is_null() && row.value(column) == value)
    }

    /// The row that another one names.
    pub fn of(&self, row: &Row, column: &str, table: &str) -> &Row {
        // Tasks are named by their number.
        let id = if table == "tasks" { "seq" } else { "id" };
        let found = self.find(table, id, row.value(column));
        found.unwrap_or_else(|| panic!("{table} has no {}", row.value(column)))
    }

    /// The rows that belong to a run of this name.
    pub fn within<'a>(&'a self, run: &'a str, table: &str) -> impl Iterator<Item = &'a Row> {
        let of = move |row: &&Row| self.of(row, "run_id", "runs").is("name", run);
        self.table(table).iter().filter(of)
    }

    /// All items, joined.
    pub fn asked(&self) -> Vec<Asked<'_>> {
        let items = self.table("items").iter();
        items.map(|item| self.join(item)).collect()
    }

    fn join<'a>(&'a self, item: &'a Row) -> Asked<'a> {
        let round = self.of(item, "round_id", "rounds");
        let answer = self.find("answers", "key", item.value("key"));
        let grade = answer.and_then(|answer| {
            self.table("grades").iter().find(|g| {
                g.value("answer_seq") == answer.value("seq")
                    && g.text("example_id") == item.text("example_id")
                    && g.value("grader") == item.value("grader")
                    && g.value("grader_version") == item.value("grader_version")
            })
        });
        Asked {
            run: self.of(round, "run_id", "runs"),
            round,
            item,
            target: self.of(item, "target_id", "targets"),
            candidate: self.find("candidates", "id", item.value("candidate_id")),
            example: self.find("examples", "id", item.value("example_id")),
            answer,
            grade,
        }
    }

    /// The grades of every candidate that was tried.
    pub fn scores(&self) -> Vec<Score<'_>> {
        let mut groups: BTreeMap<[&str; 4], Vec<(Asked<'_>, &Row)>> = BTreeMap::new();
        for a in self.asked() {
            if let (Some(grade), true) = (a.grade, a.round.is("step", "answer")) {
                let [target, grader, candidate] =
                    ["target_id", "grader", "candidate_id"].map(|c| a.item.text(c));
                let key = [a.round.text("kind"), target, grader, candidate];
                groups.entry(key).or_default().push((a, grade));
            }
        }
        groups.values().filter_map(|list| score(list)).collect()
    }

    /// The mean of the unchanged prompt beside which a score stands.
    pub fn original(&self, scores: &[Score<'_>], of: &Score<'_>) -> Option<f64> {
        let unchanged = |s: &&Score<'_>| {
            beside(s, of) && s.candidate.is("arm", "original") && s.candidate.int("ordinal") == 0
        };
        scores.iter().find(unchanged).map(|s| s.mean)
    }

    /// The place of a score among those of its target: one more than are better.
    pub fn place(&self, scores: &[Score<'_>], of: &Score<'_>) -> usize {
        let better = |s: &&Score<'_>| beside(s, of) && (s.mean, s.margin) > (of.mean, of.margin);
        1 + scores.iter().filter(better).count()
    }
}

/// Whether two scores are of one target, kind of round and grader.
fn beside(a: &Score<'_>, b: &Score<'_>) -> bool {
    a.target.value("id") == b.target.value("id") && a.kind == b.kind && a.grader == b.grader
}

fn score<'a>(list: &[(Asked<'a>, &'a Row)]) -> Option<Score<'a>> {
    let (first, _) = list.first()?;
    Some(Score {
        run: first.run,
        kind: first.round.text("kind"),
        target: first.target,
        candidate: first.candidate?,
        grader: first.item.text("grader"),
        graded: list.len(),
        mean: mean(list.iter().map(|(_, g)| g.float("value")))?,
        margin: mean(list.iter().map(|(_, g)| g.float("margin")))?,
    })
}

/// The mean; of nothing there is none.
pub fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    let n = values.len() as f64;
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / n)
}

async fn read(store: &dyn Ask, table: &str, columns: &'static str) -> Vec<Row> {
    let columns: Vec<&'static str> = columns.split(' ').collect();
    let asked: Vec<String> = columns
        .iter()
        .map(|c| match c.strip_prefix('@') {
            Some(time) => format!("{} as {time}", store.micros(time)),
            None => c.trim_start_matches('#').to_owned(),
        })
        .collect();
    let sql = format!("select {} from {table}", asked.join(", "));
    let (_, rows) = store.ask(&sql).await;
    let named = |row: Line| {
        let cells = columns.iter().zip(row);
        Row(cells.map(|(c, v)| cell(c, v)).collect())
    };
    rows.into_iter().map(named).collect()
}

/// A hash is its digits, and none is the empty text.
fn cell(column: &'static str, value: Value) -> (&'static str, Value) {
    let name = column.trim_start_matches(['#', '@']);
    match (column.starts_with('#'), &value) {
        (true, Value::String(text)) => {
            let digits = text.replace('-', "");
            let none = digits.chars().all(|c| c == '0');
            (
                name,
                Value::String(if none { String::new() } else { digits }),
            )
        }
        _ => (name, value),
    }
}
