//! Writing replies: the texts of a block are read and written side by side.
//!
//! A text that is finished makes room for the next one. Which texts stand side by side depends on the
//! block alone, so the same block gives the same bits.

use crate::{
    block::Shared,
    chat::Turn,
    engine::{Engine, Words},
    error::{Error, Result},
    writing::{Draft, Finish, Writing},
};
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

impl Engine {
    /// Writes one reply per job, in order. A job that fails does not touch the others.
    pub fn generate(&mut self, jobs: &[GenerateJob]) -> Vec<Result<Generated>> {
        let drafts = jobs.iter().map(|job| self.draft(job)).collect();
        self.write(drafts)
    }

    /// Writes one text per draft, in order. A draft that fails does not touch the others.
    pub fn write(&mut self, drafts: Vec<Result<Draft>>) -> Vec<Result<Generated>> {
        let mut results: Vec<Option<Result<Generated>>> = vec![None; drafts.len()];
        let mut ready = VecDeque::new();
        for (index, draft) in drafts.into_iter().enumerate() {
            let checked = draft.and_then(|draft| self.check_draft(&draft).map(|()| draft));
            match checked {
                Ok(draft) => ready.push_back((index, draft)),
                Err(error) => results[index] = Some(Err(error)),
            }
        }
        if let Err(error) = self.write_all(ready, &mut results) {
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

    fn draft(&self, job: &GenerateJob) -> Result<Draft> {
        Ok(Draft {
            prompt: self.prompt(&job.messages)?,
            plain: false,
            max_tokens: job.max_tokens,
            temperature: job.temperature,
            top_p: job.top_p,
            stop: job.stop.clone(),
            seed: job.seed,
            tell: None,
            tell_prompt: false,
        })
    }

    /// The tokens of a conversation, in the words that the options say.
    fn prompt(&self, messages: &[Turn]) -> Result<Vec<u32>> {
        match (self.options.words, messages) {
            (Words::Inst, [one]) => self.tokeniser.encode_inst(&one.content),
            _ => self.encode_chat(messages),
        }
    }

    fn write_all(
        &self,
        mut waiting: VecDeque<(usize, Draft)>,
        results: &mut [Option<Result<Generated>>],
    ) -> Result<()> {
        // Texts with and without an adapter have nothing in common, whatever they begin with.
        let alike = waiting.iter().all(|(_, d)| !d.plain && !d.tell_prompt);
        let prompts = waiting.iter().filter(|_| alike);
        let texts: Vec<&[u32]> = prompts.map(|(_, d)| d.prompt.as_slice()).collect();
        let shared = Shared::read(self, &texts)?;
        let mut rows: Vec<(usize, Writing)> = Vec::new();
        loop {
            while rows.len() < self.options.max_rows.max(1) {
                let Some((index, draft)) = waiting.pop_front() else {
                    break;
                };
                let begun = match alike {
                    true => self.begin_after(shared.sequence(self), draft),
                    false => self.begin(draft),
                };
                rows.push((index, begun?));
            }
            if rows.is_empty() {
                return Ok(());
            }
            let mut texts: Vec<&mut Writing> = rows.iter_mut().map(|(_, text)| text).collect();
            self.step(&mut texts)?;
            rows.retain(|(index, text)| match text.end() {
                Some(end) => {
                    results[*index] = Some(end.clone().and_then(|f| self.generated(text, f)));
                    false
                }
                None => true,
            });
        }
    }

    fn generated(&self, text: &Writing, finish: Finish) -> Result<Generated> {
        Ok(Generated {
            text: self.text(text)?,
            prompt_tokens: text.draft().prompt.len(),
            completion_tokens: text.completion_tokens(),
            finish,
        })
    }
}
