//! SHA-256 of files.

use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::{fs::File, io::Read, path::PathBuf};

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The digest of one file, or of the digests of several in the order given.
pub(crate) fn sha256_files(files: &[PathBuf]) -> Result<String> {
    let digests = files.iter().map(sha256_file).collect::<Result<Vec<_>>>()?;
    Ok(match digests.as_slice() {
        [only] => only.clone(),
        several => hex(&Sha256::digest(several.concat())),
    })
}

fn sha256_file(path: &PathBuf) -> Result<String> {
    let fail = |e: std::io::Error| Error::load(format!("{}: {e}", path.display()));
    let mut file = File::open(path).map_err(fail)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        let n = file.read(&mut buffer).map_err(fail)?;
        if n == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standard() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let digest = sha256_files(std::slice::from_ref(&path)).unwrap();
        assert_eq!(
            digest,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_ne!(sha256_files(&[path.clone(), path]).unwrap(), digest);
    }
}
