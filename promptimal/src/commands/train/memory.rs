//! Whether there is enough memory, before an hour is spent on finding out.

use std::fs;
use train::Memory;

/// The memory that is free for programs, in bytes, where the system tells.
pub fn available() -> Option<u64> {
    let told = fs::read_to_string("/proc/meminfo").ok()?;
    let line = told
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Refuses what would be ended by the system in the middle, and says what to change.
pub fn too_much(needed: Memory, available: Option<u64>) -> Option<String> {
    let available = available.filter(|available| needed.sum() > *available)?;
    let gb = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    Some(format!(
        "training needs about {} of memory and {} are free: {} for the base (--weights bf16, q8_0 or nf4), {} for the \
         adapter (--rank, --targets), {} for a batch (--checkpointing, --batch, --max-tokens)",
        gb(needed.sum()),
        gb(available),
        gb(needed.base),
        gb(needed.adapter),
        gb(needed.batch)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_there_is_told_with_what_to_change() {
        let needed = Memory {
            base: 30_000_000_000,
            adapter: 2_000_000_000,
            batch: 4_500_000_000,
        };
        assert_eq!(too_much(needed, Some(40_000_000_000)), None);
        assert_eq!(too_much(needed, None), None);
        let said = too_much(needed, Some(24_000_000_000)).unwrap();
        for part in [
            "36.5 GB",
            "24.0 GB are free",
            "nf4",
            "--checkpointing",
            "--rank",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
