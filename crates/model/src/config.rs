//! The shape of a LLaMA-architecture model, read from a GGUF header or a `config.json`.

use crate::{
    attention::Heads,
    error::{Error, Result},
    gguf::Header,
};
use serde_json::Value;

/// How pairs of dimensions are rotated by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairing {
    /// Dimension 2i with 2i + 1: how GGUF files of this architecture lay out queries and keys.
    Interleaved,
    /// Dimension i with i + half: Hugging Face's layout.
    Halves,
}

/// Everything about the architecture that is not a weight.
#[derive(Clone, Debug)]
pub struct Config {
    /// Layers.
    pub layers: usize,
    /// Width of the hidden state.
    pub width: usize,
    /// Attention heads.
    pub heads: Heads,
    /// Width of the feed-forward part.
    pub inner: usize,
    /// Added to the mean square in norms.
    pub eps: f32,
    /// The longest text, in tokens.
    pub context: usize,
    /// Angle per position of each rotated pair, `[head dim / 2]`.
    pub frequencies: Vec<f32>,
    /// Which dimensions rotate together.
    pub(crate) pairing: Pairing,
}

/// 1 / base^(2i / dim) for each pair i: the angles per position of RoPE (Su et al. 2021).
fn plain_frequencies(base: f32, dim: usize) -> Vec<f32> {
    (0..dim / 2)
        .map(|i| 1.0 / base.powf(2.0 * i as f32 / dim as f32))
        .collect()
}

impl Config {
    /// Reads the `llama.*` keys of a GGUF header. `factors` is the tensor `rope_freqs.weight`, if any.
    pub(crate) fn from_gguf(header: &Header, factors: Option<Vec<f32>>) -> Result<Self> {
        let architecture = header.text("general.architecture")?;
        if architecture != "llama" {
            return Err(Error::load(format!(
                "{}: the architecture is {architecture:?}, and only \"llama\" is supported",
                header.path.display()
            )));
        }
        let query = header.size("llama.attention.head_count")?;
        let kv = header
            .size("llama.attention.head_count_kv")
            .unwrap_or(query);
        let width = header.size("llama.embedding_length")?;
        let dim = header
            .size("llama.attention.key_length")
            .unwrap_or(width / query.max(1));
        let base = header.number("llama.rope.freq_base").unwrap_or(10_000.0) as f32;
        let mut frequencies = plain_frequencies(base, dim);
        scale_gguf(header, &mut frequencies, factors)?;
        let config = Self {
            layers: header.size("llama.block_count")?,
            width,
            heads: Heads { query, kv, dim },
            inner: header.size("llama.feed_forward_length")?,
            eps: header.number("llama.attention.layer_norm_rms_epsilon")? as f32,
            context: header.size("llama.context_length")?,
            frequencies,
            pairing: Pairing::Interleaved,
        };
        let rotated = header.size("llama.rope.dimension_count").unwrap_or(dim);
        if rotated != dim {
            return Err(header.unsupported("llama.rope.dimension_count", rotated, dim));
        }
        config.checked(&header.path.display().to_string())
    }

    /// Reads Hugging Face's `config.json`.
    pub(crate) fn from_hf(config: &Value, file: &str) -> Result<Self> {
        let kind = config["model_type"].as_str().unwrap_or("(none)");
        if kind != "llama" {
            return Err(Error::load(format!(
                "{file}: model_type is {kind:?}, and only \"llama\" is supported"
            )));
        }
        for key in ["attention_bias", "mlp_bias"] {
            if config[key].as_bool() == Some(true) {
                return Err(Error::load(format!(
                    "{file}: {key} = true is not supported"
                )));
            }
        }
        let activation = config["hidden_act"].as_str().unwrap_or("silu");
        if activation != "silu" {
            return Err(Error::load(format!(
                "{file}: hidden_act = {activation:?} is not \"silu\""
            )));
        }
        let size = |key: &str| {
            let missing = || Error::load(format!("{file}: {key} is missing or not a whole number"));
            config[key].as_u64().map(|v| v as usize).ok_or_else(missing)
        };
        let (query, width) = (size("num_attention_heads")?, size("hidden_size")?);
        let kv = size("num_key_value_heads").unwrap_or(query);
        let dim = size("head_dim").unwrap_or(width / query.max(1));
        let eps = config["rms_norm_eps"].as_f64().unwrap_or(1e-6) as f32;
        Self {
            layers: size("num_hidden_layers")?,
            width,
            heads: Heads { query, kv, dim },
            inner: size("intermediate_size")?,
            eps,
            context: size("max_position_embeddings")?,
            frequencies: hf_frequencies(config, dim, file)?,
            pairing: Pairing::Halves,
        }
        .checked(file)
    }

    /// Refuses shapes that can not be a model.
    fn checked(self, file: &str) -> Result<Self> {
        let Heads { query, kv, dim } = self.heads;
        let sizes = [
            self.layers,
            self.width,
            self.inner,
            self.context,
            query,
            kv,
            dim,
        ];
        if sizes.contains(&0) || !query.is_multiple_of(kv.max(1)) || !dim.is_multiple_of(2) {
            return Err(Error::load(format!(
                "{file}: no such model: {} layers, width {}, inner width {}, context {}, \
                 {query} heads over {kv} of {dim}",
                self.layers, self.width, self.inner, self.context
            )));
        }
        Ok(self)
    }
}

