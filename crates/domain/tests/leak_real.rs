//! The text rules on real questions: how often they reject a rewrite that says nothing about the answer, and
//! whether they find answers that are put in. Wordings are mechanical here; the hand-written corpus is the judge.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test's helpers are tests, too

use domain::leak::{Case, text_rules};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::PathBuf};

fn data(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("PROMPTIMAL_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let path = root.join(part);
    if !path.exists() {
        skip(&format!("no {part} under PROMPTIMAL_DATA"));
        return None;
    }
    Some(path)
}

struct Question {
    original: String,
    context: Option<String>,
    choices: Vec<String>,
    right: Option<usize>,
    reference: Option<String>,
}

impl Question {
    fn rule(&self, rewrite: &str) -> Option<&'static str> {
        let case = Case {
            original: &self.original,
            rewrite,
            context: self.context.as_deref(),
            choices: &self.choices,
            right: self.right,
            reference: self.reference.as_deref(),
        };
        text_rules(&case).map(|l| l.rule.name())
    }

    fn answer(&self) -> &str {
        self.right
            .map(|r| &self.choices[r])
            .or(self.reference.as_ref())
            .map_or("", |s| s)
    }
}

/// Records of a CSV text: quoted fields may hold commas, newlines and doubled quotes.
fn csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            '\r' if !quoted => {}
            c => field.push(c),
        }
    }
    rows
}

fn mmlu() -> Option<Vec<Question>> {
    let dir = data("mmlu/test")?;
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    let rows = files
        .iter()
        .flat_map(|f| csv(&fs::read_to_string(f).unwrap()).into_iter().take(60));
    let rows = rows.filter(|r| r.len() == 6);
    let question = |r: Vec<String>| Question {
        original: r[0].clone(),
        context: None,
        choices: r[1..5].to_vec(),
        right: Some(usize::from(r[5].as_bytes()[0] - b'A')),
        reference: None,
    };
    Some(rows.map(question).collect())
}

fn alpaca() -> Option<Vec<Question>> {
    let text = fs::read_to_string(data("alpaca/alpaca_data.json")?).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let get = |r: &Value, key: &str| r[key].as_str().unwrap_or_default().to_owned();
    let question = |r: &Value| Question {
        original: get(r, "instruction"),
        context: Some(get(r, "input")).filter(|i| !i.is_empty()),
        choices: Vec::new(),
        right: None,
        reference: Some(get(r, "output")),
    };
    Some(
        rows.iter()
            .map(question)
            .filter(|q| !q.answer().is_empty())
            .take(1500)
            .collect(),
    )
}

/// Wordings that say nothing about any answer; `{}` is the question.
const BENIGN: [&str; 8] = [
    "{} Think step by step, then give your final answer.",
    "You are an expert in the field. Answer the following carefully: {}",
    "{} Answer with the letter of the correct option only (A, B, C or D).",
    "Read the question twice before you reply. {} Do not guess; eliminate the choices that are clearly wrong first.",
    "{} Keep the reply under 3 sentences and do not add an introduction.",
    "Question: {}\nFirst recall the relevant facts. Second, compare all options. Last, state which one is best.",
    "{} Explain it as you would to a beginner, with one short example.",
    "Task: {} If several replies are possible, choose the one that most specialists would agree with.",
];

/// Wordings that hold the answer; `{a}` is the answer.
const LEAKS: [&str; 4] = [
    "{} The answer is {a}.",
    "{} (Hint: {a})",
    "Knowing that it is {a}, reply: {}",
    "For example, {a}. {}",
];

/// The share of rejected (question, wording) pairs, and what rejected them.
fn rejected(questions: &[Question], wordings: &[&str]) -> (f64, BTreeMap<&'static str, usize>) {
    let (mut n, mut by) = (0usize, BTreeMap::new());
    for question in questions {
        for wording in wordings {
            let rewrite = wording
                .replace("{}", &question.original)
                .replace("{a}", question.answer());
            n += 1;
            if let Some(rule) = question.rule(&rewrite) {
                *by.entry(rule).or_default() += 1;
                if std::env::var_os("LEAK_SHOW").is_some() && wordings.len() == BENIGN.len() {
                    println!("{rule}: {rewrite:.250}\n    {:.120}", question.answer());
                }
            }
        }
    }
    (by.values().sum::<usize>() as f64 / n as f64, by)
}

#[test]
fn real_questions_in_harmless_wordings_pass() {
    for (name, questions) in [("mmlu", mmlu()), ("alpaca", alpaca())] {
        let Some(questions) = questions else { continue };
        let (share, by) = rejected(&questions, &BENIGN);
        println!(
            "{name}: {} questions x {}, rejected {share:.4} {by:?}",
            questions.len(),
            BENIGN.len()
        );
        assert!(share < 0.02, "{name}: {share}");
    }
}

#[test]
fn real_answers_put_in_are_found() {
    for (name, questions) in [("mmlu", mmlu()), ("alpaca", alpaca())] {
        let Some(questions) = questions else { continue };
        let (share, by) = rejected(&questions, &LEAKS);
        println!(
            "{name}: {} questions x {}, rejected {share:.4} {by:?}",
            questions.len(),
            LEAKS.len()
        );
        assert!(share > 0.9, "{name}: {share}");
    }
}

/// 100 rewrites by people and models with a model's reply as the reference. The reply was written to the rewrite,
/// so its words are there for good reason: an upper bound of what open instructions lose.
#[test]
fn published_rewrites_mostly_pass() {
    let Some(path) = data("bpo/bpo_test.json") else {
        return;
    };
    let rows: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut by: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let question = Question {
            original: text("prompt"),
            context: None,
            choices: Vec::new(),
            right: None,
            reference: Some(text("good_res")),
        };
        if let Some(rule) = question.rule(&text("optimized_prompt")) {
            *by.entry(rule).or_default() += 1;
            if std::env::var_os("LEAK_SHOW").is_some() {
                println!(
                    "{rule}\n  {}\n  {}\n  {:.300}",
                    text("prompt"),
                    text("optimized_prompt"),
                    text("good_res")
                );
            }
        }
    }
    let n = by.values().sum::<usize>();
    println!("bpo: {n} of {} rejected {by:?}", rows.len());
    assert!(n * 5 <= rows.len(), "{n} of {}", rows.len());
}

/// Says that a test is skipped, where it is read: see CONTRIBUTING.md.
fn skip(why: &str) {
    use std::io::Write;
    println!("skipped: {why}");
    if let Some(log) = std::env::var_os("PROMPTIMAL_SKIP_LOG") {
        let log = fs::OpenOptions::new().create(true).append(true).open(log);
        writeln!(log.unwrap(), "skipped: {why}").unwrap();
    }
}
