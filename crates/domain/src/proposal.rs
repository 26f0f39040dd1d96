//! Reading a proposer's reply.
//!
//! A proposer is asked for one rewrite between `<prompt>` and `</prompt>`. What comes back is untrusted and
//! often looser than that: no tags, half a tag, a code fence, quotes, "Here is the rewritten question:",
//! a list of several, an explanation underneath, invented choices, an apology. [`read`] finds the rewrite
//! or says why there is none. Whatever the original itself has (a leading number, a "Note:", a list) is left
//! alone.
//!
//! Nothing is ever cut to fit: a rewrite that is too long is refused. So is one that lost what the question is
//! about ([`lost`]): a number, a quotation, a passage.

mod answer;
mod extract;
mod fold;
mod material;
mod tidy;

pub use answer::answers;
pub use fold::fold;
pub use material::{Lost, lost};

use crate::{hash::Hash, operator::INSTRUCTIONS};
use regex::Regex;
use std::sync::LazyLock;

/// A regular expression of ours, compiled once on first use.
macro_rules! regex {
    ($($part:literal),+ $(,)?) => {{
        static COMPILED: LazyLock<Regex> = LazyLock::new(|| {
            #[allow(clippy::unwrap_used, reason = "a constant, compiled by the tests")]
            Regex::new(concat!($($part),+)).unwrap()
        });
        &*COMPILED
    }};
}
use regex;

/// Replies are read up to here (in characters): no rewrite is longer.
const READ_CHARS: usize = 50_000;

/// How long a rewrite may be, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Shorter ones are refused.
    pub min_chars: usize,
    /// Longer ones are refused.
    pub max_chars: usize,
}

impl Limits {
    /// The limits for rewrites of `original` where `max_chars` is asked for. An original that comes near it may still
    /// grow by half, for a rewrite has to keep its material.
    pub fn of(original: &str, max_chars: usize) -> Self {
        let long = original.trim().chars().count();
        Self {
            min_chars: 8,
            max_chars: max_chars.max(long + long / 2),
        }
    }
}

/// Why a reply holds no rewrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refusal {
    /// Nothing is left once tags and control characters are gone.
    #[error("the reply holds no text")]
    Empty,
    /// Below [`Limits::min_chars`].
    #[error("the rewrite is too short")]
    TooShort,
    /// Above [`Limits::max_chars`].
    #[error("the rewrite is too long")]
    TooLong,
    /// The original, but for case, spacing and punctuation.
    #[error("the rewrite is the original")]
    Unchanged,
    /// The proposer declined.
    #[error("the proposer declined to rewrite")]
    Declined,
    /// It answers the prompt instead of rewriting it.
    #[error("the rewriter answered the prompt instead of rewriting it")]
    Answer,
    /// The proposer repeated its instructions or a placeholder, or talks about rewriting.
    #[error("the proposer repeated its instructions or talks about them")]
    Echo,
    /// Something that the question is about is gone.
    #[error(transparent)]
    Lost(Lost),
}

impl Refusal {
    /// One word, for counting.
    pub fn name(&self) -> &'static str {
        match self {
            Refusal::Empty => "empty",
            Refusal::TooShort => "too_short",
            Refusal::TooLong => "too_long",
            Refusal::Unchanged => "unchanged",
            Refusal::Declined => "declined",
            Refusal::Answer => "answer",
            Refusal::Echo => "echo",
            Refusal::Lost(lost) => lost.name(),
        }
    }
}

/// Finds the rewrite in what a model wrote that was trained to write rewrites and nothing else.
pub fn read_bare(reply: &str, original: &str, limits: &Limits) -> Result<String, Refusal> {
    // Between tags nothing is taken for an explanation that follows: all of it is the rewrite.
    let text = read(&format!("<prompt>{reply}</prompt>"), original, limits)?;
    match answers(original, &text) {
        true => Err(Refusal::Answer),
        false => Ok(text),
    }
}

/// Finds the rewrite of `original` in a proposer's reply: the first one, where there are several.
///
/// Reading is stable: a rewrite put between the tags again reads as itself.
pub fn read(reply: &str, original: &str, limits: &Limits) -> Result<String, Refusal> {
    found(reply, original, limits, Form::Rewrite)
}

