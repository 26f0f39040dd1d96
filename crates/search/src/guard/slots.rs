//! Slots and placeholders in an instruction, and what stands around it.

use super::{Given, quoted};
use crate::{pool::Pool, refused::Refused};
use domain::prompt::PromptDoc;
use regex::Regex;
use std::sync::LazyLock;

pub fn judge(doc: &PromptDoc, text: &str, pool: &Pool, given: &Given) -> Result<(), Refused> {
    if let Some(slot) = found(text).find(|slot| !given.raw.contains(slot)) {
        return Err(Refused::Slot { slot: quoted(slot) });
    }
    // Operators change the instruction and the demonstrations, nothing around them.
    let mut starts = pool.members.iter().filter(|m| m.operator.is_none());
    let same = |d: &PromptDoc| (&d.system, &d.user) == (&doc.system, &doc.user);
    match pool.members.is_empty() || starts.any(|m| same(&m.doc)) {
        true => Ok(()),
        false => Err(Refused::Frame {
            text: quoted(&doc.user),
        }),
    }
}

/// `{input}` and its like, whole or broken, and places left open for somebody: `{text}`, `[insert the review here]`,
/// `<your text>`. A brace that belongs to a word (`\boxed{answer}`) or holds more than a few words is none, and neither is
/// a place for what the model writes (`Answer: [your answer]`).
fn found(text: &str) -> impl Iterator<Item = &str> {
    #[allow(clippy::unwrap_used, reason = "a constant, read by every test")]
    static SLOT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"(?i)\{+\s*(?:input|context|choices|instruction)\b\s*\}*",
            r"|(?:input|context|choices|instruction)\s*\}",
            r"|(?:^|[^\w\\])(\{+\s*[a-z_][\w -]{0,30}\s*\}+)",
            r"|\[(?:insert|your|add|put|paste|enter)\b[^\[\]\n]{0,40}\]",
            r"|<(?:insert|your|add|put|paste|enter)\b[^<>\n]{0,40}>"
        ))
        .unwrap()
    });
    #[allow(clippy::unwrap_used, reason = "a constant, read by every test")]
    static OUTPUT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"(?i)\b(?:answer|label|category|class|letter|number|result|output|reply|response|reason(?:ing)?",
            r"|explanation|word)s?\b"
        ))
        .unwrap()
    });
    SLOT.captures_iter(text)
        .filter_map(|c| c.get(1).or(c.get(0)))
        .map(|m| m.as_str())
        .filter(|slot| !OUTPUT.is_match(slot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_told_from_braces() {
        let of = |text| found(text).collect::<Vec<_>>();
        assert_eq!(of("Read {input} now"), ["{input}"]);
        assert_eq!(of("Read {{ choices }} now"), ["{{ choices }}"]);
        assert_eq!(of("Read {input now"), ["{input "]);
        assert_eq!(of("Read input} now"), ["input}"]);
        assert_eq!(of("The text: {review_text}"), ["{review_text}"]);
        assert_eq!(
            of("About [insert topic]: <your text>"),
            ["[insert topic]", "<your text>"]
        );
        for fine in [
            r"End with \boxed{answer}.",
            "Write: Answer: [your answer], {label} or <your final answer>.",
            r#"Write {"label": "…"} as JSON."#,
            "Sort the set {3, 1, 2}.",
            "Use the input [as given] and a < b.",
        ] {
            assert_eq!(of(fine), Vec::<&str>::new(), "{fine}");
        }
    }
}
