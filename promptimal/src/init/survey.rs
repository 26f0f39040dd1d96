//! What the rows of data say together: what their references are, and which task fits.

use crate::cli::Task;
use anyhow::{Context, bail};
use dataset::{Format, OnBadRow, Source, open};
use domain::{example::Example, example::Reference, proposal::fold};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// So many rows are read.
const ROWS: usize = 10_000;
/// More different references than this are no labels.
const LABELS: usize = 50;
/// Longer references are open answers: nobody says them word for word.
const OPEN_CHARS: usize = 80;

/// What references are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Few different texts.
    Label,
    /// Numbers.
    Number,
    /// Short texts.
    Text,
    /// JSON objects.
    Object,
    /// One of the choices.
    Choice,
    /// Long texts, which nobody says word for word.
    Open,
    /// Tests of programs.
    Code,
    /// There are none.
    None,
}

/// What was read.
#[derive(Debug)]
pub struct Survey {
    /// Good rows.
    pub rows: u64,
    /// Bad rows, and the first of them.
    pub bad: (u64, Option<String>),
    /// The first good row.
    pub first: Example,
    /// What references are.
    pub kind: Kind,
    /// Different references, in the order of the file, unless there are too many for labels.
    pub labels: Vec<String>,
    /// The fields of references that are objects.
    pub objects: Vec<String>,
    /// The longest reference, in characters.
    pub longest: usize,
}

/// Reads the data.
///
/// # Errors
/// When they cannot be read, or no row is good.
pub fn survey(source: &Source) -> anyhow::Result<Survey> {
    let source = Source {
        on_bad_row: OnBadRow::Skip,
        limit: Some(ROWS),
        ..source.clone()
    };
    let mut reader = open(&source)?;
    let mut examples = Vec::new();
    for row in reader.by_ref() {
        examples.push(row?.example);
    }
    let summary = reader.summary();
    let worst = summary.first_skipped.first().map(ToString::to_string);
    let first = examples.first().cloned().with_context(|| {
        let why = worst.clone().unwrap_or_default();
        format!("--data {}: no row is good: {why}", source.path.display())
    })?;
    let texts: Vec<&str> = examples
        .iter()
        .filter_map(Example::reference_text)
        .collect();
    let labels = distinct(&texts);
    let objects: BTreeSet<String> = texts
        .iter()
        .filter_map(|text| as_object(text))
        .flat_map(|object| object.into_iter().map(|(name, _)| name))
        .collect();
    Ok(Survey {
        rows: summary.rows,
        bad: (summary.skipped, worst),
        kind: kind(source.format, &examples, &texts, &labels),
        first,
        labels: labels.into_iter().take(LABELS + 1).collect(),
        objects: objects.into_iter().collect(),
        longest: texts.iter().map(|t| t.chars().count()).max().unwrap_or(0),
    })
}

/// Each text once, looks aside.
fn distinct(texts: &[&str]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let new = texts.iter().filter(|text| seen.insert(fold(text)));
    new.map(|text| text.trim().to_owned()).collect()
}

fn kind(format: Format, examples: &[Example], texts: &[&str], labels: &[String]) -> Kind {
    let any = |test: fn(&Example) -> bool| examples.iter().any(test);
    if any(|e| matches!(e.reference, Reference::Code { .. })) {
        return Kind::Code;
    }
    if texts.is_empty() {
        return Kind::None;
    }
    if any(|e| !e.choices.is_empty()) && examples.iter().all(|e| !e.choices.is_empty()) {
        return Kind::Choice;
    }
    let all = |test: fn(&str) -> bool| texts.iter().all(|text| test(text));
    let few = labels.len() > 1 && labels.len() <= LABELS && labels.len() * 2 <= texts.len();
    match () {
        () if format == Format::Classification => Kind::Label,
        () if all(|text| as_object(text).is_some()) => Kind::Object,
        () if all(|text| as_number(text).is_some()) => Kind::Number,
        () if few && all(|text| text.chars().count() <= OPEN_CHARS) => Kind::Label,
        () if all(|text| text.chars().count() <= OPEN_CHARS) => Kind::Text,
        () => Kind::Open,
    }
}

/// A number as people write it.
pub fn as_number(text: &str) -> Option<f64> {
    let bare = text.trim().trim_start_matches(['$', '€', '£']);
    let bare = bare.trim_end_matches('%').replace(',', "");
    bare.parse().ok().filter(|x: &f64| x.is_finite())
}

/// A text that is one JSON object.
pub fn as_object(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text).ok()
}

