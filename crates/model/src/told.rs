//! How probable a token was, beside the likeliest.

use crate::kernels::log_sum_exp;

/// A token and how probable it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The token.
    pub token: u32,
    /// The natural logarithm of its probability, before temperature and nucleus.
    pub logprob: f64,
    /// The likeliest tokens in its place, the likeliest first, with the logarithms of theirs.
    pub likeliest: Vec<(u32, f64)>,
}

/// Tells of `token` by the logits of its place, beside the `count` likeliest.
pub(crate) fn tell(logits: &[f32], token: u32, count: usize) -> Told {
    let total = log_sum_exp(logits);
    let logprob = |logit: f32| f64::from(logit) - total;
    Told {
        token,
        logprob: logprob(logits[token as usize]),
        likeliest: likeliest(logits, count)
            .map(|(token, logit)| (token, logprob(logit)))
            .collect(),
    }
}

/// The `count` largest logits, the largest first; of equals the first.
fn likeliest(logits: &[f32], count: usize) -> impl Iterator<Item = (u32, f32)> {
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
    if count > 0 {
        for (token, logit) in (0..).zip(logits.iter().copied()) {
            if best.len() < count || best.last().is_some_and(|(_, least)| logit > *least) {
                let place = best.partition_point(|(_, other)| *other >= logit);
                best.insert(place, (token, logit));
                best.truncate(count);
            }
        }
    }
    best.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_the_softmax_and_the_likeliest_stand_in_order() {
        let logits = [0.5f32, 2.0, -1.0, 2.0, 1.0];
        let total: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
        let told = tell(&logits, 0, 3);
        assert!((told.logprob.exp() - 0.5f64.exp() / total).abs() < 1e-6);
        let tokens: Vec<u32> = told.likeliest.iter().map(|(token, _)| *token).collect();
        assert_eq!(tokens, [1, 3, 4]);
        assert!(told.likeliest[0].1 > told.likeliest[2].1);
        assert!(tell(&logits, 1, 0).likeliest.is_empty());
        assert_eq!(tell(&logits, 1, 9).likeliest.len(), 5);
    }
}
