use super::super::{config::tests::small, network::Network, train::pairwise_loss};
use super::*;
use std::collections::HashMap;

/// The configuration with something else in it.
fn config(change: impl Fn(&mut serde_json::Value)) -> Config {
    let mut json = small();
    change(&mut json);
    Config::read(&json, "config.json").unwrap()
}

/// A random network, with weights large enough that attention matters.
fn random(config: Config) -> Plain {
    let plain = Plain::new(config, 5).unwrap();
    for (name, var) in plain.weights() {
        let noise = Dropout::new(0.5, name.len() as u64)
            .apply(&Tensor::ones(var.shape(), DType::F32, &Device::Cpu).unwrap())
            .unwrap();
        let wider = if name.contains("LayerNorm") || name.ends_with("bias") {
            (var.as_tensor() + (noise * 0.1).unwrap()).unwrap()
        } else {
            (var.as_tensor() * 15.0).unwrap()
        };
        var.set(&wider).unwrap();
    }
    plain
}

/// Its weights, as a file has them.
fn with_weights<T>(plain: &Plain, read: impl Fn(&mut Weights) -> T) -> T {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("model.safetensors");
    let tensors: HashMap<&str, Tensor> = plain
        .weights()
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_tensor().clone()))
        .collect();
    candle_core::safetensors::save(&tensors, &file).unwrap();
    read(&mut Weights::open(&[file]).unwrap())
}

/// The same network in half precision, to be trained.
fn halved(plain: &Plain, dtype: DType) -> Plain {
    let half = |(name, var): (&String, &Var)| {
        let half = var.to_dtype(kept_in(name, dtype)).unwrap();
        (name.clone(), Var::from_tensor(&half).unwrap())
    };
    let trained = plain.weights().iter().map(half).collect();
    Plain::of(plain.config().clone(), trained, Device::Cpu)
}

fn texts() -> Vec<Vec<u32>> {
    [1usize, 3, 40, 64, 17]
        .iter()
        .map(|n| (0..*n as u32).map(|i| (i * i + 7 * i + 3) % 50).collect())
        .collect()
}

#[test]
fn it_gives_what_the_quick_network_gives_whatever_the_architecture() {
    let configs = [
        config(|_| ()),
        config(|c| c["conv_kernel_size"] = 3.into()),
        config(|c| c["norm_rel_ebd"] = "none".into()),
        config(|c| c["pos_att_type"] = "c2p".into()),
        config(|c| {
            c["conv_kernel_size"] = 5.into();
            c["num_hidden_layers"] = 1.into();
        }),
    ];
    let texts = texts();
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    for config in configs {
        let plain = random(config.clone());
        let quick = with_weights(&plain, |w| Network::load(config.clone(), w).unwrap());
        let quick = quick.forward(&texts).unwrap();
        let slow = plain.score(&texts).unwrap();
        assert!(
            quick.iter().any(|r| (r - quick[0]).abs() > 1e-3),
            "all alike: {quick:?}"
        );
        for (quick, slow) in quick.iter().zip(&slow) {
            assert!((quick - slow).abs() < 1e-5, "{config:?}: {quick} {slow}");
        }
    }
}

#[test]
fn half_precision_stays_near() {
    let config = config(|c| c["conv_kernel_size"] = 3.into());
    let texts = texts();
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let exact = random(config.clone());
    let want = exact.score(&texts).unwrap();
    for dtype in [DType::BF16, DType::F16] {
        let half = with_weights(&exact, |w| {
            Plain::load(config.clone(), w, (Device::Cpu, dtype)).unwrap()
        });
        let got = half.score(&texts).unwrap();
        assert_ne!(got, want, "{dtype:?} was not computed in");
        for (got, want) in got.iter().zip(&want) {
            assert!((got - want).abs() < 2e-2, "{dtype:?}: {got} {want}");
        }
    }
}

#[test]
fn what_can_not_be_scored_is_told() {
    let plain = random(config(|_| ()));
    let say = |text: &[u32]| plain.score(&[text]).unwrap_err().to_string();
    assert!(say(&[]).contains("without tokens"));
    assert!(say(&[1, 50]).contains("token 50 is outside the vocabulary of 50"));
    assert!(plain.score(&[]).unwrap().is_empty());
}

/// What lowers the first two texts' rewards beside the next two.
fn loss(plain: &Plain, texts: &[&[u32]]) -> Tensor {
    let rewards = plain.forward(texts, &mut Dropout::new(0.0, 1)).unwrap();
    let part = |at: usize| rewards.narrow(0, at, 2).unwrap();
    pairwise_loss(&part(0), &part(2)).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_dtype(DType::F32).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn half_precision_has_gradients_that_point_where_those_of_f32_do() {
    let exact = random(config(|c| c["conv_kernel_size"] = 3.into()));
    let texts = texts();
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let want = loss(&exact, &texts).backward().unwrap();
    for dtype in [DType::BF16, DType::F16] {
        let half = halved(&exact, dtype);
        let got = loss(&half, &texts).backward().unwrap();
        for (name, var) in half.weights() {
            let gradient = got.get(var.as_tensor());
            let gradient = numbers(gradient.unwrap_or_else(|| panic!("{name}: no gradient")));
            let want = numbers(want.get(exact.weights()[name].as_tensor()).unwrap());
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let (size, size_half) = (dot(&want, &want).sqrt(), dot(&gradient, &gradient).sqrt());
            // Where nothing is to be learnt (a bias that lifts both), there is only noise.
            if size > 1e-4 {
                let alike = dot(&want, &gradient) / (size * size_half);
                assert!(alike > 0.98, "{dtype:?} {name}: {alike}");
            }
        }
    }
}

#[test]
fn every_weight_has_the_gradient_that_differences_show() {
    let plain = random(config(|c| c["conv_kernel_size"] = 3.into()));
    let texts = texts();
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let loss = || loss(&plain, &texts);
    let gradients = loss().backward().unwrap();
    for (name, var) in plain.weights() {
        let gradient = gradients
            .get(var.as_tensor())
            .unwrap_or_else(|| panic!("{name} has no gradient"));
        let gradient = numbers(gradient);
        let place = (0..gradient.len())
            .max_by(|a, b| gradient[*a].abs().total_cmp(&gradient[*b].abs()))
            .unwrap();
        let original = var.as_tensor().copy().unwrap();
        let moved = |step: f32| {
            let mut values = numbers(&original);
            values[place] += step;
            var.set(&Tensor::from_vec(values, original.shape(), &Device::Cpu).unwrap())
                .unwrap();
            f64::from(loss().to_scalar::<f32>().unwrap())
        };
        let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        var.set(&original).unwrap();
        // The classifier's bias lifts chosen and rejected alike.
        let (got, bar) = (f64::from(gradient[place]), 2e-3 + 0.05 * slope.abs());
        assert!((slope - got).abs() < bar, "{name}: {slope} {got}");
    }
}
