//! Collects problems and warnings with their places.

use crate::{
    error::{Problem, SpecError},
    tree::{Node, Place, Value},
};

/// What has been found so far.
pub(crate) struct Report<'a> {
    file: String,
    tree: &'a Node,
    problems: Vec<(usize, Problem)>,
    warnings: Vec<(usize, Problem)>,
    /// Sections with structural problems: what else seems wrong in them may only follow from those.
    tainted: Vec<String>,
}

/// Whether a value may be shown in an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    Value,
    /// It might be a secret, or says nothing.
    KeyOnly,
}

impl<'a> Report<'a> {
    pub(crate) fn new(file: String, tree: &'a Node) -> Self {
        Self {
            file,
            tree,
            problems: Vec::new(),
            warnings: Vec::new(),
            tainted: Vec::new(),
        }
    }

    /// A structural problem: later checks of the same section keep quiet.
    pub(crate) fn structural(&mut self, key: &str, show: Show, message: impl Into<String>) {
        self.taint(key);
        let problem = self.locate(key, show, message.into());
        self.problems.push(problem);
    }

    /// Keeps later checks quiet about the section of this key.
    pub(crate) fn taint(&mut self, key: &str) {
        self.tainted.push(section(key));
    }

    /// Something is wrong with this key.
    pub(crate) fn wrong(&mut self, key: &str, message: impl Into<String>) {
        self.problem(key, Show::Value, message);
    }

    /// Something is wrong with this key, whose value must not be shown.
    pub(crate) fn wrong_hidden(&mut self, key: &str, message: impl Into<String>) {
        self.problem(key, Show::KeyOnly, message);
    }

    /// This key names a file or folder that is not there.
    pub(crate) fn absent(&mut self, key: &str, message: impl Into<String>) {
        if !self.is_tainted(key) {
            let (order, problem) = self.locate(key, Show::Value, message.into());
            let absent = Problem {
                absent: true,
                ..problem
            };
            self.problems.push((order, absent));
        }
    }

    fn problem(&mut self, key: &str, show: Show, message: impl Into<String>) {
        if !self.is_tainted(key) {
            let problem = self.locate(key, show, message.into());
            self.problems.push(problem);
        }
    }

    /// Something that people should know of, and that stops nothing.
    pub(crate) fn warn(&mut self, key: &str, message: impl Into<String>) {
        if !self.is_tainted(key) {
            let warning = self.locate(key, Show::Value, message.into());
            self.warnings.push(warning);
        }
    }

    /// Whether the section of this key already has structural problems.
    pub(crate) fn is_tainted(&self, key: &str) -> bool {
        let section = section(key);
        self.tainted
            .iter()
            .any(|t| *t == section || section.starts_with(&format!("{t}[")))
    }

    /// Whether the file or the command line gives this key.
    pub(crate) fn is_given(&self, key: &str) -> bool {
        self.tree.deepest(key).1
    }

    /// The warnings, or all problems; both in file order.
    pub(crate) fn finish(mut self) -> Result<Vec<String>, SpecError> {
        self.problems.sort_by_key(|(line, _)| *line);
        self.warnings.sort_by_key(|(line, _)| *line);
        if self.problems.is_empty() {
            return Ok(self
                .warnings
                .into_iter()
                .map(|(_, p)| p.to_string())
                .collect());
        }
        let problems = self
            .problems
            .into_iter()
            .map(|(_, problem)| problem)
            .collect();
        Err(SpecError { problems })
    }

    fn locate(&self, key: &str, show: Show, message: String) -> (usize, Problem) {
        let (node, exact) = self.tree.deepest(key);
        let (order, place) = match &node.place {
            // Nothing on the way there is written: no line to name.
            _ if std::ptr::eq(node, self.tree) => (0, self.file.clone()),
            Place::Line(line) => (*line, format!("{}:{line}", self.file)),
            // What the command line says comes after the whole file.
            Place::Set(key) => (usize::MAX, format!("--set {key}")),
        };
        let show = exact && show == Show::Value && !near_secret(key);
        let value = if show { shown(&node.value) } else { None };
        (
            order,
            Problem {
                place,
                key: Some(key.to_owned()),
                value,
                message,
                absent: false,
            },
        )
    }
}

/// The part of the spec whose checks belong together: `datasets[0]`, `models.target`, `splits`.
fn section(key: &str) -> String {
    let parts = if key.starts_with("models.") { 2 } else { 1 };
    key.split('.').take(parts).collect::<Vec<_>>().join(".")
}

/// People paste the key itself where its name belongs.
fn near_secret(key: &str) -> bool {
    ["api_key_env", "api_key_file", "token_env"]
        .iter()
        .any(|name| key.ends_with(name))
}

const SHOWN: usize = 60;

fn shown(value: &Value) -> Option<String> {
    Some(match value {
        Value::Text(text) => {
            let mut short: String = text.chars().take(SHOWN).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            format!("{short:?}")
        }
        Value::Whole(n) => n.to_string(),
        Value::Float(x) => format!("{x:?}"),
        Value::Flag(flag) => flag.to_string(),
        Value::Other(raw, _) => raw.chars().take(SHOWN).collect(),
        Value::List(items) => {
            let items: Option<Vec<String>> = items.iter().map(|n| shown(&n.value)).collect();
            let list = format!("[{}]", items?.join(", "));
            if list.chars().count() > SHOWN {
                return None;
            }
            list
        }
        Value::Table(_) => return None,
    })
}
