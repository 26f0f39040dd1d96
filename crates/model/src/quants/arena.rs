//! Where matrices lie once they are all there: in one piece of memory, for which the system is asked for large pages.
//! Writing reads all of it for each token, and looking up small pages takes a third of the time.

use memmap2::MmapMut;
use std::{
    ops::{Deref, Range},
    sync::Arc,
};

/// Bytes that do not change, alone or in a piece of memory with others.
pub(crate) enum Bytes {
    Alone(Vec<u8>),
    Together(Arc<MmapMut>, Range<usize>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Alone(bytes) => bytes,
            Self::Together(all, range) => &all[range.clone()],
        }
    }
}

/// Moves all bytes into one piece of memory; where the system gives none they stay.
pub(crate) fn together(mut all: Vec<&mut Bytes>) {
    let total = all.iter().map(|bytes| bytes.len()).sum();
    let Some(mut map) = large(total) else {
        return;
    };
    let (mut ranges, mut end) = (Vec::new(), 0);
    for bytes in &mut all {
        let range = end..end + bytes.len();
        end = range.end;
        map[range.clone()].copy_from_slice(bytes);
        // One after the other, so that no more than one matrix is there twice.
        **bytes = Bytes::Alone(Vec::new());
        ranges.push(range);
    }
    let map = Arc::new(map);
    for (bytes, range) in all.into_iter().zip(ranges) {
        *bytes = Bytes::Together(Arc::clone(&map), range);
    }
}

/// Memory in large pages, as far as the system has them.
fn large(size: usize) -> Option<MmapMut> {
    let map = MmapMut::map_anon(size).ok()?;
    #[cfg(target_os = "linux")]
    if let Err(error) = map.advise(memmap2::Advice::HugePage) {
        tracing::debug!(%error, "no large pages");
    }
    Some(map)
}
