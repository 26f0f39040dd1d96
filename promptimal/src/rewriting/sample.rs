//! A rewriter at a glance: what its base made of some prompts before the training, and what it makes of them now.

use super::{How, Kept, Rewriter};
use model::{Draft, Writing};

/// A prompt before and after.
#[derive(Debug)]
pub struct Sample {
    /// What came in.
    pub original: String,
    /// What the base wrote without the adapter, whatever that is.
    pub untrained: String,
    /// What the rewriter makes of it.
    pub rewritten: Kept,
}

/// The likeliest words, and not many: it is a glance.
pub const GREEDY: How = How {
    temperature: 0.0,
    top_p: 1.0,
    candidates: 1,
    max_tokens: 160,
    seed: 1,
};

impl Rewriter {
    /// Has the base and the rewriter write side by side.
    ///
    /// # Errors
    /// When the model fails, or a prompt is longer than it reads.
    pub fn sample(&self, originals: &[String]) -> anyhow::Result<Vec<Sample>> {
        let mut texts = Vec::with_capacity(2 * originals.len());
        for original in originals {
            let trained = self.draft(original, 0)?;
            let untrained = Draft {
                plain: true,
                ..trained.clone()
            };
            texts.push(self.engine.begin(untrained)?);
            texts.push(self.engine.begin(trained)?);
        }
        self.write(&mut texts)?;
        let pairs = originals.iter().zip(texts.chunks_exact(2));
        pairs
            .map(|(original, pair)| self.shown(original, pair))
            .collect()
    }

    fn write(&self, texts: &mut [Writing]) -> anyhow::Result<()> {
        loop {
            let mut open: Vec<&mut Writing> =
                texts.iter_mut().filter(|t| t.end().is_none()).collect();
            if open.is_empty() {
                return Ok(());
            }
            self.engine.step(&mut open)?;
        }
    }

    fn shown(&self, original: &str, pair: &[Writing]) -> anyhow::Result<Sample> {
        Ok(Sample {
            original: original.to_owned(),
            untrained: self.engine.text(&pair[0])?,
            rewritten: self.judged(original, &pair[1]),
        })
    }
}
