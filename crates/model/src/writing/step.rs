//! One step of a running batch: who reads what, and the next token of each.

use super::{Finish, Writing, first_stop};
use crate::{
    engine::Engine,
    error::{Error, Result},
    llama::Segment,
    told::tell,
};
use rayon::prelude::*;

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
