//! "The correct answer is …" was added: whatever follows, a rewrite of a question has no business saying it.

use super::{Leak, Rule, text::pattern, view::View};
use regex::Regex;
use std::sync::LazyLock;

/// An announcement, and the word after it.
static ANNOUNCEMENT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?ix-u)\b(?:
            (?:correct|right|true|expected)\ (?:answer|choice|option|value|one|letter|result)(?:\ here)?\ (?:is|was|=|must\ be)\s*:?
          | (?:the|your|my)\ (?:answer|solution)\ (?:is|was|must\ be|would\ be)\s*:?
          | (?:la\ (?:bonne\ )?reponse|la\ respuesta|la\ risposta|a\ resposta|die\ (?:richtige\ )?(?:antwort|losung))
            (?:\ \w+)?\ (?:est|es|e|lautet|ist)\s*:?
        )\s*["'(`]?(\w+)?"#,
    )
});

/// What may follow where the reply's form is described: "the answer is a number", "… expected in km".
const FORM: [&str; 30] = [
    "a", "an", "in", "expected", "one", "to", "not", "required", "needed", "short", "always",
    "either", "only", "just", "the", "at", "among", "given", "found", "wanted", "unique",
    "exactly", "known", "within", "yes", "written", "clear", "based", "supposed", "of",
];

pub(super) fn rule(view: &View) -> Option<Leak> {
    let asked = view.original.clean.to_lowercase();
    let mut found = ANNOUNCEMENT.captures_iter(&view.rewrite.clean);
    let said = found.any(|c| {
        let next = c.get(1).map(|w| w.as_str().to_lowercase());
        !asked.contains(&c[0].to_lowercase()) && next.is_some_and(|w| !FORM.contains(&w.as_str()))
    });
    said.then(|| {
        Leak::new(
            Rule::Announced,
            "the added words announce what the answer is",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Rule, tests::open};

    #[test]
    fn announcing_is_a_leak_and_describing_the_form_is_not() {
        let rule =
            |text: &str| open("Name it.", &format!("Name it. {text}"), "Paris").map(|l| l.rule);
        assert_eq!(
            rule("The correct answer is obvious."),
            Some(Rule::Announced)
        );
        assert_eq!(rule("The answer is a single noun."), None);
        assert_eq!(rule("Make sure the answer is short."), None);
    }
}
