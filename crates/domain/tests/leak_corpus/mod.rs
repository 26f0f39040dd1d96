//! The leak corpus, and how figures over it are shown in the manual: shared by the tests that measure the text rules
//! and the probe, so that both count the same rows in the same halves.

use domain::{
    example::{Example, Reference},
    hash::Hash,
    leak::{Case, Leak, text_rules},
};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

pub const KINDS: [&str; 9] = [
    "verbatim",
    "paraphrase",
    "elimination",
    "translation",
    "encoding",
    "position",
    "spelled",
    "example",
    "benign",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub id: String,
    pub kind: String,
    pub original: String,
    pub rewrite: String,
    #[serde(default)]
    pub context: Option<String>,
    pub choices: Vec<String>,
    pub right: Option<usize>,
    pub reference: Option<String>,
    #[serde(default)]
    pub style: Option<String>,
}

impl Row {
    pub fn example(&self) -> Example {
        let text = || self.reference.clone().unwrap_or_default();
        let reference = match self.right {
            Some(index) => Reference::Choice { index },
            None => Reference::Text { text: text() },
        };
        Example {
            input: self.original.clone(),
            context: self.context.clone(),
            choices: self.choices.clone(),
            reference,
            group: None,
        }
    }

    /// What the text rules say.
    pub fn leak(&self) -> Option<Leak> {
        text_rules(&Case::of(&self.example(), &self.rewrite))
    }

    pub fn is_held_out(&self) -> bool {
        Hash::of([&self.id]).0[0] & 1 == 1
    }
}

/// The root of the workspace: these sources are compiled into tests of several crates.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut up = here.ancestors();
    let root = up.find(|folder| folder.join("docs/leak-guard.md").exists());
    root.expect("no docs/leak-guard.md above this crate")
        .to_owned()
}

pub fn corpus() -> Vec<Row> {
    let folder = root().join("crates/domain/tests/leak_corpus");
    let mut rows = Vec::new();
    for kind in KINDS {
        let text = fs::read_to_string(folder.join(format!("{kind}.jsonl"))).unwrap();
        let parsed = text
            .lines()
            .map(|l| serde_json::from_str::<Row>(l).unwrap());
        rows.extend(parsed.inspect(|r| assert_eq!(r.kind, kind, "{}", r.id)));
    }
    rows
}

/// `hits` of `n`, as percent with the 95% Wilson interval.
pub fn share(hits: usize, n: usize) -> String {
    let (p, m, z) = (hits as f64 / n as f64, n as f64, 1.959_964);
    let centre = (p + z * z / (2.0 * m)) / (1.0 + z * z / m);
    let half = z / (1.0 + z * z / m) * (p * (1.0 - p) / m + z * z / (4.0 * m * m)).sqrt();
    let percent = |x: f64| (100.0 * x).abs();
    format!(
        "{hits}/{n} = {:.0} % ({:.0}–{:.0})",
        percent(p),
        percent(centre - half),
        percent(centre + half)
    )
}

/// A column of a table: its head, its half, and which rows are rejected.
pub type Column<'a> = (&'a str, bool, &'a dyn Fn(&Row) -> bool);

/// Rejected and all rows of each group in one half.
fn counts<'a>(rows: &'a [Row], (_, held_out, hit): &Column) -> BTreeMap<&'a str, (usize, usize)> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for row in rows.iter().filter(|r| r.is_held_out() == *held_out) {
        let hit = usize::from(hit(row));
        let mut groups = vec![row.kind.as_str()];
        if row.kind != "benign" {
            groups.push("all kinds");
            if row.kind != "translation" {
                groups.push("all but translation");
            }
            if row.style.is_some() {
                groups.push("held-out styles only");
            }
        }
        for group in groups {
            let count = counts.entry(group).or_default();
            *count = (count.0 + hit, count.1 + 1);
        }
    }
    counts
}

/// The shares of each kind by column.
pub fn table(rows: &[Row], columns: &[Column]) -> String {
    let heads: Vec<&str> = columns.iter().map(|(head, ..)| *head).collect();
    let rule = " --- |".repeat(columns.len());
    let mut out = format!("| rejected | {} |\n| --- |{rule}\n", heads.join(" | "));
    let counted: Vec<_> = columns.iter().map(|c| counts(rows, c)).collect();
    let summary = ["all kinds", "all but translation", "held-out styles only"];
    for group in KINDS[..8].iter().chain(&summary).chain(&["benign"]) {
        let cell = |half: &BTreeMap<&str, (usize, usize)>| {
            half.get(group)
                .map_or("–".to_owned(), |(hits, n)| share(*hits, *n))
        };
        let name = if *group == "benign" {
            "**benign (false positives)**"
        } else {
            group
        };
        let cells: Vec<String> = counted.iter().map(cell).collect();
        let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
    }
    out
}

/// Compares what stands between a pair of markers in the manual with what was measured; with `UPDATE_DOCS` set it
/// writes that there instead.
pub fn check_manual(marker: &str, measured: &str) {
    let path = root().join("docs/leak-guard.md");
    let manual = fs::read_to_string(&path).unwrap();
    let (begin, end) = (
        format!("<!-- {marker}: begin -->\n"),
        format!("<!-- {marker}: end -->"),
    );
    let (head, rest) = manual
        .split_once(&begin)
        .expect("the manual has no begin marker");
    let (shown, tail) = rest.split_once(&end).expect("the manual has no end marker");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{head}{begin}{measured}{end}{tail}")).unwrap();
        return;
    }
    assert_eq!(
        shown, measured,
        "docs/leak-guard.md is out of date: run this test with UPDATE_DOCS=1"
    );
}
