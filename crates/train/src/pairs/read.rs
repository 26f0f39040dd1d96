//! Files of pairs: JSON lines, CSV of two columns, CSV of one `[INST] … [/INST] …` column.

use super::Pair;
use crate::error::{Error, Result};
use dataset::{FieldMap, Format, OnBadRow, Source, columns};
use domain::example::Reference;
use std::path::Path;

/// The words around an original in one column.
const INST: (&str, &str) = ("[INST]", "[/INST]");

/// Which field or column is what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// The prompt as somebody wrote it.
    pub original: String,
    /// The better one.
    pub improved: String,
    /// The right answer to the prompt, where there is one: no improved prompt may give it away.
    pub answer: Option<String>,
}

impl Default for Fields {
    /// What `promptimal export RUN pairs` writes.
    fn default() -> Self {
        Self {
            original: "original".to_owned(),
            improved: "improved".to_owned(),
            answer: None,
        }
    }
}

/// The rows of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Whole pairs, each with its answer where the file has one.
    pub pairs: Vec<(Pair, Option<String>)>,
    /// Rows with an original and nothing beside it.
    pub one_sided: u64,
    /// Rows that could not be read.
    pub unreadable: u64,
    /// What was wrong with the first of these.
    pub first_unreadable: Option<String>,
}

/// Whole pairs whose answers nobody tells.
impl FromIterator<Pair> for Written {
    fn from_iter<I: IntoIterator<Item = Pair>>(pairs: I) -> Self {
        Self {
            pairs: pairs.into_iter().map(|pair| (pair, None)).collect(),
            ..Self::default()
        }
    }
}

/// Reads a file of pairs. `fields` says which field is what, unless the file does by itself.
///
/// # Errors
/// [`Error::Data`] when the file can not be read, or it is not clear which column is what.
pub fn read(path: &Path, fields: Option<&Fields>) -> Result<Written> {
    let wrong = |e: &dyn std::fmt::Display| Error::data(e.to_string());
    let layout = Layout::of(path, fields)?;
    let mut source = Source::new("pairs", layout.format, path);
    source.fields = Some(layout.map());
    source.on_bad_row = OnBadRow::Skip;
    let mut reader = dataset::open(&source).map_err(|e| wrong(&e))?;
    let mut out = Written::default();
    for row in reader.by_ref() {
        let row = row.map_err(|e| wrong(&e))?;
        let example = row.example;
        if layout.joined {
            out.take_joined(&example.input, || {
                format!("{}:{}", path.display(), row.line)
            });
            continue;
        }
        match example.reference {
            Reference::Text { text: improved } => {
                let original = example.input;
                out.pairs
                    .push((Pair { original, improved }, example.context));
            }
            _ => out.one_sided += 1,
        }
    }
    let summary = reader.summary();
    out.unreadable += summary.skipped;
    let first = summary.first_skipped.first().map(ToString::to_string);
    out.first_unreadable = first.or(out.first_unreadable);
    Ok(out)
}

impl Written {
    /// How many rows there were.
    pub fn rows(&self) -> u64 {
        self.pairs.len() as u64 + self.one_sided + self.unreadable
    }

    fn take_joined(&mut self, text: &str, place: impl Fn() -> String) {
        match split_joined(text) {
            Some(pair) if pair.original.is_empty() => {
                self.unreadable += 1;
                let what = || format!("{}: nothing stands between [INST] and [/INST]", place());
                self.first_unreadable.get_or_insert_with(what);
            }
            Some(pair) if pair.improved.is_empty() => self.one_sided += 1,
            Some(pair) => self.pairs.push((pair, None)),
            None => {
                self.unreadable += 1;
                let what = || format!("{}: expected [INST] original [/INST] improved", place());
                self.first_unreadable.get_or_insert_with(what);
            }
        }
    }
}

/// The two sides of `<s>[INST] original [/INST] improved </s>`.
fn split_joined(text: &str) -> Option<Pair> {
    let text = text.trim();
    let text = text.strip_prefix("<s>").unwrap_or(text);
    let text = text.strip_suffix("</s>").unwrap_or(text);
    let (before, rest) = text.split_once(INST.0)?;
    let (original, improved) = rest.split_once(INST.1)?;
    before.trim().is_empty().then(|| Pair {
        original: original.trim().to_owned(),
        improved: improved.trim().to_owned(),
    })
}

/// How a file says what is what.
struct Layout {
    format: Format,
    fields: Fields,
    /// Both sides stand in the field `original`.
    joined: bool,
}

