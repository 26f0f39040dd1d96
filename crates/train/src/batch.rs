//! Texts side by side: a rectangle of tokens, and which of them are to be said.

use crate::error::{Error, Result};
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// One example as tokens: the prompt, then what the model should say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// All tokens.
    pub ids: Vec<u32>,
    /// So many of them are the prompt, on which there is no loss.
    pub prompt: usize,
}

impl Text {
    /// How many tokens are learnt: those that follow another and are not the prompt's.
    pub fn learnt(&self) -> usize {
        self.ids.len().saturating_sub(self.prompt.max(1))
    }
}

/// Some texts, padded on the right: no token sees a later one, so padding changes nothing.
pub(crate) struct Batch {
    /// `[texts * longest]`
    pub(crate) ids: Tensor,
    /// How many texts.
    pub(crate) texts: usize,
    /// Tokens of the longest.
    pub(crate) longest: usize,
    /// The rows after which a token of a completion follows.
    pub(crate) rows: Tensor,
    /// These tokens.
    pub(crate) wanted: Vec<u32>,
}

impl Batch {
    pub(crate) fn new(texts: &[&Text]) -> Result<Self> {
        let longest = texts.iter().map(|t| t.ids.len()).max().unwrap_or(0);
        let (mut ids, mut rows, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
        for text in texts {
            let start = ids.len();
            ids.extend_from_slice(&text.ids);
            ids.resize(start + longest, 0);
            let learnt = text.prompt.max(1)..text.ids.len();
            rows.extend(learnt.clone().map(|i| (start + i - 1) as u32));
            wanted.extend_from_slice(&text.ids[learnt]);
        }
        if wanted.is_empty() {
            return Err(Error::data(
                "a batch has nothing to learn: all completions are empty",
            ));
        }
        Ok(Self {
            ids: Tensor::from_vec(ids, texts.len() * longest, &Device::Cpu)?,
            texts: texts.len(),
            longest,
            rows: Tensor::from_vec(rows, wanted.len(), &Device::Cpu)?,
            wanted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_before_what_is_learnt() {
        let texts = [(vec![5, 6, 7, 8, 9], 3), (vec![4, 3], 0)];
        let texts = texts.map(|(ids, prompt)| Text { ids, prompt });
        let batch = Batch::new(&texts.each_ref()).unwrap();
        assert_eq!((batch.texts, batch.longest), (2, 5));
        assert_eq!(
            batch.ids.to_vec1::<u32>().unwrap(),
            [5, 6, 7, 8, 9, 4, 3, 0, 0, 0]
        );
        assert_eq!(batch.rows.to_vec1::<u32>().unwrap(), [2, 3, 5]);
        assert_eq!(batch.wanted, [8, 9, 3]);
        assert_eq!(texts.iter().map(Text::learnt).sum::<usize>(), 3);
        let empty = Text {
            ids: vec![1, 2],
            prompt: 2,
        };
        assert!(Batch::new(&[&empty]).is_err());
    }
}
