//! What `promptimal init` knows: what data seem to be, and how a spec is written from answers.
//!
//! | module | what |
//! | --- | --- |
//! | `look` | the format of a file or folder, and its rows |
//! | `fields` | which field of a row is what |
//! | `survey` | what all rows say together: labels, numbers, objects; which task fits |
//! | `ask` | who answers: a terminal, the proposals, or nobody |
//! | `spec` | the answers as a commented spec |

pub mod ask;
pub mod fields;
pub mod look;
pub mod spec;
pub mod survey;

use crate::cli::Task;
use dataset::{FieldMap, Format};
use survey::Kind;

/// All that a spec is written from.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The run's name.
    pub name: String,
    /// What an answer is.
    pub task: Task,
    /// What the data's references are.
    pub kind: Kind,
    /// The data.
    pub data: Data,
    /// The model.
    pub model: Who,
    /// Calls of the model at most.
    pub calls: u64,
    /// The instruction to begin with; not for rewrites.
    pub start: String,
}

/// The data of a plan.
#[derive(Clone, Debug)]
pub struct Data {
    /// As the spec writes it.
    pub path: String,
    /// The layout.
    pub format: Format,
    /// Which field is what, where the format does not say.
    pub fields: Option<FieldMap>,
    /// The labels, where references are labels.
    pub labels: Vec<String>,
    /// The fields of references that are objects.
    pub objects: Vec<String>,
    /// The longest reference, in characters.
    pub longest: usize,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A model in this process.
    Local {
        /// Its name or path.
        model: String,
    },
    /// A model behind a server.
    Server {
        /// Up to and including the version.
        url: String,
        /// The name that the server knows.
        model: String,
        /// The variable that holds the key.
        key_env: Option<String>,
    },
}

impl Plan {
    /// What references are compared by: of the task, or of what the data have.
    pub fn graded_as(&self) -> Kind {
        match self.task {
            Task::Label => Kind::Label,
            Task::Number => Kind::Number,
            Task::Text => Kind::Text,
            Task::Json => Kind::Object,
            Task::Choice => Kind::Choice,
            Task::Rewrite => self.kind,
        }
    }
}