impl Layout {
    fn of(path: &Path, fields: Option<&Fields>) -> Result<Self> {
        let name = path.to_string_lossy().to_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let json = name.ends_with(".jsonl") || name.ends_with(".json");
        let format = match (json, name.ends_with(".csv")) {
            (true, _) => Format::Jsonl,
            (_, true) => Format::Csv,
            _ => {
                let shown = path.display();
                let what = format!("{shown}: pairs are read from .jsonl, .json and .csv files");
                return Err(Error::data(what));
            }
        };
        match (fields, format) {
            (Some(fields), _) => Ok(Self {
                format,
                fields: fields.clone(),
                joined: false,
            }),
            (None, Format::Csv) => Self::of_csv(path),
            (None, _) => Ok(Self {
                format,
                fields: Fields::default(),
                joined: false,
            }),
        }
    }

    /// One column holds both sides; of two, the first is the original; of more, names tell.
    fn of_csv(path: &Path) -> Result<Self> {
        let names = columns(path).map_err(|e| Error::data(e.to_string()))?;
        let known = Fields::default();
        let (original, improved, joined) = match names.as_slice() {
            [one] => (one.clone(), String::new(), true),
            names if names.contains(&known.original) && names.contains(&known.improved) => {
                (known.original, known.improved, false)
            }
            [first, second] => (first.clone(), second.clone(), false),
            names => {
                let (shown, found) = (path.display(), names.join(", "));
                return Err(Error::data(format!(
                    "{shown}: which of the columns {found} are the original and the improved prompt? name them"
                )));
            }
        };
        let fields = Fields {
            original,
            improved,
            answer: None,
        };
        Ok(Self {
            format: Format::Csv,
            fields,
            joined,
        })
    }

    fn map(&self) -> FieldMap {
        let fields = &self.fields;
        let mut map = FieldMap::new(&fields.original, &fields.improved);
        if self.joined {
            map.reference = None;
        }
        // Data that belongs to the input: the one text field that a row has beside the two.
        map.context = fields.answer.clone();
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, text: &str, fields: Option<&Fields>) -> Result<Written> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        read(&path, fields)
    }

    fn sides(written: &Written) -> Vec<(&str, &str)> {
        let pairs = written.pairs.iter();
        pairs
            .map(|(p, _)| (p.original.as_str(), p.improved.as_str()))
            .collect()
    }

    #[test]
    fn json_lines_with_what_is_left_out() {
        let text = concat!(
            "{\"original\": \"a\", \"improved\": \" b \", \"round\": 2}\n",
            "{\"original\": \"c\", \"improved\": null}\n",
            "{\"original\": \" \", \"improved\": \"d\"}\n",
            "not json\n",
        );
        let got = written("pairs.jsonl", text, None).unwrap();
        assert_eq!(sides(&got), [("a", "b")]);
        assert_eq!((got.one_sided, got.unreadable, got.rows()), (1, 2, 4));
        let first = got.first_unreadable.unwrap();
        assert!(first.contains("pairs.jsonl:3"), "{first}");
    }

    #[test]
    fn named_fields_and_an_answer() {
        let fields = Fields {
            original: "prompt".to_owned(),
            improved: "better".to_owned(),
            answer: Some("gold".to_owned()),
        };
        let text = "{\"prompt\": \"a\", \"better\": \"b\", \"gold\": \"42\"}";
        let got = written("pairs.json", text, Some(&fields)).unwrap();
        assert_eq!(got.pairs[0].1.as_deref(), Some("42"));
    }

    #[test]
    fn csv_of_two_columns_of_more_and_of_one() {
        let two = written("p.csv", "weak,better\n\"a, b\",c\n", None).unwrap();
        assert_eq!(sides(&two), [("a, b", "c")]);
        let more = written("p.csv", "round,improved,original\n1,b,a\n", None).unwrap();
        assert_eq!(sides(&more), [("a", "b")]);
        let text =
            "text\n<s>[INST] a b [/INST] c </s>\n[INST] d [/INST]\nno words\n[INST] [/INST] e\n";
        let one = written("p.csv", text, None).unwrap();
        assert_eq!(sides(&one), [("a b", "c")]);
        assert_eq!((one.one_sided, one.unreadable), (1, 2));
        assert!(one.first_unreadable.unwrap().contains("p.csv:4"));
        let unclear = written("p.csv", "a,b,c\n1,2,3\n", None).unwrap_err();
        assert!(unclear.to_string().contains("a, b, c"), "{unclear}");
    }

    #[test]
    fn other_files_are_refused() {
        let error = written("pairs.parquet", "", None).unwrap_err().to_string();
        assert!(
            error.contains("pairs.parquet") && error.contains(".csv"),
            "{error}"
        );
        let absent = read(Path::new("nowhere.jsonl"), None)
            .unwrap_err()
            .to_string();
        assert!(absent.contains("nowhere.jsonl"), "{absent}");
    }
}
