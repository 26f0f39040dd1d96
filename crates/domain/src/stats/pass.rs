//! pass@k: the chance that of k answers at least one is right.

/// The unbiased estimate from `n` answers of which `right` are right (Chen et al. 2021, "Evaluating Large Language Models
/// Trained on Code"): 1 - C(n - right, k) / C(n, k). `None` where there are fewer answers than `k`, or `k` is 0.
pub fn pass_at(k: u64, n: u64, right: u64) -> Option<f64> {
    if k == 0 || k > n || right > n {
        return None;
    }
    if n - right < k {
        return Some(1.0);
    }
    let none: f64 = (n - right + 1..=n)
        .map(|i| 1.0 - k as f64 / i as f64)
        .product();
    Some(1.0 - none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_share_of_samples_with_a_right_one() {
        assert_eq!(pass_at(1, 10, 3).map(|p| (p * 1e9).round()), Some(3e8));
        // Of the 10 pairs of 5 answers, 3 have neither of the 2 right ones.
        assert!((pass_at(2, 5, 2).unwrap() - 0.7).abs() < 1e-12);
        assert_eq!((pass_at(4, 5, 2), pass_at(5, 5, 0)), (Some(1.0), Some(0.0)));
        assert_eq!(
            (pass_at(6, 5, 2), pass_at(0, 5, 2), pass_at(1, 0, 0)),
            (None, None, None)
        );
    }
}
