//! How probable are given continuations? What they share is read once.

use crate::{
    block::Shared,
    cache::{Beginning, Sequence},
    chat::Turn,
    engine::Engine,
    error::{Error, Result},
    kernels::log_sum_exp,
    llama::Segment,
};
use rayon::prelude::*;

/// Continuations to be weighed.
#[derive(Clone, Debug)]
pub struct LoglikJob {
    /// The conversation so far; empty for bare text without a chat template.
    pub messages: Vec<Turn>,
    /// Text that starts the reply (or the bare text), common to all continuations.
    pub prefix: String,
    /// The texts, each as written. Tokenised apart from the prefix: spaces belong to their beginning.
    pub continuations: Vec<String>,
}

/// The log-likelihood of one continuation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighed {
    /// Sum of natural-log probabilities of its tokens; 0 for an empty text, which is certain.
    pub logprob: f64,
    /// How many tokens it has.
    pub tokens: usize,
}

/// The answer to a [`LoglikJob`].
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// One per continuation, in order.
    pub scores: Vec<Weighed>,
    /// Tokens read: the common text once, and every continuation.
    pub prompt_tokens: usize,
}

/// A job in tokens.
struct Text {
    index: usize,
    context: Vec<u32>,
    continuations: Vec<Vec<u32>>,
}

/// Token probabilities to look up: for row `row` of some hidden states, that `token` comes next.
struct Lookup {
    row: usize,
    token: u32,
    /// Which text of the batch and which of its continuations gets it.
    owner: (usize, usize),
}

/// Rows whose logits are in memory at once.
const HEAD_ROWS: usize = 128;

impl Engine {
    /// Weighs the continuations of each job, in order. A job that fails does not touch the others.
    pub fn loglik(&mut self, jobs: &[LoglikJob]) -> Vec<Result<Scored>> {
        let mut results: Vec<Option<Result<Scored>>> = vec![None; jobs.len()];
        let mut texts = Vec::new();
        for (index, job) in jobs.iter().enumerate() {
            match self.loglik_text(index, job) {
                Ok(text) => texts.push(text),
                Err(error) => results[index] = Some(Err(error)),
            }
        }
        if let Err(error) = self.weigh_all(&texts, &mut results) {
            for result in results.iter_mut().filter(|r| r.is_none()) {
                *result = Some(Err(error.clone()));
            }
        }
        let unanswered = || Err(Error::job("the model gave no score"));
        results
            .into_iter()
            .map(|r| r.unwrap_or_else(unanswered))
            .collect()
    }

    fn loglik_text(&self, index: usize, job: &LoglikJob) -> Result<Text> {
        let mut context = if job.messages.is_empty() {
            self.encode_bare(&job.prefix)?
        } else {
            let mut ids = self.encode_chat(&job.messages)?;
            ids.extend(self.tokeniser.encode_continuation(&job.prefix)?);
            ids
        };
        if context.is_empty() {
            let bos = self.tokeniser.bos.ok_or_else(|| {
                Error::job(
                    "with no text before it a continuation has no probability: give a prefix",
                )
            })?;
            context.push(bos);
        }
        let encode = |text: &String| self.tokeniser.encode_continuation(text);
        let continuations = job
            .continuations
            .iter()
            .map(encode)
            .collect::<Result<Vec<_>>>()?;
        let longest = continuations.iter().map(Vec::len).max().unwrap_or(0);
        let what = format!(
            "the text of {} tokens with a continuation of {longest}",
            context.len()
        );
        self.check_length(&what, context.len() + longest)?;
        continuations
            .iter()
            .chain([&context])
            .try_for_each(|ids| self.check_tokens(ids))?;
        Ok(Text {
            index,
            context,
            continuations,
        })
    }

    fn weigh_all(&self, texts: &[Text], results: &mut [Option<Result<Scored>>]) -> Result<()> {
        let contexts: Vec<&[u32]> = texts.iter().map(|t| t.context.as_slice()).collect();
        let shared = Shared::read(self, &contexts)?;
        let sizes: Vec<usize> = texts.iter().map(|t| t.context.len() - shared.len).collect();
        for range in batches(&sizes, self.options.read_tokens) {
            let batch = &texts[range];
            for (text, score) in batch.iter().zip(self.weigh(batch, &shared)?) {
                results[text.index] = Some(score);
            }
        }
        Ok(())
    }

