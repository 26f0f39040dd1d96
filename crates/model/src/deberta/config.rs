//! The shape of a DeBERTa-v2 or -v3 sequence classifier, read from `config.json`.

use crate::error::{Error, Result};
use serde_json::Value;

/// What a reward model is in Hugging Face's words.
const ARCHITECTURE: &str = "DebertaV2ForSequenceClassification";

/// Everything about the architecture that is not a weight.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    /// Tokens known.
    pub(crate) vocabulary: usize,
    /// Width of the hidden state.
    pub(crate) width: usize,
    /// Layers.
    pub(crate) layers: usize,
    /// Attention heads.
    pub(crate) heads: usize,
    /// Width of the feed-forward part.
    pub(crate) inner: usize,
    /// Added to the variance in norms.
    pub(crate) eps: f32,
    /// The longest text, in tokens.
    pub(crate) context: usize,
    /// Relative positions.
    pub(crate) positions: Positions,
    /// Whether the table of relative positions is normed.
    pub(crate) norm_positions: bool,
    /// Tokens that the convolution beside the first layer sees; 0 where there is none (all of v3).
    pub(crate) convolution: usize,
}

/// How distances between tokens become rows of the table of relative positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Positions {
    /// Rows of the table are `2 * span`.
    pub(crate) span: usize,
    /// Distances up to half of it have rows of their own, longer ones share; 0: all have their own.
    pub(crate) buckets: usize,
    /// The longest distance that is told from longer ones.
    pub(crate) longest: usize,
    /// Whether a query looks at positions.
    pub(crate) c2p: bool,
    /// Whether a key looks at positions.
    pub(crate) p2c: bool,
}

impl Positions {
    /// Distances of this size and smaller ones have a row of their own.
    pub(crate) fn linear(&self) -> usize {
        match self.buckets {
            0 => self.span - 1,
            buckets => buckets / 2,
        }
    }

    /// The rows of the table for the distances in a text of this length, from the farthest before to the farthest after.
    pub(crate) fn rows(&self, length: usize) -> Vec<usize> {
        let farthest = length as isize - 1;
        (-farthest..=farthest).map(|d| self.row(d)).collect()
    }

    /// The row of the table for a query that stands `distance` after the key.
    ///
    /// Computed in f32 in the order of the reference: a rounding the other way would be another row.
    pub(crate) fn row(&self, distance: isize) -> usize {
        let (span, mid) = (self.span as isize, self.buckets as isize / 2);
        let mut bucket = distance;
        if mid > 0 && distance.abs() > mid {
            let bound = ((self.longest as f32 - 1.0) / mid as f32).ln();
            let far = (distance.abs() as f32 / mid as f32).ln() / bound * (mid - 1) as f32;
            bucket = (far.ceil() as isize + mid) * distance.signum();
        }
        (bucket + span).clamp(0, 2 * span - 1) as usize
    }
}

impl Config {
    /// Reads `config.json`; `file` is its name for errors.
    pub(crate) fn read(json: &Value, file: &str) -> Result<Self> {
        let keys = Keys { json, file };
        keys.architecture()?;
        keys.outputs()?;
        keys.refuse_variants()?;
        let context = keys.size("max_position_embeddings")?;
        let config = Self {
            vocabulary: keys.size("vocab_size")?,
            width: keys.size("hidden_size")?,
            layers: keys.size("num_hidden_layers")?,
            heads: keys.size("num_attention_heads")?,
            inner: keys.size("intermediate_size")?,
            eps: json["layer_norm_eps"].as_f64().unwrap_or(1e-7) as f32,
            context,
            positions: keys.positions(context)?,
            norm_positions: keys.norm_positions()?,
            convolution: json["conv_kernel_size"].as_u64().unwrap_or(0) as usize,
        };
        config.checked(file)
    }