impl Survey {
    /// The task that these data are likely meant for.
    pub fn task(&self) -> Task {
        match self.kind {
            Kind::Label => Task::Label,
            Kind::Number => Task::Number,
            Kind::Object => Task::Json,
            Kind::Choice => Task::Choice,
            Kind::Text => Task::Text,
            Kind::Open | Kind::Code | Kind::None => Task::Rewrite,
        }
    }

    /// Whether the data have what a task's grader needs.
    ///
    /// # Errors
    /// What they lack, and the tasks that they have enough for.
    pub fn suits(&self, task: Task) -> anyhow::Result<()> {
        let n = self.labels.len();
        let lacks = match (task, self.kind) {
            (_, Kind::None) => bail!(
                "the data have no right answers: name their field with --reference, or write a spec with a grader that \
                 needs none (`promptimal spec` prints one; kinds judge, reward, program and http)"
            ),
            (Task::Rewrite, _) => return Ok(()),
            (_, Kind::Code) => Some("the right answers are tests of programs".to_owned()),
            (Task::Label, Kind::Choice) => Some("each question has choices of its own".to_owned()),
            (Task::Label, _) if n > LABELS => Some(format!(
                "there are more than {LABELS} different answers, and labels are few"
            )),
            (Task::Label, _) if n < 2 => Some("all answers are the same".to_owned()),
            (Task::Text, Kind::Open) => Some(format!(
                "right answers are up to {} characters long, and no model says such texts word for word",
                self.longest
            )),
            (Task::Number, kind) if kind != Kind::Number => {
                Some("not all answers are numbers".to_owned())
            }
            (Task::Json, kind) if kind != Kind::Object => {
                Some("not all answers are JSON objects".to_owned())
            }
            (Task::Choice, kind) if kind != Kind::Choice => {
                Some("the questions have no choices".to_owned())
            }
            _ => None,
        };
        match lacks {
            Some(why) => bail!(
                "--task {} does not fit these data: {why}; they look like --task {}",
                task.name(),
                self.task().name()
            ),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{fields, look};
    use super::*;
    use std::path::Path;

    fn ours(name: &str) -> Survey {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data");
        let path = data.join(name);
        let look = look::look(&path).unwrap();
        let mut source = Source::new("data", look.format, &path);
        if !look.rows.is_empty() {
            source.fields = Some(fields::guess(&look.rows, fields::Given::default()).unwrap());
        }
        survey(&source).unwrap()
    }

    #[test]
    fn our_own_data_are_what_their_specs_say() {
        let kinds = [
            ("instruct/sentiment.jsonl", Kind::Label),
            ("instruct/news.jsonl", Kind::Label),
            ("instruct/gsm8k.jsonl", Kind::Number),
            ("instruct/extraction.jsonl", Kind::Object),
            ("sentiment.tsv", Kind::Label),
            ("capitals.jsonl", Kind::Choice),
            ("quickstart/mmlu", Kind::Choice),
            ("quickstart/alpaca.json", Kind::Open),
            ("quickstart/humaneval.jsonl", Kind::Code),
        ];
        for (name, kind) in kinds {
            assert_eq!(ours(name).kind, kind, "{name}");
        }
        let orders = ours("instruct/extraction.jsonl");
        assert_eq!(orders.objects, ["date", "item", "name", "quantity"]);
        assert_eq!(orders.rows, 50);
        assert_eq!(ours("instruct/news.jsonl").labels.len(), 4);
    }

    #[test]
    fn a_task_that_does_not_fit_is_told_which_would() {
        let said = |name: &str, task: Task| ours(name).suits(task).unwrap_err().to_string();
        assert_eq!(
            said("instruct/sentiment.jsonl", Task::Number),
            "--task number does not fit these data: not all answers are numbers; they look like --task label"
        );
        assert!(said("instruct/extraction.jsonl", Task::Choice).contains("--task json"));
        assert!(said("quickstart/humaneval.jsonl", Task::Text).contains("--task rewrite"));
        assert!(said("quickstart/alpaca.json", Task::Text).contains("word for word"));
        assert!(ours("instruct/gsm8k.jsonl").suits(Task::Text).is_ok());
    }

    #[test]
    fn numbers_are_read_as_people_write_them() {
        assert_eq!(as_number(" $1,234.50 "), Some(1234.5));
        assert_eq!(as_number("-3%"), Some(-3.0));
        for none in ["", "inf", "nan", "three", "1 2"] {
            assert_eq!(as_number(none), None, "{none}");
        }
    }
}
