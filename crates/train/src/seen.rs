//! Which prompts an adapter was trained on: a file beside it, so that nobody measures it on them.
//!
//! It holds fingerprints, not words: prompts may be nobody else's business.

use crate::{
    error::{Error, Result},
    pairs::Divided,
};
use domain::{hash::Hash, proposal::fingerprint};
use std::{collections::BTreeSet, io, path::Path};

/// The file's name.
pub const SEEN: &str = "trained_on.json";

/// Writes the fingerprints of all originals into an adapter's folder, those of validation pairs among them: by their loss
/// people choose what to train next.
///
/// # Errors
/// When the file cannot be written.
pub fn note_seen(dir: &Path, divided: &Divided) -> Result<()> {
    let pairs = divided.train.iter().chain(&divided.validation);
    let seen: BTreeSet<Hash> = pairs.map(|pair| fingerprint(&pair.original)).collect();
    let file = dir.join(SEEN);
    let failed = |why: String| Error::Files(format!("{}: {why}", file.display()));
    let text = serde_json::to_vec(&seen).map_err(|e| failed(e.to_string()))?;
    std::fs::write(&file, text).map_err(|e| failed(e.to_string()))
}

/// Reads them; `None` of an adapter whose training noted none.
///
/// # Errors
/// When the file is there and is none of ours.
pub fn seen(dir: &Path) -> Result<Option<BTreeSet<Hash>>> {
    let file = dir.join(SEEN);
    let failed = |why: String| Error::Files(format!("{}: {why}", file.display()));
    let text = match std::fs::read(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e.to_string())),
    };
    let read = serde_json::from_slice(&text);
    read.map(Some)
        .map_err(|e| failed(format!("no list of prompts: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::Pair;

    #[test]
    fn prompts_are_known_again_whatever_their_case() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(seen(dir.path()).unwrap(), None);
        let pair = |original: &str| Pair {
            original: original.to_owned(),
            improved: "Which letter comes first?".to_owned(),
        };
        let divided = Divided {
            train: vec![pair("what letter is first")],
            validation: vec![pair("Name a colour.")],
            counts: Default::default(),
        };
        note_seen(dir.path(), &divided).unwrap();
        let found = seen(dir.path()).unwrap().unwrap();
        assert_eq!(found.len(), 2);
        for known in ["What letter is FIRST?", "name a colour"] {
            assert!(found.contains(&fingerprint(known)), "{known}");
        }
        let text = std::fs::read_to_string(dir.path().join(SEEN)).unwrap();
        assert!(!text.contains("letter"), "{text}");
        std::fs::write(dir.path().join(SEEN), "{").unwrap();
        assert!(seen(dir.path()).unwrap_err().to_string().contains(SEEN));
    }
}
