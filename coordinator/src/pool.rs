//! References of other examples: the controls of `reference_loglik`.
//!
//! A rewrite can make *any* text more probable. What counts is how much more probable it makes the right
//! reference than it makes references of other examples.

use crate::{
    CoordinatorError,
    settings::{POOL, Settings},
};
use domain::{
    example::{Example, Split},
    grade::Grader,
    hash::Hash,
    ids::RunId,
};
use rand::{SeedableRng, seq::SliceRandom};
use std::collections::HashMap;
use store::{MemberPage, Store};

/// The references of the first examples of each dataset, by dataset.
#[derive(Clone, Debug, Default)]
pub struct Pools(HashMap<String, Vec<String>>);

impl Pools {
    /// Reads the pools of the datasets graded by `reference_loglik`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load(
        store: &dyn Store,
        run: RunId,
        settings: &Settings,
    ) -> Result<Self, CoordinatorError> {
        let mut pools = HashMap::new();
        for dataset in settings
            .datasets
            .iter()
            .filter(|d| d.grader == Grader::ReferenceLoglik)
        {
            let page = MemberPage {
                run,
                dataset: Some(dataset.name.clone()),
                split: Some(Split::Train),
                after: 0,
                limit: POOL as u32,
            };
            let members = store.members(&page).await?;
            let texts = members
                .iter()
                .filter_map(|(_, _, e)| e.reference_text().map(str::to_owned));
            pools.insert(dataset.name.clone(), texts.collect());
        }
        Ok(Self(pools))
    }

    /// `n` references of other examples, the same for every candidate of an example: they are controls only
    /// if original and rewrite meet the same ones.
    pub fn pick(&self, dataset: &str, example: &Example, n: usize) -> Vec<String> {
        let Some(pool) = self.0.get(dataset) else {
            return Vec::new();
        };
        let own = example.reference_text().unwrap_or_default();
        let mut others: Vec<&String> = pool.iter().filter(|t| t.as_str() != own).collect();
        others.dedup();
        let seed = Hash::of([&example.id().0[..], b"controls"]).seed();
        others.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed));
        others.into_iter().take(n).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::example::Reference;

    #[test]
    fn controls_are_others_and_stable() {
        let texts = ["a", "b", "c", "d"].map(String::from).to_vec();
        let pools = Pools([("d".to_owned(), texts)].into());
        let example = Example {
            input: "q".into(),
            context: None,
            choices: vec![],
            reference: Reference::Text { text: "b".into() },
            group: None,
        };
        let picked = pools.pick("d", &example, 2);
        assert_eq!(picked, pools.pick("d", &example, 2));
        assert_eq!(picked, pools.pick("d", &example, 3)[..2]);
        assert!(!pools.pick("d", &example, 9).contains(&"b".to_owned()));
        assert_eq!(pools.pick("d", &example, 9).len(), 3);
    }
}
