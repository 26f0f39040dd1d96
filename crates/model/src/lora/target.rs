//! Which matrices of a layer can have an adapter, by every name that they go by.

use crate::{
    config::Config,
    error::{Error, Result},
    weights::LayerPart,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A matrix of each layer that can have an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// Queries.
    #[serde(rename = "q_proj")]
    Query,
    /// Keys.
    #[serde(rename = "k_proj")]
    Key,
    /// Values.
    #[serde(rename = "v_proj")]
    Value,
    /// From heads back to the hidden state.
    #[serde(rename = "o_proj")]
    Out,
    /// What opens and closes the inner state.
    #[serde(rename = "gate_proj")]
    Gate,
    /// To the inner state.
    #[serde(rename = "up_proj")]
    Up,
    /// From the inner state back.
    #[serde(rename = "down_proj")]
    Down,
}

impl Target {
    /// All of them, in the order of the network.
    pub const ALL: [Self; 7] = [
        Self::Query,
        Self::Key,
        Self::Value,
        Self::Out,
        Self::Gate,
        Self::Up,
        Self::Down,
    ];

    /// The module's name in transformers and PEFT.
    pub fn module(self) -> &'static str {
        match self {
            Self::Query => "q_proj",
            Self::Key => "k_proj",
            Self::Value => "v_proj",
            Self::Out => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }

    /// The part of a layer.
    pub fn part(self) -> LayerPart {
        match self {
            Self::Query => LayerPart::Query,
            Self::Key => LayerPart::Key,
            Self::Value => LayerPart::Value,
            Self::Out => LayerPart::AttentionOut,
            Self::Gate => LayerPart::Gate,
            Self::Up => LayerPart::Up,
            Self::Down => LayerPart::Down,
        }
    }

    /// Rows and columns of the matrix in a network of this shape.
    pub fn shape(self, c: &Config) -> (usize, usize) {
        let (query, kv) = (c.heads.query_width(), c.heads.kv_width());
        match self {
            Self::Query => (query, c.width),
            Self::Key | Self::Value => (kv, c.width),
            Self::Out => (c.width, query),
            Self::Gate | Self::Up => (c.inner, c.width),
            Self::Down => (c.width, c.inner),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.module())
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let short = name.strip_suffix("_proj").unwrap_or(name);
        let found = Self::ALL
            .into_iter()
            .find(|target| target.module().strip_suffix("_proj") == Some(short));
        found.ok_or_else(|| {
            Error::load(format!(
                "{name:?} is no matrix of a layer: it is one of q, k, v, o, gate, up, down"
            ))
        })
    }
}
