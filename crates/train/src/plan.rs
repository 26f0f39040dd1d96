//! How an adapter is trained.

use crate::{
    error::{Error, Result},
    frozen::Keep,
    order::Order,
};
use model::lora::Lora;
use serde::{Deserialize, Serialize};

/// All options. The defaults are the reference recipe: two epochs at 2e-4 with 16 pairs a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The adapter.
    pub lora: Lora,
    /// How the base is kept in memory.
    pub keep: Keep,
    /// How often all pairs are read.
    pub epochs: usize,
    /// Pairs side by side.
    pub batch: usize,
    /// Batches whose gradients make one step.
    pub accumulate: usize,
    /// The highest learning rate.
    pub rate: f64,
    /// Share of the steps over which the rate rises; then it falls along a half cosine.
    pub warmup: f64,
    /// Weight decay.
    pub decay: f64,
    /// The largest norm of a step's gradient.
    pub clip: f64,
    /// Whether layers are computed twice to save memory.
    pub checkpointing: bool,
    /// The order of the pairs.
    pub order: Order,
    /// All draws derive from it.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            lora: Lora::default(),
            keep: Keep::default(),
            epochs: 2,
            batch: 4,
            accumulate: 4,
            rate: 2e-4,
            warmup: 0.1,
            decay: 0.0,
            clip: 1.0,
            checkpointing: false,
            order: Order::default(),
            seed: 1,
        }
    }
}

impl Plan {
    /// Whether the options can be followed.
    ///
    /// # Errors
    /// [`Error::Plan`] names the first that can not, and what would be right.
    pub fn check(&self) -> Result<()> {
        let lora = self.lora.check();
        lora.map_err(|e| Error::plan(e.to_string()))?;
        let counts = [
            ("epochs", self.epochs),
            ("batch", self.batch),
            ("accumulate", self.accumulate),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(Error::plan(format!("{name} is 0: give 1 or more")));
        }
        let positive = [("rate", self.rate), ("clip", self.clip)];
        let finite = |x: f64| x.is_finite() && x > 0.0;
        if let Some((name, x)) = positive.into_iter().find(|(_, x)| !finite(*x)) {
            return Err(Error::plan(format!("{name} is {x}: give a number above 0")));
        }
        if !(0.0..=1.0).contains(&self.warmup) {
            let found = self.warmup;
            return Err(Error::plan(format!(
                "warmup is {found}: give a share from 0 to 1"
            )));
        }
        if !(0.0..1.0).contains(&self.decay) {
            let found = self.decay;
            return Err(Error::plan(format!(
                "decay is {found}: give 0 or more, below 1"
            )));
        }
        Ok(())
    }

    /// Steps of one epoch of so many pairs, and of all epochs.
    pub fn steps(&self, pairs: usize) -> (usize, usize) {
        let per_epoch = pairs.div_ceil(self.batch).div_ceil(self.accumulate);
        (per_epoch, per_epoch * self.epochs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_round_up() {
        let plan = Plan {
            epochs: 3,
            batch: 4,
            accumulate: 2,
            ..Plan::default()
        };
        assert_eq!(plan.steps(16), (2, 6));
        assert_eq!(plan.steps(17), (3, 9));
        assert_eq!(plan.steps(1), (1, 3));
    }

    #[test]
    fn what_can_not_be_followed_is_named() {
        let of = |change: fn(&mut Plan)| {
            let mut plan = Plan::default();
            change(&mut plan);
            plan.check().map_err(|e| e.to_string())
        };
        assert_eq!(of(|_| ()), Ok(()));
        for (change, say) in [
            ((|p| p.batch = 0) as fn(&mut Plan), "batch is 0"),
            (|p| p.rate = f64::NAN, "rate is NaN"),
            (|p| p.clip = 0.0, "clip is 0"),
            (|p| p.warmup = 1.5, "warmup is 1.5"),
            (|p| p.decay = -0.1, "decay is -0.1"),
            (|p| p.lora.rank = 0, "rank"),
        ] {
            let said = of(change).unwrap_err();
            assert!(said.contains(say), "{said}");
        }
    }
}
