//! A set of hashes that takes the same memory however large it grows: what a step asks, for steps of millions.
//!
//! The first [`IN_MEMORY`] are held in memory; then all move into a hash table in a temporary file that has no name,
//! with open addressing. It is never more than half full, so a hash is found or missed within two reads on average, and
//! the system keeps what it touches in its own cache as long as there is room.

use domain::hash::Hash;
use std::{
    collections::HashSet,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
};

/// Hashes held in memory: 1 to 2 MiB.
const IN_MEMORY: usize = 1 << 15;
/// Bytes of a hash.
const SLOT: u64 = 16;
/// What an empty slot holds. A hash of that value is seen in `zero`.
const EMPTY: [u8; SLOT as usize] = [0; SLOT as usize];

/// A set of hashes.
#[derive(Debug, Default)]
pub struct Seen {
    few: HashSet<Hash>,
    many: Option<Table>,
}

impl Seen {
    /// Adds a hash; says whether it is new.
    ///
    /// # Errors
    /// When the temporary file cannot be made or grown.
    pub fn insert(&mut self, hash: Hash) -> io::Result<bool> {
        if let Some(many) = &mut self.many {
            return many.insert(hash);
        }
        if self.few.len() == IN_MEMORY {
            let mut table = Table::with_slots(8 * IN_MEMORY as u64)?;
            for one in std::mem::take(&mut self.few) {
                table.insert(one)?;
            }
            return self.many.insert(table).insert(hash);
        }
        Ok(self.few.insert(hash))
    }
}

/// A hash table in a file.
#[derive(Debug)]
struct Table {
    file: File,
    /// A power of two.
    slots: u64,
    used: u64,
    zero: bool,
}

impl Table {
    fn with_slots(slots: u64) -> io::Result<Self> {
        let file = tempfile::tempfile()?;
        file.set_len(slots * SLOT)?;
        Ok(Self {
            file,
            slots,
            used: 0,
            zero: false,
        })
    }

    fn insert(&mut self, hash: Hash) -> io::Result<bool> {
        if hash.0 == EMPTY {
            return Ok(!std::mem::replace(&mut self.zero, true));
        }
        if 2 * self.used >= self.slots {
            self.grow()?;
        }
        let mut at = hash.seed() & (self.slots - 1);
        loop {
            let mut found = EMPTY;
            self.file.read_exact_at(&mut found, at * SLOT)?;
            if found == hash.0 {
                return Ok(false);
            }
            if found == EMPTY {
                self.file.write_all_at(&hash.0, at * SLOT)?;
                self.used += 1;
                return Ok(true);
            }
            at = (at + 1) & (self.slots - 1);
        }
    }

    /// Moves everything into a table four times as large.
    fn grow(&mut self) -> io::Result<()> {
        let mut larger = Self::with_slots(4 * self.slots)?;
        larger.zero = self.zero;
        self.file.seek(SeekFrom::Start(0))?;
        let mut reader = io::BufReader::with_capacity(1 << 16, &self.file);
        let mut hash = EMPTY;
        for _ in 0..self.slots {
            reader.read_exact(&mut hash)?;
            if hash != EMPTY {
                larger.insert(Hash(hash))?;
            }
        }
        *self = larger;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn many_are_told_apart_in_memory_and_on_disk() {
        let mut seen = Seen::default();
        let count = 5 * IN_MEMORY as u64;
        for round in [true, false] {
            for i in 0..count {
                assert_eq!(
                    seen.insert(Hash::of([i.to_le_bytes()])).unwrap(),
                    round,
                    "{i}"
                );
            }
        }
        assert!(seen.few.is_empty() && seen.many.is_some_and(|t| t.used == count));
    }

    proptest! {
        /// Hashes that fall on the same slots, the empty one among them.
        #[test]
        fn a_table_is_a_set(of in prop::collection::vec(0u8..40, 0..200)) {
            let mut table = Table::with_slots(8).unwrap();
            let mut set = HashSet::new();
            for low in of {
                let mut hash = EMPTY;
                hash[0] = low % 4;
                hash[15] = low / 4;
                prop_assert_eq!(table.insert(Hash(hash)).unwrap(), set.insert(hash));
            }
        }
    }
}
