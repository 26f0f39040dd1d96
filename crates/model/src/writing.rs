//! Texts in the making. Any number stand side by side, each of any length, and each may join or leave between two steps.
//!
//! A step reads what is pending in each text and writes at most one token in each. With weights in f32 or in blocks of
//! whole numbers a text gets the same bits in any company: a row of a product depends on its own row of x alone.

mod step;

use crate::{
    cache::Sequence,
    engine::Engine,
    error::{Error, Result},
    sample::Sampler,
    told::Told,
};

/// A text that is to be written on.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What is read first.
    pub prompt: Vec<u32>,
    /// Leave the adapter out, where the model has one.
    pub plain: bool,
    /// The most tokens that are written; 0 writes none, and needs [`Draft::tell_prompt`].
    pub max_tokens: usize,
    /// 0 is greedy.
    pub temperature: f64,
    /// Nucleus; 1 is off.
    pub top_p: f64,
    /// The text ends before any of these.
    pub stop: Vec<String>,
    /// Where the chance of a sampled text comes from.
    pub seed: u64,
    /// Tell of each written token how probable it was, beside so many of the likeliest.
    pub tell: Option<usize>,
    /// Tell the same of the prompt's tokens.
    pub tell_prompt: bool,
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it, or a stop text did.
    Stop,
    /// It reached its longest length.
    Length,
}

/// A text in the making.
pub struct Writing {
    draft: Draft,
    sequence: Sequence,
    /// How many tokens of the prompt others had read before.
    known: usize,
    sampler: Sampler,
    written: Vec<u32>,
    told_prompt: Vec<Told>,
    told: Vec<Told>,
    end: Option<Result<Finish>>,
    /// 1 where the model ended the text by a token of its own.
    end_tokens: usize,
}

impl Writing {
    /// What it began from.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// The tokens written so far, without the one that ended the text.
    pub fn written(&self) -> &[u32] {
        &self.written
    }

    /// How many tokens were written, the one that ended the text included.
    pub fn completion_tokens(&self) -> usize {
        self.written.len() + self.end_tokens
    }

    /// How probable the written tokens were, where the draft asks for it.
    pub fn told(&self) -> &[Told] {
        &self.told
    }

    /// How probable the prompt's tokens were from the second on, where the draft asks for it.
    pub fn told_prompt(&self) -> &[Told] {
        &self.told_prompt
    }

    /// How many tokens of its prompt were known and not read again.
    pub fn known(&self) -> usize {
        self.known
    }

    /// How it ended, once it has.
    pub fn end(&self) -> Option<&Result<Finish>> {
        self.end.as_ref()
    }

    /// What is to be read before the next token can be picked.
    fn pending(&self) -> &[u32] {
        match self.draft.prompt.get(self.sequence.len()..) {
            Some(rest) if !rest.is_empty() => rest,
            _ => &self.written[self.sequence.len() - self.draft.prompt.len()..],
        }
    }

    /// What it has read.
    pub(crate) fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    /// The prompt's tokens and those written.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = u32> {
        self.draft.prompt.iter().chain(&self.written).copied()
    }

    /// Whether the prompt was read.
    pub fn is_read(&self) -> bool {
        self.sequence.len() >= self.draft.prompt.len()
    }
}

impl Engine {
    /// Begins a text.
    ///
    /// # Errors
    /// When its prompt has nothing to read or is too long, or there is nothing to do.
    pub fn begin(&self, draft: Draft) -> Result<Writing> {
        let sequence = match draft.plain {
            true => self.network.plain_sequence(),
            false => self.network.sequence(),
        };
        self.begin_after(sequence, draft)
    }

    /// Begins a text whose beginning was read.
    pub(crate) fn begin_after(&self, sequence: Sequence, draft: Draft) -> Result<Writing> {
        self.check_draft(&draft)?;
        Ok(Writing {
            sampler: Sampler::new(draft.temperature, draft.top_p, draft.seed),
            known: sequence.len(),
            sequence,
            draft,
            written: Vec::new(),
            told_prompt: Vec::new(),
            told: Vec::new(),
            end: None,
            end_tokens: 0,
        })
    }

    pub(crate) fn check_draft(&self, draft: &Draft) -> Result<()> {
        let (read, written) = (draft.prompt.len(), draft.max_tokens);
        let what = format!("the prompt of {read} tokens with a reply of up to {written}");
        self.check_length(&what, read + written)?;
        self.check_tokens(&draft.prompt)?;
        if read == 0 || (written == 0 && !draft.tell_prompt) {
            return Err(Error::job("there is nothing to read or nothing to write"));
        }
        Ok(())
    }

    /// What was written so far, up to a stop text: more may follow, and the last character may be half there.
    ///
    /// # Errors
    /// When a token is not in the vocabulary.
    pub fn text(&self, text: &Writing) -> Result<String> {
        let mut written = self.tokeniser.decode(&text.written)?;
        if let Some(cut) = first_stop(&written, &text.draft.stop) {
            written.truncate(cut);
        }
        Ok(written)
    }
}

/// Where the first of the stop texts begins.
fn first_stop(text: &str, stops: &[String]) -> Option<usize> {
    stops
        .iter()
        .filter(|s| !s.is_empty())
        .filter_map(|s| text.find(s.as_str()))
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_stop_counts() {
        let stops = ["b".to_owned(), "ab".to_owned(), String::new()];
        assert_eq!(first_stop("xxab", &stops), Some(2));
        assert_eq!(first_stop("xyz", &stops), None);
    }
}
