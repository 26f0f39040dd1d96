//! A worked example that was added holds the answer.

use super::{Leak, Rule, text::pattern, verbatim, view::View};
use regex::Regex;
use std::sync::LazyLock;

static MARKER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i-u)\b(?:examples?|for instance|e\.g\.|such as|sample|demonstration|suppose|analog\w+|similar\w*|likewise|Q|A|input|output|user|assistant|question|answer)\s*(?:\d+\s*)?(?:[:,]|\b(?:exchange|question|answer|problem)\b)|\bfor example\b|->|=>",
    )
});

pub(super) fn rule(view: &View) -> Option<Leak> {
    let at = verbatim::stated(view)?;
    let place = view.rewrite.words[at].start;
    let shown = MARKER
        .find_iter(&view.rewrite.clean)
        .any(|m| m.start() <= place);
    let asked = MARKER.is_match(&view.original.clean);
    (shown && !asked)
        .then(|| Leak::new(Rule::Example, "an example that was added holds the answer"))
}

#[cfg(test)]
mod tests {
    use super::super::{Rule, tests::open};

    #[test]
    fn an_example_with_the_answer() {
        let rule = |text: &str| open("Name the capital of France.", text, "Paris").map(|l| l.rule);
        let same = "Q: What is the capital of France? A: Paris. Q: Name the capital of France. A:";
        assert_eq!(rule(same), Some(Rule::Example));
        assert_eq!(
            rule("Name the capital of France. For example, that of Spain is Madrid."),
            None
        );
    }
}
