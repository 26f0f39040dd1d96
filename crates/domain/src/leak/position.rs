//! The place of the right choice is pointed at.

use super::{Leak, Rule, text::pattern, view::View};
use regex::Regex;
use std::{collections::HashSet, sync::LazyLock};

const ORDINAL: &str = "first|second|third|fourth|fifth|last|final|penultimate|top ?most|bottom ?most|next|previous|\
                       former|latter|middle";
const NOUN: &str = "options?|choices?|answers?|alternatives?|entry|entries|items?|ones?|candidates?|possibility|\
                    possibilities|letters?|two|three|year given|listed|lines? of the list|(?:in|of|on) the list";

/// A place among the choices, in words or by its mark. Whether it points is decided by [`rule`].
static PLACES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let patterns = [
        format!(r"(?i-u)\b(?:{ORDINAL}) (?:of the (?:\w+ )?)?(?:\w+ )?(?:{NOUN})\b"),
        format!(r"(?i-u)\b(?:one|entry|option|choice|line) (?:before|after) (?:the )?(?:{ORDINAL})\b"),
        r"(?i-u)\b(?:option|choice|alternative|item|entry|answer|candidate)s? ?(?:#|no\.?|number)? ?(?:\d|two|three|four|five)\b"
            .into(),
        format!(r"(?i-u)\b(?:{ORDINAL}) (?:one )?from the (?:top|bottom|end|left|right|start)\b"),
        format!(r"(?i-u)\b(?:before|after|between|past) the (?:{ORDINAL}) (?:choice|option|one|alternative|answer|and)\b"),
        format!(r"(?i-u)\b(?:pick|choose|select|take|prefer|go for|go with|trust) (?:the )?(?:{ORDINAL})\b"),
    ];
    patterns.iter().map(|p| pattern(p)).collect()
});

/// A choice's letter after a word that points. Letters are upper case, or marked by brackets or quotes.
static LETTERS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?:\b(?i:option|choice|letter|alternative|pick|choose|select|prefer|take|trust|go (?:for|with)|neither|nor|respond with|reply with|answer(?: (?:is|should be|with))?|(?:is|be|mark|tick|after|before))[: ]+["'(]?|[("']|^ ?)([B-H]|A\b[^ ]|A$)(?:["').,:;?!-]|\s|$)"#,
    )
});

pub(super) fn rule(view: &View) -> Option<Leak> {
    if view.right.is_empty() || view.wrong.is_empty() {
        return None;
    }
    let text = &view.rewrite.clean;
    let asked = &view.original.clean;
    let found: HashSet<&str> = PLACES
        .iter()
        .flat_map(|p| p.find_iter(text))
        .map(|m| m.as_str())
        .filter(|m| !contains(asked, m))
        .filter(|m| !is_every_place(text) && !is_about_the_form(m))
        .collect();
    if !found.is_empty() {
        return Some(Leak::new(
            Rule::Position,
            "the added words point at a place among the choices",
        ));
    }
    let letters = pointed_letters(view);
    (letters > 0).then(|| {
        Leak::new(
            Rule::Position,
            format!("the added words point at {letters} of the choices' letters"),
        )
    })
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

/// "The first, then the second, the third and the last": all places are none.
fn is_every_place(text: &str) -> bool {
    let lower = text.to_lowercase();
    ["first", "second", "third", "fourth", "last"]
        .iter()
        .filter(|o| lower.contains(*o))
        .count()
        >= 3
}

/// "Final answer", "last line", "next two": how the reply is written.
fn is_about_the_form(place: &str) -> bool {
    let lower = place.to_lowercase();
    let form = [
        "final answer",
        "first letter",
        "last letter",
        "second letter",
    ];
    form.iter().any(|f| lower.starts_with(f))
}

/// How many letters of choices are pointed at; all of them are none.
fn pointed_letters(view: &View) -> usize {
    let text = &view.rewrite.clean;
    let count = view.wrong.len() + 1;
    let mark = |i: usize| char::from(b'A' + u8::try_from(i).unwrap_or(25));
    let written = |c: char| {
        view.rewrite
            .words
            .iter()
            .enumerate()
            .any(|(i, _)| view.rewrite.written(i) == c.to_string())
    };
    if (0..count.min(26)).all(|i| written(mark(i))) {
        return 0;
    }
    let pointed: HashSet<char> = LETTERS
        .captures_iter(text)
        .filter_map(|c| c[1].chars().next())
        .filter(|c| (0..count.min(26)).any(|i| mark(i) == *c))
        .filter(|c| {
            !view
                .original
                .words
                .iter()
                .any(|w| view.original.clean[w.start..w.end] == c.to_string())
        })
        .collect();
    pointed.len()
}

#[cfg(test)]
mod tests {
    use super::super::tests::multiple;

    #[test]
    fn places_and_letters() {
        let choices = ["Lyon", "Paris", "Nice", "Lille"];
        let ask = "What is the capital of France?";
        let leaks = |text: &str| multiple(ask, &format!("{ask} {text}"), &choices, 1).is_some();
        for text in [
            "Option 2.",
            "Pick B.",
            "The second choice is it.",
            "(B)",
            "The letter is B.",
        ] {
            assert!(leaks(text), "{text}");
        }
        for text in [
            "Answer with the letter only (A, B, C or D).",
            "Choose the best option.",
            "Give your final answer on the last line.",
            "First think, then choose a city.",
        ] {
            assert!(!leaks(text), "{text}");
        }
    }
}
