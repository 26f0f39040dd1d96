//! What to read: path, format, field mapping.

use crate::error::DatasetError;
use crate::sample::Sample;
use serde::{Deserialize, Deserializer, Serialize};
use std::path::PathBuf;

/// A data set as a spec names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The name it goes by in the run, in reports and in errors.
    pub name: String,
    /// The layout of its files.
    pub format: Format,
    /// A file, or a folder whose files are read in the order of their names.
    pub path: PathBuf,
    /// MMLU only: which part to read where the folder has several (`test`, `dev`, `val`); `test`
    /// unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// JSONL and CSV only: which field is what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<FieldMap>,
    /// So many good rows at most; of a folder's files, each gives its share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// So many good rows of all, drawn by a seed; `limit` or this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
    /// What a bad row does.
    #[serde(default)]
    pub on_bad_row: OnBadRow,
    /// Classification only: the labels' names. A label in the file is then one of these, or the
    /// position of one, from 0. Without names, labels are taken as they are written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

impl Source {
    /// A source with every option at its default.
    pub fn new(name: impl Into<String>, format: Format, path: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            format,
            path: path.into(),
            part: None,
            fields: None,
            limit: None,
            sample: None,
            on_bad_row: OnBadRow::Fail,
            labels: Vec::new(),
        }
    }

    /// Whether the options fit the format and each other; reads no file.
    ///
    /// # Errors
    /// [`DatasetError::Options`] names the option and what would be right.
    pub fn check(&self) -> Result<(), DatasetError> {
        match self.problem() {
            None => Ok(()),
            Some((option, problem)) => Err(DatasetError::Options {
                name: self.name.clone(),
                option,
                problem,
            }),
        }
    }

    fn problem(&self) -> Option<(&'static str, String)> {
        let format = self.format.name();
        let mapped = matches!(self.format, Format::Jsonl | Format::Csv);
        match &self.fields {
            None if mapped => {
                let what = "is missing: say at least `input`, and `reference` where there is one";
                return Some(("fields", format!("{what} (format {format})")));
            }
            Some(_) if !mapped => {
                let what = "names its own fields: leave `fields` out, or use format jsonl or csv";
                return Some((
                    "fields",
                    format!("is not for format {format}, which {what}"),
                ));
            }
            Some(fields) => {
                if let Some(problem) = fields.problem() {
                    return Some(("fields", problem));
                }
            }
            None => {}
        }
        if self.part.is_some() && self.format != Format::Mmlu {
            return Some((
                "part",
                format!("is only for format mmlu, not {format}: leave it out"),
            ));
        }
        if !self.labels.is_empty() && self.format != Format::Classification {
            let only = "is only for format classification";
            return Some(("labels", format!("{only}, not {format}: leave it out")));
        }
        self.too_few()
    }

    fn too_few(&self) -> Option<(&'static str, String)> {
        let zero = "is 0: leave it out to read all rows";
        let drawn = self.sample.map(|s| s.rows);
        match (self.limit, drawn) {
            (Some(0), _) => Some(("limit", zero.to_owned())),
            (_, Some(0)) => Some(("sample", zero.to_owned())),
            (Some(_), Some(_)) => {
                let both = "is given beside `limit`: keep one of the two (`limit` takes the first \
                            rows, `sample` draws from all)";
                Some(("sample", both.to_owned()))
            }
            _ => None,
        }
    }
}

/// The layout of a data set's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One CSV file a subject, no header: question, A, B, C, D, answer letter.
    Mmlu,
    /// A JSON array or JSON lines of `instruction`, `input`, `output`.
    Alpaca,
    /// JSON lines of `task_id`, `prompt`, `entry_point`, `test`, `canonical_solution`.
    Humaneval,
    /// JSON lines of `question` and `answer`, whose number follows `####`.
    Gsm8k,
    /// One JSON file a task: `{"examples": [{"input", "target"}]}`.
    Bbh,
    /// `text TAB label` lines.
    Classification,
    /// JSON lines (or a JSON array) with a field mapping.
    Jsonl,
    /// CSV with a header and a field mapping.
    Csv,
}

