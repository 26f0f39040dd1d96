//! Low-rank adaptation (Hu et al. 2022): W x + scale B A x, where only A and B learn.

use super::target::Target;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The adapter's options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lora {
    /// Rows of A and columns of B.
    pub rank: usize,
    /// B A counts alpha / rank.
    pub alpha: f64,
    /// Share of the adapter's inputs dropped while training.
    pub dropout: f64,
    /// alpha / sqrt(rank) instead, which keeps large ranks learning (Kalajdzievski 2023).
    pub rslora: bool,
    /// Which matrices have one.
    pub targets: BTreeSet<Target>,
}

impl Default for Lora {
    fn default() -> Self {
        Self {
            rank: 80,
            alpha: 16.0,
            dropout: 0.1,
            rslora: false,
            targets: BTreeSet::from([Target::Query, Target::Key, Target::Value, Target::Out]),
        }
    }
}

impl Lora {
    /// What B A counts.
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rslora { rank.sqrt() } else { rank }
    }

    /// Whether the options make sense.
    ///
    /// # Errors
    /// [`Error::Load`] names the first that does not, and what would be right.
    pub fn check(&self) -> Result<()> {
        let wrong = if self.rank == 0 {
            "a rank of 0 learns nothing: give 1 or more".to_owned()
        } else if !(self.alpha.is_finite() && self.alpha > 0.0) {
            format!("alpha is {}: give a number above 0", self.alpha)
        } else if !(0.0..1.0).contains(&self.dropout) {
            format!(
                "dropout is {}: give a share from 0 to below 1",
                self.dropout
            )
        } else if self.targets.is_empty() {
            "no matrix has an adapter: name some of q, k, v, o, gate, up, down".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::load(wrong))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_and_what_is_refused() {
        let mut lora = Lora::default();
        assert_eq!(lora.scale(), 0.2);
        lora.rslora = true;
        assert!((lora.scale() - 16.0 / 80f64.sqrt()).abs() < 1e-12);
        for (wrong, say) in [
            (
                Lora {
                    rank: 0,
                    ..Lora::default()
                },
                "rank",
            ),
            (
                Lora {
                    alpha: f64::NAN,
                    ..Lora::default()
                },
                "alpha",
            ),
            (
                Lora {
                    dropout: 1.0,
                    ..Lora::default()
                },
                "dropout",
            ),
            (
                Lora {
                    targets: BTreeSet::new(),
                    ..Lora::default()
                },
                "q, k, v",
            ),
        ] {
            let said = wrong.check().unwrap_err().to_string();
            assert!(said.contains(say), "{said}");
        }
    }
}
