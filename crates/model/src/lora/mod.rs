//! Adapters: low-rank matrices beside the frozen ones of a base, in PEFT's own layout.
//!
//! An adapter means the same for every form of its base: its rows are in Hugging Face's order, and whoever loads it for
//! a GGUF base puts them in that file's order (`factors`).

mod factors;
mod options;
mod read;
mod report;
mod target;

pub use options::Lora;
pub use read::{CONFIG, WEIGHTS, read};
pub use report::{REPORT, report};
pub use target::Target;

pub(crate) use factors::{Factors, add, sums};

use crate::weights::Part;
use candle_core::Tensor;
use std::collections::BTreeMap;

/// A layer's number and one of its matrices.
pub type Place = (usize, Target);

/// An adapter as it was read.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// Its options.
    pub lora: Lora,
    /// A (`[rank, columns]`) and B (`[rows, rank]`) of each adapted matrix, in f32.
    pub matrices: BTreeMap<Place, [Tensor; 2]>,
    /// SHA-256 of the file with the matrices.
    pub sha256: String,
}

/// PEFT's names of A and B.
pub fn names((layer, target): Place) -> [String; 2] {
    let weight = Part::Layer(layer, target.part()).hf();
    let module = weight.strip_suffix(".weight").unwrap_or(&weight);
    ["A", "B"].map(|side| format!("base_model.model.{module}.lora_{side}.weight"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_peft() {
        assert_eq!(
            names((3, Target::Query))[0],
            "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight"
        );
        assert_eq!(
            names((0, Target::Down))[1],
            "base_model.model.model.layers.0.mlp.down_proj.lora_B.weight"
        );
        for target in Target::ALL {
            let short = target.module().strip_suffix("_proj").unwrap();
            assert_eq!(short.parse::<Target>().unwrap(), target);
            assert_eq!(target.module().parse::<Target>().unwrap(), target);
        }
        assert!("qkv".parse::<Target>().is_err());
    }
}
