//! What is wrong with a spec: every problem found, in the order of the file.

use std::fmt;

/// Why a spec cannot be used. Displayed as one line a problem, in file order:
/// `file:line: key = value: what is wrong, what would be right`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    /// At least one.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `file:line`, the file alone, or `--set key`.
    pub place: String,
    /// The key, where one is at fault: `datasets[0].format`.
    pub key: Option<String>,
    /// Its value as TOML, shortened, where one was given that may be shown.
    pub value: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
    /// Whether nothing is wrong with the spec itself: a file or folder that it names is not there.
    pub absent: bool,
}

impl SpecError {
    /// Whether the spec itself is right, and only files that it names are not there.
    pub fn only_absent_files(&self) -> bool {
        self.problems.iter().all(|problem| problem.absent)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        match (&self.key, &self.value) {
            (Some(key), Some(value)) => write!(f, "{key} = {value}: ")?,
            (Some(key), None) => write!(f, "{key}: ")?,
            _ => {}
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for SpecError {}
