//! Content hashes and what is derived from them.

use crate::call::Call;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Raised when the rendering of an answer key changes; old answers are then simply not found.
pub const ANSWER_KEY_VERSION: u32 = 1;

/// A 128-bit content hash (the first half of a SHA-256), written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 16]);

impl Hash {
    /// The hash of some parts. Parts are length-prefixed: `["ab","c"]` differs from `["a","bc"]`.
    pub fn of<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Self {
        let mut sha = Sha256::new();
        for part in parts {
            let part = part.as_ref();
            sha.update((part.len() as u64).to_le_bytes());
            sha.update(part);
        }
        let mut out = [0; 16];
        out.copy_from_slice(&sha.finalize()[..16]);
        Self(out)
    }

    /// The hash of everything a reader gives, without holding it in memory.
    ///
    /// # Errors
    /// When reading fails.
    pub fn of_reader(mut reader: impl std::io::Read) -> std::io::Result<Self> {
        let mut sha = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = reader.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            sha.update(&buffer[..n]);
        }
        let mut out = [0; 16];
        out.copy_from_slice(&sha.finalize()[..16]);
        Ok(Self(out))
    }

    /// A seed for a random generator: seeds derive from keys, never from clocks.
    pub fn seed(&self) -> u64 {
        let mut eight = [0; 8];
        eight.copy_from_slice(&self.0[..8]);
        u64::from_le_bytes(eight)
    }

    /// A number in `[0, 1)`, for splits and samples.
    pub fn unit(&self) -> f64 {
        (self.seed() >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut out = [0u8; 32];
        for (i, b) in self.0.iter().enumerate() {
            out[2 * i] = HEX[(b >> 4) as usize];
            out[2 * i + 1] = HEX[(b & 15) as usize];
        }
        f.write_str(std::str::from_utf8(&out).unwrap_or_default())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not 32 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("hash {0:?} is not 32 hexadecimal digits")]
pub struct BadHash(String);

impl std::str::FromStr for Hash {
    type Err = BadHash;
    fn from_str(s: &str) -> Result<Self, BadHash> {
        let bad = || BadHash(s.to_owned());
        if s.len() != 32 || !s.is_ascii() {
            return Err(bad());
        }
        let mut out = [0; 16];
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&s[2 * i..2 * i + 2], 16).map_err(|_| bad())?;
        }
        Ok(Self(out))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = std::borrow::Cow::<'_, str>::deserialize(d)?;
        s.parse().map_err(serde::de::Error::custom)
    }
}

/// The key under which an answer is stored and never bought twice: a versioned hash of the model's
/// identity (endpoint, digest, engine, quantisation), everything asked, and the repeat.
pub fn answer_key(model_identity: &str, call: &Call, repeat: u32) -> Hash {
    // serde_json writes struct fields in declaration order, so this text is canonical.
    let call = serde_json::to_vec(call).unwrap_or_default();
    Hash::of([
        &ANSWER_KEY_VERSION.to_le_bytes()[..],
        model_identity.as_bytes(),
        &call,
        &repeat.to_le_bytes(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let h = Hash::of(["a", "b"]);
        assert_eq!(h.to_string().parse::<Hash>().unwrap(), h);
        assert!("zz".parse::<Hash>().is_err());
    }

    #[test]
    fn parts_are_not_concatenated() {
        assert_ne!(Hash::of(["ab", "c"]), Hash::of(["a", "bc"]));
    }
}
