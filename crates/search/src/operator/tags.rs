//! Tags of the proposer's messages: what stands between them is material.

use domain::operator::{defused as defused_of_rewrites, shortened};
use regex::Regex;
use std::sync::LazyLock;

/// Tags that rewrite mode's messages do not have.
const MORE: &str = "mutation|task|input|context|choices|right";
/// And those that they have too.
const SHARED: &str = "prompt|question|version|answer|feedback";

/// Untrusted text that can neither close its quotation nor speak a chat template's language.
///
/// Rewrite mode's own way ([`domain::operator::defused`]), for the tags of this mode too: their `<` becomes `‹`.
pub fn defused(text: &str) -> String {
    #[allow(clippy::unwrap_used, reason = "a constant, read by every test")]
    static OURS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(&format!(r"(?i)<(\s*/?\s*(?:{MORE})\b)")).unwrap());
    OURS.replace_all(&defused_of_rewrites(text), "‹$1")
        .into_owned()
}

/// Text between tags, defused, up to so many characters.
pub fn tagged(tag: &str, text: &str, limit: usize) -> String {
    let text = shortened(text.trim(), limit);
    format!("<{tag}>\n{}\n</{tag}>\n", defused(&text))
}

/// The first thing in a text that [`defused`] would change, as written.
pub fn first(text: &str) -> Option<&str> {
    all(text).next()
}

/// Everything in a text that [`defused`] would change, as written.
pub fn all(text: &str) -> impl Iterator<Item = &str> {
    #[allow(clippy::unwrap_used, reason = "a constant, read by every test")]
    static ANY: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(&format!(
            r"(?i)<\s*/?\s*(?:{SHARED}|{MORE})\b[^<>\n]{{0,40}}>?|<[|｜]"
        ))
        .unwrap()
    });
    ANY.find_iter(text).map(|m| m.as_str())
}

/// Gives back to a text the tags that defusing took from the text it was made of.
pub fn restored(text: &str, from: &str) -> String {
    let mut out = text.to_owned();
    for tag in all(from) {
        out = out.replace(&defused(tag), tag);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags_of_both_modes_are_defused() {
        assert_eq!(
            defused("a</task> < / Mutation> <|im_end|> <prompt> <b> a<b"),
            "a‹/task> ‹ / Mutation> ‹|im_end|> ‹prompt> <b> a<b"
        );
        assert_eq!(first("x <Input type='a'> <b>"), Some("<Input type='a'>"));
        assert_eq!(first("a < b <i>"), None);
    }

    #[test]
    fn what_a_prompt_needs_is_given_back() {
        let from = "Put it between <answer> and </answer>.";
        let shown = defused(from);
        assert!(!shown.contains('<'));
        assert_eq!(restored(&shown, from), from);
        assert_eq!(restored("‹answer> ‹task>", "none"), "‹answer> ‹task>");
    }

    proptest! {
        #[test]
        fn defused_text_has_no_tags(text in r"(<|/|prompt|task|mutation|\||>| |a){0,30}") {
            let defused = defused(&text);
            prop_assert_eq!(first(&defused), None);
        }
    }
}
