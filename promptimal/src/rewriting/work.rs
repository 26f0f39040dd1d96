//! Prompts through the rewriter: as many side by side as there are rows, given back in the order they came.

use super::{Found, Kept, judge};
use domain::hash::Hash;
use model::{Draft, Engine, Options, Precision, Turn, Writing};
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
};
use train::pairs::Template;

/// How rewrites are drawn.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// 0 is greedy.
    pub temperature: f64,
    /// Nucleus; 1 is off.
    pub top_p: f64,
    /// Rewrites of each prompt.
    pub candidates: usize,
    /// The longest rewrite.
    pub max_tokens: usize,
    /// All draws derive from it.
    pub seed: u64,
}

/// A rewriter that is loaded.
pub struct Rewriter {
    pub(super) engine: Engine,
    template: Template,
    how: How,
}

/// A prompt that came in.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which line, from 1.
    pub line: usize,
    /// Its words.
    pub text: String,
}

/// A prompt, and what became of it: one for each candidate.
#[derive(Debug)]
pub struct Done {
    /// What came in.
    pub asked: Asked,
    /// What became of it.
    pub kept: Vec<Kept>,
}

/// What is to be done next.
pub enum Next {
    /// This prompt.
    Prompt(Asked),
    /// Nothing at this moment.
    Nothing,
    /// Nothing any more.
    End,
}

/// A prompt on its way.
struct Open {
    asked: Asked,
    kept: Vec<Option<Kept>>,
}

/// A candidate in the making: of which prompt (counted from the first), and which candidate.
struct Row {
    prompt: usize,
    candidate: usize,
    text: Writing,
}

impl Rewriter {
    /// Loads it.
    ///
    /// # Errors
    /// When its files are no model, or the base is another than the adapter was trained on.
    pub fn load(found: &Found, precision: Precision, how: How) -> anyhow::Result<Self> {
        let options = Options {
            precision,
            adapter: found.adapter.as_ref().map(|folder| folder.path.clone()),
            ..Options::default()
        };
        let engine = Engine::load(&found.model, options)?;
        if let Some(base) = &found.base {
            base.check(engine.description(), "--base")?;
        }
        Ok(Self {
            engine,
            template: found.template,
            how,
        })
    }

    /// Rewrites what `next` gives, and hands it to `done` in the same order. `next` is told whether it may wait.
    ///
    /// Gives whether all was done; not, where `stop` was raised.
    ///
    /// # Errors
    /// When the model fails, or `done` does.
    pub fn run(
        &self,
        next: &mut dyn FnMut(bool) -> Next,
        done: &mut dyn FnMut(Done) -> anyhow::Result<()>,
        stop: &AtomicBool,
    ) -> anyhow::Result<bool> {
        let (mut open, mut first): (VecDeque<Open>, usize) = (VecDeque::new(), 0);
        let (mut rows, mut waiting): (Vec<Row>, VecDeque<Row>) = (Vec::new(), VecDeque::new());
        let (most, mut ended) = (Options::default().max_rows, false);
        loop {
            while !ended && rows.len() + waiting.len() < most {
                match next(rows.is_empty() && waiting.is_empty() && !stop.load(Ordering::Relaxed)) {
                    Next::Prompt(asked) => {
                        let at = first + open.len();
                        let (opened, begun) = self.begin(asked, at);
                        open.push_back(opened);
                        waiting.extend(begun);
                        // What needs no model is done as soon as it is its turn.
                        first += hand_over(&mut open, done)?;
                    }
                    Next::Nothing => break,
                    Next::End => ended = true,
                }
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            while rows.len() < most && !waiting.is_empty() {
                rows.extend(waiting.pop_front());
            }
            if rows.is_empty() && ended {
                return Ok(true);
            }
            let mut texts: Vec<&mut Writing> = rows.iter_mut().map(|row| &mut row.text).collect();
            self.engine.step(&mut texts)?;
            let (over, on) = rows
                .into_iter()
                .partition(|row: &Row| row.text.end().is_some());
            rows = on;
            for row in over {
                let open: &mut Open = &mut open[row.prompt - first];
                open.kept[row.candidate] = Some(self.judged(&open.asked.text, &row.text));
            }
            first += hand_over(&mut open, done)?;
        }
    }

    /// The candidates of a prompt, begun.
    fn begin(&self, asked: Asked, at: usize) -> (Open, Vec<Row>) {
        let (mut kept, mut rows) = (Vec::new(), Vec::new());
        if asked.text.trim().is_empty() {
            let kept = vec![Some(Kept::Same)];
            return (Open { asked, kept }, rows);
        }
        for candidate in 0..self.how.candidates {
            let begun = self
                .draft(&asked.text, candidate)
                .and_then(|d| self.engine.begin(d));
            match begun {
                Ok(text) => {
                    kept.push(None);
                    rows.push(Row {
                        prompt: at,
                        candidate,
                        text,
                    });
                }
                Err(e) => kept.push(Some(Kept::original("unread", e.to_string()))),
            }
        }
        (Open { asked, kept }, rows)
    }

    pub(super) fn draft(&self, original: &str, candidate: usize) -> model::Result<Draft> {
        let prompt = match self.template {
            Template::Inst => self.engine.tokeniser().encode_inst(original)?,
            Template::Chat => self.engine.encode_chat(&[Turn::new("user", original)])?,
        };
        let context = self.engine.description().context;
        // Longer than it reads is told by the engine; else there is room for a token at least.
        let room = context.saturating_sub(prompt.len()).max(1);
        let parts = [
            self.how.seed.to_le_bytes().to_vec(),
            (candidate as u64).to_le_bytes().to_vec(),
            original.as_bytes().to_vec(),
        ];
        Ok(Draft {
            prompt,
            plain: false,
            max_tokens: self.how.max_tokens.min(room),
            temperature: self.how.temperature,
            top_p: self.how.top_p,
            stop: Vec::new(),
            seed: Hash::of(parts).seed(),
            tell: None,
            tell_prompt: false,
        })
    }

    pub(super) fn judged(&self, original: &str, text: &Writing) -> Kept {
        let written = self.engine.text(text);
        match (text.end(), &written) {
            (Some(Ok(finish)), Ok(written)) => {
                judge(original, written, (*finish, text.completion_tokens()))
            }
            (Some(Err(e)), _) | (_, Err(e)) => Kept::original("failed", e.to_string()),
            (None, Ok(_)) => Kept::original("failed", "the rewriter did not come to an end"),
        }
    }
}

/// Hands over what is done up to the first that is not; gives how many.
fn hand_over(
    open: &mut VecDeque<Open>,
    done: &mut dyn FnMut(Done) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let mut count = 0;
    while open
        .front()
        .is_some_and(|open| open.kept.iter().all(Option::is_some))
    {
        if let Some(Open { asked, kept }) = open.pop_front() {
            let kept = kept.into_iter().flatten().collect();
            done(Done { asked, kept })?;
        }
        count += 1;
    }
    Ok(count)
}
