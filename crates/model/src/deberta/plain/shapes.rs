//! The name and shape of every weight, and weights to start from.

use super::super::config::Config;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// In [0, 1).
fn unit(draws: &mut ChaCha8Rng) -> f32 {
    (draws.next_u32() >> 8) as f32 / 16_777_216.0
}

/// Every weight's name and shape.
pub(super) fn shapes(config: &Config) -> Vec<(String, Vec<usize>)> {
    let (width, inner) = (config.width, config.inner);
    let mut out = vec![
        (
            "deberta.embeddings.word_embeddings.weight".to_owned(),
            vec![config.vocabulary, width],
        ),
        (
            "deberta.encoder.rel_embeddings.weight".to_owned(),
            vec![2 * config.positions.span, width],
        ),
    ];
    let mut both = |name: String, rows: usize, columns: Option<usize>| {
        let matrix = [Some(rows), columns].into_iter().flatten().collect();
        out.push((format!("{name}.weight"), matrix));
        out.push((format!("{name}.bias"), vec![rows]));
    };
    both("deberta.embeddings.LayerNorm".to_owned(), width, None);
    if config.norm_positions {
        both("deberta.encoder.LayerNorm".to_owned(), width, None);
    }
    for i in 0..config.layers {
        let name = |part: &str| format!("deberta.encoder.layer.{i}.{part}");
        for part in ["query", "key", "value"] {
            both(
                name(&format!("attention.self.{part}_proj")),
                width,
                Some(width),
            );
        }
        both(name("attention.output.dense"), width, Some(width));
        both(name("attention.output.LayerNorm"), width, None);
        both(name("intermediate.dense"), inner, Some(width));
        both(name("output.dense"), width, Some(inner));
        both(name("output.LayerNorm"), width, None);
    }
    both("pooler.dense".to_owned(), width, Some(width));
    both("classifier".to_owned(), 1, Some(width));
    if config.convolution > 0 {
        both("deberta.encoder.conv.LayerNorm".to_owned(), width, None);
        let weight = vec![width, width, config.convolution];
        out.push(("deberta.encoder.conv.conv.weight".to_owned(), weight));
        out.push(("deberta.encoder.conv.conv.bias".to_owned(), vec![width]));
    }
    out
}

/// Numbers to start from, drawn: norms are the identity, biases zero.
pub(super) fn start(name: &str, count: usize, draws: &mut ChaCha8Rng) -> Vec<f32> {
    match (name.contains("LayerNorm.weight"), name.ends_with("bias")) {
        (true, _) => vec![1.0; count],
        (_, true) => vec![0.0; count],
        // Uniform, with the standard deviation that the original draws with.
        _ => (0..count)
            .map(|_| (unit(draws) - 0.5) * 0.02 * 12f32.sqrt())
            .collect(),
    }
}
