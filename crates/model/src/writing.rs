//! Texts in the making. Any number stand side by side, each of any length, and each may join or leave between two steps.
//!
//! A step reads what is pending in each text and writes at most one token in each. With weights in f32 a text gets the
//! same bits in any company: a row of a product depends on its own row of x alone.

use crate::{
    cache::Sequence,
    engine::Engine,
    error::{Error, Result},
    llama::Segment,
    sample::Sampler,
    told::{Told, tell},
};
use rayon::prelude::*;

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

    /// Whether the prompt was read.
    fn is_read(&self) -> bool {
        self.sequence.len() >= self.draft.prompt.len()
    }
}

/// A text's part in a step.
struct Share {
    /// Which text.
    at: usize,
    /// Its first row among the hidden states of the step.
    row: usize,
    tokens: usize,
    /// Where its first token stands in the text.
    place: usize,
    /// Whether nothing is pending after it.
    last: bool,
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

    /// One step of all texts that have not ended: each that is read gets one token more. What is still to be read is
    /// read up to [`crate::Options::read_tokens`] together, so that a long prompt does not keep the others waiting.
    ///
    /// # Errors
    /// When the model fails or was told to stop: then no text goes on.
    pub fn step(&self, texts: &mut [&mut Writing]) -> Result<()> {
        let shares = shares(texts, self.options.read_tokens.max(1));
        if shares.is_empty() {
            return Ok(());
        }
        let pending: Vec<Vec<u32>> = shares
            .iter()
            .map(|share| texts[share.at].pending()[..share.tokens].to_vec())
            .collect();
        let mut planned = shares.iter().peekable();
        let mut segments: Vec<Segment<'_>> = Vec::with_capacity(shares.len());
        for (at, text) in texts.iter_mut().enumerate() {
            if planned.next_if(|share| share.at == at).is_some() {
                segments.push(Segment {
                    tokens: &pending[segments.len()],
                    sequence: &mut text.sequence,
                });
            }
        }
        let hidden = self.forward(&mut segments)?;
        self.tell_prompts(texts, &shares, &hidden)?;
        self.advance_all(texts, &shares, &hidden)
    }

    /// Tells how probable the prompts' tokens were that this step read.
    fn tell_prompts(
        &self,
        texts: &mut [&mut Writing],
        shares: &[Share],
        hidden: &[f32],
    ) -> Result<()> {
        /// Rows whose logits are in memory at once.
        const ROWS: usize = 128;
        for share in shares {
            let text = &mut *texts[share.at];
            let rest = text.draft.prompt.len().saturating_sub(share.place + 1);
            if !text.draft.tell_prompt || rest == 0 {
                continue;
            }
            let places: Vec<usize> = (0..share.tokens.min(rest)).collect();
            for places in places.chunks(ROWS) {
                let rows = places.iter().map(|i| share.row + i);
                let logits = self.network.logits(&self.pick_rows(hidden, rows))?;
                let logits = logits.par_chunks(self.network.vocabulary());
                let (prompt, count) = (&text.draft.prompt, text.draft.tell.unwrap_or(0));
                let told = logits
                    .zip(places)
                    .map(|(logits, i)| tell(logits, prompt[share.place + i + 1], count));
                text.told_prompt.extend(told.collect::<Vec<_>>());
            }
        }
        Ok(())
    }

    /// Picks the next token of each text that was read to its end.
    fn advance_all(
        &self,
        texts: &mut [&mut Writing],
        shares: &[Share],
        hidden: &[f32],
    ) -> Result<()> {
        if !shares.iter().any(|share| share.last) {
            return Ok(());
        }
        let mut ready = shares.iter().filter(|share| share.last).peekable();
        let rows = shares.iter().filter(|share| share.last);
        let rows = rows.map(|share| share.row + share.tokens - 1);
        let logits = self.network.logits(&self.pick_rows(hidden, rows))?;
        let moving = texts.iter_mut().enumerate();
        let moving = moving.filter_map(|(at, text)| ready.next_if(|t| t.at == at).map(|_| text));
        let moving: Vec<&mut &mut Writing> = moving.collect();
        let logits = logits.par_chunks(self.network.vocabulary());
        moving
            .into_par_iter()
            .zip(logits)
            .for_each(|(text, logits)| text.end = self.advance(text, logits));
        Ok(())
    }

    /// Picks the text's next token; `Some` when that ends it.
    fn advance(&self, text: &mut Writing, logits: &[f32]) -> Option<Result<Finish>> {
        if text.draft.max_tokens == 0 {
            return Some(Ok(Finish::Length));
        }
        let Some(token) = text.sampler.pick(logits) else {
            return Some(Err(Error::job(format!(
                "the model computed a logit that is no number after {} tokens",
                text.sequence.len()
            ))));
        };
        if self.tokeniser.is_end(token) {
            text.end_tokens = 1;
            return Some(Ok(Finish::Stop));
        }
        text.written.push(token);
        if let Some(count) = text.draft.tell {
            text.told.push(tell(logits, token, count));
        }
        if !text.draft.stop.is_empty() {
            match self.tokeniser.decode(&text.written) {
                Ok(written) if first_stop(&written, &text.draft.stop).is_some() => {
                    return Some(Ok(Finish::Stop));
                }
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
        (text.written.len() >= text.draft.max_tokens).then_some(Ok(Finish::Length))
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

/// Who reads how much in a step: those that are being written one token, the others what `most` leaves.
fn shares(texts: &[&mut Writing], most: usize) -> Vec<Share> {
    let (mut left, mut row, mut shares) = (most, 0, Vec::new());
    for (at, text) in texts.iter().enumerate() {
        if text.end.is_some() {
            continue;
        }
        let pending = text.pending().len();
        let tokens = match text.is_read() {
            true => pending,
            false => pending.min(left),
        };
        if tokens == 0 {
            continue;
        }
        if !text.is_read() {
            left -= tokens;
        }
        shares.push(Share {
            at,
            row,
            tokens,
            place: text.sequence.len(),
            last: tokens == pending,
        });
        row += tokens;
    }
    shares
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
