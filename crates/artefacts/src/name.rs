//! What artefacts are called: words of plain letters between slashes, the same in a folder and in a bucket.

use crate::{ArtefactError, Result};
use object_store::path::Path;

/// The longest name, bytes: what buckets take.
const LONGEST: usize = 1024;

/// A name as object_store has it.
pub fn path(name: &str) -> Result<Path> {
    let word = |word: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.=".contains(&b);
        !word.is_empty() && word.bytes().all(plain) && word.bytes().any(|b| b != b'.')
    };
    let bad = || ArtefactError::Name(name.chars().take(LONGEST).collect());
    match name.len() <= LONGEST && name.split('/').all(word) {
        true => Path::parse(name).map_err(|_| bad()),
        false => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        for good in ["a", "bodies/0-1.x", "a/b/c=d/e_f"] {
            assert_eq!(path(good).unwrap().to_string(), good);
        }
        let long = "a".repeat(LONGEST + 1);
        for bad in [
            "", "/", "/a", "a/", "a//b", "..", "a/../b", ".", "a b", "ä", "a\\b", &long,
        ] {
            assert!(path(bad).is_err(), "{bad:?}");
        }
    }
}