/// Finds a new instruction for a whole data set in a proposer's reply, where `current` is the one it stands in for.
///
/// As [`read`], but an instruction owes the current one nothing: numbers and quotations may go. Between tags that close
/// it may be a list of steps and have headings, which a rewritten question has not.
pub fn read_instruction(reply: &str, current: &str, limits: &Limits) -> Result<String, Refusal> {
    found(reply, current, limits, Form::Instruction)
}

/// What kind of text a reply holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Other words for one question.
    Rewrite,
    /// An instruction for many inputs.
    Instruction,
}

fn found(reply: &str, original: &str, limits: &Limits, form: Form) -> Result<String, Refusal> {
    let reply = match reply.char_indices().nth(READ_CHARS) {
        Some((end, _)) => &reply[..end],
        None => reply,
    };
    let mut refusal = Refusal::Empty;
    for found in extract::texts(&tidy::clean(reply)) {
        match judged(tidy::tidy(&found, original, form), original, limits, form) {
            Ok(text) => return Ok(text),
            // The first thing that went wrong is the best known; emptiness tells the least.
            Err(why) if refusal == Refusal::Empty => refusal = why,
            Err(_) => {}
        }
    }
    Err(refusal)
}

/// The hash by which rewrites are deduplicated: equal for texts that differ in case, spacing, punctuation or
/// Unicode compatibility forms only.
pub fn fingerprint(text: &str) -> Hash {
    let folded = fold(text);
    // Texts of punctuation alone all fold to nothing and are no duplicates for that.
    Hash::of([if folded.is_empty() {
        text.trim()
    } else {
        &folded
    }])
}

fn judged(text: String, original: &str, limits: &Limits, form: Form) -> Result<String, Refusal> {
    let lost = |text: &str| match form {
        Form::Rewrite => lost(original, text),
        Form::Instruction => None,
    };
    let chars = text.chars().count();
    let (folded, of_original) = (fold(&text), fold(original));
    if text.is_empty() {
        Err(Refusal::Empty)
    } else if text == original.trim() || (!folded.is_empty() && folded == of_original) {
        Err(Refusal::Unchanged)
    } else if is_echo(&folded, &of_original) {
        Err(Refusal::Echo)
    } else if is_apology(&folded, &of_original) {
        Err(Refusal::Declined)
    } else if chars > limits.max_chars {
        Err(Refusal::TooLong)
    } else if chars < limits.min_chars {
        Err(Refusal::TooShort)
    } else if let Some(lost) = lost(&text) {
        Err(Refusal::Lost(lost))
    } else {
        Ok(text)
    }
}

fn is_echo(folded: &str, of_original: &str) -> bool {
    let placeholder = regex!(
        r"^(?:and|or|tags?|(?:(?:the|your|a|my|insert|write|only) )*(?:new |rewritten |revised |improved |one )*",
        r"(?:question|instruction|programming task|prompt|rewrite|version|text)(?: goes)?(?: here)?)$"
    );
    static OURS: LazyLock<Vec<String>> =
        LazyLock::new(|| INSTRUCTIONS.iter().map(|s| fold(s)).collect());
    let talk = regex!(
        r"\b(?:rewritten|rephrased|reworded|revised|original) (?:question|instruction|prompt|programming task)\b"
    );
    let talks = talk.is_match(folded) && !talk.is_match(of_original);
    let repeated = |s: &String| folded.contains(s.as_str()) && !of_original.contains(s.as_str());
    placeholder.is_match(folded) || talks || OURS.iter().any(repeated)
}

fn is_apology(folded: &str, of_original: &str) -> bool {
    let apology = regex!(
        r"^(?:(?:im|i am)? ?(?:so |very |really )?sorry|my apologies|i apologi[sz]e",
        r"|(?:unfortunately |but )?i (?:cannot|can not|cant|wont|will not|am unable|am not able)",
        r"|im (?:unable|not able)|(?:as|im|i am) an? (?:ai|artificial|language model))\b"
    );
    apology.is_match(folded) && !apology.is_match(of_original)
}

#[cfg(test)]
mod tests;
