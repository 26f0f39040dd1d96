//! Writing replies: the texts of a block are read and written side by side.
//!
//! A text that is finished makes room for the next one. Which texts stand side by side depends on the
//! block alone, so the same block gives the same bits.

use crate::{
    block::Shared,
    cache::Sequence,
    chat::Turn,
    engine::Engine,
    error::{Error, Result},
    llama::Segment,
    sample::Sampler,
};
use rayon::prelude::*;
use std::collections::VecDeque;

/// A reply to be written.
#[derive(Clone, Debug)]
pub struct GenerateJob {
    /// The conversation so far.
    pub messages: Vec<Turn>,
    /// The longest reply, in tokens.
    pub max_tokens: usize,
    /// 0 is greedy.
    pub temperature: f64,
    /// Nucleus; 1 is off.
    pub top_p: f64,
    /// The reply ends before any of these texts.
    pub stop: Vec<String>,
    /// Where the chance of a sampled reply comes from.
    pub seed: u64,
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it, or a stop text did.
    Stop,
    /// It reached its longest length.
    Length,
}

/// A written reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// What was written, without special tokens.
    pub text: String,
    /// Tokens read.
    pub prompt_tokens: usize,
    /// Tokens written, the one that ended the reply included.
    pub completion_tokens: usize,
    /// Why it ended.
    pub finish: Finish,
}

/// A reply in the making.
struct Row<'a> {
    index: usize,
    job: &'a GenerateJob,
    prompt_tokens: usize,
    sequence: Sequence,
    /// What to read before the next token is picked.
    pending: Vec<u32>,
    written: Vec<u32>,
    sampler: Sampler,
}

impl Engine {
    /// Writes one reply per job, in order. A job that fails does not touch the others.
    pub fn generate(&mut self, jobs: &[GenerateJob]) -> Vec<Result<Generated>> {
        let prompts: Vec<_> = jobs.iter().map(|job| self.prompt(job)).collect();
        let mut results: Vec<Option<Result<Generated>>> = vec![None; jobs.len()];
        let mut ready = Vec::new();
        for (index, prompt) in prompts.into_iter().enumerate() {
            match prompt {
                Ok(prompt) => ready.push((index, prompt)),
                Err(error) => results[index] = Some(Err(error)),
            }
        }
        if let Err(error) = self.write_all(jobs, ready, &mut results) {
            for result in results.iter_mut().filter(|r| r.is_none()) {
                *result = Some(Err(error.clone()));
            }
        }
        let unanswered = || Err(Error::job("the model gave no reply"));
        results
            .into_iter()
            .map(|r| r.unwrap_or_else(unanswered))
            .collect()
    }

    /// The tokens of a job's conversation, if its reply has room after them.
    fn prompt(&self, job: &GenerateJob) -> Result<Vec<u32>> {
        let prompt = self.encode_chat(&job.messages)?;
        let (read, written) = (prompt.len(), job.max_tokens);
        let what = format!("the prompt of {read} tokens with a reply of up to {written}");
        self.check_length(&what, read + written)?;
        self.check_tokens(&prompt)?;
        if prompt.is_empty() || job.max_tokens == 0 {
            return Err(Error::job("there is nothing to read or nothing to write"));
        }
        Ok(prompt)
    }

    fn write_all(
        &self,
        jobs: &[GenerateJob],
        prompts: Vec<(usize, Vec<u32>)>,
        results: &mut [Option<Result<Generated>>],
    ) -> Result<()> {
        let texts: Vec<&[u32]> = prompts.iter().map(|(_, p)| p.as_slice()).collect();
        let shared = Shared::read(self, &texts)?;
        let mut waiting = VecDeque::from(prompts);
        let mut rows: Vec<Row<'_>> = Vec::new();
        loop {
            self.admit(jobs, &shared, &mut waiting, &mut rows);
            if rows.is_empty() {
                return Ok(());
            }
            let logits = self.step(&mut rows)?;
            let logits = logits.par_chunks(self.network.vocabulary());
            let ended: Vec<_> = rows
                .par_iter_mut()
                .zip(logits)
                .map(|(row, l)| self.advance(row, l))
                .collect();
            let mut ended = ended.into_iter();
            rows.retain(|row| match ended.next().flatten() {
                Some(result) => {
                    results[row.index] = Some(result);
                    false
                }
                None => true,
            });
        }
    }

    /// Lets waiting texts in while there is room for them.
    fn admit<'a>(
        &self,
        jobs: &'a [GenerateJob],
        shared: &Shared,
        waiting: &mut VecDeque<(usize, Vec<u32>)>,
        rows: &mut Vec<Row<'a>>,
    ) {
        let mut reading = 0;
        while rows.len() < self.options.max_rows.max(1) {
            let Some((_, prompt)) = waiting.front() else {
                return;
            };
            let own = prompt.len() - shared.len;
            if reading > 0 && reading + own > self.options.read_tokens {
                return;
            }
            reading += own;
            let Some((index, prompt)) = waiting.pop_front() else {
                return;
            };
            let job = &jobs[index];
            rows.push(Row {
                index,
                job,
                prompt_tokens: prompt.len(),
                sequence: shared.sequence(self),
                pending: prompt[shared.len..].to_vec(),
                written: Vec::new(),
                sampler: Sampler::new(job.temperature, job.top_p, job.seed),
            });
        }
    }

    /// Reads what is pending in all rows; the logits of each row's last token, `[rows, vocabulary]`.
    fn step(&self, rows: &mut [Row<'_>]) -> Result<Vec<f32>> {
        let mut end = 0;
        let mut ends = Vec::with_capacity(rows.len());
        let mut segments: Vec<Segment<'_>> = Vec::with_capacity(rows.len());
        for row in rows.iter_mut() {
            end += row.pending.len();
            ends.push(end - 1);
            segments.push(Segment {
                sequence: &mut row.sequence,
                tokens: &row.pending,
            });
        }
        let hidden = self.forward(&mut segments)?;
        self.network
            .logits(&self.pick_rows(&hidden, ends.into_iter()))
    }

    /// Picks the row's next token; `Some` when that ends the reply.
    fn advance(&self, row: &mut Row<'_>, logits: &[f32]) -> Option<Result<Generated>> {
        let Some(token) = row.sampler.pick(logits) else {
            return Some(Err(Error::job(format!(
                "the model computed a logit that is no number after {} tokens",
                row.sequence.len()
            ))));
        };
        if self.tokeniser.is_end(token) {
            return Some(self.finish(row, Finish::Stop, 1));
        }
        row.written.push(token);
        row.pending = vec![token];
        if !row.job.stop.is_empty() {
            match self.tokeniser.decode(&row.written) {
                Ok(text) if first_stop(&text, &row.job.stop).is_some() => {
                    return Some(self.finish(row, Finish::Stop, 0));
                }
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
        (row.written.len() >= row.job.max_tokens).then(|| self.finish(row, Finish::Length, 0))
    }

    fn finish(&self, row: &Row<'_>, finish: Finish, end_tokens: usize) -> Result<Generated> {
        let mut text = self.tokeniser.decode(&row.written)?;
        if let Some(cut) = first_stop(&text, &row.job.stop) {
            text.truncate(cut);
        }
        let completion_tokens = row.written.len() + end_tokens;
        Ok(Generated {
            text,
            prompt_tokens: row.prompt_tokens,
            completion_tokens,
            finish,
        })
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
