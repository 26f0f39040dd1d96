//! What the model remembers of a text it has read: keys and values of each layer.
//!
//! A [`Sequence`] may stand on a frozen parent, so that texts with a common beginning keep (and read)
//! that beginning once.

use crate::kernels::LANES;
use std::sync::Arc;

/// One layer's keys and values for the tokens of one sequence.
///
/// Keys lie in blocks of [`LANES`] tokens, within a block by dimension and then by token, so that the
/// scores of a block are worked out side by side. Values lie token by token.
#[derive(Clone, Debug, Default)]
pub(crate) struct LayerCache {
    keys: Vec<f32>,
    values: Vec<f32>,
    len: usize,
}

impl LayerCache {
    /// Appends one token's key and value, each `[kv heads * head dim]`.
    pub(crate) fn push(&mut self, key: &[f32], value: &[f32]) {
        let (block, lane) = (self.len / LANES, self.len % LANES);
        if lane == 0 {
            self.keys.resize((block + 1) * LANES * key.len(), 0.0);
        }
        let target = &mut self.keys[block * LANES * key.len()..];
        for (dim, value) in key.iter().enumerate() {
            target[dim * LANES + lane] = *value;
        }
        self.values.extend_from_slice(value);
        self.len += 1;
    }

    /// How many tokens are remembered.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Blocks of keys, `[blocks, kv width, LANES]`.
    pub(crate) fn keys(&self) -> &[f32] {
        &self.keys
    }

    /// Values, `[len, kv width]`.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }
}

/// A text the model has read, perhaps continuing a common beginning.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    parent: Option<Arc<Sequence>>,
    layers: Vec<LayerCache>,
    start: usize,
    /// Whether the adapter takes part: a text is read with it from the beginning, or never.
    pub(crate) tuned: bool,
}

impl Sequence {
    /// An empty text for a model of `layers` layers, whose adapter takes part or not.
    pub(crate) fn new(layers: usize, tuned: bool) -> Self {
        Self {
            parent: None,
            layers: vec![LayerCache::default(); layers],
            start: 0,
            tuned,
        }
    }

    /// An empty continuation of `parent`.
    pub(crate) fn after(parent: &Arc<Sequence>) -> Self {
        let layers = vec![LayerCache::default(); parent.layers.len()];
        Self {
            start: parent.len(),
            tuned: parent.tuned,
            parent: Some(Arc::clone(parent)),
            layers,
        }
    }

    /// Tokens read, the parent's included: the position of the next token.
    pub(crate) fn len(&self) -> usize {
        self.start + self.layers.first().map_or(0, LayerCache::len)
    }

    /// Layer `layer` of this sequence, to be appended to.
    pub(crate) fn layer_mut(&mut self, layer: usize) -> &mut LayerCache {
        &mut self.layers[layer]
    }

    /// Layer `layer` of the whole text, first part first.
    pub(crate) fn chain(&self, layer: usize) -> Vec<&LayerCache> {
        let mut chain = self
            .parent
            .as_ref()
            .map_or_else(Vec::new, |p| p.chain(layer));
        if self.layers[layer].len() > 0 {
            chain.push(&self.layers[layer]);
        }
        chain
    }
}
