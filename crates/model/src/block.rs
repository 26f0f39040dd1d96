//! What the jobs of a block share: one reading of their common beginning.

use crate::{
    cache::{Beginning, Sequence},
    engine::Engine,
    error::Result,
    llama::Segment,
};

/// A common beginning shorter than this is not worth a reading of its own.
const WORTH: usize = 16;

/// How many tokens all texts begin with in common, leaving each at least one of its own.
fn common(texts: &[&[u32]]) -> usize {
    let Some((first, rest)) = texts.split_first() else {
        return 0;
    };
    let longest = texts
        .iter()
        .map(|t| t.len().saturating_sub(1))
        .min()
        .unwrap_or(0);
    let same = |i: &usize| rest.iter().all(|text| text[*i] == first[*i]);
    (0..longest).take_while(same).count()
}

/// The common beginning of a block, read once.
pub(crate) struct Shared {
    root: Option<Beginning>,
    /// How many tokens of each text are in it.
    pub(crate) len: usize,
}

impl Shared {
    /// Reads what `texts` begin with in common, if that is worth it.
    pub(crate) fn read(engine: &Engine, texts: &[&[u32]]) -> Result<Self> {
        let len = common(texts);
        if texts.len() < 2 || len < WORTH {
            return Ok(Self { root: None, len: 0 });
        }
        let mut sequence = engine.network.sequence();
        engine.read(&mut sequence, &texts[0][..len])?;
        Ok(Self {
            root: Some(sequence.freeze()),
            len,
        })
    }

    /// A text that has read the common beginning.
    pub(crate) fn sequence(&self, engine: &Engine) -> Sequence {
        match &self.root {
            Some(root) => engine.network.after(root.clone()),
            None => engine.network.sequence(),
        }
    }
}

impl Engine {
    /// Reads `tokens` piece by piece, for their keys and values only.
    fn read(&self, sequence: &mut Sequence, tokens: &[u32]) -> Result<()> {
        for tokens in tokens.chunks(self.options.read_tokens.max(1)) {
            self.forward(&mut [Segment { sequence, tokens }])?;
        }
        Ok(())
    }

    /// The hidden states (`[n, width]`) of the chosen rows.
    pub(crate) fn pick_rows(&self, hidden: &[f32], rows: impl Iterator<Item = usize>) -> Vec<f32> {
        let width = self.network.config().width;
        rows.flat_map(|row| &hidden[row * width..(row + 1) * width])
            .copied()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_beginning_leaves_each_text_a_token() {
        assert_eq!(common(&[]), 0);
        assert_eq!(common(&[&[1, 2, 3]]), 2);
        assert_eq!(common(&[&[1, 2, 3], &[1, 2, 4, 5]]), 2);
        assert_eq!(common(&[&[1, 2], &[1, 2, 4, 5]]), 1);
        assert_eq!(common(&[&[], &[1]]), 0);
    }
}
