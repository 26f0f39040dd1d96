//! What went wrong, in a sentence for people.

use crate::Place;
use std::error::Error;

/// The longest account of a server's that is repeated, characters.
const LONGEST: usize = 300;

/// Why an artefact could not be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    /// The address of the place makes no sense. The address is not in the message: it may hold a password.
    #[error("{0}")]
    Url(String),
    /// No name for an artefact.
    #[error("artefact {0:?}: a name has letters, digits and -_.= between single slashes")]
    Name(String),
    /// There is none of that name.
    #[error("artefact {name} is not in {place}: does every program have the same --artefacts?")]
    Missing {
        /// Its name.
        name: String,
        /// Where it was looked for.
        place: Place,
    },
    /// It is larger than the reader wants.
    #[error("artefact {name} in {place} has {bytes} bytes, over the limit of {limit}")]
    TooLarge {
        /// Its name.
        name: String,
        /// Where it is.
        place: Place,
        /// How many it has.
        bytes: u64,
        /// How many are wanted at most.
        limit: u64,
    },
    /// The place cannot do it, now or as it is set up.
    #[error("artefacts in {place}: {why}")]
    Failed {
        /// Which.
        place: Place,
        /// What it says.
        why: String,
    },
}

impl ArtefactError {
    /// Whether the same may work later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }

    pub(crate) fn of(place: &Place, name: &str, error: object_store::Error) -> Self {
        if let object_store::Error::NotFound { .. } = error {
            return Self::Missing {
                name: name.to_owned(),
                place: place.clone(),
            };
        }
        Self::Failed {
            place: place.clone(),
            why: format!("{name}: {}", account(&error)),
        }
    }
}

/// What an error says, with its causes where it does not repeat them itself, on one line.
fn account(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !said.contains(&more) {
            said = format!("{said}: {more}");
        }
        cause = error.source();
    }
    let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}
