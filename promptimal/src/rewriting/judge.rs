//! What a rewriter said is not always a prompt: then the original is kept, and why is told.

use domain::{
    leak::{Case, text_rules},
    proposal::{Limits, Refusal, read_bare},
};
use model::Finish;
use serde::Serialize;

/// The longest rewrite of a short prompt, in characters; of a long one, half as much again as the prompt.
const MAX_CHARS: usize = 4_000;

/// What becomes of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The rewrite is used.
    Rewrite(String),
    /// The rewriter left it as it was.
    Same,
    /// The original is used, for a reason.
    Original(Why),
}

/// Why a rewrite is not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Why {
    /// One word, for programs.
    pub reason: &'static str,
    /// A sentence for people.
    pub detail: String,
}

impl Kept {
    /// The original, for a reason.
    pub fn original(reason: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::Original(Why { reason, detail })
    }
}

/// Judges what the rewriter wrote.
pub fn judge(original: &str, written: &str, (finish, tokens): (Finish, usize)) -> Kept {
    // Half a prompt is none, however good it began.
    if finish == Finish::Length {
        let detail = format!("the rewrite was cut off after {tokens} tokens: raise --max-tokens");
        return Kept::original("cut_off", detail);
    }
    let text = match read_bare(written, original, &Limits::of(original, MAX_CHARS)) {
        Ok(text) => text,
        Err(Refusal::Unchanged) => return Kept::Same,
        Err(Refusal::Declined) => return Kept::original("declined", "the rewriter declined"),
        Err(Refusal::Empty) => return Kept::original("empty", "the rewriter wrote nothing"),
        Err(refusal) => return Kept::original(refusal.name(), refusal.to_string()),
    };
    let case = Case {
        original,
        rewrite: &text,
        context: None,
        choices: &[],
        right: None,
        reference: None,
    };
    match text_rules(&case) {
        Some(_) => Kept::original("leak", "the rewrite seems to give an answer away"),
        None => Kept::Rewrite(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(original: &str, written: &str) -> Result<String, &'static str> {
        match judge(original, written, (Finish::Stop, 9)) {
            Kept::Rewrite(text) => Ok(text),
            Kept::Same => Err("same"),
            Kept::Original(why) => Err(why.reason),
        }
    }

    #[test]
    fn prompts_are_used_and_all_else_is_not() {
        let original = "what gas do plants take in";
        let good = "Which gas do plants take in from the air?";
        assert_eq!(of(original, &format!(" {good} ")).as_deref(), Ok(good));
        let two = "Which gas do plants take in?\n\nName it in one word.";
        assert_eq!(of(original, two).as_deref(), Ok(two));
        for (written, reason) in [
            ("", "empty"),
            ("  \n", "empty"),
            ("What gas do plants take in?", "same"),
            ("I'm sorry, but I can't help with that.", "declined"),
            ("Plants take in carbon dioxide from the air.", "answer"),
            (
                "Which gas is it? The correct answer is carbon dioxide.",
                "leak",
            ),
            ("Gas?", "too_short"),
        ] {
            assert_eq!(of(original, written), Err(reason), "{written}");
        }
        assert_eq!(
            of("Add 17 and 4.", "Add the two numbers and show the sum."),
            Err("lost_number")
        );
        let cut = judge(original, good, (Finish::Length, 256));
        assert!(matches!(cut, Kept::Original(why) if why.reason == "cut_off"));
    }
}
