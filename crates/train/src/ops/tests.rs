//! Gradients against finite differences.

use super::*;
use candle_core::{Device, Var};

/// Numbers in [-1, 1] that follow from their place.
fn numbers_of(count: usize, seed: u32) -> Vec<f32> {
    let draw = |i: usize| (i as u32 + 1).wrapping_mul(2_654_435_761 ^ seed) >> 8;
    (0..count)
        .map(|i| draw(i) as f32 / (1u32 << 23) as f32 - 1.0)
        .collect()
}

/// The gradient of a weighted sum of `f` at every number of a random input, by difference and by `backward`.
fn compare(shape: &[usize], f: impl Fn(&Tensor) -> Result<Tensor>) {
    let count = shape.iter().product();
    let weights = |y: &Tensor| {
        Tensor::from_vec(numbers_of(y.elem_count(), 77), y.shape(), &Device::Cpu).unwrap()
    };
    let value = |x: &[f32]| {
        let y = f(&Tensor::from_slice(x, shape, &Device::Cpu).unwrap()).unwrap();
        let weighted = y.mul(&weights(&y)).unwrap();
        let all = weighted.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        all.into_iter().map(f64::from).sum::<f64>()
    };
    let start = numbers_of(count, 5);
    let var = Var::from_slice(&start, shape, &Device::Cpu).unwrap();
    let y = f(var.as_tensor()).unwrap();
    let sum = y.mul(&weights(&y)).unwrap().sum_all().unwrap();
    let gradients = sum.backward().unwrap();
    let gradient = gradients.get(var.as_tensor()).expect("a gradient");
    let gradient = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (i, got) in gradient.into_iter().enumerate() {
        let step = 1e-2;
        let moved = |by: f32| {
            let mut x = start.clone();
            x[i] += by;
            value(&x)
        };
        let want = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
        assert!((f64::from(got) - want).abs() < 2e-3, "{i}: {got} {want}");
    }
}

#[test]
fn norms() {
    let weight: std::sync::Arc<[f32]> = numbers_of(6, 9).into();
    compare(&[4, 6], |x| rms_norm(x, &weight, 1e-5));
    compare(&[4, 6], |x| plain::rms_norm(x, &weight, 1e-5));
}

#[test]
fn gates_on_both_sides() {
    let other = Tensor::from_vec(numbers_of(20, 8), (4, 5), &Device::Cpu).unwrap();
    compare(&[4, 5], |x| silu_mul(x, &other));
    compare(&[4, 5], |x| silu_mul(&other, x));
    compare(&[4, 5], |x| plain::silu_mul(x, &other));
    compare(&[4, 5], |x| plain::silu_mul(&other, x));
}

#[test]
fn rotations_of_two_texts() {
    let turns = Turns::new(&[1.0, 0.3], 3, &Device::Cpu).unwrap();
    compare(&[6, 8], |x| rotate(x, &turns));
    let there = turns.on(&Device::Cpu).unwrap();
    compare(&[6, 8], |x| plain::rotate(x, &there));
}

#[test]
fn probabilities_of_two_heads_that_share_keys() {
    let seen = Seen::new(2, 3, &Device::Cpu).unwrap();
    let hidden = plain::hidden(2, 3, &Device::Cpu).unwrap();
    compare(&[2, 6, 3], |x| causal_softmax(x, 0.7, &seen));
    compare(&[2, 6, 3], |x| plain::causal_softmax(x, 0.7, &hidden));
    let x = Tensor::zeros((1, 3, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
    let p = causal_softmax(&x, 1.0, &seen)
        .unwrap()
        .to_vec3::<f32>()
        .unwrap();
    assert_eq!(p[0][0], [1.0, 0.0, 0.0]);
    assert_eq!(p[0][1], [0.5, 0.5, 0.0]);
}

#[test]
fn what_is_dropped_follows_from_the_seed() {
    let dropout = |seed| Some(Dropout { share: 0.25, seed });
    compare(&[5, 7], |x| drop_some(x, dropout(3)));
    let ones = Tensor::ones((300, 100), candle_core::DType::F32, &Device::Cpu).unwrap();
    let of = |seed| {
        let dropped = drop_some(&ones, dropout(seed)).unwrap();
        dropped.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let (one, other) = (of(1), of(2));
    assert_eq!(one, of(1));
    assert_ne!(one, other);
    let kept = one.iter().filter(|x| **x > 0.0).count() as f64 / one.len() as f64;
    assert!((kept - 0.75).abs() < 0.02, "{kept}");
    assert!(
        one.iter()
            .all(|x| *x == 0.0 || (x - 4.0 / 3.0).abs() < 1e-6)
    );
}

/// On a device, steps are made of others: they must compute the same.
#[test]
fn plain_steps_are_the_fused_ones() {
    let tensor = |seed| Tensor::from_vec(numbers_of(48, seed), (6, 8), &Device::Cpu).unwrap();
    let (x, y) = (tensor(1), tensor(2));
    let weight: std::sync::Arc<[f32]> = numbers_of(8, 9).into();
    let turns = Turns::new(&[1.0, 0.3], 3, &Device::Cpu).unwrap();
    let there = turns.on(&Device::Cpu).unwrap();
    // A head's rows are whole texts.
    let scores = Tensor::from_vec(numbers_of(36, 1), (2, 6, 3), &Device::Cpu).unwrap();
    let seen = Seen::new(2, 3, &Device::Cpu).unwrap();
    let hidden = plain::hidden(2, 3, &Device::Cpu).unwrap();
    for (fused, plain) in [
        (
            rms_norm(&x, &weight, 1e-5),
            plain::rms_norm(&x, &weight, 1e-5),
        ),
        (silu_mul(&x, &y), plain::silu_mul(&x, &y)),
        (rotate(&x, &turns), plain::rotate(&x, &there)),
        (
            causal_softmax(&scores, 0.7, &seen),
            plain::causal_softmax(&scores, 0.7, &hidden),
        ),
    ] {
        let apart = (fused.unwrap() - plain.unwrap()).unwrap().abs().unwrap();
        let most = apart.max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(most < 1e-6, "{most}");
    }
}
