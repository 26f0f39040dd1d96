//! What is wrong with a source or a row, said so that it can be mended.

use std::fmt;
use std::path::PathBuf;

/// Why a source could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// An option does not fit the format, or another option.
    #[error("dataset `{name}`: `{option}` {problem}")]
    Options {
        /// The source's name.
        name: String,
        /// The option.
        option: &'static str,
        /// What is wrong with it and what would be right.
        problem: String,
    },
    /// The path does not exist or cannot be read.
    #[error("dataset `{name}`: {}: {problem}", path.display())]
    Path {
        /// The source's name.
        name: String,
        /// The path as the source has it.
        path: PathBuf,
        /// What was found and what was expected.
        problem: String,
    },
    /// The first file is not what the format says.
    #[error("dataset `{name}`: {error}")]
    File {
        /// The source's name.
        name: String,
        /// Where and what.
        error: RowError,
    },
}

/// Why a row could not be read. Displayed as one line: file, line, field, value, what would be
/// right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// The file.
    pub file: PathBuf,
    /// The line at which the row starts, from 1.
    pub line: u64,
    /// What is wrong.
    pub problem: Box<Problem>,
    /// The rest of the file cannot be read either (a cut-off array, a failing disk), so that
    /// skipping this row is no way on.
    pub fatal: bool,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.problem)
    }
}

impl std::error::Error for RowError {}

/// What is wrong with a row: the field and its value where one is at fault, and what would be
/// right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field at fault.
    pub field: Option<String>,
    /// Its value, shortened.
    pub value: Option<String>,
    /// What would be right.
    pub wanted: String,
}

impl Problem {
    /// The row as a whole is wrong.
    pub(crate) fn row(wanted: impl Into<String>) -> Self {
        Self {
            field: None,
            value: None,
            wanted: wanted.into(),
        }
    }

    /// The row as a whole is wrong and starts so.
    pub(crate) fn found(value: &str, wanted: impl Into<String>) -> Self {
        Self {
            value: Some(shorten(value)),
            ..Self::row(wanted)
        }
    }

    /// A field is missing or otherwise has no value to show.
    pub(crate) fn field(field: &str, wanted: impl Into<String>) -> Self {
        Self {
            field: Some(field.to_owned()),
            ..Self::row(wanted)
        }
    }

    /// A field has a wrong value.
    pub(crate) fn value(field: &str, value: &str, wanted: impl Into<String>) -> Self {
        Self {
            value: Some(shorten(value)),
            ..Self::field(field, wanted)
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = &self.wanted;
        match (&self.field, &self.value) {
            (Some(field), Some(value)) => write!(f, "field `{field}` is {value:?}: {wanted}"),
            (Some(field), None) => write!(f, "field `{field}` {wanted}"),
            (None, Some(value)) => write!(f, "found {value:?}: {wanted}"),
            (None, None) => f.write_str(wanted),
        }
    }
}

const SHOWN: usize = 60;

/// The start of a value, long enough to find it by.
pub(crate) fn shorten(value: &str) -> String {
    let mut chars = value.chars();
    let mut start: String = chars.by_ref().take(SHOWN).collect();
    if chars.next().is_some() {
        start.push('…');
    }
    start
}

/// "`a`, `b` and 3 more", for messages.
pub(crate) fn list<S: AsRef<str>>(names: &[S], most: usize) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(most)
        .map(|n| format!("`{}`", shorten(n.as_ref())))
        .collect();
    match names.len().saturating_sub(most) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_error_is_one_line_with_everything() {
        let error = RowError {
            file: PathBuf::from("anatomy_test.csv"),
            line: 12,
            problem: Box::new(Problem::value(
                "answer",
                "E\nF",
                "expected one of A, B, C, D",
            )),
            fatal: false,
        };
        insta::assert_snapshot!(
            error,
            @r#"anatomy_test.csv:12: field `answer` is "E\nF": expected one of A, B, C, D"#
        );
    }

    #[test]
    fn long_values_are_shortened_between_characters() {
        let short = shorten(&"é".repeat(100));
        assert_eq!(short.chars().count(), SHOWN + 1);
        assert_eq!(shorten("é"), "é");
        assert_eq!(list(&["a", "b", "c"], 2), "`a`, `b` and 1 more");
    }
}
