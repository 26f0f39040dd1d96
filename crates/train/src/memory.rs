//! About how much memory a training takes, told before it begins: an operating system that runs out of it ends the program
//! without a word.

use crate::{frozen::Keep, given::Texts, plan::Plan};
use model::{base::Config, lora::Target};
use std::fs;

/// Bytes at the peak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The base's weights, and what no option makes smaller: an f32 copy of the largest matrix, where they are kept otherwise.
    pub base: u64,
    /// The adapter, its gradient and the optimiser's memory.
    pub adapter: u64,
    /// What is kept of a batch until its gradient is computed.
    pub batch: u64,
}

impl Memory {
    /// Estimates it for a base of so many tokens, whose head is a matrix of its own or not.
    pub fn estimate(
        config: &Config,
        (tokens, own_head): (usize, bool),
        plan: &Plan,
        texts: &Texts,
    ) -> Self {
        let sizes = |target: Target| {
            let (rows, columns) = target.shape(config);
            rows * columns
        };
        let layer: usize = Target::ALL.into_iter().map(sizes).sum();
        let table = tokens * config.width;
        let tables = if own_head { 2 * table } else { table };
        let kept = bytes(plan.keep, config.layers * layer) + bytes(plan.keep.plain(), tables);
        let copy = match plan.keep {
            Keep::F32 => 0,
            _ => 4 * table.max(Target::ALL.into_iter().map(sizes).max().unwrap_or(0)),
        };
        let pair = |target: &Target| {
            let (rows, columns) = target.shape(config);
            plan.lora.rank * (rows + columns)
        };
        let adapted: usize = plan.lora.targets.iter().map(pair).sum();
        Self {
            base: kept + copy as u64,
            // Weights, gradient, two moments, and a copy of one of them under way.
            adapter: (5 * 4 * config.layers * adapted) as u64,
            batch: batch(config, tokens, plan, texts),
        }
    }

    /// All of it.
    pub fn sum(self) -> u64 {
        self.base + self.adapter + self.batch
    }

    /// Refuses what would be ended by the system in the middle, and says what to change.
    pub fn too_much(self, available: Option<u64>) -> Option<String> {
        let available = available.filter(|available| self.sum() > *available)?;
        let gb = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
        Some(format!(
            "training needs about {} of memory and {} are free: {} for the base (--weights bf16, q8_0 or nf4), {} for the \
             adapter (--rank, --targets), {} for a batch (--checkpointing, --batch, --max-tokens); [train] of a spec has \
             the same options",
            gb(self.sum()),
            gb(available),
            gb(self.base),
            gb(self.adapter),
            gb(self.batch)
        ))
    }
}

/// The memory that is free for programs, in bytes, where the system tells.
pub fn available() -> Option<u64> {
    let told = fs::read_to_string("/proc/meminfo").ok()?;
    let line = told
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn bytes(keep: Keep, numbers: usize) -> u64 {
    let each = match keep {
        Keep::F32 => 4.0,
        Keep::Bf16 => 2.0,
        Keep::Q8_0 => 34.0 / 32.0,
        Keep::Nf4 => 0.52,
    };
    (numbers as f64 * each) as u64
}

/// What the longest batch keeps, on the processor in f32.
fn batch(c: &Config, tokens: usize, plan: &Plan, texts: &Texts) -> u64 {
    let all = texts.train.iter().chain(&texts.validation);
    let longest = all.map(|text| text.ids.len()).max().unwrap_or(0);
    let rows = plan.batch * longest;
    let (query, kv) = (c.heads.query_width(), c.heads.kv_width());
    // As `fused` keeps it: input and middle; queries and their mixture; keys and values; gates on both sides.
    let layer = rows * (2 * c.width + 2 * query + 2 * kv + 2 * c.inner);
    let kept = match plan.checkpointing {
        true => layer + c.layers * rows * c.width,
        false => c.layers * layer,
    };
    // Gradients under way through one layer, its probabilities among them; logits are there 128 rows at a time.
    let way = rows * (3 * c.inner + 4 * c.width + 2 * query + 3 * c.heads.query * longest);
    (4 * (kept + way + 2 * 128 * tokens)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Text;
    use model::{base::Base, lora::Lora};
    use std::path::Path;

    /// The tiny base's configuration, blown up to Llama-2-7B's sizes.
    fn seven_billion() -> Config {
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/tiny-plain");
        let mut config = Base::open(&tiny).unwrap().config().clone();
        (config.layers, config.width, config.inner) = (32, 4096, 11008);
        (config.heads.query, config.heads.kv, config.heads.dim) = (32, 32, 128);
        config
    }

    fn estimate(change: impl FnOnce(&mut Plan)) -> Memory {
        let text = Text {
            ids: vec![1; 512],
            prompt: 256,
        };
        let texts = Texts {
            train: vec![text],
            validation: Vec::new(),
        };
        let mut plan = Plan {
            lora: Lora::default(),
            ..Plan::default()
        };
        change(&mut plan);
        Memory::estimate(&seven_billion(), (32_000, true), &plan, &texts)
    }

    #[test]
    fn a_model_of_seven_billion_numbers_takes_what_it_is_known_to() {
        let gb = |bytes: u64| bytes as f64 / 1e9;
        // 6.74 billion numbers.
        assert!((gb(estimate(|_| ()).base) - 26.95).abs() < 0.05);
        let four_bits = estimate(|plan| plan.keep = Keep::Nf4);
        assert!((3.5..4.8).contains(&gb(four_bits.base)), "{four_bits:?}");
        // 84 million numbers learn.
        assert!((gb(four_bits.adapter) - 1.68).abs() < 0.01);
    }

    #[test]
    fn memory_that_is_not_there_is_told_with_what_to_change() {
        let needed = Memory {
            base: 30_000_000_000,
            adapter: 2_000_000_000,
            batch: 4_500_000_000,
        };
        assert_eq!(needed.too_much(Some(40_000_000_000)), None);
        assert_eq!(needed.too_much(None), None);
        let said = needed.too_much(Some(24_000_000_000)).unwrap();
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

    #[test]
    fn options_that_save_memory_do() {
        let plain = estimate(|_| ());
        let cut = estimate(|plan| plan.checkpointing = true);
        assert!(cut.batch * 4 < plain.batch, "{cut:?} {plain:?}");
        assert!(estimate(|plan| plan.batch = 1).batch < plain.batch / 3);
        assert!(estimate(|plan| plan.lora.rank = 8).adapter < plain.adapter / 9);
    }
}
