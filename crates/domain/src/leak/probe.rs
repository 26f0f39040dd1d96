//! The probability probe's arithmetic.
//!
//! The caller asks a language model for the log-likelihood of the reference with the added words before it, and
//! without them. The same is done with references of other questions (mismatched), which shows how much any
//! added text moves any reference. A candidate whose own lift is above the 99th percentile of the mismatched
//! ones says something about its answer.

use super::{Leak, Rule};

/// Fewer mismatched lifts than this give no threshold: the probe then abstains.
pub const MIN_MISMATCHED: usize = 20;

/// From here on the 99th percentile is read off the sample; below, it is estimated (see [`threshold`]).
const EMPIRICAL: usize = 200;

/// How much the added words raise the log-likelihood of a reference, in nats per square root of its bytes: what
/// harmless words do to a text grows about so with its length. Per byte, references of a few bytes would set the
/// threshold for all, and none of a sentence could ever pass it. `with_added` and `without` are in nats; a reference
/// of no bytes has no lift.
pub fn lift(with_added: f64, without: f64, bytes: usize) -> f64 {
    if bytes == 0 {
        0.0
    } else {
        (with_added - without) / (bytes as f64).sqrt()
    }
}

/// The 99th percentile of lifts seen with mismatched questions.
///
/// From 200 lifts on: the empirical percentile, interpolated between order statistics. From
/// [`MIN_MISMATCHED`] to 199, where the empirical one is little more than the maximum: the larger of the maximum
/// and median + 2.326 robust standard deviations (1.4826 times the median absolute deviation), which errs on the
/// side of letting a rewrite pass. Below that, or without finite values: `None`. Values that are not
/// finite are left out.
pub fn threshold(mismatched_lifts: &[f64]) -> Option<f64> {
    let mut lifts: Vec<f64> = mismatched_lifts
        .iter()
        .copied()
        .filter(|l| l.is_finite())
        .collect();
    if lifts.len() < MIN_MISMATCHED {
        return None;
    }
    lifts.sort_by(f64::total_cmp);
    if lifts.len() >= EMPIRICAL {
        return Some(quantile(&lifts, 0.99));
    }
    let median = quantile(&lifts, 0.5);
    let mut away: Vec<f64> = lifts.iter().map(|l| (l - median).abs()).collect();
    away.sort_by(f64::total_cmp);
    let robust = median + 2.326 * 1.4826 * quantile(&away, 0.5);
    lifts.last().map(|max| max.max(robust))
}

/// Linear interpolation between order statistics; `sorted` is not empty.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let low = sorted[place.floor() as usize];
    let high = sorted[place.ceil() as usize];
    low + (high - low) * place.fract()
}

/// A leak if the lift is above the threshold; without a threshold, or with a lift that is not a number, the probe
/// abstains.
pub fn probe(lift: f64, threshold: Option<f64>) -> Option<Leak> {
    let threshold = threshold?;
    (lift > threshold).then(|| {
        let detail = format!("the added words lift the reference by {lift:.3} nats per root of its bytes, limit {threshold:.3}");
        Leak::new(Rule::Probability, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lift_is_per_root_of_bytes() {
        assert_eq!(lift(-10.0, -20.0, 25), 2.0);
        assert_eq!(lift(-10.0, -20.0, 0), 0.0);
    }

    #[test]
    fn small_samples_abstain_or_err_towards_passing() {
        assert_eq!(threshold(&[0.1; MIN_MISMATCHED - 1]), None);
        let lifts: Vec<f64> = (0..50).map(|i| f64::from(i) / 50.0).collect();
        assert!(threshold(&lifts).unwrap() >= 0.98);
        assert_eq!(threshold(&[f64::NAN; 500]), None);
    }

    #[test]
    fn large_samples_use_the_percentile() {
        let lifts: Vec<f64> = (0..=1000).map(f64::from).collect();
        assert_eq!(threshold(&lifts), Some(990.0));
    }

    #[test]
    fn only_what_is_above_is_a_leak() {
        assert!(probe(0.5, Some(0.5)).is_none());
        assert_eq!(probe(0.6, Some(0.5)).unwrap().rule, Rule::Probability);
        assert!(probe(9.0, None).is_none());
        assert!(probe(f64::NAN, Some(0.5)).is_none());
    }
}