    fn checked(self, file: &str) -> Result<Self> {
        let wrong = |what: String| Err(Error::load(format!("{file}: {what}")));
        let sizes = [
            self.vocabulary,
            self.width,
            self.layers,
            self.heads,
            self.inner,
        ];
        if sizes.contains(&0) || self.context < 4 {
            return wrong("a size is 0, or max_position_embeddings is below 4".into());
        }
        if !self.width.is_multiple_of(self.heads) {
            let (width, heads) = (self.width, self.heads);
            return wrong(format!(
                "hidden_size {width} is not a multiple of num_attention_heads {heads}"
            ));
        }
        if self.convolution > 0 && self.convolution.is_multiple_of(2) {
            return wrong(format!("conv_kernel_size {} is even", self.convolution));
        }
        Ok(self)
    }
}

/// The file, asked for one key after the other.
struct Keys<'a> {
    json: &'a Value,
    file: &'a str,
}

impl Keys<'_> {
    fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::load(format!("{}: {what}", self.file))
    }

    fn size(&self, key: &str) -> Result<usize> {
        let value = self.json[key].as_u64().map(|v| v as usize);
        value.ok_or_else(|| self.wrong(format!("{key} is missing or not a whole number")))
    }

    fn architecture(&self) -> Result<()> {
        let kind = self.json["model_type"].as_str().unwrap_or("(none)");
        let named = self.json["architectures"][0].as_str();
        let named = named.unwrap_or(ARCHITECTURE);
        if kind != "deberta-v2" || named != ARCHITECTURE {
            return Err(self.wrong(format!(
                "model_type is {kind:?} and the architecture {named:?}; a reward model is \"deberta-v2\" (v2 and v3) \
                 and {ARCHITECTURE:?}"
            )));
        }
        Ok(())
    }

    /// One output: the reward.
    fn outputs(&self) -> Result<()> {
        let labels = self.json["id2label"].as_object().map(|labels| labels.len());
        let outputs = labels.or(self.json["num_labels"].as_u64().map(|n| n as usize));
        match outputs.unwrap_or(2) {
            1 => Ok(()),
            n => Err(self.wrong(format!(
                "the model has {n} outputs (id2label, num_labels; 2 where neither is told): a reward model has one"
            ))),
        }
    }

    /// Options of the architecture that no published v2 or v3 model uses.
    fn refuse_variants(&self) -> Result<()> {
        let json = self.json;
        let flags = [
            ("relative_attention", false, true),
            ("position_biased_input", true, false),
            ("share_att_key", false, true),
        ];
        for (key, default, needed) in flags {
            let found = json[key].as_bool().unwrap_or(default);
            if found != needed {
                return Err(self.wrong(format!("{key} is {found}; {needed} is needed")));
            }
        }
        for key in ["hidden_act", "pooler_hidden_act", "conv_act"] {
            // conv_act without a convolution says nothing.
            let idle = key == "conv_act" && json["conv_kernel_size"].as_u64().unwrap_or(0) == 0;
            let found = json[key].as_str().unwrap_or("gelu");
            if found != "gelu" && !idle {
                return Err(self.wrong(format!("{key} is {found:?}; \"gelu\" is needed")));
            }
        }
        let zero = [("type_vocab_size", 0), ("conv_groups", 1)];
        for (key, needed) in zero {
            let found = json[key].as_u64().unwrap_or(needed);
            if found != needed {
                return Err(self.wrong(format!("{key} is {found}; {needed} is needed")));
            }
        }
        let width = self.size("hidden_size")?;
        for key in ["embedding_size", "pooler_hidden_size"] {
            let found = json[key].as_u64().map_or(width, |v| v as usize);
            if found != width {
                return Err(self.wrong(format!(
                    "{key} is {found}, and hidden_size {width}: they must be equal"
                )));
            }
        }
        Ok(())
    }

    fn positions(&self, context: usize) -> Result<Positions> {
        let positive = |key: &str| {
            self.json[key]
                .as_i64()
                .filter(|v| *v > 0)
                .map(|v| v as usize)
        };
        let longest = positive("max_relative_positions").unwrap_or(context);
        let buckets = positive("position_buckets").unwrap_or(0);
        let kinds: Vec<String> = match &self.json["pos_att_type"] {
            Value::String(kinds) => kinds.split('|').map(|k| k.trim().to_owned()).collect(),
            Value::Array(kinds) => kinds
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        };
        if let Some(other) = kinds.iter().find(|k| *k != "c2p" && *k != "p2c") {
            return Err(self.wrong(format!("pos_att_type has {other:?}; c2p and p2c are known")));
        }
        if buckets % 2 == 1 || longest < 2 || (buckets > 0 && longest - 1 <= buckets / 2) {
            return Err(self.wrong(format!(
                "position_buckets {buckets} and max_relative_positions {longest} do not fit each other"
            )));
        }
        Ok(Positions {
            span: if buckets > 0 { buckets } else { longest },
            buckets,
            longest,
            c2p: kinds.iter().any(|k| k == "c2p"),
            p2c: kinds.iter().any(|k| k == "p2c"),
        })
    }

    fn norm_positions(&self) -> Result<bool> {
        let found = self.json["norm_rel_ebd"].as_str().unwrap_or("none");
        match found {
            "layer_norm" => Ok(true),
            "none" => Ok(false),
            other => Err(self.wrong(format!(
                "norm_rel_ebd is {other:?}; layer_norm and none are known"
            ))),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A small configuration that is right.
    pub(crate) fn small() -> Value {
        json!({
            "model_type": "deberta-v2", "architectures": [ARCHITECTURE], "id2label": {"0": "LABEL_0"},
            "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 24, "max_position_embeddings": 64, "type_vocab_size": 0, "layer_norm_eps": 1e-7,
            "relative_attention": true, "max_relative_positions": -1, "position_buckets": 16,
            "norm_rel_ebd": "layer_norm", "share_att_key": true, "pos_att_type": "p2c|c2p",
            "position_biased_input": false, "hidden_act": "gelu",
        })
    }

    fn refusal(key: &str, value: Value) -> String {
        let mut json = small();
        json[key] = value;
        Config::read(&json, "config.json").unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_reward_model_is_told_with_what_is_needed() {
        assert!(Config::read(&small(), "config.json").is_ok());
        let say = refusal("model_type", json!("bert"));
        assert!(
            say.contains("\"bert\"") && say.contains("deberta-v2"),
            "{say}"
        );
        let say = refusal("architectures", json!(["DebertaV2Model"]));
        assert!(
            say.contains("\"DebertaV2Model\"") && say.contains(ARCHITECTURE),
            "{say}"
        );
        let say = refusal("id2label", json!({"0": "bad", "1": "good"}));
        assert!(
            say.contains("2 outputs") && say.contains("has one"),
            "{say}"
        );
        let say = refusal("hidden_act", json!("relu"));
        assert!(
            say.contains("hidden_act") && say.contains("\"relu\""),
            "{say}"
        );
        let say = refusal("share_att_key", json!(false));
        assert!(say.contains("share_att_key is false"), "{say}");
        let say = refusal("num_attention_heads", json!(3));
        assert!(say.contains("16") && say.contains('3'), "{say}");
        let say = refusal("vocab_size", json!("many"));
        assert!(say.contains("vocab_size is missing"), "{say}");
    }

    #[test]
    fn near_distances_have_rows_of_their_own_and_far_ones_share() {
        let positions = Config::read(&small(), "config.json").unwrap().positions;
        let rows: Vec<_> = (-63..=63).map(|d| positions.row(d)).collect();
        assert!(rows.is_sorted());
        assert_eq!(positions.linear(), 8);
        assert_eq!(
            (positions.row(0), positions.row(8), positions.row(-8)),
            (16, 24, 8)
        );
        assert_eq!((positions.row(63), positions.row(-63)), (31, 1));
        assert_eq!(positions.row(500), 31);
    }
}
