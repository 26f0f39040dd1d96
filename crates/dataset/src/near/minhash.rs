//! Signatures whose share of equal bytes estimates the Jaccard similarity of two sets.

use super::shingles::mix;

/// Bytes in a signature: one a permutation.
pub const SIGNATURE: usize = 128;

/// The similarity from which two texts are near-duplicates.
pub const THRESHOLD: f64 = 0.8;

/// Bands of [`ROWS`] bytes: a pair of similarity 0.8 agrees in one of them with probability
/// 1 - (1 - 0.8^5)^25 > 0.9999, a pair of similarity 0.3 with 0.06.
pub(super) const BANDS: usize = 25;
const ROWS: usize = 5;

/// The low byte of the smallest permuted hash, for each permutation (b-bit minwise hashing,
/// Li and König 2010, with b = 8): an eighth of the memory of whole hashes for the same error.
pub(super) type Signature = [u8; SIGNATURE];

/// The signature of a set of hashes; the smallest permuted hash picks the same member from
/// equal sets, whatever the order.
pub(super) fn sign(shingles: impl Iterator<Item = u64>) -> Signature {
    let mut smallest = [u64::MAX; SIGNATURE];
    for shingle in shingles {
        for (least, (a, b)) in smallest.iter_mut().zip(PERMUTATIONS) {
            *least = (*least).min(shingle.wrapping_mul(a).wrapping_add(b).rotate_left(32));
        }
    }
    smallest.map(|least| mix(least) as u8)
}

/// An odd factor and a summand for each permutation of the 64-bit numbers.
const PERMUTATIONS: [(u64, u64); SIGNATURE] = {
    let mut out = [(0, 0); SIGNATURE];
    let mut i = 0;
    while i < SIGNATURE {
        out[i] = (mix(2 * i as u64) | 1, mix(2 * i as u64 + 1));
        i += 1;
    }
    out
};

/// What two signatures must share to be compared: the bytes of one band.
pub(super) fn band(signature: &Signature, band: usize) -> u64 {
    let start = band * ROWS;
    signature[start..start + ROWS]
        .iter()
        .fold(0, |key, byte| key << 8 | u64::from(*byte))
}

/// Whether the estimated similarity reaches the threshold.
pub(super) fn near(a: &Signature, b: &Signature) -> bool {
    estimate(a, b) >= THRESHOLD
}

/// The estimated Jaccard similarity: the share of equal bytes, less what chance makes equal.
pub(super) fn estimate(a: &Signature, b: &Signature) -> f64 {
    const CHANCE: f64 = 1.0 / 256.0;
    let equal = a.iter().zip(b).filter(|(a, b)| a == b).count();
    (equal as f64 / SIGNATURE as f64 - CHANCE) / (1.0 - CHANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_close_to_the_similarity() {
        // Sets of 200 that share a known part, many of them, so that the mean is sharp.
        for shared in [20_u64, 100, 160, 180, 200] {
            let jaccard = shared as f64 / (400 - shared) as f64;
            let (mut sum, trials) = (0.0, 60);
            for trial in 0..trials {
                let set = |from: u64| (from..from + 200).map(move |i| mix(i << 8 | trial));
                let estimate = estimate(&sign(set(0)), &sign(set(200 - shared)));
                assert!(
                    (estimate - jaccard).abs() < 0.25,
                    "{estimate} for {jaccard}"
                );
                sum += estimate;
            }
            let mean = sum / trials as f64;
            assert!((mean - jaccard).abs() < 0.02, "mean {mean} for {jaccard}");
        }
    }

    #[test]
    fn signatures_never_change() {
        // Splits of stored runs rest on these bytes.
        let signature = sign([1, 2, 3].into_iter());
        insta::assert_snapshot!(format!("{:?}", &signature[..8]), @"[106, 87, 95, 189, 155, 183, 255, 159]");
    }
}
