//! Material: what a rewrite has to keep of the original.
//!
//! A question is put in other words; what it is *about* has to survive: its numbers, what it quotes, and any long
//! passage it works on. A short question may change every word of itself, so words alone are no measure there. What
//! stands beside the question (context, choices) is never rewritten and needs no keeping.

use super::regex;
use crate::leak::{
    lexicon, number,
    text::{Text, Word},
};
use regex::Regex;
use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

/// A passage is looked at through a window of so many content words …
const WINDOW: usize = 20;
/// … of which one in so many has to be there still.
const KEPT_ONE_IN: usize = 3;
/// From so many characters on, an original may not shrink below one part in [`KEPT_ONE_IN`]: the only measure for
/// scripts without spaces between words.
const LONG: usize = 300;

/// What of the original a rewrite lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Lost {
    /// A number written in digits, in whatever writing.
    #[error("the rewrite lacks a number of the original")]
    Number,
    /// Words in quotation marks, a code fence or backticks.
    #[error("the rewrite lacks what the original quotes")]
    Quote,
    /// A stretch of 20 content words, or two thirds of a long original.
    #[error("the rewrite drops a passage of the original")]
    Passage,
}

impl Lost {
    /// One word, for counting.
    pub fn name(&self) -> &'static str {
        match self {
            Lost::Number => "lost_number",
            Lost::Quote => "lost_quote",
            Lost::Passage => "lost_passage",
        }
    }
}

/// The first thing that `rewrite` lacks of `original`.
pub fn lost(original: &str, rewrite: &str) -> Option<Lost> {
    let (before, after) = (Text::new(original), Text::new(rewrite));
    let words: HashSet<&str> = after.words.iter().map(|w| w.text.as_str()).collect();
    if lacks_number(&before, &after) {
        Some(Lost::Number)
    } else if quotes(original).any(|quote| lacks_quote(quote, &words)) {
        Some(Lost::Quote)
    } else if is_too_short(original, rewrite) || lacks_passage(&before, &after) {
        Some(Lost::Passage)
    } else {
        None
    }
}

/// Only numbers in digits: "one of them" is a turn of phrase. The rewrite may write them as it likes.
fn lacks_number(before: &Text, after: &Text) -> bool {
    let kept = number::scan(&after.words);
    let in_digits = |n: &&number::Number| {
        before.words[n.first]
            .text
            .starts_with(|c: char| c.is_ascii_digit())
    };
    let numbers = number::scan(&before.words);
    let mut material = numbers
        .iter()
        .filter(in_digits)
        .filter(|n| !is_marker(before, n.first));
    material.any(|n| kept.iter().all(|k| k.value != n.value))
}

/// Whether the word numbers an item of a list ("2." or "(2)"), which a rewrite may set out otherwise.
fn is_marker(text: &Text, index: usize) -> bool {
    let before = text.clean[..text.words[index].start].trim_end_matches([' ', '\t']);
    matches!(text.after(index), Some('.' | ')'))
        && index + 1 < text.words.len()
        && (before.is_empty() || before.ends_with(['\n', '.', '?', '!', ':', ';', '(']))
}

