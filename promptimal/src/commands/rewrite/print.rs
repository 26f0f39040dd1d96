//! What became of prompts, as people and programs read it.

use crate::{
    cli::Show,
    out,
    rewriting::{Done, Kept, Why},
};
use serde::Serialize;

/// Prints what becomes of prompts.
pub struct Printer {
    show: Show,
    /// One prompt from the command line: its rewrite may have several lines.
    whole: bool,
    /// How many were printed.
    pub count: u64,
    kept_originals: u64,
}

/// A prompt in JSON.
#[derive(Serialize)]
struct Row<'a> {
    line: usize,
    original: &'a str,
    /// What is to be used: the first rewrite that is one, else the original.
    rewritten: &'a str,
    changed: bool,
    /// Why the original is used, where that is not the rewriter's own choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<&'a Why>,
    /// All of them, where more than one was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<Candidate<'a>>,
}

/// A candidate in JSON.
#[derive(Serialize)]
struct Candidate<'a> {
    rewritten: &'a str,
    changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<&'a Why>,
}

impl Printer {
    /// A printer; `whole`: of one prompt that may have several lines.
    pub fn new(show: Show, whole: bool) -> Self {
        Self {
            show,
            whole,
            count: 0,
            kept_originals: 0,
        }
    }

    /// Prints a prompt.
    ///
    /// # Errors
    /// When it can not be serialised.
    pub fn print(&mut self, done: Done) -> anyhow::Result<()> {
        self.count += 1;
        let original = done.asked.text.as_str();
        let best = done
            .kept
            .iter()
            .find(|kept| matches!(kept, Kept::Rewrite(_)));
        let best = best.or(done.kept.first());
        let why = best.and_then(fallback);
        self.kept_originals += u64::from(why.is_some());
        if self.show.json {
            let (rewritten, changed) = used(best, original);
            let several = done.kept.iter().filter(|_| done.kept.len() > 1);
            let row = Row {
                line: done.asked.line,
                original,
                rewritten,
                changed,
                fallback: why,
                candidates: several.map(|kept| candidate(kept, original)).collect(),
            };
            out::line(serde_json::to_string(&row)?);
            return Ok(());
        }
        for text in texts(&done.kept, original) {
            match self.whole {
                true => out::line(text),
                // One prompt a line, out as in.
                false => out::line(text.replace(['\n', '\r'], " ")),
            }
        }
        if let Some(why) = why.filter(|_| !self.show.quiet) {
            let place = match self.whole {
                true => String::new(),
                false => format!("line {}: ", done.asked.line),
            };
            out::note(format!("{place}the original is kept: {}", why.detail));
        }
        Ok(())
    }

    /// Says how it ended.
    pub fn close(&self, finished: bool) {
        if !finished {
            out::note(format!("stopped after {} prompts", self.count));
        } else if !self.whole && !self.show.quiet && self.count > 0 {
            out::note(format!(
                "{} prompts; of {} the original is kept",
                self.count, self.kept_originals
            ));
        }
    }
}

fn fallback(kept: &Kept) -> Option<&Why> {
    match kept {
        Kept::Original(why) => Some(why),
        Kept::Rewrite(_) | Kept::Same => None,
    }
}

fn used<'a>(kept: Option<&'a Kept>, original: &'a str) -> (&'a str, bool) {
    match kept {
        Some(Kept::Rewrite(text)) => (text, true),
        _ => (original, false),
    }
}

fn candidate<'a>(kept: &'a Kept, original: &'a str) -> Candidate<'a> {
    let (rewritten, changed) = used(Some(kept), original);
    Candidate {
        rewritten,
        changed,
        fallback: fallback(kept),
    }
}

/// The rewrites, each once; the original where there is none.
fn texts<'a>(kept: &'a [Kept], original: &'a str) -> Vec<&'a str> {
    let mut out: Vec<&str> = Vec::new();
    for kept in kept {
        if let Kept::Rewrite(text) = kept
            && !out.contains(&text.as_str())
        {
            out.push(text);
        }
    }
    if out.is_empty() {
        out.push(original);
    }
    out
}
