//! What the model remembers of a text it has read: keys and values of each layer.
//!
//! A [`Sequence`] may stand on frozen pieces, so that texts with a common beginning keep (and read) that beginning once.

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

    /// Appends what `other` remembers of its token `at`.
    fn push_of(&mut self, other: &Self, at: usize) {
        let width = other.values.len() / other.len;
        let (block, lane) = (at / LANES, at % LANES);
        let keys = &other.keys[block * LANES * width..][..LANES * width];
        let key: Vec<f32> = keys.iter().skip(lane).step_by(LANES).copied().collect();
        self.push(&key, &other.values[at * width..][..width]);
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

/// Keys and values of a run of tokens, in every layer.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    layers: Vec<LayerCache>,
}

impl Piece {
    fn new(layers: usize) -> Self {
        Self {
            layers: vec![LayerCache::default(); layers],
        }
    }

    /// How many tokens.
    pub(crate) fn len(&self) -> usize {
        self.layers.first().map_or(0, LayerCache::len)
    }

    /// Bytes of its keys and values.
    pub(crate) fn bytes(&self) -> usize {
        // Layers are alike.
        let of_layer = |l: &LayerCache| (l.keys.len() + l.values.len()) * size_of::<f32>();
        self.layers.len() * self.layers.first().map_or(0, of_layer)
    }

    /// A copy of the tokens before and of those from `at` on.
    pub(crate) fn cut(&self, at: usize) -> (Self, Self) {
        let (mut head, mut tail) = (Self::new(self.layers.len()), Self::new(self.layers.len()));
        for (i, layer) in self.layers.iter().enumerate() {
            (0..at).for_each(|token| head.layers[i].push_of(layer, token));
            (at..layer.len()).for_each(|token| tail.layers[i].push_of(layer, token));
        }
        (head, tail)
    }
}

/// The beginning of texts, not to be changed any more: pieces that stand one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    pub(crate) pieces: Vec<Arc<Piece>>,
    /// Whether the adapter took part: a text is read with it from the beginning, or never.
    pub(crate) tuned: bool,
}

impl Beginning {
    /// How many tokens.
    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }
}

/// A text the model has read, perhaps continuing a common beginning.
#[derive(Debug)]
pub(crate) struct Sequence {
    before: Beginning,
    /// Tokens in `before`.
    start: usize,
    own: Piece,
}

impl Sequence {
    /// An empty text for a model of `layers` layers, whose adapter takes part or not.
    pub(crate) fn new(layers: usize, tuned: bool) -> Self {
        let pieces = Vec::new();
        Self::after(Beginning { pieces, tuned }, layers)
    }

    /// An empty continuation.
    pub(crate) fn after(before: Beginning, layers: usize) -> Self {
        Self {
            start: before.len(),
            before,
            own: Piece::new(layers),
        }
    }

    /// The text as a beginning of others.
    pub(crate) fn freeze(self) -> Beginning {
        let mut beginning = self.before;
        if self.own.len() > 0 {
            beginning.pieces.push(Arc::new(self.own));
        }
        beginning
    }

    /// Whether the adapter takes part.
    pub(crate) fn tuned(&self) -> bool {
        self.before.tuned
    }

    /// Tokens read, the beginning's included: the position of the next token.
    pub(crate) fn len(&self) -> usize {
        self.start + self.own.len()
    }

    /// A copy of the tokens from `start` on.
    pub(crate) fn rest(&self, start: usize) -> Piece {
        let mut rest = Piece::new(self.own.layers.len());
        for (i, layer) in rest.layers.iter_mut().enumerate() {
            let mut from = start;
            for cache in self.chain(i) {
                (from.min(cache.len())..cache.len()).for_each(|token| layer.push_of(cache, token));
                from = from.saturating_sub(cache.len());
            }
        }
        rest
    }

    /// Layer `layer` of its own tokens, to be appended to.
    pub(crate) fn layer_mut(&mut self, layer: usize) -> &mut LayerCache {
        &mut self.own.layers[layer]
    }

    /// Layer `layer` of the whole text, first part first.
    pub(crate) fn chain(&self, layer: usize) -> Vec<&LayerCache> {
        let before = self.before.pieces.iter().map(|piece| &piece.layers[layer]);
        let own = Some(&self.own.layers[layer]).filter(|own| own.len() > 0);
        before.chain(own).collect()
    }
}