/// What stands in quotation marks or code marks; not the whole, which may well be rewritten.
fn quotes(original: &str) -> impl Iterator<Item = &str> {
    // Text between three quotation marks says what a program does: words of the task, not a quotation.
    let quoted = regex!(r#"(?s)""".*?"""|```(.*?)```|`([^`\n]+)`|"([^"\n]+)"|“([^”]+)”|«([^»]+)»"#);
    let whole = original.trim();
    quoted
        .captures_iter(original)
        .filter(move |c| &c[0] != whole)
        .filter_map(|c| c.iter().skip(1).flatten().next().map(|m| m.as_str()))
}

/// A quarter of the words may go: line ends and escapes are written in many ways.
fn lacks_quote(quote: &str, kept: &HashSet<&str>) -> bool {
    let quote = Text::new(quote);
    let here = |w: &&Word| kept.contains(w.text.as_str());
    4 * quote.words.iter().filter(here).count() < 3 * quote.words.len()
}

fn is_too_short(original: &str, rewrite: &str) -> bool {
    let before = original.trim().chars().count();
    before >= LONG && rewrite.chars().count() * KEPT_ONE_IN < before
}

/// Whether the rewrite lacks most of some stretch of the original. A word counts as often as it occurs: a passage
/// that repeats itself is not kept by one mention of its subject.
fn lacks_passage(before: &Text, after: &Text) -> bool {
    let mut left: HashMap<&str, usize> = HashMap::new();
    for stem in stems(after) {
        *left.entry(stem).or_default() += 1;
    }
    let mut take = |stem: &str| {
        left.get_mut(stem).is_some_and(|n| {
            let had = *n > 0;
            *n = n.saturating_sub(1);
            had
        })
    };
    let kept: Vec<bool> = stems(before).map(&mut take).collect();
    kept.windows(WINDOW)
        .any(|w| w.iter().filter(|k| **k).count() * KEPT_ONE_IN < WINDOW)
}

fn stems(text: &Text) -> impl Iterator<Item = &str> {
    let words = text.words.iter().map(|w| w.text.as_str());
    let content = words.filter(|w| !lexicon::is_stop(w) && !w.contains(is_unspaced));
    content.map(lexicon::stem)
}

/// Letters of scripts that put no spaces between words (Chinese, Japanese, Thai and their neighbours): what looks
/// like a word there is a whole clause, which any rewrite changes.
fn is_unspaced(c: char) -> bool {
    matches!(
        c,
        '\u{e00}'..='\u{eff}'
            | '\u{1000}'..='\u{109f}'
            | '\u{1780}'..='\u{17ff}'
            | '\u{3040}'..='\u{30ff}'
            | '\u{3400}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_question_may_change_every_word() {
        for (original, rewrite) in [
            (
                "whats the capitol city that france has",
                "Which town is the seat of the French government?",
            ),
            (
                "Tell me stuff on bees",
                "Write a paragraph about how honey insects live.",
            ),
            ("\"Say hello.\"", "Greet the reader."),
        ] {
            assert_eq!(lost(original, rewrite), None, "{rewrite}");
        }
    }

    #[test]
    fn numbers_survive_in_any_writing() {
        let original =
            "A pump fills 1,200 litres in 15 minutes. How long does it take for 3.5 tanks?";
        let kept = "At 1200 litres per fifteen minutes, how long does a pump need for 3.50 tanks?";
        assert_eq!(lost(original, kept), None);
        for gone in [
            "1200 litres in 15 minutes",
            "15 minutes, 3.5 tanks",
            "1,200 litres, 3.5 tanks",
        ] {
            assert_eq!(lost(original, gone), Some(Lost::Number), "{gone}");
        }
        // One mention may stand for two.
        assert_eq!(lost("Add 4 and 4.", "What is twice 4?"), None);
    }

    #[test]
    fn markers_of_a_list_are_no_numbers() {
        let original = "Do this:\n1. Read it\n2) Sort it\n(3) Print it";
        assert_eq!(lost(original, "Read it, sort it, and print it."), None);
        assert_eq!(
            lost("The total is 3.", "What is the total?"),
            Some(Lost::Number)
        );
    }

    #[test]
    fn what_is_quoted_survives() {
        let original = "Translate \"the old clock stopped\" into French.";
        assert_eq!(
            lost(original, "Say in French: 'The old clock stopped'."),
            None
        );
        assert_eq!(
            lost(original, "Translate the sentence into French."),
            Some(Lost::Quote)
        );
        let code = "What does this print?\n```\nfor x in names: print(x)\n```";
        assert_eq!(
            lost(code, "What is the output of the loop?"),
            Some(Lost::Quote)
        );
        // The words of a docstring are the task's own.
        let task = "def f(x):\n    \"\"\"Give the double.\"\"\"";
        let better = "def f(x):\n    \"\"\"Return twice x.\"\"\"";
        assert_eq!(lost(task, better), None);
        assert_eq!(
            lost("Explain `map_err`.", "What does map_err do in Rust?"),
            None
        );
    }

    #[test]
    fn scripts_without_spaces_have_only_their_length() {
        let original = "猫は静かに眠り犬は庭を走る。".repeat(30);
        assert_eq!(lost(&original, "猫は眠る。"), Some(Lost::Passage));
        let reworded = "小猫安静睡觉，小狗院里跑。".repeat(20);
        assert_eq!(lost(&original, &reworded), None);
    }
}
