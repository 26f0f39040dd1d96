//! The layer as one step against the layer as a graph.

use crate::{Adapter, Keep, Lora, Network, Target, Text, batch::Batch, network::Pass};
use candle_core::{Device, Tensor, Var};
use model::base::Base;
use std::path::Path;

/// Numbers around 0 that follow from their place.
fn numbers(shape: &[usize], size: f32, salt: usize) -> Tensor {
    let count = shape.iter().product();
    let one = |i: usize| (((i * 7919 + salt * 131) % 2003) as f32 / 1000.0 - 1.0) * size;
    let all: Vec<f32> = (0..count).map(one).collect();
    Tensor::from_vec(all, shape, &Device::Cpu).unwrap()
}

fn network() -> Network {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/tiny-plain");
    Network::load(&mut Base::open(&tiny).unwrap(), Keep::F32).unwrap()
}

/// An adapter of which no matrix is zero.
fn adapter(network: &Network, targets: &[Target]) -> Adapter {
    let lora = Lora {
        rank: 3,
        dropout: 0.3,
        targets: targets.iter().copied().collect(),
        ..Lora::default()
    };
    let adapter = Adapter::new(lora, network.config(), 1).unwrap();
    for (salt, (_, var)) in adapter.tensors().enumerate() {
        var.set(&numbers(var.dims(), 0.3, salt)).unwrap();
    }
    adapter
}

fn apart(a: &Tensor, b: &Tensor) -> f32 {
    let difference = (a - b).unwrap().abs().unwrap();
    difference.max_all().unwrap().to_scalar().unwrap()
}

/// The result of a layer, the gradient of its input, and those of its adapters.
fn both_ways(network: &Network, pass: &Pass, x: &Var, fused: bool) -> Vec<Tensor> {
    let y = match fused {
        true => network.run(1..2, x.as_tensor(), pass).unwrap(),
        false => network.layer(1, x.as_tensor(), pass).unwrap(),
    };
    let weighed = y.mul(&numbers(y.dims(), 1.0, 5)).unwrap();
    let found = weighed.sum_all().unwrap().backward().unwrap();
    let vars = pass.adapter.tensors().map(|(_, var)| var);
    let gradients = std::iter::once(x)
        .chain(vars)
        .filter_map(|var| found.get(var.as_tensor()));
    std::iter::once(y.clone())
        .chain(gradients.cloned())
        .collect()
}

#[test]
fn one_step_is_the_graph_of_many() {
    let network = network();
    let text = |count: u32| Text {
        ids: (0..count).map(|i| i * i % 200).collect(),
        prompt: 1,
    };
    let texts = [text(9), text(7)];
    let batch = Batch::new(&texts.each_ref()).unwrap();
    let few = [Target::Query, Target::Down];
    for (targets, seed) in [
        (&Target::ALL[..], None),
        (&Target::ALL, Some(3)),
        (&few, Some(4)),
    ] {
        let adapter = adapter(&network, targets);
        let pass = Pass::new(&network, &batch, &adapter, seed).unwrap();
        let x = Var::from_tensor(&numbers(&[18, network.config().width], 1.0, 9)).unwrap();
        let (fused, graph) = (
            both_ways(&network, &pass, &x, true),
            both_ways(&network, &pass, &x, false),
        );
        assert_eq!(fused.len(), 2 + 2 * targets.len());
        assert_eq!(fused.len(), graph.len());
        for (nth, (a, b)) in fused.iter().zip(&graph).enumerate() {
            let off = apart(a, b);
            assert!(off < 1e-4, "{targets:?} {seed:?}, number {nth}: {off}");
        }
    }
}