impl Format {
    /// Every format, in the order of the documentation.
    pub const ALL: [Format; 8] = [
        Format::Mmlu,
        Format::Alpaca,
        Format::Humaneval,
        Format::Gsm8k,
        Format::Bbh,
        Format::Classification,
        Format::Jsonl,
        Format::Csv,
    ];

    /// The word used in the spec.
    pub fn name(&self) -> &'static str {
        match self {
            Format::Mmlu => "mmlu",
            Format::Alpaca => "alpaca",
            Format::Humaneval => "humaneval",
            Format::Gsm8k => "gsm8k",
            Format::Bbh => "bbh",
            Format::Classification => "classification",
            Format::Jsonl => "jsonl",
            Format::Csv => "csv",
        }
    }

    /// How the names of its files end, `.gz` aside, when a folder is read.
    pub(crate) fn endings(&self) -> &'static [&'static str] {
        match self {
            Format::Mmlu | Format::Csv => &[".csv"],
            Format::Bbh => &[".json"],
            Format::Classification => &[".tsv", ".txt"],
            Format::Alpaca | Format::Humaneval | Format::Gsm8k | Format::Jsonl => {
                &[".json", ".jsonl"]
            }
        }
    }
}

/// What a bad row does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadRow {
    /// The first one ends the reading.
    #[default]
    Fail,
    /// It is counted and left out.
    Skip,
}

/// Which field of a JSONL or CSV row is what. A name is a key or a column as it is written, else a
/// dotted path into nested JSON (`meta.topic`, `turns.0.text`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldMap {
    /// The question or instruction.
    pub input: String,
    /// The right answer; without it, only graders that need none apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The choices: one field that holds a JSON array, or one field a choice.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "one_or_many"
    )]
    pub choices: Vec<String>,
    /// Data that the input speaks of, never rewritten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// A label for reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How the reference names the right choice.
    #[serde(default)]
    pub answer_is: AnswerIs,
}

impl FieldMap {
    /// A mapping of just an input and a reference text.
    pub fn new(input: impl Into<String>, reference: impl Into<String>) -> Self {
        Self {
            input: input.into(),
            reference: Some(reference.into()),
            ..Self::default()
        }
    }

    /// Every field that it names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let optional = [&self.reference, &self.context, &self.group]
            .into_iter()
            .flatten();
        [&self.input]
            .into_iter()
            .chain(optional)
            .chain(&self.choices)
            .map(String::as_str)
    }

    fn problem(&self) -> Option<String> {
        if self.names().any(|name| name.trim().is_empty()) {
            return Some("has an empty field name: name a key or a column of the file".to_owned());
        }
        let picks = self.answer_is != AnswerIs::Text;
        if picks && self.choices.is_empty() {
            let how = self.answer_is.name();
            return Some(format!(
                "has answer_is = \"{how}\" but no `choices`: name their fields"
            ));
        }
        (!self.choices.is_empty() && self.reference.is_none())
            .then(|| "has `choices` but no `reference`: name the right one's field".to_owned())
    }
}

/// How a reference names the right choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerIs {
    /// By its position, from 0.
    Index,
    /// By its letter, from A.
    Letter,
    /// By its text; without choices, the text is the reference itself.
    #[default]
    Text,
}

impl AnswerIs {
    /// The word used in the spec.
    pub fn name(&self) -> &'static str {
        match self {
            AnswerIs::Index => "index",
            AnswerIs::Letter => "letter",
            AnswerIs::Text => "text",
        }
    }
}

/// `"options"` and `["A", "B"]` both name choices.
fn one_or_many<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(d)? {
        OneOrMany::One(name) => vec![name],
        OneOrMany::Many(names) => names,
    })
}