/// GGUF's rope scaling: linear by metadata, Llama 3's by a tensor of divisors.
fn scale_gguf(header: &Header, frequencies: &mut [f32], factors: Option<Vec<f32>>) -> Result<()> {
    if let Some(factors) = factors {
        if factors.len() != frequencies.len() {
            let (found, needed) = (factors.len(), frequencies.len());
            return Err(header.unsupported("rope_freqs.weight", found, needed));
        }
        frequencies
            .iter_mut()
            .zip(factors)
            .for_each(|(f, factor)| *f /= factor);
    }
    match header
        .text("llama.rope.scaling.type")
        .as_deref()
        .unwrap_or("none")
    {
        "none" => {}
        "linear" => {
            let factor = header.number("llama.rope.scaling.factor")? as f32;
            frequencies.iter_mut().for_each(|f| *f /= factor);
        }
        other => {
            return Err(header.unsupported("llama.rope.scaling.type", other, "none or linear"));
        }
    }
    Ok(())
}

/// RoPE frequencies of a `config.json`, whose scaling sits in `rope_scaling` or `rope_parameters`.
fn hf_frequencies(config: &Value, dim: usize, file: &str) -> Result<Vec<f32>> {
    let rope = [&config["rope_parameters"], &config["rope_scaling"]];
    let rope = rope
        .into_iter()
        .find(|v| v.is_object())
        .unwrap_or(&Value::Null);
    let base = config["rope_theta"]
        .as_f64()
        .or(rope["rope_theta"].as_f64())
        .unwrap_or(1e4);
    let mut frequencies = plain_frequencies(base as f32, dim);
    let kind = rope["rope_type"]
        .as_str()
        .or(rope["type"].as_str())
        .unwrap_or("default");
    let need = |key: &str| {
        let missing = || {
            Error::load(format!(
                "{file}: rope scaling {kind:?} needs the number {key}"
            ))
        };
        rope[key].as_f64().ok_or_else(missing)
    };
    match kind {
        "default" => {}
        "linear" => {
            let factor = need("factor")? as f32;
            frequencies.iter_mut().for_each(|f| *f /= factor);
        }
        "llama3" => {
            let (factor, low, high, old) = (
                need("factor")?,
                need("low_freq_factor")?,
                need("high_freq_factor")?,
                need("original_max_position_embeddings")?,
            );
            for f in &mut frequencies {
                *f = llama3(f64::from(*f), factor, (low, high), old) as f32;
            }
        }
        other => {
            return Err(Error::load(format!(
                "{file}: rope scaling {other:?} is not one of default, linear, llama3"
            )));
        }
    }
    Ok(frequencies)
}

/// Llama 3.1's scaling: long waves are slowed by `factor`, short ones kept, those between are blended.
fn llama3(frequency: f64, factor: f64, (low, high): (f64, f64), old_context: f64) -> f64 {
    let turns = old_context * frequency / std::f64::consts::TAU;
    let keep = ((turns - low) / (high - low)).clamp(0.0, 1.0);
    frequency * (keep + (1.0 - keep) / factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config() -> Value {
        json!({
            "model_type": "llama", "num_attention_heads": 4, "num_key_value_heads": 2,
            "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48,
            "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
        })
    }

    #[test]
    fn reads_a_config() {
        let c = Config::from_hf(&config(), "config.json").unwrap();
        assert_eq!((c.heads.query, c.heads.kv, c.heads.dim), (4, 2, 8));
        assert_eq!(c.frequencies[0], 1.0);
        assert!((c.frequencies[1] - 0.1).abs() < 1e-7);
    }

    #[test]
    fn names_what_it_can_not_run() {
        for (key, value, say) in [
            ("model_type", json!("gemma"), "gemma"),
            ("attention_bias", json!(true), "attention_bias"),
            ("hidden_act", json!("gelu"), "gelu"),
            ("hidden_size", json!("wide"), "hidden_size"),
            ("num_key_value_heads", json!(3), "4 heads over 3"),
            ("rope_scaling", json!({"rope_type": "yarn"}), "yarn"),
        ] {
            let mut c = config();
            c[key] = value;
            let error = Config::from_hf(&c, "config.json").unwrap_err().to_string();
            assert!(
                error.contains(say) && error.contains("config.json"),
                "{error}"
            );
        }
    }

    #[test]
    fn llama3_scaling_keeps_short_waves_and_slows_long_ones() {
        let of = |f| llama3(f, 8.0, (1.0, 4.0), 8192.0);
        assert_eq!(of(1.0), 1.0);
        assert_eq!(of(1e-6), 1e-6 / 8.0);
        let between = std::f64::consts::TAU * 2.5 / 8192.0;
        assert!((of(between) / between - (0.5 + 0.5 / 8.0)).abs() < 1e-12);
    }
}
