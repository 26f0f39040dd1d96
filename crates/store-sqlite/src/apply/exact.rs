//! Numbers that survive a batch.
//!
//! SQLite reads a number in a text to about 15 digits, so a double that travels as text may come back with
//! another last bit. A double is an integer divided by a power of two, and integers travel exactly.

/// The largest shift that keeps `1 << shift` a positive 64-bit integer.
const SHIFT: u32 = 62;

/// `x` as `(m, a, b)` with `x = m / 2^a / 2^b`; `None` for what is too small, too large or no number. A
/// negative zero loses its sign, as it does in the database.
pub fn exact(x: f64) -> Option<(i64, u32, u32)> {
    let bits = x.to_bits();
    let exponent = i32::try_from((bits >> 52) & 0x7ff).ok()?;
    let fraction = i64::try_from(bits & ((1 << 52) - 1)).ok()?;
    if x == 0.0 {
        return Some((0, 0, 0));
    }
    if exponent == 0 || exponent == 0x7ff {
        return None;
    }
    // x = mantissa * 2^scale, with the trailing zeros moved to the scale.
    let mantissa = fraction | (1 << 52);
    let zeros = mantissa.trailing_zeros();
    let scale = exponent - 1075 + i32::try_from(zeros).ok()?;
    let mantissa = if x < 0.0 {
        -(mantissa >> zeros)
    } else {
        mantissa >> zeros
    };
    match u32::try_from(-scale) {
        Ok(shift) if shift <= 2 * SHIFT => {
            Some((mantissa, shift.min(SHIFT), shift.saturating_sub(SHIFT)))
        }
        Ok(_) => None,
        Err(_) => {
            // A whole number; up to 2^53 every step on the way to a double is exact.
            let whole = x.abs() <= 9_007_199_254_740_992.0;
            whole.then_some((x as i64, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn back((m, a, b): (i64, u32, u32)) -> f64 {
        m as f64 / (1i64 << a) as f64 / (1i64 << b) as f64
    }

    proptest! {
        #[test]
        fn it_comes_back_to_the_bit(x in any::<f64>()) {
            if let Some(parts) = exact(x) {
                prop_assert_eq!(back(parts).to_bits(), (x + 0.0).to_bits());
            }
        }

        #[test]
        fn grades_are_never_odd(x in prop_oneof![-1e6..1e6, -1e-9..1e-9, 0.0..1.0]) {
            let parts = exact(x);
            prop_assert!(parts.is_some() || x.abs() < 1e-21, "{:e}", x);
        }
    }

    #[test]
    fn what_cannot_travel_is_told() {
        for x in [f64::NAN, f64::INFINITY, 1e300, 5e-324, 1e-40] {
            assert_eq!(exact(x), None, "{x:e}");
        }
        assert_eq!(exact(-0.0), Some((0, 0, 0)));
        assert_eq!(exact(0.75), Some((3, 2, 0)));
        assert_eq!(exact(-6.0), Some((-6, 0, 0)));
    }
}
