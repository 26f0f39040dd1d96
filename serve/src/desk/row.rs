//! A text in the batch, and what its caller is told of it.

use super::{End, Event, Order, ended};
use crate::pace::Pace;
use model::{Engine, Finish, Writing};
use std::time::Instant;

/// A text in the batch.
pub(super) struct Row {
    pub(super) order: Order,
    pub(super) text: Writing,
    pace: Pace,
    /// How many of its told tokens were handed out.
    told: usize,
    /// Nothing went out yet.
    silent: bool,
    /// Its prompt is among what is remembered.
    pub(super) kept: bool,
    pub(super) begun: Instant,
}

impl Row {
    /// A text that has just begun.
    pub(super) fn new(order: Order, text: Writing) -> Self {
        Self {
            pace: Pace::new(order.manner.trim, text.draft().stop.clone()),
            text,
            order,
            told: 0,
            silent: true,
            kept: false,
            begun: Instant::now(),
        }
    }

    /// Tells the caller what is new, if anything is.
    pub(super) fn tell(&mut self, engine: &Engine) {
        let finish = match self.text.end() {
            None => None,
            Some(Ok(finish)) => Some(Ok(*finish)),
            Some(Err(error)) => Some(Err(error.to_string())),
        };
        let (text, finish) = match engine.text(&self.text) {
            Ok(written) => (self.pace.more(&written, finish.is_some()), finish),
            Err(error) => (String::new(), Some(Err(error.to_string()))),
        };
        let told = self.text.told()[self.told..].to_vec();
        self.told += told.len();
        if text.is_empty() && told.is_empty() && finish.is_none() {
            return;
        }
        let end = finish.map(|finish| {
            self.count(&finish);
            End {
                finish,
                prompt_tokens: self.text.draft().prompt.len(),
                known_tokens: self.text.known(),
                completion_tokens: self.text.completion_tokens(),
            }
        });
        let choice = self.order.choice;
        let silent = std::mem::take(&mut self.silent);
        let prompt = silent.then(|| self.text.told_prompt().to_vec());
        // Who went away meanwhile is seen before the next step.
        let _ = self.order.events.send(Event {
            choice,
            text,
            told,
            prompt,
            end,
        });
    }

    fn count(&self, finish: &Result<Finish, String>) {
        ended(
            match finish {
                Ok(Finish::Stop) => "stop",
                Ok(Finish::Length) => "length",
                Err(_) => "failed",
            },
            1,
        );
        let tokens = |kind| metrics::counter!("promptimal_serve_tokens_total", "kind" => kind);
        let known = self.text.known();
        tokens("read").increment((self.text.draft().prompt.len() - known) as u64);
        tokens("known").increment(known as u64);
        tokens("written").increment(self.text.completion_tokens() as u64);
    }
}

impl Order {
    /// Tells its caller that nothing comes of it.
    pub(super) fn failed(&self, problem: &str) {
        let end = End {
            finish: Err(problem.to_owned()),
            prompt_tokens: self.draft.prompt.len(),
            known_tokens: 0,
            completion_tokens: 0,
        };
        let _ = self.events.send(Event {
            choice: self.choice,
            text: String::new(),
            told: Vec::new(),
            prompt: None,
            end: Some(end),
        });
    }
}