    /// Weighs texts that fit one reading.
    fn weigh(&self, texts: &[Text], shared: &Shared) -> Result<Vec<Result<Scored>>> {
        let mut sums: Vec<Vec<f64>> = texts
            .iter()
            .map(|t| vec![0.0; t.continuations.len()])
            .collect();
        let mut sequences: Vec<Sequence> = texts.iter().map(|_| shared.sequence(self)).collect();
        let own = |text: &'_ Text| text.context.len() - shared.len;
        let mut segments: Vec<_> = sequences
            .iter_mut()
            .zip(texts)
            .map(|(sequence, text)| Segment {
                sequence,
                tokens: &text.context[shared.len..],
            })
            .collect();
        let hidden = self.forward(&mut segments)?;
        let (mut lookups, mut end) = (Vec::new(), 0);
        for (t, text) in texts.iter().enumerate() {
            end += own(text);
            for (c, continuation) in text.continuations.iter().enumerate() {
                let first = continuation.first();
                lookups.extend(first.map(|&token| Lookup {
                    row: end - 1,
                    token,
                    owner: (t, c),
                }));
            }
        }
        self.look_up(&hidden, &lookups, &mut sums)?;
        let read: Vec<_> = sequences.into_iter().map(Sequence::freeze).collect();
        self.weigh_rest(texts, &read, &mut sums)?;
        Ok(texts
            .iter()
            .zip(sums)
            .map(|(text, sums)| text.scored(sums))
            .collect())
    }

    /// Adds what follows the first token of each continuation.
    fn weigh_rest(&self, texts: &[Text], read: &[Beginning], sums: &mut [Vec<f64>]) -> Result<()> {
        let mut tails: Vec<((usize, usize), &[u32])> = Vec::new();
        for (t, text) in texts.iter().enumerate() {
            for (c, continuation) in text.continuations.iter().enumerate() {
                if continuation.len() > 1 {
                    tails.push(((t, c), continuation));
                }
            }
        }
        let sizes: Vec<usize> = tails.iter().map(|(_, tokens)| tokens.len() - 1).collect();
        for range in batches(&sizes, self.options.read_tokens) {
            let tails = &tails[range];
            let mut sequences: Vec<_> = tails
                .iter()
                .map(|((t, _), _)| self.network.after(read[*t].clone()))
                .collect();
            let (mut segments, mut lookups, mut row) = (Vec::new(), Vec::new(), 0);
            for (sequence, (owner, tokens)) in sequences.iter_mut().zip(tails) {
                segments.push(Segment {
                    sequence,
                    tokens: &tokens[..tokens.len() - 1],
                });
                for &token in &tokens[1..] {
                    lookups.push(Lookup {
                        row,
                        token,
                        owner: *owner,
                    });
                    row += 1;
                }
            }
            let hidden = self.forward(&mut segments)?;
            self.look_up(&hidden, &lookups, sums)?;
        }
        Ok(())
    }

    /// Adds the log-probability of each looked-up token to its owner's sum.
    fn look_up(&self, hidden: &[f32], lookups: &[Lookup], sums: &mut [Vec<f64>]) -> Result<()> {
        let mut rows: Vec<usize> = lookups.iter().map(|l| l.row).collect();
        rows.dedup();
        let mut rest = lookups;
        for rows in rows.chunks(HEAD_ROWS) {
            let logits = self
                .network
                .logits(&self.pick_rows(hidden, rows.iter().copied()))?;
            let logits: Vec<&[f32]> = logits.chunks(self.network.vocabulary()).collect();
            let totals: Vec<f64> = logits.par_iter().map(|row| log_sum_exp(row)).collect();
            let here = rest.partition_point(|l| Some(&l.row) <= rows.last());
            for lookup in &rest[..here] {
                let at = rows.partition_point(|row| *row < lookup.row);
                let (text, continuation) = lookup.owner;
                let logit = f64::from(logits[at][lookup.token as usize]);
                sums[text][continuation] += logit - totals[at];
            }
            rest = &rest[here..];
        }
        Ok(())
    }
}

impl Text {
    fn scored(&self, sums: Vec<f64>) -> Result<Scored> {
        if let Some(bad) = sums.iter().position(|sum| !sum.is_finite()) {
            let sum = sums[bad];
            return Err(Error::job(format!(
                "continuation {bad} has the log-likelihood {sum}"
            )));
        }
        let tokens = self.continuations.iter().map(Vec::len);
        let prompt_tokens = self.context.len() + tokens.clone().sum::<usize>();
        let scores = sums.into_iter().zip(tokens);
        let scores = scores
            .map(|(logprob, tokens)| Weighed { logprob, tokens })
            .collect();
        Ok(Scored {
            scores,
            prompt_tokens,
        })
    }
}

/// Cuts `sizes` into runs of at most `limit` together; a larger one stands alone.
fn batches(sizes: &[usize], limit: usize) -> Vec<std::ops::Range<usize>> {
    let (mut ranges, mut start, mut total) = (Vec::new(), 0, 0);
    for (i, size) in sizes.iter().enumerate() {
        if i > start && total + size > limit {
            ranges.push(start..i);
            (start, total) = (i, 0);
        }
        total += size;
    }
    if start < sizes.len() {
        ranges.push(start..sizes.len());
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn batches_cover_everything_once_within_the_limit(
            sizes in prop::collection::vec(0usize..50, 0..40), limit in 1usize..100,
        ) {
            let ranges = batches(&sizes, limit);
            let covered: Vec<usize> = ranges.iter().cloned().flatten().collect();
            prop_assert_eq!(covered, (0..sizes.len()).collect::<Vec<_>>());
            for range in ranges {
                let total: usize = sizes[range.clone()].iter().sum();
                prop_assert!(total <= limit || range.len() == 1);
            }
        }
    }
}
